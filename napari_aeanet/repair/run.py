"""Repair a stack: replace damaged slices by ones interpolated from their neighbours."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path, check_items, check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.number_types import in_type
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import (
    Progress,
    Progressed,
    ProgressOption,
    StepCounter,
    result_of,
    scaled,
    with_share,
)
from napari_aeanet.interpolation import (
    InterpolatedSection,
    LearnEvent,
    interpolate_section,
    read_section,
)
from napari_aeanet.io import ImageSource, stem
from napari_aeanet.repair.learning import Maker, learnt_maker
from napari_aeanet.repair.outputs import save_table, table_file
from napari_aeanet.repair.plan import plan_repairs
from napari_aeanet.repair.quality import measure_quality
from napari_aeanet.repair.remarks import how_made, remarks
from napari_aeanet.repair.settings import (
    ExpectedQuality,
    PlannedSlice,
    QualityEvent,
    QualityMeasured,
    RepairedStack,
    RepairSettings,
    SliceChecked,
    SliceOutcome,
    SlicePreview,
    SliceRepaired,
    SliceState,
)
from napari_aeanet.repair.writing import check_output
from napari_aeanet.stacks import SectionWritten, as_stack, write_stack

DEFAULTS = RepairSettings()
#: Share of the learning in the progress, and those of the rest at which checks, interpolation and
#: writing begin.
LEARNING = 0.8
CHECKS, INTERPOLATION, WRITING = 0.0, 0.4, 0.8
UNMATCHED = "slices {before} and {after} on either side do not match each other"
Made = dict[int, np.ndarray]
RepairEvent = (
    LearnEvent | Progressed | SliceChecked | SliceRepaired | SectionWritten | RepairedStack
)


def repair_stack(
    source: ImageSource,
    slices: Iterable[int],
    settings: RepairSettings = DEFAULTS,
    *,
    out: str | Path | None = None,
    learning: str | Path | None = None,
    overwrite: bool = False,
    progress: ProgressOption = False,
) -> RepairedStack:
    """Replace slices by ones that are interpolated from the nearest other slices.

    Parameters
    ----------
    source
        A stack (z, y, x): an image, an array (also of dask, zarr or h5py) or a file.
    slices
        Numbers of the damaged slices, counted from 0 as in napari.
    out
        File for the result (.ome.tif or .ome.zarr, which is written slice by slice: the stack may
        be larger than memory). NAME-slices.csv is written beside it, with a row for every slice.
    learning
        Folder for what a network learns, NAME-learnt beside `out` by default. A learning that was
        stopped goes on there, and a finished one is used again.
    overwrite
        Replace the files of an earlier repair.

    Returns
    -------
    RepairedStack
        The stack, with all other slices exactly as they were, what became of each slice, and the
        quality to be expected.
    """
    events = repair_stack_events(
        source, slices, settings, out=out, learning=learning, overwrite=overwrite
    )
    return result_of(RepairedStack, events, progress)


def repair_stack_events(
    source: ImageSource,
    slices: Iterable[int],
    settings: RepairSettings = DEFAULTS,
    *,
    out: str | Path | None = None,
    learning: str | Path | None = None,
    overwrite: bool = False,
    mapper: Mapper = ONE_PROCESS,
) -> Generator[RepairEvent, None, None]:
    """Repair a stack as `repair_stack` does; yield an event a slice, and the result at last.

    Closing the generator stops the work. No stack is written then; what a network has learnt is
    kept. `mapper` makes, checks and writes slices; a network learns in this process.
    """
    check_type("settings", settings, RepairSettings)
    check_type("overwrite", overwrite, bool)
    image = as_stack(source)
    planned = plan_repairs(image, check_items("slices", slices, int, np.integer))
    if not planned:
        raise ValueError(f"{image.name}: name at least one slice to repair.")
    path = None if out is None else as_path("out", out)
    if path is not None:
        check_output(image, path, overwrite)
    check_type("mapper", mapper, Mapper)
    mapper.check(image, path)
    folder = _learning_folder(settings, path, learning)
    return _repaired(image, planned, settings, path, folder, mapper)


def expected_quality_events(
    source: ImageSource, slices: Iterable[int], settings: RepairSettings = DEFAULTS
) -> Generator[QualityEvent, None, None]:
    """Measure how well good slices of a stack are interpolated, as `repair_stack` does.

    `slices` are the damaged ones. The last event is `QualityMeasured`.
    """
    check_type("settings", settings, RepairSettings)
    image = as_stack(source)
    return measure_quality(
        image, plan_repairs(image, check_items("slices", slices, int, np.integer)), settings
    )


def preview_slice(
    source: ImageSource,
    index: int,
    slices: Iterable[int],
    settings: RepairSettings = DEFAULTS,
) -> SlicePreview:
    """Repair one slice by optical flow, without changing anything.

    `slices` are all damaged ones, so that it is not made from another damaged slice.

    Raises
    ------
    ValueError
        If the slice cannot be repaired, with the reason.
    """
    check_type("index", index, int, np.integer)
    damaged = check_items("slices", slices, int, np.integer)
    check_type("settings", settings, RepairSettings)
    image = as_stack(source)
    planned = plan_repairs(image, {index, *damaged})
    one = next(one for one in planned if one.index == index)
    made = None if one.refusal else _made(image, one, settings, Maker())
    if made is None or one.before is None or one.after is None:
        reason = one.refusal or UNMATCHED.format(before=one.before, after=one.after)
        raise ValueError(f"Slice {index} of {image.name} cannot be repaired: {reason}.")
    return SlicePreview(
        index=index,
        damaged=image.read((index,)),
        repaired=in_type(made.pixels, image.dtype),
        before=image.read((one.before,)),
        after=image.read((one.after,)),
        correlation=made.correlation,
    )


def _learning_folder(
    settings: RepairSettings, path: Path | None, learning: str | Path | None
) -> Path | None:
    """Return the folder of the learning; None if nothing is learnt."""
    if not settings.method.learns:
        return None
    if learning is not None:
        return as_path("learning", learning)
    if path is None:
        raise ValueError("Name a folder (learning) for what the network learns, or a file (out).")
    return path.with_name(f"{stem(path)}-{settings.method}")


def _repaired(
    image: Image,
    planned: tuple[PlannedSlice, ...],
    settings: RepairSettings,
    path: Path | None,
    folder: Path | None,
    mapper: Mapper,
) -> Generator[RepairEvent, None, None]:
    maker, start = Maker(), 0.0
    if folder is not None and any(one.gap == 1 for one in planned):
        start = LEARNING
        learning = learnt_maker(image, planned, settings, folder)
        maker = yield from scaled(learning, 0.0, LEARNING)
    rest = _made_and_written(image, planned, settings, maker, path, mapper)
    yield from scaled(rest, start, 1.0)


def _made_and_written(
    image: Image,
    planned: tuple[PlannedSlice, ...],
    settings: RepairSettings,
    maker: Maker,
    path: Path | None,
    mapper: Mapper,
) -> Generator[RepairEvent, None, None]:
    quality: tuple[ExpectedQuality, ...] = ()
    if settings.checks:
        for event in measure_quality(image, planned, settings, maker, mapper):
            if isinstance(event, QualityMeasured):
                quality = event.quality
            else:
                yield with_share(event, CHECKS, INTERPOLATION)
    made, changed = yield from _interpolated(image, planned, settings, maker, mapper)
    interpolated = {
        one.index: how_made(one, maker.for_gap(one.gap).method, settings, quality)
        for one in planned
        if one.index in made
    }
    marked = replace(image, interpolated={**image.interpolated, **interpolated})
    pieces = [(index, made.get(index)) for index in range(image.shape[0])]
    writing = write_stack(marked, image, _pixels, pieces, path, mapper, unit="slice")
    result = yield from scaled(writing, WRITING, 1.0)
    outcomes = tuple(
        changed.get(index, SliceOutcome(index=index, state=SliceState.KEPT))
        for index in range(image.shape[0])
    )
    compared = (maker.words,) if maker.words else ()
    notices = (*image.notices, *compared, *remarks(outcomes, planned, quality))
    count = image.shape[0]
    repaired = RepairedStack(
        progress=Progress(f"repairing {image.name}", count, count, 0.0, share=1.0),
        image=replace(result, source=path, notices=notices),
        outcomes=outcomes,
        method=maker.method,
        texture=settings.texture,
        quality=quality,
        notices=notices,
    )
    if path is not None:
        save_table(repaired, table_file(path))
    yield repaired


def _interpolated(
    image: Image,
    planned: tuple[PlannedSlice, ...],
    settings: RepairSettings,
    maker: Maker,
    mapper: Mapper,
) -> Generator[RepairEvent, None, tuple[Made, dict[int, SliceOutcome]]]:
    """Make the planned slices, in the number type of the stack; the others are refused."""
    made: Made = {}
    outcomes: dict[int, SliceOutcome] = {}
    counter = StepCounter(f"interpolating slices of {image.name}", len(planned), "slice")
    make = partial(_make, settings, maker)
    # One at a time, as their pixels come back.
    with closing(mapper.map(make, image, iter(planned))) as results:
        for result in results:
            if result is None:
                yield with_share(Progressed(counter.unchanged()), INTERPOLATION, WRITING)
                continue
            outcome, pixels = result
            outcomes[outcome.index] = outcome
            if pixels is not None:
                made[outcome.index] = pixels
            repaired = SliceRepaired(progress=counter.step(), index=outcome.index)
            yield with_share(repaired, INTERPOLATION, WRITING)
    return made, outcomes


def _make(
    settings: RepairSettings, maker: Maker, image: Image, planned: Iterable[PlannedSlice]
) -> Generator[tuple[SliceOutcome, np.ndarray | None], None, None]:
    """Yield what becomes of each planned slice, and its pixels if it is made."""
    for one in planned:
        own = maker.for_gap(one.gap)
        found = None if one.refusal else _made(image, one, settings, own)
        if found is not None and one.before is not None and one.after is not None:
            outcome = SliceOutcome(
                index=one.index,
                state=SliceState.REPAIRED,
                method=own.method,
                neighbours=(one.before, one.after),
                correlation=found.correlation,
            )
            yield outcome, in_type(found.pixels, image.dtype)
        else:
            reason = one.refusal or UNMATCHED.format(before=one.before, after=one.after)
            yield SliceOutcome(index=one.index, state=SliceState.REFUSED, reason=reason), None


def _pixels(image: Image, piece: tuple[int, np.ndarray | None]) -> np.ndarray:
    """Return the slice that was made, or the recorded one."""
    index, made = piece
    return image.read((index,)) if made is None else made


def _made(
    image: Image, planned: PlannedSlice, settings: RepairSettings, maker: Maker
) -> InterpolatedSection | None:
    """Make one slice; None if the slices on either side do not match each other."""
    assert planned.before is not None and planned.after is not None
    first, *damaged, last = (
        read_section(image, z) for z in range(planned.before, planned.after + 1)
    )
    return interpolate_section(
        first,
        last,
        at=planned.at,
        between=damaged,
        texture=settings.texture,
        interpolator=maker.interpolator,
    )
