"""The U-Net of CARE in two and three dimensions, and behind a surface projection."""

from __future__ import annotations

from itertools import pairwise
from math import lcm
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.networks.blocks import Convolution, Layer, Margin, Normalised, layers
from napari_aeanet.networks.config_base import SIGMA_FLOOR
from napari_aeanet.networks.config_care import CareConfig
from napari_aeanet.networks.network import HEIGHT, AttentionGrid, Network
from napari_aeanet.networks.program import Apply, Merge, Save, Step
from napari_aeanet.networks.projection import FirstChannel, append_height, project_by_probability
from napari_aeanet.networks.unet import add_offset, concatenate, start_sigma


def care_network(config: CareConfig) -> CareNetwork:
    """Return the network of a configuration."""
    return CareProjection(config) if config.projects else CareNetwork(config)


class CareNetwork(Network):
    """Convolutions with ReLU; maximum of 2 pixels down, every pixel twice up::

        down[0] -------------------------- up[0] - output
            pool - down[1] -------- up[1] - double
                      pool - middle - double

    The last convolution of a level already has the channels of the next finer one.
    """

    def __init__(self, config: CareConfig) -> None:
        super().__init__(config)
        dims, count = config.image_dims, config.convolutions
        channels = [config.features * 2**n for n in range(config.levels)]
        self.tiled_axes = dims
        self.grid = (2**config.poolings,) * dims
        self.extras = ("sigma",) if config.sigma else ()
        self.pool, self.repeat = MaxPool((2,) * dims), Doubled((2,) * dims)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for n in range(config.poolings):
            before = channels[n - 1] if n else config.in_channels
            self.down.append(_level(config, [before, *[channels[n]] * count]))
            # The finer level's channels; the finest keeps its own.
            after = channels[max(0, n - 1)]
            self.up.append(_level(config, [2 * channels[n], *[channels[n]] * (count - 1), after]))
        deepest, above = channels[-1], channels[-2]
        self.middle = _level(config, [above, *[deepest] * (count - 1), above])
        self.output = CareOutput(config)

    def program(self) -> list[Step]:
        config = self.config
        steps: list[Step] = [Save("input", 1)] if config.offset else []
        for n, level in enumerate(_levels(self.down)):
            steps += [Apply(conv, 2**n) for conv in layers(level)]
            steps += [Save(f"level {n}", 2**n), Apply(self.pool, 2**n)]
        steps += [Apply(conv, 2**config.poolings) for conv in layers(self.middle)]
        for n, level in reversed(list(enumerate(_levels(self.up)))):
            steps += [Apply(self.repeat, 2 ** (n + 1)), Merge(f"level {n}", 2**n, concatenate)]
            steps += [Apply(conv, 2**n) for conv in layers(level)]
        steps.append(Apply(self.output, 1))
        if config.offset:
            steps.append(Merge("input", 1, add_offset))
        return steps

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        return ()

    def key_grids(self) -> tuple[AttentionGrid, ...]:
        return ()


class CareProjection(CareNetwork):
    """A surface projection, and the U-Net of CARE that restores the image.

    A network over the volume without skips, pooled in the plane only, gives every voxel a score s.
    With p = softmax_z(s), the probability of the surface, the projected image is
    Σ_z p(z, y, x) · volume(z, y, x). The extra output "height" is the plane of the largest
    contribution.
    """

    def __init__(self, config: CareConfig) -> None:
        super().__init__(config)
        features, poolings = config.projection_features, config.projection_poolings
        self.flat_pool, self.flat_repeat = MaxPool((1, 2, 2)), Doubled((1, 2, 2))
        self.shrink = nn.ModuleList(
            _convolution(3, features if n else 1, features, 3) for n in range(poolings)
        )
        self.bottom = _convolution(3, features, features, 3)
        self.grow = nn.ModuleList(_convolution(3, features, features, 3) for _ in range(poolings))
        self.score = Convolution(3, features, 1, 3, bias=True)
        self.tiled_axes = 2
        self.grid = (1, *(lcm(2**poolings, multiple) for multiple in self.grid))
        self.extras = (*self.extras, HEIGHT)

    def program(self) -> list[Step]:
        steps: list[Step] = [Save("volume", 1)]
        for n, conv in enumerate(layers(self.shrink)):
            steps += [Apply(conv, 2**n), Apply(self.flat_pool, 2**n)]
        steps.append(Apply(self.bottom, 2 ** len(self.shrink)))
        for n, conv in reversed(list(enumerate(layers(self.grow)))):
            steps += [Apply(self.flat_repeat, 2 ** (n + 1)), Apply(conv, 2**n)]
        return [
            *steps,
            Apply(self.score, 1),
            Merge("volume", 1, project_by_probability),
            Save("surface", 1),
            Apply(FirstChannel(), 1),
            *super().program(),
            Merge("surface", 1, append_height),
        ]

    def split(self, stacked: Tensor) -> dict[str, Tensor]:
        parts = stacked[:, :-1].split(self.config.out_channels, dim=1)
        return dict(zip(("prediction", *self.extras), (*parts, stacked[:, -1:]), strict=True))


class MaxPool(Layer):
    """Maximum over blocks of pixels; in the last axes they are two wide."""

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return (F.max_pool2d if len(self.size) == 2 else F.max_pool3d)(x, self.size)

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(2 * margin.before, 2 * margin.after)


class Doubled(Layer):
    """Every pixel repeated, in the last axes twice."""

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = tuple(map(float, size))

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.size, mode="nearest")

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(-(-margin.before // 2), -(-margin.after // 2))


class CareOutput(Layer):
    """1×1 convolution and, stacked below it, sigma if wanted: softplus(1×1 convolution) + 0.001."""

    def __init__(self, config: CareConfig) -> None:
        super().__init__()
        size = config.image_dims, config.features, config.out_channels, 1
        self.conv = Convolution(*size, bias=True)
        self.sigma = Convolution(*size, bias=True) if config.sigma else None
        if self.sigma is not None and config.sigma_start is not None:
            start_sigma(self.sigma.weight, self.sigma.bias, config.sigma_start)
        if config.zero_output:
            nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.sigma is None:
            return self.conv(x)
        return torch.cat((self.conv(x), F.softplus(self.sigma(x)) + SIGMA_FLOOR), dim=1)

    def input_margin(self, margin: Margin) -> Margin:
        return margin


def _level(config: CareConfig, channels: list[int]) -> nn.ModuleList:
    """Return convolutions with ReLU from each of these numbers of channels to the next."""
    dims, kernel = config.image_dims, config.kernel
    return nn.ModuleList(_convolution(dims, *pair, kernel) for pair in pairwise(channels))


def _levels(modules: nn.ModuleList) -> list[nn.ModuleList]:
    return cast("list[nn.ModuleList]", list(modules))


def _convolution(dims: int, before: int, after: int, kernel: int) -> Normalised:
    """Return relu(conv(x)) with a bias."""
    return Normalised(Convolution(dims, before, after, kernel, bias=True), dims, after, None)
