"""Projection of the surface in a volume to an image, restored by a 2D network."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.networks.attention import NEAREST, AttentionSettings
from napari_aeanet.networks.attention_block import AttentionBlock
from napari_aeanet.networks.blocks import (
    Activated,
    Convolution,
    Layer,
    Margin,
    ResidualBlock,
    TransposedConvolution,
    layers,
)
from napari_aeanet.networks.config import ProjectionConfig
from napari_aeanet.networks.network import HEIGHT, AttentionGrid, Network, grid_at
from napari_aeanet.networks.program import Apply, Load, Merge, Save, Step, attention_strides
from napari_aeanet.networks.unet import UNet

KERNEL = (3, 5, 5)
FINAL_KERNEL = (5, 5, 5)


class ProjectionNetwork(Network):
    """The surface projection of a `ProjectionConfig`, followed by its two-dimensional network.

    A small network over the volume (Y and X at 1, 1/4 and 1/16, Z never down-sampled) computes a
    weight w of every voxel. The two-dimensional network restores the projected image

        p(y, x) = 1/Z · Σ_z w(z, y, x) · volume(z, y, x).

    The weights are not probabilities: they may be negative and need not sum to one. With the
    weighting "probability", p(y, x) = Σ_z softmax_z(w) · volume(z, y, x). The extra
    output "height" is the plane of the largest contribution, argmax_z w · volume, counted from 0.

    Tiles divide Y and X only.
    """

    def __init__(self, config: ProjectionConfig) -> None:
        super().__init__(config)
        features = config.projection_features
        self.tiled_axes = 2
        self.shrink = nn.ModuleList(
            [
                Convolution(3, 1, features, KERNEL, bias=True),
                _convolution(features, features, KERNEL),
            ]
        )
        self.pool = Pool()
        self.bottom = _bottom(config)
        self.side = _convolution(features, features, KERNEL)
        self.up = nn.ModuleList(_up(config) for _ in range(2))
        self.mix = nn.ModuleList(_convolution(features, features, KERNEL) for _ in range(2))
        self.weigh = _convolution(features, 1, FINAL_KERNEL)
        self._project = project if config.weighting == "mean" else project_by_probability
        self.image = UNet(config.image)
        self.grid = (1, *(lcm(NEAREST**2, multiple) for multiple in self.image.grid))
        self.extras = (*self.image.extras, HEIGHT)

    def program(self) -> list[Step]:
        middle, coarse = NEAREST, NEAREST**2
        shrink, up, mix = layers(self.shrink), layers(self.up), layers(self.mix)
        return [
            Save("volume", 1),
            *(Apply(shrink[0], 1), Apply(self.pool, 1)),
            *(Apply(shrink[1], middle), Apply(self.pool, middle)),
            # bottom(x) + side(x); the side path second, since gathering does not need it
            Save("shrunk", coarse),
            Apply(self.bottom, coarse),
            Save("bottom", coarse),
            Load("shrunk", coarse),
            Apply(self.side, coarse),
            Merge("bottom", coarse, torch.add),
            # numbered by the level of their output, as in the decoder of a U-Net: the finest is 0
            *(Apply(up[1], coarse), Apply(mix[1], middle)),
            *(Apply(up[0], middle), Apply(mix[0], 1)),
            Apply(self.weigh, 1),
            Merge("volume", 1, self._project),
            Save("surface", 1),
            Apply(FirstChannel(), 1),
            *self.image.program(),
            Merge("surface", 1, append_height),
        ]

    def split(self, stacked: Tensor) -> dict[str, Tensor]:
        # There is one channel of heights for any number of output channels.
        return self.image.split(stacked[:, :-1]) | {HEIGHT: stacked[:, -1:]}

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        own = _grids((NEAREST**2, NEAREST, 1)) if self.config.attention else ()
        return (*own, *self.image.attention_grids())

    def key_grids(self) -> tuple[AttentionGrid, ...]:
        of_image = self.image.key_grids()
        strides = attention_strides(self.program())
        return (*_grids(strides[: len(strides) - len(of_image)]), *of_image)


def _grids(strides: Sequence[int]) -> tuple[AttentionGrid, ...]:
    """Return grids over the volume; pooling is symmetric: the centre is the middle of pixels."""
    return tuple(grid_at(stride, (stride - 1) / 2, 3, 2) for stride in strides)


class Pool(Layer):
    """Maximum over 4 × 4 pixels, plane by plane."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(x, (1, NEAREST, NEAREST))

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(NEAREST * margin.before, NEAREST * margin.after)


class FirstChannel(Layer):
    """The first channel: the projected image without its heights."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1]

    def input_margin(self, margin: Margin) -> Margin:
        return margin


def project(weights: Tensor, volume: Tensor) -> Tensor:
    """Return the mean over Z of weights · volume, and the plane of the largest contribution.

    From (N, 1, Z, Y, X) to (N, 2, Y, X).
    """
    contributions = weights * volume
    height = contributions.detach().argmax(2).to(contributions.dtype)
    return torch.cat((contributions.mean(2), height), dim=1)


def project_by_probability(scores: Tensor, volume: Tensor) -> Tensor:
    """Return Σ_z p · volume with p = softmax_z(scores), and the plane of the largest contribution.

    From (N, 1, Z, Y, X) to (N, 2, Y, X).
    """
    contributions = scores.softmax(2) * volume
    height = contributions.detach().argmax(2).to(contributions.dtype)
    return torch.cat((contributions.sum(2), height), dim=1)


def _convolution(in_channels: int, out_channels: int, kernel: tuple[int, ...]) -> Activated:
    return Activated(Convolution(3, in_channels, out_channels, kernel, bias=True))


def _bottom(config: ProjectionConfig) -> Layer:
    features = config.projection_features
    if not config.attention:
        return ResidualBlock(3, features, features, momentum=None)
    return AttentionBlock(3, features, features, momentum=None, settings=_settings(config))


def _up(config: ProjectionConfig) -> Layer:
    features = config.projection_features
    if not config.attention:
        size = (1, NEAREST, NEAREST)
        return Activated(TransposedConvolution(3, features, features, size, stride=size))
    return AttentionBlock(
        3,
        features,
        features,
        momentum=None,
        query="nearest",
        residual="query",
        settings=_settings(config),
    )


def _settings(config: ProjectionConfig) -> AttentionSettings:
    return AttentionSettings(
        heads=config.heads, references=config.references, divisor=config.divisor
    )


def append_height(outputs: Tensor, surface: Tensor) -> Tensor:
    """Stack the heights of the projection below the outputs."""
    return torch.cat((outputs, surface[:, 1:]), dim=1)
