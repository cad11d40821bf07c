"""Where in an image the abstract pixels of a model speak.

The relevance of abstract pixel j is the map

    M_j(x) = q(x) · k(f_j)

of the dot products between the query of every attention pixel x and the key of the reference
row f_j. It is signed: high where the pixel is relevant, low where it is the opposite. With several
heads the full dot product is the sum over the heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import Progressed, StepCounter
from napari_aeanet.models import Model, ModelCard
from napari_aeanet.networks import (
    Apply,
    Attention,
    AttentionBlock,
    AttentionGrid,
    Network,
    attentions,
    choose_device,
)
from napari_aeanet.relevance.attention_layers import with_abstract_pixels
from napari_aeanet.relevance.settings import RelevanceEvent, RelevanceMaps, RelevanceSettings
from napari_aeanet.restoration import (
    Contexts,
    DihedralTransform,
    Memory,
    NetworkInput,
    TileRunner,
    TransformedSource,
    at_stride,
    sheets_of,
    tiles_of,
)

DEFAULTS = RelevanceSettings()


def relevance_events(
    image: Image, model: Model, settings: RelevanceSettings = DEFAULTS
) -> Iterator[RelevanceEvent]:
    """Relevance maps of every abstract pixel; an event for each tile, and the maps at last.

    Images of any size: tiles give the same maps as the whole image. Attentions after the first
    need the contexts of those before, gathered as in prediction.

    Raises
    ------
    ValueError
        If the model has no abstract pixels there, or the image does not suit it.
    """
    network = model.network()
    attention = attention_of(network, model.card, settings.layer)
    channels = _head(attention, model.card, settings.head)
    sheets, notices = sheets_of(
        image, model.card, network, resample=settings.resample, force=settings.force
    )
    device = choose_device(settings.device)
    passes = TileRunner(network, device)
    tiles = tiles_of(sheets[0], network, Memory.on(device), settings.tile)
    meter = StepCounter(f"relevance in {image.name}", len(sheets) * len(tiles) * settings.layer)
    frame = _frame(sheets[0], network.attention_grids()[settings.layer - 1])
    abstract_pixels = len(attention.reference_keys())
    maps = np.empty((abstract_pixels, *frame.shape), np.float32)
    for sheet in sheets:
        work = _sheet_maps(passes, sheet, tiles, settings.layer - 1, channels)
        for tile in work:
            if tile is not None:
                region, values = tile
                maps[(slice(None), *frame.place(sheet, region))] = values
            yield Progressed(meter.step())
    yield RelevanceMaps(
        maps=maps,
        axes=frame.axes,
        scale=frame.scale,
        translate=frame.translate,
        image=image,
        names={int(number): name for number, name in model.card.pixel_names.items()},
        notices=notices,
        progress=meter.finish(),
    )


def _sheet_maps(
    passes: TileRunner, sheet: NetworkInput, tiles: Sequence[Region], before: int, channels: slice
) -> Iterator[tuple[Region, np.ndarray] | None]:
    """Maps of the attention that comes after `before` others, tile by tile."""
    contexts = Contexts([TransformedSource(sheet, DihedralTransform())], tiles, None)
    yield from contexts.gather(passes, before)
    stride = passes.network.attention_grids()[before].stride
    for inner in tiles:
        values = passes.relevance(sheet, inner, contexts.around(inner, 0), channels)
        yield at_stride(inner, stride), values


@dataclass(frozen=True)
class _Frame:
    """Axes and shape of a map, and where its pixels lie in the world."""

    axes: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    attention_axes: str

    def place(self, sheet: NetworkInput, region: Region) -> tuple[slice | int, ...]:
        """Where `region` of a sheet's map belongs: a number along the axes that are looped over."""
        spans = dict(zip(self.attention_axes, region, strict=True))
        places = dict(zip(sheet.image.axes, sheet.place, strict=True))
        return tuple(spans[axis] if axis in spans else places[axis].start for axis in self.axes)


def _frame(sheet: NetworkInput, grid: AttentionGrid) -> _Frame:
    """The place of map pixel i: of the pixel `stride · i + centre` of the padded sheet.

    With p the pixel size of the image and f its factor to the model's grid, grid pixels are p / f
    apart and grid pixel 0 lies at origin + (p / f - p) / 2.
    """
    image = sheet.image
    attention_axes = sheet.axes[-len(grid.stride) :]  # after a projection, Z is gone
    gone = [axis for axis in sheet.axes if axis not in attention_axes]
    axes = "".join(axis for axis in image.axes if axis not in gone)
    lengths = dict(image.sizes)
    size = {a: s or 1.0 for a, s in zip(image.spatial_axes, image.pixel_size, strict=True)}
    origin = dict(zip(image.spatial_axes, image.origin, strict=True))
    for axis, stride, centre in zip(attention_axes, grid.stride, grid.centre, strict=True):
        number = sheet.axes.index(axis)
        fine = size[axis] / sheet.factors[number]
        first = centre - sheet.padding[number][0]
        origin[axis] += (fine - size[axis]) / 2 + first * fine
        size[axis] = stride * fine
        lengths[axis] = sheet.shape[number] // stride
    spatial = [axis for axis in axes if axis in size]
    return _Frame(
        axes=axes,
        shape=tuple(lengths[axis] for axis in axes),
        scale=tuple(size[axis] for axis in spatial),
        translate=tuple(origin[axis] for axis in spatial),
        attention_axes=attention_axes,
    )


def attention_of(network: Network, card: ModelCard, layer: int) -> Attention:
    """The attention number `layer`, counted from 1, if it has abstract pixels."""
    program = network.program()
    found = attentions(program)
    if found and not 1 <= layer <= len(found):
        msg = f"{card.name}: the model has {len(found)} attention layers, got layer {layer}."
        raise ValueError(msg)
    step = program[found[layer - 1]] if found else None
    if not (isinstance(step, Apply) and isinstance(step.layer, AttentionBlock)) or (
        step.layer.attention.references is None
    ):
        others = [one.number for one in with_abstract_pixels(network.config)]
        where = f" in layer {layer}, only in {_listed(others)}" if others else ""
        msg = (
            f"{card.name}: the model has no abstract pixels{where or ', which only AEANet has'}. "
            f"Choose another {'layer' if others else 'model'}."
        )
        raise ValueError(msg)
    return step.layer.attention


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _head(attention: Attention, card: ModelCard, head: int) -> slice:
    """The channels of queries and keys that count: those of one head, or all (0)."""
    if not 0 <= head <= attention.heads:
        msg = f"{card.name}: the attention has {attention.heads} heads, got head {head}."
        raise ValueError(msg)
    width = len(attention.k.weight) // attention.heads
    return slice(None) if head == 0 else slice((head - 1) * width, head * width)
