"""Restoring images: the one door to patch-wise and exact whole-image prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import napari_aeanet
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import Progressed, StepCounter
from napari_aeanet.core.tiles import Tile, intersection
from napari_aeanet.models import Model
from napari_aeanet.networks import choose_device
from napari_aeanet.restoration.assemble import block_of, heights_of, output_region
from napari_aeanet.restoration.exact import Contexts, Part, predicted
from napari_aeanet.restoration.layout import Layout, lay_out, on_sheet
from napari_aeanet.restoration.memory import Memory
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.output import MemoryOutputStore, OutputStore
from napari_aeanet.restoration.patchwise import blended_parts, cropped_parts
from napari_aeanet.restoration.resume import Fingerprint, open_files
from napari_aeanet.restoration.settings import (
    Restored,
    RestoreEvent,
    RestoreSettings,
    Seams,
    TileDone,
)
from napari_aeanet.restoration.symmetries import ALL, IDENTITY, DihedralTransform, TransformedSource
from napari_aeanet.restoration.tile_runner import TileRunner

DEFAULTS = RestoreSettings()
# A preview of more than this share of the image would cost more than it is worth.
LARGEST_PREVIEW = 0.5


def restore_events(
    image: Image,
    model: Model,
    settings: RestoreSettings = DEFAULTS,
    visible: Region | None = None,
    out: Path | None = None,
) -> Iterator[RestoreEvent]:
    """Restore an image; yields finished tiles and at last the whole result.

    Close the generator to stop: it stops within one tile.

    Parameters
    ----------
    image
        Any image that has the axes of the model's input; other axes (time, channels, planes for
        a model of single planes) are looped over.
    model
        As read by `napari_aeanet.models.model_file.load_model`.
    settings
        How to restore.
    visible
        The part of `image` on the screen, one slice per axis: restored first, provisionally with
        its own context only, and again with the full context.
    out
        A file NAME.ome.zarr to write the result to as it comes, for images larger than memory.
        An interrupted restoration goes on from what NAME.partial.ome.zarr holds. A height map
        goes to NAME-height.ome.zarr.

    Raises
    ------
    ValueError
        If the image does not suit the model (axes, pixel size), with the remedy.
    """
    network = model.network()
    device = choose_device(settings.device)
    memory = Memory.on(device, settings.memory)
    layout = lay_out(image, model.card, network, settings, memory)
    source = Fingerprint.of(image)
    canvas: OutputStore
    heights: OutputStore | None
    if out is None:
        canvas = MemoryOutputStore(layout.output)
        heights = None if layout.height is None else MemoryOutputStore(layout.height)
    else:
        canvas, heights, layout = open_files(out, layout, source, model, settings)
    work = _Work(
        layout=layout,
        canvas=canvas,
        heights=heights,
        passes=TileRunner(network, device, layout.room(network, memory)),
        turns=ALL if settings.symmetries else IDENTITY,
    )
    stages = _stages(layout, network.contexts, visible)
    meter = StepCounter(f"restoring {image.name}", sum(stage.steps for stage in stages))
    for stage in stages:
        yield from _restore_stage(work, stage, meter)
    source.check(image)
    notices = list(layout.notices)
    if work.passes.times_halved:
        notices.append("Memory ran short, so smaller tiles were used; the result is the same.")
    made = provenance(image, model, settings)
    height = None if heights is None else heights.finish()
    yield Restored(canvas.finish(), tuple(notices), meter.finish(), made, height)


def provenance(image: Image, model: Model, settings: RestoreSettings) -> dict[str, Any]:
    """How a result was made, as plain values."""
    return {
        "program": f"napari-aeanet {napari_aeanet.__version__}",
        "torch": torch.__version__,
        "model": model.card.name,
        "preset": model.card.preset,
        "source": str(image.source) if image.source else image.name,
        "settings": asdict(settings),
    }


@dataclass(frozen=True, eq=False)
class _Work:
    """What all stages of a restoration share."""

    layout: Layout
    canvas: OutputStore
    heights: OutputStore | None
    passes: TileRunner
    turns: Sequence[DihedralTransform]


@dataclass(frozen=True, eq=False)
class _Stage:
    """One plane or stack, number `number` of the layout, to be restored in this order.

    A provisional stage restores some of its tiles, with their own context only.
    """

    number: int
    sheet: NetworkInput
    tiles: tuple[Region, ...]
    patches: tuple[Tile, ...]
    steps: int
    provisional: bool = False


def _stages(layout: Layout, contexts: int, visible: Region | None) -> list[_Stage]:
    """What is on the screen first: as a preview where there is a context to be gathered."""
    stages: list[_Stage] = []
    for number, sheet in enumerate(layout.sheets):
        window = None if visible is None else on_sheet(visible, sheet)
        tiles = tuple(sorted(layout.tiles, key=lambda tile: not _shows(tile, window)))
        patches = tuple(sorted(layout.patches, key=lambda patch: not _shows(patch.inner, window)))
        steps = len(patches) + (contexts + 1) * len(tiles)
        whole = _Stage(number, sheet, tiles, patches, steps)
        on_screen = tuple(tile for tile in tiles if _shows(tile, window))
        if contexts and 0 < len(on_screen) <= LARGEST_PREVIEW * len(tiles):
            steps = (contexts + 1) * len(on_screen)
            stages[:0] = [_Stage(number, sheet, on_screen, (), steps, True), whole]
        elif window is not None:
            stages.insert(0, whole)
        else:
            stages.append(whole)
    return stages


def _shows(region: Region, window: Region | None) -> bool:
    return window is not None and intersection(region, window) is not None


def _restore_stage(work: _Work, stage: _Stage, meter: StepCounter) -> Iterator[RestoreEvent]:
    """Predict what is not there yet, and write it."""
    views = [TransformedSource(stage.sheet, turn) for turn in work.turns]
    predict = _patch_by_patch if stage.patches else _exactly
    for part in predict(work, stage, views, meter):
        if part is None:
            yield Progressed(meter.step())
            continue
        place = output_region(work.layout, stage.sheet, work.passes, part.region)
        block = block_of(work.layout, stage.sheet, work.passes, part)
        if not stage.provisional:
            work.canvas.write(place, block)
            if work.heights is not None:
                heights = heights_of(work.layout, stage.sheet, work.passes, part)
                work.heights.write(place, heights)
        yield TileDone(place, block, meter.step(), stage.provisional)


def _exactly(
    work: _Work, stage: _Stage, views: Sequence[TransformedSource], meter: StepCounter
) -> Iterator[Part | None]:
    tiles = [tile for tile in stage.tiles if stage.provisional or _is_missing(work, stage, tile)]
    if not tiles:
        meter.skip(stage.steps)
        return
    # Gathered in the order of the layout, by which an interrupted run kept its sums.
    gathered = stage.tiles if stage.provisional else work.layout.tiles
    contexts = Contexts(views, gathered, work.layout.field)
    yield from _gather(work, stage, contexts, meter)
    meter.skip(len(stage.tiles) - len(tiles))
    yield from predicted(work.passes, contexts, tiles)


def _gather(work: _Work, stage: _Stage, contexts: Contexts, meter: StepCounter) -> Iterator[None]:
    """Gather the contexts of a stage, going on from where an interrupted run was."""
    count, name = work.passes.network.contexts, f"contexts-{stage.number}"
    if stage.provisional:
        yield from contexts.gather(work.passes, count)
        return
    arrays = work.canvas.recall(name)
    if arrays is not None:
        contexts.add_arrays(arrays)
        meter.skip(contexts.steps_done)
    try:
        for _ in contexts.gather(work.passes, count):
            yield
            work.canvas.remember(name, contexts.to_arrays)
    finally:
        work.canvas.remember(name, contexts.to_arrays, now=True)


def _patch_by_patch(
    work: _Work, stage: _Stage, views: Sequence[TransformedSource], meter: StepCounter
) -> Iterator[Part | None]:
    def is_missing(region: Region) -> bool:
        return _is_missing(work, stage, region)

    if work.layout.seams is Seams.BLEND:
        shape = stage.sheet.shape
        yield from blended_parts(work.passes, views, work.layout.patches, shape, is_missing)
        return
    patches = [patch for patch in stage.patches if is_missing(patch.inner)]
    meter.skip(len(stage.patches) - len(patches))
    yield from cropped_parts(work.passes, views, patches)


def _is_missing(work: _Work, stage: _Stage, region: Region) -> bool:
    """Whether the result of a region is not there from an interrupted run."""
    place = output_region(work.layout, stage.sheet, work.passes, region)
    canvases = (work.canvas, work.heights)
    return not all(canvas.is_done(place) for canvas in canvases if canvas is not None)
