"""Which part of the samples is learnt from, and which is kept out to check the model.

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

# The papers' split: 3 rows and 4 columns, the right column checks.
ROWS, COLUMNS = 3, 4
# Of whole images, about every fifth checks.
WHOLE_IMAGES_SHARE = 5
# A kept-out part narrower than this says nothing (SSIM alone needs 7).
SMALLEST_CHECK = 16


@dataclass(frozen=True)
class Split:
    """Boxes to learn from, and boxes kept out to check with."""

    train: tuple[Area, ...]
    check: tuple[Area, ...]


def split(samples: Sequence[Sample], settings: TrainSettings, guard: int) -> Split:
    """Divide the samples into boxes to train on and boxes kept out to check with.

    Parameters
    ----------
    settings
        Say what is kept out: the right column of a 3 × 4 grid, in three rows, of every image; a
        box of every image; or every fifth image.
    guard
        Pixels between the two parts that belong to neither: as far as the network looks.
    """
    train: list[Area] = []
    check: list[Area] = []
    checking = _every_fifth(samples) if settings.kept_out == KeptOut.WHOLE_IMAGES else set()
    for number, sample in enumerate(samples):
        whole = _field(number, sample)
        if settings.kept_out == KeptOut.WHOLE_IMAGES:
            (check if sample.pair in checking else train).append(whole)
        elif settings.kept_out == KeptOut.REGION:
            region = _clipped(settings.region, whole, sample.name)
            check.append(_in_plane(whole, *region))
            train += _around(whole, region, guard)
        else:
            (top, left), (bottom, right) = whole.start[-2:], whole.stop[-2:]
            column = left + (right - left) * (COLUMNS - 1) // COLUMNS
            train.append(_in_plane(whole, top, left, bottom, max(left, column - guard)))
            check += _rows(whole, column)
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


def _field(number: int, sample: Sample) -> Area:
    """The box around all pixels that both images cover."""
    if sample.valid is None:
        return Area(number, (0,) * len(sample.shape), sample.shape)
    places = np.nonzero(sample.valid)
    return Area(
        number, tuple(int(p.min()) for p in places), tuple(int(p.max()) + 1 for p in places)
    )


def _rows(whole: Area, column: int) -> list[Area]:
    """The columns from `column` on, in as many rows as there is room for."""
    (top, _), (bottom, right) = whole.start[-2:], whole.stop[-2:]
    count = ROWS if bottom - top >= ROWS * SMALLEST_CHECK else 1
    edges = [top + (bottom - top) * i // count for i in range(count + 1)]
    return [_in_plane(whole, first, column, last, right) for first, last in pairwise(edges)]


def _clipped(
    region: tuple[int, int, int, int], whole: Area, name: str
) -> tuple[int, int, int, int]:
    (top, left), (bottom, right) = whole.start[-2:], whole.stop[-2:]
    clipped = (
        max(top, region[0]),
        max(left, region[1]),
        min(bottom, region[2]),
        min(right, region[3]),
    )
    if clipped[2] - clipped[0] < SMALLEST_CHECK or clipped[3] - clipped[1] < SMALLEST_CHECK:
        msg = (
            f"The region to keep out (rows {region[0]} to {region[2]}, columns {region[1]} to "
            f"{region[3]}) leaves less than {SMALLEST_CHECK} × {SMALLEST_CHECK} pixels of {name}, "
            f"which reaches from row {top} to {bottom} and from column {left} to {right}. Draw it "
            "larger, inside of all images."
        )
        raise ValueError(msg)
    return clipped


def _around(whole: Area, region: tuple[int, int, int, int], guard: int) -> Iterator[Area]:
    """What is left of the image around a region and its guard band: at most four boxes.

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
    """The numbers of the pairs that check: about every fifth, spread over the list."""
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
    """The area without its invalid rim: the side with the most invalid pixels goes first."""
    if valid is None:
        return area
    bad = ~valid[area.slices]
    start, stop = [0] * bad.ndim, list(bad.shape)
    while bad.any():
        sides = [(axis, index) for axis in range(bad.ndim) for index in (0, -1)]
        axis, index = max(sides, key=lambda side: bad.take(side[1], side[0]).mean())
        if index == 0:
            start[axis] += 1
        else:
            stop[axis] -= 1
        inner = [slice(None)] * bad.ndim
        inner[axis] = slice(1, None) if index == 0 else slice(0, -1)
        bad = bad[tuple(inner)]
    return Area(
        area.image,
        tuple(a + s for a, s in zip(area.start, start, strict=True)),
        tuple(a + s for a, s in zip(area.start, stop, strict=True)),
    )
