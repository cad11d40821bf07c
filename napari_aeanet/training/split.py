"""Division of the samples into training data and data kept out to validate the model.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from napari_aeanet.training.dataset import Sample
from napari_aeanet.training.patches import Area
from napari_aeanet.training.settings import KeptOut, TrainSettings

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


def split(samples: Sequence[Sample], settings: TrainSettings, guard: int) -> Split:
    """Divide the samples into boxes to train on and boxes kept out.

    Parameters
    ----------
    settings
        `kept_out` selects the right column of a 3 × 4 grid, in three rows, of every image; a box
        of every image; or every fifth image.
    guard
        Pixels between the two parts that belong to neither: the input margin of the network.
    """
    train: list[Area] = []
    check: list[Area] = []
    kept_out = _every_fifth(samples) if settings.kept_out == KeptOut.WHOLE_IMAGES else set()
    for number, sample in enumerate(samples):
        whole = _valid_box(number, sample)
        (top, left), (bottom, right) = whole.start[-2:], whole.stop[-2:]
        if settings.kept_out == KeptOut.WHOLE_IMAGES:
            (check if sample.pair in kept_out else train).append(whole)
        elif settings.kept_out == KeptOut.REGION:
            region = _clipped(settings.region, whole, sample.name)
            check.append(_in_plane(whole, *region))
            train += _around(whole, region, guard)
        else:
            column = left + (right - left) * (COLUMNS - 1) // COLUMNS
            train.append(_in_plane(whole, top, left, bottom, max(left, column - guard)))
            rows = ROWS if bottom - top >= ROWS * SMALLEST_CHECK else 1
            edges = [top + (bottom - top) * i // rows for i in range(rows + 1)]
            check += [_in_plane(whole, a, column, b, right) for a, b in pairwise(edges)]
    trimmed = [_trimmed(area, samples[area.image].valid) for area in check]
    usable = tuple(area for area in trimmed if min(area.shape[-2:]) >= SMALLEST_CHECK)
    if not usable:
        msg = (
            f"The images are too small to keep out a part of at least {SMALLEST_CHECK} pixels. "
            "Keep out whole images instead, or add larger images."
        )
        raise ValueError(msg)
    return Split(tuple(train), usable)


def _in_plane(whole: Area, top: int, left: int, bottom: int, right: int) -> Area:
    return Area(whole.image, (*whole.start[:-2], top, left), (*whole.stop[:-2], bottom, right))


def _valid_box(number: int, sample: Sample) -> Area:
    """Return the box around all pixels that both images cover."""
    if sample.valid is None:
        return Area(number, (0,) * len(sample.shape), sample.shape)
    indices = np.nonzero(sample.valid)
    start = tuple(int(along.min()) for along in indices)
    return Area(number, start, tuple(int(along.max()) + 1 for along in indices))


def _clipped(
    region: tuple[int, int, int, int], whole: Area, name: str
) -> tuple[int, int, int, int]:
    (first, leftmost), (last, rightmost) = whole.start[-2:], whole.stop[-2:]
    top, left = max(first, region[0]), max(leftmost, region[1])
    bottom, right = min(last, region[2]), min(rightmost, region[3])
    if min(bottom - top, right - left) < SMALLEST_CHECK:
        msg = (
            f"The region to keep out (rows {region[0]} to {region[2]}, columns {region[1]} to "
            f"{region[3]}) covers less than {SMALLEST_CHECK} × {SMALLEST_CHECK} pixels of {name}, "
            f"which extends from row {first} to {last} and from column {leftmost} to {rightmost}. "
            "Draw it larger, inside of all images."
        )
        raise ValueError(msg)
    return top, left, bottom, right


def _around(whole: Area, region: tuple[int, int, int, int], guard: int) -> Iterator[Area]:
    """Yield the rest of the image around a region and its guard band: at most four boxes.

    ::

        +---------------+
        |     above     |
        +----+-----+----+
        |left|     |right
        +----+-----+----+
        |     below     |
        +---------------+
    """
    (first, leftmost), (last, rightmost) = whole.start[-2:], whole.stop[-2:]
    top, left = max(first, region[0] - guard), max(leftmost, region[1] - guard)
    bottom, right = min(last, region[2] + guard), min(rightmost, region[3] + guard)
    boxes = [
        (first, leftmost, top, rightmost),
        (bottom, leftmost, last, rightmost),
        (top, leftmost, bottom, left),
        (top, right, bottom, rightmost),
    ]
    for box in boxes:
        if box[2] > box[0] and box[3] > box[1]:
            yield _in_plane(whole, *box)


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


def _trimmed(area: Area, valid: np.ndarray | None) -> Area:
    """Return the area without its invalid rim; the side with the most invalid pixels goes first."""
    if valid is None:
        return area
    start, stop = list(area.start), list(area.stop)
    while (bad := ~valid[Area(area.image, tuple(start), tuple(stop)).slices]).any():
        shares = {
            (axis, index): bad.take(index, axis).mean()
            for axis in range(bad.ndim)
            for index in (0, -1)
        }
        axis, index = max(shares, key=shares.__getitem__)
        if index == 0:
            start[axis] += 1
        else:
            stop[axis] -= 1
    return Area(area.image, tuple(start), tuple(stop))
