"""Relevance maps: the places in an image where the abstract pixels of a model are relevant.

The relevance of abstract pixel j is the map

    M_j(x) = q(x) · k(f_j)

of the dot products between the query of every attention pixel x and the key of the reference
row f_j. It is signed: high where the pixel is relevant, low where it is the opposite. With several
heads the full dot product is the sum over the heads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Region
from napari_aeanet.core.progress import Progressed, ProgressOption, StepCounter, last_event
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import (
    Apply,
    Attention,
    AttentionBlock,
    AttentionGrid,
    Network,
    attentions,
)
from napari_aeanet.relevance.settings import RelevanceEvent, RelevanceMaps, RelevanceSettings
from napari_aeanet.restoration import (
    ModelSource,
    NetworkInput,
    PreparedRun,
    at_stride,
    prepare_analysis,
)

DEFAULTS = RelevanceSettings()


def relevance_maps(
    source: ImageSource,
    model: ModelSource,
    settings: RelevanceSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> RelevanceMaps:
    """Return the relevance map of every abstract pixel.

    Source, model and progress as in `napari_aeanet.restore`.
    """
    image = as_image(source)
    found = last_event(relevance_events(image, model, settings), progress)
    assert isinstance(found, RelevanceMaps)
    return found


def relevance_events(
    image: ImageSource, model: ModelSource, settings: RelevanceSettings = DEFAULTS
) -> Iterator[RelevanceEvent]:
    """Return a generator of relevance maps: an event for each tile, and the maps at last.

    Images of any size: tiles give the same maps as the whole image. Attentions after the first
    need the contexts of those before, gathered as in a restoration. The arguments are checked at
    once, and pixels are read from the first event on.

    Raises
    ------
    TypeError, ValueError
        If the model has no abstract pixels there, or the image does not suit it.
    """
    check_type("settings", settings, RelevanceSettings)
    prepared = prepare_analysis(image, model, settings, context="whole")
    attention = attention_of(prepared.network, prepared.model.card, settings.layer)
    channels = _head(attention, prepared.model.card, settings.head)
    return _relevance(prepared, settings.layer - 1, channels, len(attention.reference_keys()))


def _relevance(
    prepared: PreparedRun, before: int, channels: slice, abstract_pixels: int
) -> Iterator[RelevanceEvent]:
    """Yield the events of the attention that comes after `before` others."""
    image, tiles = prepared.image, prepared.layout.tiles
    counter = StepCounter(
        f"relevance in {image.name}", len(prepared.inputs) * len(tiles) * (before + 1)
    )
    grid = prepared.network.attention_grids()[before]
    frame = _frame(prepared.inputs[0], grid)
    maps = np.empty((abstract_pixels, *frame.shape), np.float32)
    with prepared.runner(suspends=False) as runner:
        for source in prepared.inputs:
            contexts = prepared.contexts(source)
            for _ in contexts.gather(runner, before):
                yield Progressed(counter.step())
            for inner in tiles:
                place = frame.place(source, at_stride(inner, grid.stride))
                values = runner.relevance(source, inner, contexts.around(inner), channels)
                maps[(slice(None), *place)] = values
                yield Progressed(counter.step())
    yield RelevanceMaps(
        maps=maps,
        axes=frame.axes,
        scale=frame.scale,
        translate=frame.translate,
        image=image,
        names={int(number): name for number, name in prepared.model.card.pixel_names.items()},
        notices=prepared.notices,
        progress=counter.finish(),
    )


@dataclass(frozen=True)
class _Frame:
    """Axes and shape of a map, and the position of its pixels in the world."""

    axes: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    attention_axes: str

    def place(self, source: NetworkInput, region: Region) -> tuple[slice | int, ...]:
        """Return the place of `region` of an input's map: a number along axes looped over."""
        spans = dict(zip(self.attention_axes, region, strict=True))
        places = dict(zip(source.image.axes, source.place, strict=True))
        return tuple(spans[axis] if axis in spans else places[axis].start for axis in self.axes)


def _frame(source: NetworkInput, grid: AttentionGrid) -> _Frame:
    """Return the frame of a map: its pixel i is the pixel `stride · i + centre` of the input.

    With p the pixel size of the image and f its factor to the model's grid, grid pixels are p / f
    apart and grid pixel 0 lies at origin + (p / f - p) / 2.
    """
    image = source.image
    attention_axes = source.axes[-len(grid.stride) :]  # after a projection, Z is gone
    gone = [axis for axis in source.axes if axis not in attention_axes]
    axes = "".join(axis for axis in image.axes if axis not in gone)
    lengths = dict(image.sizes)
    size = {a: s or 1.0 for a, s in zip(image.spatial_axes, image.pixel_size, strict=True)}
    origin = dict(zip(image.spatial_axes, image.origin, strict=True))
    for axis, stride, centre in zip(attention_axes, grid.stride, grid.centre, strict=True):
        number = source.axes.index(axis)
        fine = size[axis] / source.factors[number]
        first = centre - source.padding[number][0]
        origin[axis] += (fine - size[axis]) / 2 + first * fine
        size[axis] = stride * fine
        lengths[axis] = source.shape[number] // stride
    spatial = [axis for axis in axes if axis in size]
    return _Frame(
        axes=axes,
        shape=tuple(lengths[axis] for axis in axes),
        scale=tuple(size[axis] for axis in spatial),
        translate=tuple(origin[axis] for axis in spatial),
        attention_axes=attention_axes,
    )


def attention_of(network: Network, card: ModelCard, layer: int) -> Attention:
    """Return the attention number `layer`, counted from 1.

    Raises
    ------
    ValueError
        If there is no such layer, or it has no abstract pixels.
    """
    program = network.program()
    found = attentions(program)
    if found and not 1 <= layer <= len(found):
        msg = f"{card.name}: the model has {len(found)} attention layers, got layer {layer}."
        raise ValueError(msg)
    step = program[found[layer - 1]] if found else None
    if not (isinstance(step, Apply) and isinstance(step.layer, AttentionBlock)) or (
        step.layer.attention.references is None
    ):
        listed = ", ".join(str(one.number) for one in network.config.abstract_pixel_layers())
        where = f" in layer {layer}, only in {listed}" if listed else ", which only AEANet has"
        msg = (
            f"{card.name}: the model has no abstract pixels{where}. "
            f"Choose another {'layer' if listed else 'model'}."
        )
        raise ValueError(msg)
    return step.layer.attention


def _head(attention: Attention, card: ModelCard, head: int) -> slice:
    """Return the channels of queries and keys that belong to one head, or all (0)."""
    if not 0 <= head <= attention.heads:
        msg = f"{card.name}: the attention has {attention.heads} heads, got head {head}."
        raise ValueError(msg)
    width = len(attention.k.weight) // attention.heads
    return slice(None) if head == 0 else slice((head - 1) * width, head * width)
