"""Small synthetic pairs that a network learns something from in a few steps."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.image import Image
from napari_aeanet.models.presets import Preset, quick_config
from napari_aeanet.networks import NetworkConfig, UNetConfig
from napari_aeanet.pairs.pair import ImagePair


def blurred_pairs(
    count: int = 2, shape: tuple[int, ...] = (96, 128), seed: int = 0
) -> list[ImagePair]:
    """8-bit images of smooth blobs; the sources are blurred and noisy."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        target = gaussian_filter(rng.standard_normal(shape), 2)
        target = (target - target.min()) / np.ptp(target)
        source = gaussian_filter(target, 1.5) + rng.normal(0, 0.03, shape)
        pairs.append(ImagePair(image(source, f"S{number}"), image(target, f"S{number}")))
    return pairs


def image(values: np.ndarray, name: str, pixel_size: Sequence[float] = (5.0, 5.0)) -> Image:
    """Values from 0 to 1 as an 8-bit image with pixels of 5 nm."""
    axes = "ZYX"[-values.ndim :]
    levels = np.clip(values * 255, 0, 255).astype(np.uint8)
    sizes = (20.0,) * (values.ndim - 2) + tuple(pixel_size)
    return Image(levels, axes, sizes, "nm", name=name)


def small_config(preset: Preset) -> NetworkConfig:
    """In the place of `quick_config`: the same network with a quarter of its channels."""
    config = quick_config(preset)
    if isinstance(config, UNetConfig):
        return replace(config, features=8)
    return replace(config, image=replace(config.image, features=8))
