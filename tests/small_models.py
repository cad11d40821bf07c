"""Models of the presets, small and with lively random weights, for tests of prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from miniatures import miniature, random_network

from napari_aeanet import networks
from napari_aeanet.models.model_file import Model, ModelCard
from napari_aeanet.models.presets import all_presets
from napari_aeanet.networks.network import Network


def small_network(name: str, features: int = 8, seed: int = 0) -> Network:
    """The network of a preset with few features; float32, in evaluation mode."""
    config = next(preset.config for preset in all_presets() if preset.name == name)
    return random_network(miniature(config, features=features), seed).float()


def model_of(network: Network, **card: Any) -> Model:
    """A network as a model, whose card knows no pixel size unless told."""
    axes = len(network.grid)
    described = {
        "name": "miniature",
        "preset": "aeanet-2d",
        "network": networks.config_to_json(network.config),
        "ratio": (1.0,) * axes,
        "pixel_size": (None,) * axes,
    }
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    return Model(ModelCard(**(described | card)), state)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)
