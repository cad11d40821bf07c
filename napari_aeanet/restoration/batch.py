"""Restore many images, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from napari_aeanet.batch import (
    BatchEvent,
    BatchFinished,
    BatchPlan,
    BatchSettings,
    Outcome,
    Treatment,
    Work,
    find_inputs,
    new_record,
    option_values,
    plan_batch,
    run_batch,
)
from napari_aeanet.core.arguments import as_path, check_items, check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import ProgressOption, last_event
from napari_aeanet.io import RunRecord, check_writable, write_image
from napari_aeanet.models import SUFFIX, Model, save_model
from napari_aeanet.restoration.cost import result_bytes, too_large
from napari_aeanet.restoration.intensities import SeriesOfFiles
from napari_aeanet.restoration.preparation import ModelSource, PreparedRun, as_model, prepare
from napari_aeanet.restoration.resume import RESULT_NEUTRAL_SETTINGS
from napari_aeanet.restoration.run import restore_prepared
from napari_aeanet.restoration.settings import (
    ENDING,
    STREAMED,
    Restored,
    RestoreSettings,
    result_files,
)

DEFAULTS, ONE_AFTER_THE_OTHER = RestoreSettings(), BatchSettings()
Named = Path | str | Iterable[Path | str]


def restore_all(
    inputs: Named,
    model: ModelSource,
    settings: RestoreSettings = DEFAULTS,
    *,
    out: Path | str | None = None,
    batch: BatchSettings = ONE_AFTER_THE_OTHER,
    progress: ProgressOption = False,
) -> tuple[Outcome, ...]:
    """Restore the images of folders and files, write the results, and return what became of each.

    Results that exist, made from the same image with the same model and settings, are skipped; an
    image that fails does not stop the others. A single image is treated likewise.

    Parameters
    ----------
    inputs
        Files, folders, globs ("data/*.tif"), lists of files (.txt), or job files (.csv with the
        columns input and output).
    model
        A model, or its file (.aeanet).
    settings
        How to restore.
    out
        Folder for the results, or the file for one; default: NAME-restored.ome.tif beside each
        image.
    batch
        What to take, and what to do with results that exist.
    progress
        True for a progress bar, or a function that is called with every `Progress`.
    """
    events = restore_all_events(inputs, model, settings, out=out, batch=batch)
    finished = last_event(events, progress)
    assert isinstance(finished, BatchFinished)
    return finished.outcomes


def restore_all_events(
    inputs: Named,
    model: ModelSource,
    settings: RestoreSettings = DEFAULTS,
    *,
    out: Path | str | None = None,
    batch: BatchSettings = ONE_AFTER_THE_OTHER,
) -> Iterator[BatchEvent]:
    """Return a generator that restores images and writes the results, as `restore_all`.

    An event for each step, one for each image, and all outcomes at last. Close it to stop; results
    that are finished are kept.

    Raises
    ------
    OSError, ValueError
        If there is no image, a result would replace an image, or there is no such model.
    """
    check_type("model", model, Model, Path, str)
    check_type("settings", settings, RestoreSettings)
    check_type("batch", batch, BatchSettings)
    named: Iterable[Path | str] = (
        (inputs,) if isinstance(inputs, Path | str) else check_items("inputs", inputs, Path, str)
    )
    found = find_inputs(named, recursive=batch.recursive)
    folder = None if out is None else as_path("out", out)
    parts = partial(result_files, settings=settings)
    plan = plan_batch(
        found, folder, ENDING, parts, is_batch=True, accept_missing=batch.accept_missing
    )
    return restore_planned(plan, model, settings, batch)


def restore_planned(
    plan: BatchPlan, model: ModelSource, settings: RestoreSettings, batch: BatchSettings
) -> Iterator[BatchEvent]:
    """Return the generator of `restore_all_events` for files that are planned already."""
    return run_batch(plan, restore_treatment(model, settings, plan), batch)


def restore_treatment(model: ModelSource, settings: RestoreSettings, plan: BatchPlan) -> Treatment:
    """Return the work of restoring one image of a plan, and its record."""
    paths = [file.path for file in plan.files]
    loaded, series = as_model(model), SeriesOfFiles(paths, accept_missing=plan.accept_missing)
    return Treatment(
        verb="restoring",
        work=partial(_work, model=loaded, settings=settings, series=series),
        record=_record(loaded, settings, is_file=not isinstance(model, Model)),
        neutral=RESULT_NEUTRAL_SETTINGS,
        defaults=option_values(DEFAULTS),
        settle=lambda image: {"range": series.choice_for(image, loaded.card, settings.range)},
    )


def _record(model: Model, settings: RestoreSettings, *, is_file: bool) -> RunRecord:
    if is_file and model.path is not None:
        return new_record("restore", model.path, settings)
    # Saved, a model is the same file wherever it came from.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{model.card.name}{SUFFIX}"
        save_model(model, file)
        record = new_record("restore", file, settings)
    return replace(record, models=(replace(record.models[0], path=model.path or Path(file.name)),))


def _work(
    image: Image,
    outputs: tuple[Path, ...],
    model: Model,
    settings: RestoreSettings,
    series: SeriesOfFiles,
) -> Work:
    """Check that an image can be restored to these files, and return the generator that does it."""
    shared = series.for_image(image, model.card, settings.range)
    prepared = prepare(image, model, settings, shared)
    check_outputs(prepared, outputs)
    return _written(prepared, outputs)


def check_outputs(prepared: PreparedRun, outputs: tuple[Path, ...]) -> None:
    """Raise an error of one sentence if the result cannot be written to its files."""
    layout = prepared.layout
    images = [layout.output] if layout.height is None else [layout.output, layout.height]
    for one, file in zip(images, outputs, strict=True):
        check_writable(one, file, prepared.settings.compression)
    size = result_bytes(layout)
    if not outputs[0].name.endswith(STREAMED) and size > psutil.virtual_memory().available:
        raise ValueError(f"{prepared.image.name}: {too_large(size)}")


def _written(prepared: PreparedRun, outputs: tuple[Path, ...]) -> Work:
    streamed = outputs[0] if outputs[0].name.endswith(STREAMED) else None
    # What exists is to be replaced, or was left behind by an interrupted run.
    for event in restore_prepared(prepared, out=streamed, overwrite=True):
        yield event
    assert isinstance(event, Restored)
    if streamed is None:
        images = [event.image] if event.height is None else [event.image, event.height]
        for image, file in zip(images, outputs, strict=True):
            write_image(image, file, compression=prepared.settings.compression)
    return event.notices
