"""Positions of training patches: allowed boxes, and random draws of many positions at once.

Only arithmetic on positions; `napari_aeanet.dataset.patch_source` cuts the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import extent

# Flips and quarter turns of the last two axes: bit 0 flips rows, bit 1 flips columns, bit 2
# exchanges rows and columns. Together they are the eight symmetries of a square.
FLIP_ROWS, FLIP_COLUMNS, TRANSPOSE = 1, 2, 4
# Without an accepted position after this many rounds, there is hardly any.
MOST_ROUNDS = 1000


@dataclass(frozen=True)
class Area:
    """Box of one image."""

    image: int
    box: Region

    @property
    def shape(self) -> tuple[int, ...]:
        return extent(self.box)

    def in_plane(self, rows: slice, columns: slice) -> Area:
        """Return the same planes with other rows and columns."""
        return Area(self.image, (*self.box[:-2], rows, columns))

    def around(self, region: Region, guard: int) -> Iterator[Area]:
        """Yield the rest of the area around a region and its guard band: at most four boxes.

        ::

            +---------------+
            |     above     |
            +----+-----+----+
            |left|     |right
            +----+-----+----+
            |     below     |
            +---------------+
        """
        rows, columns = self.box[-2:]
        top = max(rows.start, region[0].start - guard)
        bottom = min(rows.stop, region[0].stop + guard)
        left = max(columns.start, region[1].start - guard)
        right = min(columns.stop, region[1].stop + guard)
        for box in (
            (slice(rows.start, top), columns),
            (slice(bottom, rows.stop), columns),
            (slice(top, bottom), slice(columns.start, left)),
            (slice(top, bottom), slice(right, columns.stop)),
        ):
            if min(extent(box)) > 0:
                yield self.in_plane(*box)

    def trimmed(self, valid: np.ndarray | None) -> Area:
        """Return the area without its invalid rim; the side that is worst goes first."""
        if valid is None:
            return self
        box = list(self.box)
        while (bad := ~valid[tuple(box)]).any():
            shares = {
                (axis, side): bad.take(side, axis).mean()
                for axis in range(bad.ndim)
                for side in (0, -1)
            }
            axis, side = max(shares, key=shares.__getitem__)
            box[axis] = slice(box[axis].start + (side == 0), box[axis].stop - (side == -1))
        return Area(self.image, tuple(box))


@dataclass(frozen=True, eq=False)
class PatchPositions:
    """Positions of a batch of patches, and the flip and turn of each."""

    image: np.ndarray  # (n,)
    start: np.ndarray  # (n, dims), first pixel in the image
    turn: np.ndarray  # (n,), 0 to 7

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, part: slice) -> PatchPositions:
        return PatchPositions(self.image[part], self.start[part], self.turn[part])


class PatchSampler:
    """Draws patches of one size, every allowed position equally likely.

    Parameters
    ----------
    areas
        Boxes that hold the patches; boxes smaller than a patch are never drawn from.
    patch
        Shape of a patch.
    valid
        Mask of valid pixels per image, or None where all are valid. A patch holds no invalid
        pixel.
    interest
        Per image the probability of keeping a patch, by its centre pixel, or None for 1. With it,
        empty background is drawn less often.
    turned
        Flip and, if they are square, turn patches at random.
    """

    def __init__(
        self,
        areas: Sequence[Area],
        patch: tuple[int, ...],
        valid: Sequence[np.ndarray | None] = (),
        interest: Sequence[np.ndarray | None] = (),
        *,
        turned: bool = True,
    ) -> None:
        self._patch = np.asarray(patch)
        self._turns = 1 if not turned else 8 if patch[-1] == patch[-2] else 4
        # Masks of first pixels: the minimum over all pixels of a patch.
        origin = [-(n // 2) for n in patch]
        self._allowed = {
            i: minimum_filter(mask, patch, mode="constant", origin=origin)
            for i, mask in enumerate(valid)
            if mask is not None
        }
        self._interest = {i: m for i, m in enumerate(interest) if m is not None}
        usable = [area for area in areas if self.positions(area)]
        if not usable:
            msg = (
                f"No patch of {size_in_words(patch)} pixels fits into the images. Choose a smaller "
                "patch."
            )
            raise ValueError(msg)
        self._image = np.array([area.image for area in usable])
        self._start = np.array([[s.start for s in area.box] for area in usable])  # (areas, dims)
        self._counts = np.array([area.shape for area in usable]) - self._patch + 1
        positions = self._counts.prod(axis=1, dtype=np.float64)
        self._share = positions / positions.sum()

    def positions(self, area: Area) -> int:
        """Return the number of positions of a whole, valid patch in `area`."""
        counts = np.asarray(area.shape) - self._patch + 1
        if (counts <= 0).any():
            return 0
        if area.image not in self._allowed:
            return int(counts.prod())
        starts = tuple(slice(s.start, s.start + n) for s, n in zip(area.box, counts, strict=True))
        return int(self._allowed[area.image][starts].sum())

    def draw(self, count: int, rng: np.random.Generator) -> PatchPositions:
        """Draw `count` positions, each with a random flip and turn if patches are turned."""
        image = np.empty(count, np.int64)
        start = np.empty((count, len(self._patch)), np.int64)
        missing = np.arange(count)
        for _ in range(MOST_ROUNDS):
            which = rng.choice(len(self._share), size=len(missing), p=self._share)
            image[missing] = self._image[which]
            start[missing] = self._start[which] + rng.integers(0, self._counts[which])
            missing = missing[~self._accepted(image[missing], start[missing], rng)]
            if not len(missing):
                break
        else:
            msg = "Hardly any patch of the images is free of invalid pixels or of background."
            raise ValueError(msg)
        return PatchPositions(image, start, rng.integers(0, self._turns, count))

    def draw_in_turn(
        self, first: int, count: int, seed: int, rng: np.random.Generator
    ) -> PatchPositions:
        """Return `count` positions from number `first` on; every area occurs once an epoch.

        Epoch e has the order default_rng([seed, e]).permutation(areas); e begins at 0.
        """
        epoch, place = np.divmod(first + np.arange(count), len(self._image))
        order = {
            int(e): np.random.default_rng([seed, int(e)]).permutation(len(self._image))
            for e in np.unique(epoch)
        }
        which = [order[int(e)][i] for e, i in zip(epoch, place, strict=True)]
        return PatchPositions(
            self._image[which], self._start[which], rng.integers(0, self._turns, count)
        )

    def _accepted(
        self, image: np.ndarray, start: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        accepted = np.ones(len(image), bool)
        for number in np.unique(image):
            own = np.flatnonzero(image == number)
            if number in self._allowed:
                accepted[own] &= self._allowed[number][tuple(start[own].T)]
            if number in self._interest:
                centre = tuple((start[own] + self._patch // 2).T)
                accepted[own] &= rng.random(len(own)) < self._interest[number][centre]
        return accepted


def strided(
    positions: PatchPositions, shapes: Sequence[tuple[int, ...]], patch: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return offset and strides of each patch: flipped or turned, it is a strided view.

    Returns the offset of each patch's first pixel within its image, (n,), and the strides of its
    axes, (n, dims), both in pixels: pixel (i, j) of the patch lies at offset + i·s₀ + j·s₁.
    Flipping an axis starts at its other end with a negative stride; transposing exchanges the
    last two strides.
    """
    strides = [np.append(np.cumprod(shape[:0:-1])[::-1], 1) for shape in shapes]
    strides = np.array(strides)[positions.image]  # (n, dims)
    flips = np.zeros_like(strides, dtype=bool)
    flips[:, -2] = positions.turn & FLIP_ROWS != 0
    flips[:, -1] = positions.turn & FLIP_COLUMNS != 0
    offset = ((positions.start + flips * (np.asarray(patch) - 1)) * strides).sum(axis=1)
    strides = np.where(flips, -strides, strides)
    transposed = positions.turn & TRANSPOSE != 0
    strides[transposed, -2:] = strides[transposed, -2:][:, ::-1]
    return offset, strides


def size_in_words(shape: Sequence[int]) -> str:
    """Return for instance "32 × 64"."""
    return " × ".join(map(str, shape))
