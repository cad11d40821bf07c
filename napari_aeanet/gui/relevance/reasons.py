"""Reasons why the Relevance dock cannot do something now, in words for the user."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Layer

from napari_aeanet.gui.common.text import size_fit
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.models import ModelCard, demo_model
from napari_aeanet.networks import AttentionLayer


def unfit_reason(card: ModelCard | None, layer: Layer | None) -> str:
    """Return why a model cannot be applied to a layer; empty if it can."""
    if card is None:
        return "Choose a model first."
    if layer is None:
        return "Choose an image, or drop one on this dock."
    fit = size_fit(card, layer_to_image(layer))
    return "" if fit.is_fitting else f"{fit.text} Choose another image or model."


def no_maps_reason(card: ModelCard | None, attention: AttentionLayer | None) -> str:
    """Return why a model has no relevance maps of this attention; empty if it has some."""
    if card is None:
        return ""
    if not card.config.abstract_pixel_layers():
        return "This model has no abstract pixels: choose an AEANet model."
    if attention is None or not attention.references:
        return "This attention has no abstract pixels: choose another."
    return ""


def no_attention_reason(card: ModelCard | None) -> str:
    """Return why no place can be asked what it attends to; empty if any can."""
    if card is None or card.config.has_attention:
        return ""
    return "This model has no attention: choose an AEANet or GVTNet model."


def no_fit_reason(card: ModelCard | None, model: Path | None, pairs: int) -> str:
    """Return why structures cannot be fitted to a model now; empty if they can."""
    if card is None or model is None:
        return "Choose a model first."
    if card.config.input_axes != "YX":
        return "They are known for models of images, not of stacks."
    if model.resolve() == demo_model().resolve():
        return "The model of the program stays as it is: train one of your own to have them."
    return "" if pairs else "Add registered pairs in AEANet: Pairs to fit them."


def no_teaching_reason(
    card: ModelCard | None, image: Layer | None, marks: Layer | None, name: str
) -> str:
    """Return why no kind of structure can be taught now; empty if one can."""
    if reason := unfit_reason(card, image):
        return reason
    if card is None or not card.structures:
        return "This model has no structures yet, from which kinds are taught: fit them first."
    if image is not None and image.ndim != 2:
        return f"{image.name} is a stack: kinds are taught on single images."
    if marks is None:
        return "Add a Labels or Shapes layer in napari, and mark some places in it."
    return "" if name.strip() else "Name the kind that is marked."


def unkept_reason(model: Path) -> str:
    """Return why a kind cannot be kept in a model file; empty if it can."""
    if model.resolve() == demo_model().resolve():
        return "The model of the program stays as it is: train one of your own to keep kinds in."
    return ""
