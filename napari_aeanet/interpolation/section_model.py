"""A trained network that interpolates sections, on disk: one safetensors file.

The weights are its tensors, the card is JSON in its metadata. Reading one runs no code from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.schema import Document
from napari_aeanet.interpolation.config import GuidedConfig, InterpolationConfig
from napari_aeanet.interpolation.guided import GuidedNetwork
from napari_aeanet.interpolation.learning_settings import MethodScores
from napari_aeanet.interpolation.ssan import Ssan

SUFFIX = ".safetensors"
CARD = "card"
KIND, REMEDY = "model for the interpolation of sections", "let it learn from the stack again"
SectionNet = Ssan | GuidedNetwork


@dataclass(frozen=True, kw_only=True)
class SectionModelCard:
    """Description of a model.

    Parameters
    ----------
    stack
        Name of the stack that it learnt from.
    network
        Configuration of the network.
    low, high
        Intensities of the stack that are 0 and 1 for the network.
    scores
        On the sections kept out.
    sections, kept_out
        Sections learnt from, and kept out, counted from 0.
    steps, seconds
        Optimisation steps, and computing time of everything.
    summary
        The result in words.
    versions
        Of the program and its libraries.
    """

    stack: str
    network: InterpolationConfig
    low: float
    high: float
    scores: MethodScores
    sections: tuple[int, ...]
    kept_out: tuple[int, ...]
    steps: int
    seconds: float
    summary: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low must be below high, got {self.low} and {self.high}.")


CARD_DOCUMENT = Document(
    kind=SectionModelCard, title=KIND, version=1, marker="napari-aeanet section model"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SectionModel:
    """A card with its weights."""

    card: SectionModelCard
    weights: Mapping[str, Tensor]

    def network(self) -> SectionNet:
        """Return the network in evaluation mode, on the CPU."""
        network = build_network(self.card.network)
        network.load_state_dict(dict(self.weights))
        return network.eval()


def build_network(config: InterpolationConfig) -> SectionNet:
    """Return the untrained network of a configuration."""
    return GuidedNetwork(config) if isinstance(config, GuidedConfig) else Ssan(config)


def save_section_model(model: SectionModel, path: str | Path) -> None:
    """Write a model file, whole or not at all."""
    from safetensors.torch import save

    check_type("model", model, SectionModel)
    tensors = {name: tensor.contiguous() for name, tensor in model.weights.items()}
    card = CARD_DOCUMENT.dump(model.card).decode()
    write_bytes_atomically(as_path("path", path), save(tensors, {CARD: card}))


def load_section_model(path: str | Path) -> SectionModel:
    """Read a model file.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        If it is damaged, no such model, or of a newer version.
    """
    from safetensors import safe_open

    path = as_path("path", path)
    with in_one_sentence(path, KIND, REMEDY):
        path.stat()  # a missing file is told apart
        with safe_open(path, "pt") as opened:
            text = (opened.metadata() or {}).get(CARD)
            weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if text is None:
            raise ValueError(f"{path} is not a {KIND}: choose a file that was saved as one.")
        card = CARD_DOCUMENT.load(text, path)
        if misfit := _misfit(card.network, weights):
            raise ValueError(f"{path} does not fit its network ({misfit}): {REMEDY}.")
    return SectionModel(card=card, weights=weights)


def _misfit(config: InterpolationConfig, weights: Mapping[str, Tensor]) -> str:
    """Return the first difference between the weights of a network and those there are."""
    with torch.device("meta"):
        network: nn.Module = build_network(config)
    expected = network.state_dict()
    for name, tensor in expected.items():
        if name not in weights:
            return f"'{name}' is missing"
        if weights[name].shape != tensor.shape:
            return f"'{name}' has shape {tuple(weights[name].shape)}"
        if not weights[name].isfinite().all():
            return f"'{name}' has values that are not finite"
    return next((f"'{name}' is none of its" for name in weights if name not in expected), "")
