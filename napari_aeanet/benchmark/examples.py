"""Models, images and pairs to measure with: random, and the same every time."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.image import Image
from napari_aeanet.models import Model, ModelCard
from napari_aeanet.networks import Network, NetworkConfig, build, config_to_json
from napari_aeanet.pairs import ImagePair

SEED = 0


def random_network(config: NetworkConfig) -> Network:
    """Return a network with random weights.

    They are half as large as usual: in a network of 400 layers without normalisation rounding
    would otherwise grow to the size of the result.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = build(config)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(0.5)
    return network


def random_model(preset: str, config: NetworkConfig) -> Model:
    """Return a model with random weights and random running statistics.

    Fresh statistics (mean 0, variance 1) would hide mistakes at the borders of tiles.
    """
    network = random_network(config)
    rng = np.random.default_rng(SEED)
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    for name, values in weights.items():
        if name.endswith("running_mean"):
            weights[name] = rng.normal(0, 0.1, values.shape).astype(np.float32)
        elif name.endswith("running_var"):
            weights[name] = rng.uniform(0.5, 1.5, values.shape).astype(np.float32)
    axes = len(config.input_axes)
    card = ModelCard(
        name="benchmark",
        preset=preset,
        network=config_to_json(config),
        ratio=(1.0,) * axes,
        pixel_size=(None,) * axes,
    )
    return Model(card, weights)


def noise(shape: tuple[int, ...]) -> Image:
    """Return an 8-bit image of noise with the axes (z, y, x) or (y, x)."""
    values = np.random.default_rng(SEED).integers(0, 256, shape, dtype=np.uint8)
    return Image(values, "ZYX"[-len(shape) :], name="noise")


def blurred_pairs(count: int, edge: int) -> list[ImagePair]:
    """Return 8-bit pairs of smooth blobs, the sources blurred and noisy."""
    rng = np.random.default_rng(SEED)
    pairs = []
    for number in range(count):
        target = gaussian_filter(rng.standard_normal((edge, edge), np.float32), 2) * 2 + 0.5
        source = gaussian_filter(target, 1.5) + rng.normal(0, 0.03, target.shape)
        name = f"S{number}"
        pairs.append(ImagePair(_eight_bit(source, name), _eight_bit(target, name)))
    return pairs


def _eight_bit(values: np.ndarray, name: str) -> Image:
    return Image((np.clip(values, 0, 1) * 255).astype(np.uint8), "YX", name=name)
