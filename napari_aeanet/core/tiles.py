"""Positions of patches and tiles.

Two ways to divide an image too large for one pass. Positions are pixels of the image padded to
the network's grid (a multiple of 4 in the plane, for three levels), and all cuts lie on that
grid: off the grid, strided layers would sample other positions and give other values.

*Exact tiles* partition the image. Each is read with a halo of the network's input margin, clipped
at the border of the image, where the network applies its own padding::

    +--------+---------+-------+
    |........|..       |       |     inner: output of the tile
    |. tile .|.h       |       |     h:     halo, read, not kept
    |........|.h       |       |
    |.hhhhhhhhhh       |       |
    +--------+---------+-------+

*Patches* have one size, as in training, and overlap by two margins. The margin of a patch is
dropped except at the border of the image; the last patch ends at the border::

    patch 0   [=======mm]
    patch 1        [mm=====mm]
    patch 2          [mm-======]      - : already kept from patch 1
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

import numpy as np

from napari_aeanet.core.image import Region

# More are not listed: an image of so many takes years.
MOST_TILES = 2_000_000


@dataclass(frozen=True)
class Tile:
    """A part of an image that is computed at a time.

    Parameters
    ----------
    inner
        The region of its output.
    outer
        The region of its input.
    """

    inner: Region
    outer: Region

    @property
    def inside(self) -> Region:
        """`inner` in coordinates of `outer`."""
        return within(self.inner, self.outer)


@dataclass(frozen=True, eq=False)
class ArraySource:
    """An array that tiles are read from."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def read(self, region: Region) -> np.ndarray:
        return self.values[region]


Halo = tuple[tuple[int, int], ...]
"""Pixels before and after, for every axis."""

Span = tuple[int, int]
"""Start and stop along one axis."""


