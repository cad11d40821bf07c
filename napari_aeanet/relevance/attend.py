"""Attention of a place to the whole image: which places the network draws on there.

Queries and keys are gathered in tiles of any size, with the contexts of earlier attentions, as in
a restoration; then each place is one matrix product (`napari_aeanet.relevance.attended`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
import psutil

from napari_aeanet.core.arguments import check_items, check_type
from napari_aeanet.core.progress import Progressed, ProgressOption, StepCounter, result_of
from napari_aeanet.core.words import bytes_in_words
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.networks import Attention, PendingAttention
from napari_aeanet.relevance.attended import (
    AttentionEvent,
    AttentionMap,
    KeptAttention,
    check_position,
    is_on,
)
from napari_aeanet.relevance.frame import frame_of
from napari_aeanet.relevance.run import attention_layer, head_channels
from napari_aeanet.relevance.settings import RelevanceSettings
from napari_aeanet.restoration import (
    ModelSource,
    NetworkInput,
    PreparedRun,
    at_stride,
    prepare_analysis,
)

DEFAULTS = RelevanceSettings()
# Share of the free memory that queries and keys may take.
SHARE = 0.5


def attention_map(
    source: ImageSource,
    model: ModelSource,
    at: Sequence[float],
    settings: RelevanceSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> AttentionMap:
    """Return the signed attention of one place to the whole image.

    Parameters
    ----------
    at
        The place, in pixels of the image, counted from 0, along each of its axes.
    source, model, progress
        As in `napari_aeanet.restore`.
    """
    events = attention_events(as_image(source), model, at, settings)
    return result_of(KeptAttention, events, progress).at(at)


def attention_events(
    image: ImageSource,
    model: ModelSource,
    at: Sequence[float],
    settings: RelevanceSettings = DEFAULTS,
) -> Iterator[AttentionEvent]:
    """Return a generator that gathers queries and keys: steps, and a `KeptAttention` at last.

    They are those of the plane or stack in which `at` lies; any attention will do, also one
    without abstract pixels. The arguments are checked at once.

    Raises
    ------
    TypeError, ValueError
        If there is no such place or attention, the image does not suit the model, or queries and
        keys do not fit into memory.
    """
    at = check_items("at", at, int, float, np.number)
    check_type("settings", settings, RelevanceSettings)
    prepared = prepare_analysis(image, model, settings, context="whole")
    card = prepared.model.card
    attention = attention_layer(prepared.network, card, settings.layer)
    channels = head_channels(attention, card, settings.head)
    check_position(prepared.image, at)
    source = next(one for one in prepared.inputs if is_on(one, at))
    _check_memory(prepared, source, attention, channels, settings.layer - 1)
    return _attention(prepared, source, attention, channels, settings.layer - 1)


def free_memory() -> float:
    """Return the free memory in bytes."""
    return float(psutil.virtual_memory().available)


def _check_memory(
    prepared: PreparedRun,
    source: NetworkInput,
    attention: Attention,
    channels: slice,
    before: int,
) -> None:
    network = prepared.network
    grids = (network.attention_grids()[before], network.key_grids()[before])
    places = sum(prod(_extent(source, grid.stride)) for grid in grids)
    weight = attention.k.weight
    needed = places * len(weight[channels]) * weight.element_size()
    if needed > SHARE * free_memory():
        what = f"the attention of all its places takes {bytes_in_words(needed)}"
        msg = (
            f"{prepared.image.name}: {what}, more than the free memory: crop the image, or choose "
            "another attention layer."
        )
        raise ValueError(msg)


def _attention(
    prepared: PreparedRun,
    source: NetworkInput,
    attention: Attention,
    channels: slice,
    before: int,
) -> Iterator[AttentionEvent]:
    """Yield the events of the attention that comes after `before` others."""
    network, tiles = prepared.network, prepared.layout.tiles
    counter = StepCounter(f"attention in {prepared.image.name}", len(tiles) * (before + 1))
    grids = (network.attention_grids()[before], network.key_grids()[before])
    dtype = np.dtype(str(attention.k.weight.dtype).removeprefix("torch."))
    width = len(attention.k.weight[channels])
    maps = [np.empty((width, *_extent(source, grid.stride)), dtype) for grid in grids]

    def queries_and_keys(pending: PendingAttention) -> list[np.ndarray]:
        both = (pending.query(), pending.keys())
        return [one[0, channels].cpu().numpy() for one in both]

    with prepared.runner(suspends=False) as runner:
        contexts = prepared.contexts(source)
        for _ in contexts.gather(runner, before):
            yield Progressed(counter.step())
        for inner in tiles:
            parts = runner.at_attention(source, inner, contexts.around(inner), queries_and_keys)
            for region, found in parts:
                for whole, values, grid in zip(maps, found, grids, strict=True):
                    whole[(slice(None), *at_stride(region, grid.stride))] = values
            yield Progressed(counter.step())
        rows = _reference_keys(attention)[:, channels].astype(dtype)
    pixels = (prod(maps[1].shape[1:]) + len(rows)) * attention.queries_per_key
    names = prepared.model.card.pixel_names
    yield KeptAttention(
        source=source,
        queries=maps[0],
        keys=maps[1],
        reference_keys=rows,
        factor=(len(attention.k.weight) // attention.heads) ** -0.5 / pixels,
        query_frame=frame_of(source, grids[0]),
        key_frame=frame_of(source, grids[1]),
        names={int(number): name for number, name in names.items()},
        notices=prepared.notices,
        progress=counter.finish(),
    )


def _extent(source: NetworkInput, stride: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a map of this stride over the whole input."""
    return tuple(n // f for n, f in zip(source.shape[-len(stride) :], stride, strict=True))


def _reference_keys(attention: Attention) -> np.ndarray:
    """Return the keys of the abstract pixels, no rows without any: (r, channels)."""
    if attention.references is None:
        return np.zeros((0, len(attention.k.weight)))
    return attention.reference_keys().detach().cpu().numpy()
