"""Restore images, exactly as a whole or patch by patch."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

import napari_aeanet
from napari_aeanet.core.arguments import as_path
from napari_aeanet.core.image import Array, Image, Region, is_array
from napari_aeanet.core.intensity_range import ImageSeries
from napari_aeanet.core.progress import Progressed, ProgressOption, StepCounter, last_event
from napari_aeanet.io import Fingerprint, ImageSource, as_image, is_in_memory
from napari_aeanet.models import Model
from napari_aeanet.restoration.exact import Contexts, RestoredPart, predicted
from napari_aeanet.restoration.likeness import unlike_training
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.output import MemoryOutputStore, OutputStore
from napari_aeanet.restoration.output_dtype import ClippedPixels
from napari_aeanet.restoration.partial import check_is_free, unfinished_plan
from napari_aeanet.restoration.patchwise import blended_parts, cropped_parts
from napari_aeanet.restoration.preparation import (
    ModelSource,
    PreparedRun,
    as_model,
    prepare,
)
from napari_aeanet.restoration.resume import open_files
from napari_aeanet.restoration.settings import (
    Restored,
    RestoreEvent,
    RestoreSettings,
    Seams,
    TileDone,
)
from napari_aeanet.restoration.stages import Stage, stages_of
from napari_aeanet.restoration.tile_runner import TileRunner

DEFAULTS = RestoreSettings()


@overload
def restore(
    source: np.ndarray,
    model: ModelSource,
    settings: RestoreSettings = ...,
    *,
    out: Path | None = ...,
    progress: ProgressOption = ...,
) -> np.ndarray: ...


@overload
def restore(
    source: Array,
    model: ModelSource,
    settings: RestoreSettings = ...,
    *,
    out: Path | None = ...,
    progress: ProgressOption = ...,
) -> Array: ...


@overload
def restore(
    source: Image | Path | str,
    model: ModelSource,
    settings: RestoreSettings = ...,
    *,
    out: Path | None = ...,
    progress: ProgressOption = ...,
) -> Image: ...


def restore(
    source: ImageSource,
    model: ModelSource,
    settings: RestoreSettings = DEFAULTS,
    *,
    out: Path | None = None,
    progress: ProgressOption = False,
) -> Image | Array:
    """Restore an image and return the result.

    Parameters
    ----------
    source
        An image, an array with the axes (y, x) or (z, y, x), or an image file. Arrays of dask,
        zarr and others are read tile by tile.
    model
        A model, or its file (.aeanet).
    settings
        How to restore.
    out
        A file NAME.ome.zarr to write the result to block by block, for images larger than memory.
    progress
        True for a progress bar, or a function that is called with every `Progress`.

    Returns
    -------
    Image or array
        An image, with the remarks in its `notices`. For an array a numpy array; for a lazy one
        with `out` the zarr array in that file.
    """
    image, model = as_image(source), as_model(model)
    found = last_event(restore_events(image, model, settings, out=out), progress)
    assert isinstance(found, Restored)
    if is_array(source):
        in_file = out is not None and not isinstance(source, np.ndarray)
        return found.image.array if in_file else found.image.read()
    return replace(found.image, notices=found.notices)


def restore_events(
    image: ImageSource,
    model: ModelSource,
    settings: RestoreSettings = DEFAULTS,
    visible: Region | None = None,
    out: Path | None = None,
    *,
    series: ImageSeries | None = None,
) -> Iterator[RestoreEvent]:
    """Return a generator that restores an image: finished tiles, and the whole result at last.

    Close the generator to stop: it stops within one tile. The arguments are checked at once, and
    pixels are read from the first event on.

    Parameters
    ----------
    image
        Any image that has the axes of the model's input; other axes (time, channels, planes for
        a model of single planes) are looped over. An array or a file, as in `restore`.
    model
        A model, or its file.
    settings
        How to restore.
    visible
        The part of `image` on the screen, one slice per axis: restored first, provisionally with
        its own context only, and again with the full context.
    out
        A file NAME.ome.zarr to write the result to block by block, for images larger than memory.
        An interrupted restoration is resumed from NAME.partial.ome.zarr. A height map is written
        to NAME-height.ome.zarr.
    series
        Images that share one intensity range with this one, as `common_range` found them.

    Raises
    ------
    TypeError, ValueError
        As `prepare`: if the image does not suit the model (axes, pixel size), with the remedy.
    FileExistsError
        If `out` exists.
    """
    return restore_prepared(prepare(image, model, settings, series), visible, out)


def restore_prepared(
    prepared: PreparedRun,
    visible: Region | None = None,
    out: Path | None = None,
    *,
    overwrite: bool = False,
) -> Iterator[RestoreEvent]:
    """Return the generator of `restore_events` for an image that is prepared already.

    With `overwrite`, a result at `out` is replaced by the complete new one.
    """
    if out is not None:
        out = as_path("out", out)
        if not overwrite and unfinished_plan(out) is None:
            check_is_free(out)
    return _restored(prepared, visible, out, overwrite)


def provenance(image: Image, model: Model, settings: RestoreSettings) -> dict[str, Any]:
    """Return model, source, settings and versions as plain values."""
    return {
        "program": f"napari-aeanet {napari_aeanet.__version__}",
        "torch": torch.__version__,
        "model": model.card.name,
        "preset": model.card.preset,
        "source": str(image.source) if image.source else image.name,
        "settings": asdict(settings),
    }


def _restored(
    prepared: PreparedRun, visible: Region | None, out: Path | None, overwrite: bool
) -> Iterator[RestoreEvent]:
    """Restore into memory or files, from pixels that do not change meanwhile."""
    layout, lasting = prepared.layout, is_in_memory(prepared.image)
    source = None if lasting and out is None else Fingerprint.of(prepared.image)
    output: OutputStore
    heights: OutputStore | None
    if out is None:
        output = MemoryOutputStore(layout.output)
        heights = None if layout.height is None else MemoryOutputStore(layout.height)
    else:
        assert source is not None
        output, heights, layout = open_files(out, prepared, source, overwrite=overwrite)
        prepared = replace(prepared, layout=layout)
    stores = [store for store in (heights, output) if store is not None]
    try:
        done = yield from _into(prepared, visible, output, heights)
        if not lasting and Fingerprint.of(prepared.image) != source:
            changed = prepared.image.source
            msg = f"{changed} was changed while it was being restored: restore it again."
            raise ValueError(msg)
        finished = [store.finish() for store in stores]
        for store in stores:
            store.clean()
    finally:
        for store in stores:
            store.close()
    yield replace(done, image=finished[-1], height=finished[0] if heights else None)


def _into(
    prepared: PreparedRun, visible: Region | None, output: OutputStore, heights: OutputStore | None
) -> Generator[RestoreEvent, None, Restored]:
    """Fill the stores, and return the last event without the images."""
    image, layout = prepared.image, prepared.layout
    if layout.encoding.dtype != image.dtype:
        for scaling in {source.scaling for source in layout.inputs}:
            layout.encoding.check(image.name, scaling.offset, scaling.offset + scaling.scale)
    stages = stages_of(prepared, visible)
    counter = StepCounter(f"restoring {image.name}", sum(stage.steps for stage in stages))
    with prepared.runner() as runner:
        work = _Work(prepared, runner, output, heights, counter)
        for stage in stages:
            yield from _restore_stage(work, stage)
        unlike = unlike_training(prepared, runner)
    notices = [*prepared.notices, unlike, work.clipped.sentence(layout.encoding)]
    if runner.times_halved:
        notices.append("Memory ran short, so smaller tiles were used; the result is the same.")
    made = provenance(image, prepared.model, prepared.settings)
    return Restored(layout.output, tuple(filter(None, notices)), counter.finish(), made)


@dataclass(frozen=True, eq=False)
class _Work:
    """The objects that all stages of a restoration share."""

    prepared: PreparedRun
    runner: TileRunner
    output: OutputStore
    heights: OutputStore | None
    counter: StepCounter
    clipped: ClippedPixels = field(default_factory=ClippedPixels)

    def is_missing(self, source: NetworkInput, region: Region) -> bool:
        """Return True if an interrupted run has not finished this region of an input."""
        place = self.prepared.assembler.region(source, region)
        stores = (self.output, self.heights)
        return not all(store.is_done(place) for store in stores if store is not None)


def _restore_stage(work: _Work, stage: Stage) -> Iterator[RestoreEvent]:
    """Predict the missing parts, and write them."""
    assembler = work.prepared.assembler
    predict = _patch_by_patch if stage.patches else _exactly
    for part in predict(work, stage):
        if part is None:
            yield Progressed(work.counter.step())
            continue
        place = assembler.region(stage.source, part.region)
        clipped = None if stage.provisional else work.clipped
        block = assembler.block(stage.source, part.region, part.values, clipped)
        if not stage.provisional:
            work.output.write(place, block)
            if work.heights is not None:
                heights = assembler.heights(stage.source, part.region, part.values)
                work.heights.write(place, heights)
        yield TileDone(place, block, work.counter.step(), stage.provisional)


def _exactly(work: _Work, stage: Stage) -> Iterator[RestoredPart | None]:
    tiles = [t for t in stage.tiles if stage.provisional or work.is_missing(stage.source, t)]
    if not tiles:
        work.counter.skip(stage.steps)
        return
    # Gathered in the order of the layout, in which an interrupted run stored its sums.
    layout = work.prepared.layout
    gathered = stage.tiles if stage.provisional else layout.tiles
    contexts = Contexts(work.prepared.views(stage.source), gathered, layout.field)
    yield from _gather(work, stage, contexts)
    work.counter.skip(len(stage.tiles) - len(tiles))
    yield from predicted(work.runner, contexts, tiles)


def _gather(work: _Work, stage: Stage, contexts: Contexts) -> Iterator[None]:
    """Gather the contexts of a stage, from the point where an interrupted run stopped."""
    count, name = work.runner.network.contexts, f"contexts-{stage.number}"
    if stage.provisional:
        yield from contexts.gather(work.runner, count)
        return
    arrays = work.output.load(name)
    if arrays is not None:
        contexts.add_arrays(arrays)
        work.counter.skip(contexts.steps_done)
    try:
        for _ in contexts.gather(work.runner, count):
            yield
            work.output.save(name, contexts.to_arrays)
    finally:
        work.output.save(name, contexts.to_arrays, now=True)


def _patch_by_patch(work: _Work, stage: Stage) -> Iterator[RestoredPart | None]:
    def is_missing(region: Region) -> bool:
        return work.is_missing(stage.source, region)

    layout, views = work.prepared.layout, work.prepared.views(stage.source)
    if layout.seams is Seams.BLEND:
        shape = stage.source.shape
        yield from blended_parts(work.runner, views, layout.patches, shape, is_missing)
        return
    patches = [patch for patch in stage.patches if is_missing(patch.inner)]
    work.counter.skip(len(stage.patches) - len(patches))
    yield from cropped_parts(work.runner, views, patches)
