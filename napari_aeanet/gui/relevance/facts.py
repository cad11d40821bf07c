"""Small facts that the Relevance dock needs about models, layers and callbacks."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from napari_aeanet.gui.common.layers import layer_to_image
from napari_aeanet.gui.common.text import size_fit
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import config_from_json
from napari_aeanet.relevance import AttentionLayer, with_abstract_pixels


class Callbacks:
    """A list of napari's callbacks with the manners of a signal, so that it can be left again."""

    def __init__(self, callbacks: list) -> None:
        self._callbacks = callbacks

    def connect(self, slot: Any) -> None:
        self._callbacks.append(slot)

    def disconnect(self, slot: Any) -> None:
        self._callbacks.remove(slot)


def attentions_of(card: ModelCard | None) -> tuple[AttentionLayer, ...]:
    return () if card is None else with_abstract_pixels(config_from_json(dict(card.network)))


def why_unfit(card: ModelCard | None, chosen: Layer | None) -> str:
    """Why a model cannot be applied to a layer; empty if it can."""
    if card is None:
        return "Choose a model first."
    if chosen is None:
        return "Choose an image, or drop one on this dock."
    fit = size_fit(card, layer_to_image(chosen))
    return "" if fit.is_fitting else f"{fit.text} Choose another image or model."


def percent(share: float) -> str:
    return f"{share * 100:.2g} %"
