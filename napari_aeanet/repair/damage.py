"""Find the damaged slices of a stack of serial sections."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import Progressed, ProgressOption, StepCounter, result_of
from napari_aeanet.io import ImageSource
from napari_aeanet.repair.damage_measures import (
    Likeness,
    Marks,
    ReducedSlice,
    SliceMeasures,
    compare_slices,
    find_marks,
    measure_slice,
)
from napari_aeanet.repair.damage_reasons import damaged_slice
from napari_aeanet.repair.damage_scores import find_unusual
from napari_aeanet.repair.damage_settings import (
    DamageEvent,
    DamageFound,
    DamageSettings,
    SliceMeasured,
)
from napari_aeanet.stacks import as_stack

DEFAULTS = DamageSettings()
#: Fewest slices of a stack, and shortest side of a slice in pixels.
FEWEST_SLICES, SHORTEST_SIDE = 3, 32
#: A slice is compared with this many slices before it, and with one more for every slice among
#: them that shows nothing or matches nothing.
COMPARED, FARTHEST = 2, 4
#: Correlation of slices that have something in common.
IN_COMMON = 0.25


def find_damage(
    source: ImageSource, settings: DamageSettings = DEFAULTS, *, progress: ProgressOption = False
) -> DamageFound:
    """Find slices that are folded, dirty, torn, blurred, missing or unlike their neighbours.

    Parameters
    ----------
    source
        A stack (z, y, x): an image, an array (also of dask, zarr or h5py) or a file. A few slices
        are in memory at a time.

    Returns
    -------
    DamageFound
        A score for every slice, and the damaged ones with the reason in words.
    """
    return result_of(DamageFound, find_damage_events(source, settings), progress)


def find_damage_events(
    source: ImageSource, settings: DamageSettings = DEFAULTS, *, mapper: Mapper = ONE_PROCESS
) -> Generator[DamageEvent, None, None]:
    """Find damaged slices as `find_damage` does; yield an event a slice, and the result at last.

    `mapper` measures and compares the slices.
    """
    check_type("settings", settings, DamageSettings)
    image = as_stack(source)
    if image.shape[0] < FEWEST_SLICES:
        msg = (
            f"{image.name} has {image.shape[0]} slices, too few to tell a damaged one from the "
            f"others: at least {FEWEST_SLICES}."
        )
        raise ValueError(msg)
    if min(image.plane_shape) < SHORTEST_SIDE:
        height, width = image.plane_shape
        msg = (
            f"{image.name} has slices of {height} x {width} pixels, too small to find damage in: "
            f"at least {SHORTEST_SIDE} along each side."
        )
        raise ValueError(msg)
    check_type("mapper", mapper, Mapper)
    mapper.check(image, None)
    return _found(image, settings, mapper)


def _found(
    image: Image, settings: DamageSettings, mapper: Mapper
) -> Generator[DamageEvent, None, None]:
    count = image.shape[0]
    examined: list[_Examined] = []
    counter = StepCounter(f"looking for damage in {image.name}", count, "slice")
    with closing(mapper.map(_examine, image, range(count), overlap=2 * FARTHEST)) as results:
        for one in results:
            if one is None:
                yield Progressed(counter.unchanged())
            elif isinstance(one, int):
                yield SliceMeasured(progress=counter.step(), index=one)
            else:
                examined.append(one)
    measures, marks = [one.measures for one in examined], [one.marks for one in examined]
    likeness, repeats = [one.likeness for one in examined], [one.repeats for one in examined]
    found = find_unusual(measures, likeness, marks, repeats)
    slices = tuple(
        damaged_slice(index, one, measures[index], marks[index], image.plane_shape)
        for index, one in enumerate(found)
        if one.score > settings.limit
    )
    yield DamageFound(
        progress=counter.finish(),
        scores=tuple(one.score for one in found),
        slices=slices,
        limit=settings.limit,
    )


@dataclass(frozen=True, eq=False)
class _Examined:
    """Knowledge of a slice, without its pixels."""

    measures: SliceMeasures
    likeness: dict[int, Likeness]
    marks: Marks | None
    repeats: bool


def _examine(image: Image, indices: Iterable[int]) -> Generator[int | _Examined, None, None]:
    """Examine slices one after the other: yield the number of each, and then what was found.

    Slices before and after them are measured too, as far as they are compared with these.
    """
    wanted = list(indices)
    recent: dict[int, ReducedSlice] = {}
    repeated = set()
    likeness: dict[int, dict[int, Likeness]] = {}
    first, last = wanted[0], wanted[-1]
    for index in range(max(0, first - FARTHEST), min(last + FARTHEST + 1, image.shape[0])):
        recent[index], likeness[index] = measure_slice(image, index), {}
        recent.pop(index - FARTHEST - 1, None)
        if index - 1 in recent and recent[index].is_same(recent[index - 1]):
            repeated.add(index)
        if index >= first:
            _compare(recent, index, likeness)
        if first <= index <= last:
            yield index
        if first <= (known := index - FARTHEST) <= last:
            yield _finish(known, recent[known], likeness.pop(known), known in repeated)
    for index in range(max(first, image.shape[0] - FARTHEST), last + 1):
        yield _finish(index, recent[index], likeness.pop(index), index in repeated)


def _compare(
    recent: dict[int, ReducedSlice], index: int, likeness: dict[int, dict[int, Likeness]]
) -> None:
    """Compare a slice with those before it that show something, both ways."""
    if not recent[index].valid.any():
        return
    compared = 0
    for first in range(index - 1, min(recent) - 1, -1):
        if not recent[first].valid.any():
            continue
        likeness[first][index], likeness[index][first] = compare_slices(
            recent[first], recent[index]
        )
        compared += likeness[index][first].whole >= IN_COMMON
        if compared == COMPARED:
            return


def _finish(
    index: int, reduced: ReducedSlice, likeness: dict[int, Likeness], repeats: bool
) -> _Examined:
    """Find the marks of a slice that was compared with all others, and drop the pixels."""
    marks = find_marks(index, reduced, likeness)
    kept = {other: replace(one, neighbour=np.empty(0)) for other, one in likeness.items()}
    return _Examined(reduced.measures, kept, marks, repeats)
