"""Prediction patch by patch, as published: each patch has the context of its own pixels only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import groupby, pairwise

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import Span, Tile, extent, fading, whole, within
from napari_aeanet.restoration.exact import RestoredPart, mean
from napari_aeanet.restoration.symmetries import TransformedSource
from napari_aeanet.restoration.tile_runner import TileRunner


def cropped_parts(
    runner: TileRunner, views: Sequence[TransformedSource], patches: Sequence[Tile]
) -> Iterator[RestoredPart]:
    """Predict every patch and drop its margins."""
    for patch in patches:
        values = _predicted(runner, views, patch)
        kept = within(runner.output_region(patch.inner), runner.output_region(patch.outer))
        yield RestoredPart(patch.inner, values[(slice(None), *kept)])


def blended_parts(
    runner: TileRunner,
    views: Sequence[TransformedSource],
    patches: Sequence[Tile],
    shape: Sequence[int],
    wanted: Callable[[Region], bool],
) -> Iterator[RestoredPart | None]:
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
    start, rest = 0, np.zeros((1, 0, *size[1:]), np.float32)
    for row, part in zip(rows, parts, strict=True):
        span, lines = row[0].outer[axis], runner.output_region(row[0].outer)[0]
        if not any(wanted(p) for p in parts if span.start <= p[axis].start < span.stop):
            continue
        carried = rest[:, max(0, lines.start - start) :]
        sums = np.zeros((1, lines.stop - lines.start, *size[1:]), np.float32)
        sums[:, : carried.shape[1]] = carried
        for patch in row:
            place = runner.output_region(patch.outer)
            values = _predicted(runner, views, patch)[:1]
            sums[:, :, *place[1:]] += values * _product(weights, place)
            if patch is not row[-1]:
                yield None
        start = runner.output_region(part)[0].stop
        finished, rest = np.split(sums, [start - lines.start], axis=1)
        yield RestoredPart(part, finished)


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
    along = [of_axis[s.start, s.stop] for of_axis, s in zip(weights, place, strict=True)]
    return reduce(np.multiply.outer, along)


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
