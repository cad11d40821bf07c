"""Prediction patch by patch, as published: each patch has the context of its own pixels only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import Span, Tile, extent, fading, whole, within
from napari_aeanet.restoration.exact import Part, mean
from napari_aeanet.restoration.symmetries import TransformedSource
from napari_aeanet.restoration.tile_runner import TileRunner


def cropped_parts(
    runner: TileRunner, views: Sequence[TransformedSource], patches: Sequence[Tile]
) -> Iterator[Part]:
    """Predict every patch and drop its margins."""
    for patch in patches:
        values = _predicted(runner, views, patch)
        kept = within(runner.output_region(patch.inner), runner.output_region(patch.outer))
        yield Part(patch.inner, values[(slice(None), *kept)])


def blended_parts(
    runner: TileRunner,
    views: Sequence[TransformedSource],
    patches: Sequence[Tile],
    shape: Sequence[int],
    wanted: Callable[[Region], bool],
) -> Iterator[Part | None]:
    """Blend overlapping patches: yield a part for every row of patches, else None.

    A row is finished where the next one begins; the rest is carried over to it::

        row 1   |==========|......|            = finished   . carried over
        row 2              |==========|......|

    Parameters
    ----------
    patches
        Of the whole padded image, row after row.
    shape
        Of the padded image.
    wanted
        Function that returns True if a finished part is still needed; rows that contribute to
        none are skipped.
    """
    size = extent(runner.output_region(whole(shape)))
    weights = _weights([runner.output_region(patch.outer) for patch in patches], size)
    axis = -len(size)
    rows = [list(row) for _, row in groupby(patches, lambda patch: patch.outer[axis].start)]
    parts = _parts_finished_by(rows, shape, axis)
    rest = _Strip(0, np.zeros((1, 0, *size[1:]), np.float32))
    for row, part in zip(rows, parts, strict=True):
        span = row[0].outer[axis]
        if not any(wanted(p) for p in parts if span.start <= p[axis].start < span.stop):
            continue
        strip = rest.shifted_to(runner.output_region(row[0].outer)[0])
        for patch in row:
            place = runner.output_region(patch.outer)
            strip.add(place, _predicted(runner, views, patch)[:1] * _product(weights, place))
            if patch is not row[-1]:
                yield None
        finished, rest = strip.split(runner.output_region(part)[0].stop)
        yield Part(part, finished)


class _Strip:
    """Sums over rows `start` and following of the output: (1, rows, pixels...)."""

    def __init__(self, start: int, values: np.ndarray) -> None:
        self._start, self._values = start, values

    def shifted_to(self, rows: slice) -> _Strip:
        """Return the sums over other rows, zero where there were none."""
        values = np.zeros((1, rows.stop - rows.start, *self._values.shape[2:]), np.float32)
        known = self._values[:, max(0, rows.start - self._start) :]
        values[:, : known.shape[1]] = known
        return _Strip(rows.start, values)

    def add(self, place: Region, values: np.ndarray) -> None:
        first = slice(place[0].start - self._start, place[0].stop - self._start)
        self._values[(slice(None), first, *place[1:])] += values

    def split(self, row: int) -> tuple[np.ndarray, _Strip]:
        """Return the finished rows before a row, and the sums from there on."""
        count = row - self._start
        return self._values[:, :count], _Strip(row, self._values[:, count:])


def _weights(places: Sequence[Region], size: Sequence[int]) -> list[dict[Span, np.ndarray]]:
    """Return for each axis the weights of every span of a patch along it."""
    found = []
    for axis, n in enumerate(size):
        spans = [place[axis] for place in places]
        starts = sorted({span.start for span in spans})
        overlaps = [spans[0].stop - spans[0].start - (b - a) for a, b in pairwise(starts)]
        found.append(fading(spans, n, min(overlaps, default=1)))
    return found


def _product(weights: Sequence[dict[Span, np.ndarray]], place: Region) -> np.ndarray:
    """Return the weights over a patch: the product of those along its axes."""
    product = np.ones((1,) * len(place), np.float32)
    for axis, (of_axis, span) in enumerate(zip(weights, place, strict=True)):
        along = [1] * len(place)
        along[axis] = -1
        product = product * of_axis[span.start, span.stop].reshape(along)
    return product


def _parts_finished_by(
    rows: Sequence[Sequence[Tile]], shape: Sequence[int], axis: int
) -> list[Region]:
    """Return for each row of patches the part that no later row changes, from the row's start."""
    starts = [row[0].outer[axis].start for row in rows]
    frame = list(whole(shape))
    found = []
    for start, stop in pairwise([*starts, shape[axis]]):
        frame[axis] = slice(start, stop)
        found.append(tuple(frame))
    return found


def _predicted(runner: TileRunner, views: Sequence[TransformedSource], patch: Tile) -> np.ndarray:
    """Return all outputs over the patch, as the mean over all views."""
    predictions = (
        view.transform.undo(runner.predict_alone(view, view.region(patch.outer))) for view in views
    )
    return mean(predictions, len(views), runner.index_channels)
