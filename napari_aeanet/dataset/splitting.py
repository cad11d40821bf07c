"""Division of the samples into training data and data kept out to validate the model.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import extent, intersection, whole
from napari_aeanet.dataset.pair_samples import Sample
from napari_aeanet.dataset.patches import Area
from napari_aeanet.dataset.settings import KeptOut

# The papers' split: 3 rows and 4 columns, the right column validates.
ROWS, COLUMNS = 3, 4
# Of whole images, about every fifth validates.
WHOLE_IMAGES_SHARE = 5
# The narrowest useful kept-out part (SSIM alone needs 7 pixels).
SMALLEST_CHECK = 16


@dataclass(frozen=True)
class Split:
    """Boxes to train on, and boxes kept out to validate with."""

    train: tuple[Area, ...]
    check: tuple[Area, ...]


def split(
    samples: Sequence[Sample],
    kept_out: KeptOut,
    guard: int,
    region: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Split:
    """Divide the samples into boxes to train on and boxes kept out.

    Parameters
    ----------
    kept_out
        The right column of a 3 × 4 grid, in three rows, of every image; a box of every image;
        every fifth image; or nothing.
    guard
        Pixels between the two parts that belong to neither: the input margin of the network.
    region
        The box, as top, left, bottom and right.
    """
    train: list[Area] = []
    check: list[Area] = []
    fifth = _every_fifth(samples) if kept_out == KeptOut.WHOLE_IMAGES else set()
    for number, sample in enumerate(samples):
        area = _valid_box(number, sample)
        rows, columns = area.box[-2:]
        if kept_out in (KeptOut.WHOLE_IMAGES, KeptOut.NOTHING):
            (check if sample.pair in fifth else train).append(area)
        elif kept_out == KeptOut.REGION:
            box = _clipped(region, area, sample.name)
            check.append(area.in_plane(*box))
            train += area.around(box, guard)
        else:
            column = columns.start + (columns.stop - columns.start) * (COLUMNS - 1) // COLUMNS
            end = max(columns.start, column - guard)
            train.append(area.in_plane(rows, slice(columns.start, end)))
            height = rows.stop - rows.start
            count = ROWS if height >= ROWS * SMALLEST_CHECK else 1
            edges = [rows.start + height * i // count for i in range(count + 1)]
            right = slice(column, columns.stop)
            check += [area.in_plane(slice(a, b), right) for a, b in pairwise(edges)]
    trimmed = [area.trimmed(samples[area.image].valid) for area in check]
    usable = tuple(area for area in trimmed if min(area.shape[-2:]) >= SMALLEST_CHECK)
    if not usable and kept_out != KeptOut.NOTHING:
        msg = (
            f"The images are too small to keep out a part of at least {SMALLEST_CHECK} pixels. "
            "Keep out whole images instead, or add larger images."
        )
        raise ValueError(msg)
    return Split(tuple(train), usable)


def _valid_box(number: int, sample: Sample) -> Area:
    """Return the box around all pixels that both images cover."""
    if sample.valid is None:
        return Area(number, whole(sample.shape))
    indices = np.nonzero(sample.valid)
    return Area(number, tuple(slice(int(i.min()), int(i.max()) + 1) for i in indices))


def _clipped(region: tuple[int, int, int, int], area: Area, name: str) -> Region:
    """Return rows and columns of the region within the area."""
    top, left, bottom, right = region
    rows, columns = area.box[-2:]
    clipped = intersection((slice(top, bottom), slice(left, right)), (rows, columns))
    if clipped is None or min(extent(clipped)) < SMALLEST_CHECK:
        msg = (
            f"The region to keep out (rows {top} to {bottom}, columns {left} to {right}) covers "
            f"less than {SMALLEST_CHECK} × {SMALLEST_CHECK} pixels of {name}, which extends from "
            f"row {rows.start} to {rows.stop} and from column {columns.start} to {columns.stop}. "
            "Draw it larger, inside of all images."
        )
        raise ValueError(msg)
    return clipped


def _every_fifth(samples: Sequence[Sample]) -> set[int]:
    """Return the numbers of the pairs to keep out: about every fifth, spread over the list."""
    pairs = sorted({sample.pair for sample in samples})
    if len(pairs) < 2:
        msg = (
            "Keeping out whole images needs at least two pairs, got one. Add pairs, or keep out "
            "the right side of the image."
        )
        raise ValueError(msg)
    count = max(1, round(len(pairs) / WHOLE_IMAGES_SHARE))
    return {pairs[(2 * i + 1) * len(pairs) // (2 * count)] for i in range(count)}
