"""Relevance maps: the places in an image where the abstract pixels of a model are relevant.

The relevance of abstract pixel j is the map

    M_j(x) = q(x) · k(f_j)

of the dot products between the query of every attention pixel x and the key of the reference
row f_j. It is signed: high where the pixel is relevant, low where it is the opposite. With several
heads the full dot product is the sum over the heads.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from functools import partial

import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Region
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import Progressed, ProgressOption, StepCounter, result_of
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import (
    Apply,
    Attention,
    AttentionBlock,
    Context,
    Network,
    attentions,
)
from napari_aeanet.relevance.frame import frame_of
from napari_aeanet.relevance.mapped import OpenRun, gathered, opened
from napari_aeanet.relevance.settings import RelevanceEvent, RelevanceMaps, RelevanceSettings
from napari_aeanet.restoration import (
    ModelSource,
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
    events = relevance_events(as_image(source), model, settings)
    return result_of(RelevanceMaps, events, progress)


def relevance_events(
    image: ImageSource,
    model: ModelSource,
    settings: RelevanceSettings = DEFAULTS,
    *,
    mapper: Mapper = ONE_PROCESS,
) -> Generator[RelevanceEvent, None, None]:
    """Return a generator of relevance maps: an event for each tile, and the maps at last.

    Images of any size: tiles give the same maps as the whole image. Attentions after the first
    need the contexts of those before, gathered as in a restoration. The arguments are checked at
    once, and pixels are read from the first event on. `mapper` computes the tiles.

    Raises
    ------
    TypeError, ValueError
        If the model has no abstract pixels there, or the image does not suit it.
    """
    check_type("settings", settings, RelevanceSettings)
    prepared = prepare_analysis(image, model, settings, context="whole")
    attention = attention_of(prepared.network, prepared.model.card, settings.layer)
    channels = head_channels(attention, prepared.model.card, settings.head)
    check_type("mapper", mapper, Mapper)
    mapper.check(prepared.image, None)
    count = len(attention.reference_keys())
    return _relevance(prepared, settings.layer - 1, channels, count, mapper)


def _relevance(
    prepared: PreparedRun, before: int, channels: slice, abstract_pixels: int, mapper: Mapper
) -> Generator[RelevanceEvent, None, None]:
    """Yield the events of the attention that comes after `before` others."""
    image, tiles = prepared.image, prepared.layout.tiles
    counter = StepCounter(
        f"relevance in {image.name}", len(prepared.inputs) * len(tiles) * (before + 1)
    )
    grid = prepared.network.attention_grids()[before]
    frame = frame_of(prepared.inputs[0], grid)
    maps = np.empty((abstract_pixels, *frame.shape), np.float32)
    with opened(prepared, suspends=False) as run:
        for number, source in enumerate(prepared.inputs):
            contexts = run.contexts(number)
            for is_step in gathered(mapper, run, number, contexts, before):
                yield Progressed(counter.step() if is_step else counter.unchanged())
            places = (frame.place(source, at_stride(inner, grid.stride)) for inner in tiles)
            products = partial(_products, number, channels)
            pieces = [(inner, contexts.around(inner)) for inner in tiles]
            with closing(mapper.map(products, run, pieces)) as results:
                for values in results:
                    if values is None:
                        yield Progressed(counter.unchanged())
                        continue
                    maps[(slice(None), *next(places))] = values
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


def _products(
    number: int, channels: slice, run: OpenRun, pieces: Iterable[tuple[Region, list[Context]]]
) -> Generator[np.ndarray, None, None]:
    """Yield the maps of all abstract pixels over each tile of an input."""
    for inner, known in pieces:
        yield run.runner.relevance(run.prepared.inputs[number], inner, known, channels)


def attention_layer(network: Network, card: ModelCard, layer: int) -> Attention:
    """Return the attention number `layer`, counted from 1.

    Raises
    ------
    ValueError
        If there is no such layer.
    """
    program = network.program()
    found = attentions(program)
    if not found:
        raise ValueError(f"{card.name}: the model has no attention. Choose another model.")
    if not 1 <= layer <= len(found):
        msg = f"{card.name}: the model has {len(found)} attention layers, got layer {layer}."
        raise ValueError(msg)
    step = program[found[layer - 1]]
    assert isinstance(step, Apply)
    assert isinstance(step.layer, AttentionBlock)
    return step.layer.attention


def attention_of(network: Network, card: ModelCard, layer: int) -> Attention:
    """Return the attention number `layer`, which must have abstract pixels.

    Raises
    ------
    ValueError
        If there is no such layer, or it has no abstract pixels.
    """
    found = attention_layer(network, card, layer) if network.contexts else None
    if found is None or found.references is None:
        listed = ", ".join(str(one.number) for one in network.config.abstract_pixel_layers())
        where = f" in layer {layer}, only in {listed}" if listed else ", which only AEANet has"
        msg = (
            f"{card.name}: the model has no abstract pixels{where}. "
            f"Choose another {'layer' if listed else 'model'}."
        )
        raise ValueError(msg)
    return found


def head_channels(attention: Attention, card: ModelCard, head: int) -> slice:
    """Return the channels of queries and keys that belong to one head, or all (0)."""
    if not 0 <= head <= attention.heads:
        msg = f"{card.name}: the attention has {attention.heads} heads, got head {head}."
        raise ValueError(msg)
    width = len(attention.k.weight) // attention.heads
    return slice(None) if head == 0 else slice((head - 1) * width, head * width)
