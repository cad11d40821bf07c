"""Repair a stack: replace damaged slices by ones interpolated from their neighbours."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path, check_items, check_type
from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.image import Image, regions
from napari_aeanet.core.number_types import in_type
from napari_aeanet.core.progress import Progress, ProgressOption, StepCounter, result_of
from napari_aeanet.interpolation import InterpolatedSection, interpolate_section
from napari_aeanet.io import (
    ImageSource,
    check_writable,
    create_omezarr,
    open_levels,
    write_chunk,
    write_image,
)
from napari_aeanet.repair.outputs import save_table, table_file
from napari_aeanet.repair.plan import plan_repairs
from napari_aeanet.repair.quality import measure_quality
from napari_aeanet.repair.reading import section
from napari_aeanet.repair.remarks import how_made, remarks
from napari_aeanet.repair.settings import (
    ExpectedQuality,
    PlannedSlice,
    QualityEvent,
    QualityMeasured,
    RepairedStack,
    RepairEvent,
    RepairSettings,
    SliceOutcome,
    SlicePreview,
    SliceRepaired,
    SliceState,
    SliceStored,
)
from napari_aeanet.stacks import as_stack

DEFAULTS = RepairSettings()
#: Endings of a repaired stack: the formats that hold which slices were made.
ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr")
#: Shares of the progress at which checks, interpolation and writing begin.
CHECKS, INTERPOLATION, WRITING, END = 0.0, 0.4, 0.8, 1.0
UNMATCHED = "slices {before} and {after} on either side do not match each other"
Made = dict[int, np.ndarray]


def repair_stack(
    source: ImageSource,
    slices: Iterable[int],
    settings: RepairSettings = DEFAULTS,
    *,
    out: str | Path | None = None,
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
    overwrite
        Replace the files of an earlier repair.

    Returns
    -------
    RepairedStack
        The stack, with all other slices exactly as they were, what became of each slice, and the
        quality to be expected.
    """
    events = repair_stack_events(source, slices, settings, out=out, overwrite=overwrite)
    return result_of(RepairedStack, events, progress)


