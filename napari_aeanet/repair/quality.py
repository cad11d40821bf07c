"""Measure how well slices of a stack are interpolated: hide good ones and compare."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import Progress, Progressed, StepCounter
from napari_aeanet.interpolation import (
    LARGEST_FIELD,
    SectionScores,
    hide_section,
    read_section,
    with_texture,
)
from napari_aeanet.repair.learning import Maker
from napari_aeanet.repair.settings import (
    ExpectedQuality,
    PlannedSlice,
    QualityEvent,
    QualityMeasured,
    RepairSettings,
    SliceChecked,
)

FLOW = Maker()


def measure_quality(
    image: Image,
    planned: Iterable[PlannedSlice],
    settings: RepairSettings,
    maker: Maker = FLOW,
    mapper: Mapper = ONE_PROCESS,
) -> Generator[QualityEvent, None, None]:
    """Hide good slices, in rows as long as those to be repaired, and compare; yield events.

    Of a network, only slices that it has not seen are hidden.

    The last event is `QualityMeasured`, with an entry for every length for which slices with good
    neighbours are left that match them.
    """
    planned = list(planned)
    bad = {one.index for one in planned}
    gaps = sorted({one.gap for one in planned} - {0}) or [1]
    chosen = {}
    for gap in gaps:
        unseen = maker.for_gap(gap).kept_out
        good = _good(image.shape[0], bad, gap)
        good = good if unseen is None else [index for index in good if index in unseen]
        chosen[gap] = _spread(good, settings.checks)
    what = f"checking on good slices of {image.name}"
    counter = StepCounter(what, sum(map(len, chosen.values())), "slice")
    pieces = ((gap, index) for gap, slices in chosen.items() for index in slices)
    checks: dict[int, list[_Check]] = {gap: [] for gap in chosen}
    check = partial(_checks, settings, maker)
    with closing(mapper.map(check, image, pieces)) as results:
        for result in results:
            if result is None:
                yield Progressed(counter.unchanged())
                continue
            gap, index, one = result
            checks[gap] += [] if one is None else [one]
            yield SliceChecked(progress=counter.step(), index=index)
    measured = [_expected(gap, found) for gap, found in checks.items() if found]
    yield QualityMeasured(progress=Progress(what, 1, 1, 0.0, share=1.0), quality=tuple(measured))


def _good(count: int, bad: Collection[int], gap: int) -> list[int]:
    """Return slices that are good, as are those up to `gap` after and the one before them."""
    return [
        index
        for index in range(1, count - gap)
        if not any(near in bad for near in range(index - 1, index + gap + 1))
    ]


def _spread(slices: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the slices, spread evenly."""
    places = np.linspace(0, len(slices) - 1, min(most, len(slices))).round()
    return [slices[int(place)] for place in places]


@dataclass(frozen=True, kw_only=True)
class _Check:
    index: int
    scores: SectionScores
    mean_agreement: float


def _checks(
    settings: RepairSettings, maker: Maker, image: Image, pieces: Iterable[tuple[int, int]]
) -> Generator[tuple[int, int, _Check | None], None, None]:
    """Yield the check of each slice, with the length of its gap and its number."""
    for gap, index in pieces:
        yield gap, index, _checked(image, index, gap, settings, maker.for_gap(gap))


def _checked(
    image: Image, index: int, gap: int, settings: RepairSettings, maker: Maker
) -> _Check | None:
    """Interpolate a good slice from the one before it and the one `gap` after it."""
    middle, before, after = (
        read_section(image, z, LARGEST_FIELD) for z in (index, index - 1, index + gap)
    )
    if np.ptp(middle) == 0:
        return None
    hidden = hide_section(middle, before, after, at=1 / (gap + 1))
    if hidden is None:
        return None
    made = maker.interpolator(hidden.neighbours)
    if settings.texture:
        made = with_texture(made, hidden.neighbours)
    data_range = float(np.ptp(middle))
    plain = hidden.score(hidden.neighbours.mean(), data_range)
    return _Check(
        index=index, scores=hidden.score(made, data_range), mean_agreement=plain.agreement
    )


def _expected(gap: int, checks: list[_Check]) -> ExpectedQuality:
    return ExpectedQuality(
        gap=gap,
        slices=tuple(one.index for one in checks),
        agreement=float(np.median([one.scores.agreement for one in checks])),
        sharpness=float(np.median([one.scores.sharpness for one in checks])),
        mean_agreement=float(np.median([one.mean_agreement for one in checks])),
    )