def grid_padding(shape: Sequence[int], grid: Sequence[int]) -> Halo:
    """Return the pixels to add before and after each axis to reach a multiple of the grid.

    Split evenly, the smaller half first, as in the published networks.
    """
    missing = [-n % g for n, g in zip(shape, grid, strict=True)]
    return tuple((m // 2, m - m // 2) for m in missing)


def reflected(index: np.ndarray, size: int) -> np.ndarray:
    """Reflect positions beyond an axis about its first and last pixel, repeatedly if needed."""
    period = max(2 * (size - 1), 1)
    index = index % period
    return np.minimum(index, period - index)


def check_count(name: object, shape: Sequence[int], edges: Sequence[int]) -> None:
    """Refuse an image of more tiles than can be listed; a small file may claim any size."""
    count = prod(-(-n // max(1, edge)) for n, edge in zip(shape, edges, strict=True))
    if count > MOST_TILES:
        msg = (
            f"{name} would be restored in {count:.3g} tiles, more than the {MOST_TILES:,} that are "
            "possible: choose larger tiles or patches, or a part of the image."
        )
        raise ValueError(msg)


def partition(shape: Sequence[int], edge: Sequence[int], grid: Sequence[int]) -> list[Region]:
    """Divide `shape` into parts of nearly equal size, at most `edge` long (or one grid step).

    `shape` is a multiple of the grid, and so are all cuts.
    """
    spans = []
    for n, e, g in zip(shape, edge, grid, strict=True):
        steps, longest = n // g, max(1, e // g)
        count = -(-steps // longest)
        cuts = [steps * i // count * g for i in range(count + 1)]
        spans.append([slice(a, b) for a, b in pairwise(cuts)])
    return list(product(*spans))


def halves(region: Region, grid: Sequence[int]) -> list[Region]:
    """Divide `region` in two along every axis longer than one grid step."""
    shape, start = extent(region), [s.start for s in region]
    edge = [max(g, -(-n // 2 // g) * g) for n, g in zip(shape, grid, strict=True)]
    parts = partition(shape, edge, grid)
    return [
        tuple(slice(s.start + o, s.stop + o) for s, o in zip(part, start, strict=True))
        for part in parts
    ]


def with_halo(inner: Region, halo: Halo, shape: Sequence[int], grid: Sequence[int]) -> Tile:
    """Return the tile whose input is `inner` widened by `halo`, on the grid, clipped to `shape`."""
    outer = tuple(
        slice(max(0, (s.start - before) // g * g), min(n, -(-(s.stop + after) // g) * g))
        for s, (before, after), n, g in zip(inner, halo, shape, grid, strict=True)
    )
    return Tile(inner, outer)


def with_halo_shape(
    tile: Sequence[int], halo: Sequence[int], shape: Sequence[int]
) -> tuple[int, ...]:
    """Return the shape of a tile with its halo, at most that of the image."""
    return tuple(min(t + 2 * h, n) for t, h, n in zip(tile, halo, shape, strict=True))


def patches(shape: Sequence[int], size: Sequence[int], margin: Sequence[int]) -> list[Tile]:
    """Return equal patches whose `inner` parts, without margins, partition `shape`.

    A patch is at most as long as the image. An axis covered by one patch has no margin.
    """
    spans = [_patches_along(n, s, m) for n, s, m in zip(shape, size, margin, strict=True)]
    return [
        Tile(tuple(kept for kept, _ in parts), tuple(whole for _, whole in parts))
        for parts in product(*spans)
    ]


def _patches_along(n: int, size: int, margin: int) -> list[tuple[slice, slice]]:
    """Return (kept, whole) for each patch along one axis."""
    if size >= n:
        return [(slice(0, n), slice(0, n))]
    if 2 * margin >= size:
        msg = (
            f"With a margin of {margin} px on both sides nothing of a patch of {size} px remains: "
            "choose a larger patch or a smaller margin."
        )
        raise ValueError(msg)
    step = size - 2 * margin
    starts = [*range(0, n - size, step), n - size]
    stops = [start + size - margin for start in starts[:-1]] + [n]
    kept = zip([0, *stops], stops, strict=False)
    return [(slice(a, b), slice(s, s + size)) for (a, b), s in zip(kept, starts, strict=True)]


def field_around(region: Region, field: Sequence[int], shape: Sequence[int]) -> Region:
    """Return a window of size `field` around `region`, shifted to lie inside the image."""
    window = []
    for s, f, n in zip(region, field, shape, strict=True):
        start = max(0, min((s.start + s.stop - f) // 2, n - f))
        window.append(slice(start, min(n, start + f)))
    return tuple(window)


def has_centre_in(region: Region, window: Region) -> bool:
    """Return True if the centre of `region` lies in `window`."""
    return all(
        2 * w.start <= s.start + s.stop < 2 * w.stop for s, w in zip(region, window, strict=True)
    )


def intersection(first: Region, second: Region) -> Region | None:
    """Return the common part of two regions, or None."""
    common = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    )
    return common if all(s.start < s.stop for s in common) else None


def within(region: Region, frame: Region) -> Region:
    """Return `region` in coordinates relative to the first pixel of `frame`."""
    return tuple(
        slice(s.start - f.start, s.stop - f.start) for s, f in zip(region, frame, strict=True)
    )


def moved(region: Region, offset: Sequence[int]) -> Region:
    """Return `region` shifted by `offset`."""
    return tuple(slice(s.start + o, s.stop + o) for s, o in zip(region, offset, strict=True))


def at_stride(region: Region, stride: Sequence[int]) -> Region:
    """Return a region of the input on a coarser grid, maybe with fewer axes (a projection)."""
    return tuple(
        slice(s.start // f, s.stop // f)
        for s, f in zip(region[-len(stride) :], stride, strict=True)
    )


def joined(
    parts: Sequence[tuple[Region, np.ndarray]],
    frame: Region,
    place: Callable[[Region], Region] = lambda region: region,
) -> np.ndarray:
    """Join arrays (channels, pixels...) to one over `frame`."""
    first = parts[0][1]
    if len(parts) == 1:
        return first
    whole = np.empty((len(first), *extent(frame)), first.dtype)
    for region, values in parts:
        whole[(slice(None), *within(place(region), frame))] = values
    return whole


def extent(region: Region) -> tuple[int, ...]:
    return tuple(s.stop - s.start for s in region)


def whole(shape: Sequence[int]) -> Region:
    return tuple(slice(0, n) for n in shape)


def fading(spans: Sequence[slice], size: int, common: int) -> dict[Span, np.ndarray]:
    """Return blending weights of overlapping spans along one axis, by start and stop; sum 1.

    With d the distance of pixel x from the nearer end of span i (ends of the axis excepted), the
    weight rises over the middle half of an overlap of `common` pixels,

        w_i(x) = clip(d - common / 4, 0, common / 2),

    divided by the sum over all spans. The outermost, least accurate pixels have weight 0.
    """
    x = np.arange(size) + 0.5
    raw = {}
    for start, stop in sorted({(s.start, s.stop) for s in spans}):
        left = x - (start if start > 0 else -np.inf)
        right = (stop if stop < size else np.inf) - x
        raw[start, stop] = np.clip(np.minimum(left, right) - common / 4, 0, max(common / 2, 1))
    total = sum(raw.values())
    return {span: (w / total)[slice(*span)].astype(np.float32) for span, w in raw.items()}