def repair_stack_events(
    source: ImageSource,
    slices: Iterable[int],
    settings: RepairSettings = DEFAULTS,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Generator[RepairEvent, None, None]:
    """Repair a stack as `repair_stack` does; yield an event a slice, and the result at last.

    Closing the generator stops the work; nothing is written then.
    """
    check_type("settings", settings, RepairSettings)
    check_type("overwrite", overwrite, bool)
    image = as_stack(source)
    planned = plan_repairs(image, check_items("slices", slices, int, np.integer))
    if not planned:
        raise ValueError(f"{image.name}: name at least one slice to repair.")
    path = None if out is None else as_path("out", out)
    if path is not None:
        _check_output(image, path, overwrite)
    return _repaired(image, planned, settings, path)


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
    """Repair one slice without changing anything.

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
    made = None if one.refusal else _made(image, one, settings)
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


def _check_output(image: Image, path: Path, overwrite: bool) -> None:
    if not path.name.lower().endswith(ENDINGS):
        msg = (
            f"{path} cannot hold which slices were repaired: choose a name that ends in .ome.tif "
            "or .ome.zarr."
        )
        raise ValueError(msg)
    check_writable(image, path)
    if image.source is not None and image.source.resolve() == path.resolve():
        raise ValueError(f"{path} is the stack itself: choose another name for the result.")
    existing = [one for one in (path, table_file(path)) if one.exists()]
    if existing and not overwrite:
        msg = f"{existing[0]} exists already: choose another name, or remove it first."
        raise FileExistsError(msg)


def _repaired(
    image: Image, planned: tuple[PlannedSlice, ...], settings: RepairSettings, path: Path | None
) -> Generator[RepairEvent, None, None]:
    quality: tuple[ExpectedQuality, ...] = ()
    if settings.checks:
        for event in measure_quality(image, planned, settings):
            if isinstance(event, QualityMeasured):
                quality = event.quality
            else:
                yield replace(event, progress=_part(event.progress, CHECKS, INTERPOLATION))
    made, changed = yield from _interpolated(image, planned, settings)
    interpolated = {
        one.index: how_made(one, settings, quality) for one in planned if one.index in made
    }
    marked = replace(image, interpolated={**image.interpolated, **interpolated})
    result = yield from _written(marked, made, path)
    outcomes = tuple(
        changed.get(index, SliceOutcome(index=index, state=SliceState.KEPT))
        for index in range(image.shape[0])
    )
    if path is not None:
        save_table(outcomes, settings, quality, table_file(path))
    notices = (*image.notices, *remarks(outcomes, planned, quality))
    count = image.shape[0]
    yield RepairedStack(
        progress=Progress(f"repairing {image.name}", count, count, 0.0, share=1.0),
        image=replace(result, source=path, notices=notices),
        outcomes=outcomes,
        quality=quality,
        notices=notices,
    )


def _interpolated(
    image: Image, planned: tuple[PlannedSlice, ...], settings: RepairSettings
) -> Generator[RepairEvent, None, tuple[Made, dict[int, SliceOutcome]]]:
    """Make the planned slices, in the number type of the stack; the others are refused."""
    made: Made = {}
    outcomes: dict[int, SliceOutcome] = {}
    counter = StepCounter(f"interpolating slices of {image.name}", len(planned))
    for one in planned:
        found = None if one.refusal else _made(image, one, settings)
        if found is not None and one.before is not None and one.after is not None:
            made[one.index] = in_type(found.pixels, image.dtype)
            outcomes[one.index] = SliceOutcome(
                index=one.index,
                state=SliceState.REPAIRED,
                neighbours=(one.before, one.after),
                correlation=found.correlation,
            )
        else:
            reason = one.refusal or UNMATCHED.format(before=one.before, after=one.after)
            outcomes[one.index] = SliceOutcome(
                index=one.index, state=SliceState.REFUSED, reason=reason
            )
        progress = _part(counter.step(), INTERPOLATION, WRITING)
        yield SliceRepaired(progress=progress, index=one.index)
    return made, outcomes


def _made(
    image: Image, planned: PlannedSlice, settings: RepairSettings
) -> InterpolatedSection | None:
    """Make one slice; None if the slices on either side do not match each other."""
    assert planned.before is not None and planned.after is not None
    before, after = (section(image, z) for z in (planned.before, planned.after))
    return interpolate_section(before, after, at=planned.at, texture=settings.texture)


def _written(image: Image, made: Made, path: Path | None) -> Generator[RepairEvent, None, Image]:
    """Copy slice by slice, the made ones in their places, into a file or memory."""
    counter = StepCounter(f"writing {image.name}", image.shape[0])
    if path is not None and path.suffix.lower() == ".zarr":
        with replacing(path) as temporary:
            levels = create_omezarr(image, temporary)
            for index in range(image.shape[0]):
                for region in regions(image.plane_shape, levels[0].chunks[1:]):
                    at = (slice(index, index + 1), *region)
                    values = made[index][None, *region] if index in made else image.read(at)
                    write_chunk(levels, at, values)
                yield _stored(counter, index)
        return image.with_array(open_levels(path)[0])
    array = np.empty(image.shape, image.dtype)
    for index in range(image.shape[0]):
        array[index] = made[index] if index in made else image.read((index,))
        yield _stored(counter, index)
    result = image.with_array(array)
    if path is not None:
        write_image(result, path)
    return result


def _stored(counter: StepCounter, index: int) -> SliceStored:
    return SliceStored(progress=_part(counter.step(), WRITING, END), index=index)


def _part(progress: Progress, start: float, end: float) -> Progress:
    """Return the progress of one part of the job."""
    return replace(progress, share=start + (end - start) * progress.fraction, unit="slice")
