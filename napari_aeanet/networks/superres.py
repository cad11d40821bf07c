"""Convolutional networks for super-resolution, for comparison with AEANet.

VDSR computes on the target grid. EDSR and RCAN compute at half of that resolution, as published,
and rearrange channels into pixels at the end. Since the images of registered pairs are on the
target grid already, both first rearrange 2 × 2 pixels into four channels, without loss::

    x - unshuffle - head - body ------(+)- tail - y
                         '--------------'
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.networks.blocks import Convolution, Layer, Margin, layers
from napari_aeanet.networks.config_base import SIGMA_FLOOR
from napari_aeanet.networks.config_superres import SuperResConfig
from napari_aeanet.networks.network import AttentionGrid, Network
from napari_aeanet.networks.program import Apply, Merge, Save, Step
from napari_aeanet.networks.shuffle import PixelShuffle, PixelUnshuffle
from napari_aeanet.networks.unet import add_offset, start_sigma


class SuperResNetwork(Network):
    """VDSR, EDSR or RCAN, by its `SuperResConfig`."""

    def __init__(self, config: SuperResConfig) -> None:
        super().__init__(config)
        self.tiled_axes = 2
        self.grid = (config.stride,) * 2
        self.extras = ("sigma",) if config.sigma else ()
        if config.architecture == "rcan":
            self.untileable_reason = (
                "RCAN weighs its channels by their mean over the whole image, so tiles would not "
                "give the same result: predict patch by patch, as in training."
            )
        features = config.features
        self.unshuffle = PixelUnshuffle(config.stride)
        self.head = _convolution(config.in_channels * config.stride**2, features)
        self.body = nn.ModuleList(_body(config))
        self.tail = Tail(config)

    def program(self) -> list[Step]:
        config = self.config
        stride = config.stride
        steps: list[Step] = [Save("input", 1)] if config.offset else []
        steps += [Apply(self.unshuffle, 1), Apply(self.head, stride)]
        # The only long skip of VDSR is that of the image.
        skips = config.architecture != "vdsr"
        steps += [Save("head", stride)] if skips else []
        steps += [Apply(layer, stride) for layer in layers(self.body)]
        steps += [Merge("head", stride, torch.add)] if skips else []
        steps.append(Apply(self.tail, stride))
        steps += [Merge("input", 1, add_offset)] if config.offset else []
        return steps

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        return ()

    def key_grids(self) -> tuple[AttentionGrid, ...]:
        return ()


class VdsrLayer(Layer):
    """conv(relu(x)), with the published initialisation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv = _convolution(features, features)
        # Without skips and normalisation, Glorot's weights would halve the signal in every layer.
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(x))

    def input_margin(self, margin: Margin) -> Margin:
        return self.conv.input_margin(margin)


class EdsrBlock(Layer):
    """x + scale · conv(relu(conv(x))), a residual block without batch normalisation."""

    def __init__(self, features: int, scale: float) -> None:
        super().__init__()
        self.conv1 = _convolution(features, features)
        self.conv2 = _convolution(features, features)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x).mul(self.scale).add_(x)

    def residual(self, x: Tensor) -> Tensor:
        """Return conv(relu(conv(x)))."""
        return self.conv2(F.relu(self.conv1(x)))

    def input_margin(self, margin: Margin) -> Margin:
        return self.conv1.input_margin(self.conv2.input_margin(margin))


class ChannelAttentionBlock(EdsrBlock):
    """x + w · conv(relu(conv(x))), with one weight w per channel.

    w = sigmoid(W₂ relu(W₁ mean)), with the mean of every channel over the image; W₁ maps to
    features / reduction channels and W₂ back.
    """

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__(features, 1.0)
        self.squeeze = Convolution(2, features, features // reduction, 1, bias=True)
        self.excite = Convolution(2, features // reduction, features, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        weight = self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True))))
        return y.mul(weight.sigmoid()).add_(x)


class ResidualGroup(Layer):
    """x + conv(block(… block(x))), the residual group of RCAN."""

    def __init__(self, config: SuperResConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ChannelAttentionBlock(config.features, config.reduction) for _ in range(config.blocks)
        )
        self.conv = _convolution(config.features, config.features)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in layers(self.blocks):
            y = block(y)
        return self.conv(y).add_(x)

    def input_margin(self, margin: Margin) -> Margin:
        margin = self.conv.input_margin(margin)
        for block in layers(self.blocks):
            margin = block.input_margin(margin)
        return margin


class Tail(Layer):
    """Output layer on the target grid: the prediction and, stacked below it, sigma if wanted.

    sigma = softplus(half of the output channels) + 0.001.
    """

    def __init__(self, config: SuperResConfig) -> None:
        super().__init__()
        features, stride = config.features, config.stride
        self.shuffle = PixelShuffle(stride)
        self.spread = _convolution(features, features * stride**2) if stride > 1 else None
        heads = 2 if config.sigma else 1
        self.conv = _convolution(features, heads * config.out_channels)
        self.sigma = config.sigma
        if config.zero_output:
            nn.init.zeros_(self.conv.weight)
        if config.sigma and config.sigma_start is not None:
            weight, bias = self.conv.weight, cast("Tensor", self.conv.bias)
            with torch.no_grad():
                start_sigma(
                    weight[config.out_channels :], bias[config.out_channels :], config.sigma_start
                )

    def forward(self, x: Tensor) -> Tensor:
        if self.spread is None:
            y = self.conv(F.relu(x))
        else:
            y = self.conv(self.shuffle(self.spread(x)))
        if not self.sigma:
            return y
        prediction, sigma = y.chunk(2, dim=1)
        return torch.cat((prediction, F.softplus(sigma) + SIGMA_FLOOR), dim=1)

    def input_margin(self, margin: Margin) -> Margin:
        margin = self.conv.input_margin(margin)
        if self.spread is None:
            return margin
        return self.spread.input_margin(self.shuffle.input_margin(margin))


def _body(config: SuperResConfig) -> list[Layer]:
    features = config.features
    if config.architecture == "vdsr":
        return [VdsrLayer(features) for _ in range(config.blocks)]
    found: list[Layer]
    if config.architecture == "edsr":
        found = [EdsrBlock(features, config.residual_scale) for _ in range(config.blocks)]
    else:
        found = [ResidualGroup(config) for _ in range(config.groups)]
    return [*found, _convolution(features, features)]


def _convolution(in_channels: int, out_channels: int) -> Convolution:
    return Convolution(2, in_channels, out_channels, 3, bias=True)
