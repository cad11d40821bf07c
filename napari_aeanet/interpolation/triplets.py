"""Sections of a stack with both neighbours on their grid, from which a network learns.

A section is used if it and both neighbours are not damaged, match each other, and are about
equally sharp. Some are kept out of the learning: pairs of adjacent sections, and no section next
to them is learnt from, so that the network never sees what it is compared on as its target, nor
as the neighbour of one.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import StepCounter
from napari_aeanet.interpolation.flow import WarpedNeighbours
from napari_aeanet.interpolation.hidden import HiddenSection, hide_section
from napari_aeanet.interpolation.learning_settings import SectionPrepared
from napari_aeanet.interpolation.measures import sharpness
from napari_aeanet.interpolation.reading import LARGEST_FIELD, read_section

#: Lowest correlation with a neighbour, and largest ratio of sharpness to that of the neighbours.
#: Good sections of two stacks of neural tissue had at least .37 and at most 1.2.
LOWEST_CORRELATION, LARGEST_RATIO = 0.3, 1.5
#: Most sections that are prepared.
MOST_SECTIONS = 32
#: Fewest sections to learn from.
FEWEST_SECTIONS = 4
#: Adjacent sections kept out together; sections per such pair, and most pairs.
PAIR, SECTIONS_PER_PAIR, MOST_PAIRS = 2, 10, 3


@dataclass(frozen=True, kw_only=True)
class SectionSplit:
    """Sections to learn from and those kept out."""

    sections: tuple[int, ...]
    kept_out: tuple[int, ...]


def candidates(count: int, skip: Collection[int]) -> list[int]:
    """Return inner sections that are not to be skipped, nor a neighbour; those in the middle."""
    good = [
        index
        for index in range(1, count - 1)
        if not any(near in skip for near in (index - 1, index, index + 1))
    ]
    # They stay together, since sections kept out cost those next to them.
    start = max(0, len(good) - MOST_SECTIONS) // 2
    return good[start : start + MOST_SECTIONS]


def prepared_sections(
    image: Image, indices: Sequence[int]
) -> Generator[SectionPrepared, None, dict[int, HiddenSection]]:
    """Align each of `indices` with its neighbours; yield an event each and return those used."""
    counter = StepCounter(f"aligning sections of {image.name}", len(indices))
    found: dict[int, HiddenSection] = {}
    for index in indices:
        hidden, refusal = _prepared(image, index)
        if hidden is not None:
            found[index] = hidden
        yield SectionPrepared(progress=counter.step(), index=index, refusal=refusal)
    return found


def _prepared(image: Image, index: int) -> tuple[HiddenSection | None, str]:
    before, middle, after = (
        read_section(image, index + step, LARGEST_FIELD) for step in (-1, 0, 1)
    )
    values = [sharpness(one) for one in (before, middle, after)]
    if min(values) == 0:
        return None, "it or a neighbour is blank"
    ratio = values[1] / np.sqrt(values[0] * values[2])
    if not 1 / LARGEST_RATIO < ratio < LARGEST_RATIO:
        return None, "it is much sharper or more blurred than its neighbours"
    hidden = hide_section(middle, before, after)
    if hidden is None or hidden.correlation < LOWEST_CORRELATION:
        return None, "it has too little in common with a neighbour"
    return hidden, ""


def split(indices: Sequence[int]) -> SectionSplit:
    """Keep pairs of adjacent sections out, spread evenly; drop what lies next to them.

    Raises
    ------
    ValueError
        If too few sections are left to learn from.
    """
    indices = sorted(indices)
    pairs = min(MOST_PAIRS, max(1, len(indices) // SECTIONS_PER_PAIR))
    starts = [(2 * n + 1) * len(indices) // (2 * pairs) - PAIR // 2 for n in range(pairs)]
    kept_out = tuple(index for s in starts if s >= 0 for index in indices[s : s + PAIR])
    used = tuple(one for one in indices if all(abs(one - kept) > 1 for kept in kept_out))
    if len(used) < FEWEST_SECTIONS:
        msg = (
            f"Only {len(indices)} sections match both of their neighbours, too few to learn from "
            f"(at least {2 * PAIR + FEWEST_SECTIONS} are needed): use the optical flow, which "
            "learns nothing."
        )
        raise ValueError(msg)
    return SectionSplit(sections=used, kept_out=kept_out)


def network_planes(neighbours: WarpedNeighbours) -> np.ndarray:
    """Return both neighbours as aligned, then both as warped: float32 (4, y, x).

    Where one of them has no pixels, the other takes its place.
    """
    has_before, has_after = neighbours.weight < 1, neighbours.weight > 0
    before = (neighbours.aligned_before, neighbours.before)
    after = (neighbours.aligned_after, neighbours.after)
    planes = [
        np.where(own, one, other)
        for first, second in zip(before, after, strict=True)
        for own, one, other in ((has_before, first, second), (has_after, second, first))
    ]
    return np.stack(planes).astype(np.float32, copy=False)


def position(neighbours: WarpedNeighbours) -> float:
    """Return the position between both neighbours, 0.5 for the middle."""
    between = neighbours.weight[(neighbours.weight > 0) & (neighbours.weight < 1)]
    return float(between[0]) if between.size else 0.5
