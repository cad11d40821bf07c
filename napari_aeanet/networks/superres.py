"""The convolutional networks for super-resolution that AEANet is compared with.

VDSR works on the target grid. EDSR and RCAN do their work at half of that resolution, as
published, and rearrange channels into pixels at the end. Since images here come on the target
grid already (registered pairs have no other), the two begin by rearranging 2 × 2 pixels into four
channels, which loses nothing::

    x - apart - head - body ------(+)- tail - y
                     '--------------'
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.networks.blocks import Convolution, Layer, Margin, layers
from napari_aeanet.networks.config import SuperResConfig
from napari_aeanet.networks.config_base import SIGMA_FLOOR
from napari_aeanet.networks.network import AttentionGrid, Network
from napari_aeanet.networks.program import Apply, Merge, Save, Step
from napari_aeanet.networks.unet import add_offset, begin_sigma


class SuperResNetwork(Network):
    """VDSR, EDSR or RCAN, as a `SuperResConfig` says."""

    def __init__(self, config: SuperResConfig) -> None:
        super().__init__()
        self.config = config
        self.input_axes = self.output_axes = "YX"
        self.tiled_axes = 2
        self.grid = (config.stride,) * 2
        self.scale = (1, 1)
        self.extras = ("sigma",) if config.sigma else ()
        if config.architecture == "rcan":
            self.untileable_reason = (
                "RCAN weighs its channels by their mean over the whole image, so it cannot be cut "
                "into tiles exactly: predict patch by patch, as it was trained."
            )
        features = config.features
        self.apart = Apart(config.stride)
        self.head = _convolution(config.in_channels * config.stride**2, features)
        self.body = nn.ModuleList(_body(config))
        self.tail = Tail(config)

    def program(self) -> list[Step]:
        config = self.config
        stride = config.stride
        steps: list[Step] = [Save("input", 1)] if config.offset else []
        steps += [Apply(self.apart, 1), Apply(self.head, stride)]
        # VDSR's one long skip is that of the image itself.
        skips = config.architecture != "vdsr"
        steps += [Save("head", stride)] if skips else []
        steps += [Apply(layer, stride) for layer in layers(self.body)]
        steps += [Merge("head", stride, torch.add)] if skips else []
        steps.append(Apply(self.tail, stride))
        steps += [Merge("input", 1, add_offset)] if config.offset else []
        return steps

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        return ()


class Apart(Layer):
    """Blocks of stride × stride pixels become channels."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, self.stride) if self.stride > 1 else x

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(margin.before * self.stride, margin.after * self.stride)


class Activated(Layer):
    """conv(relu(x)), of which VDSR is made."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv = _convolution(features, features)
        # As published. Without a skip or a normalisation between them, the signal would else
        # halve from layer to layer, until nothing is left by which to learn.
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        # What comes in has not been activated where it comes from the head.
        return self.conv(F.relu(x))

    def input_margin(self, margin: Margin) -> Margin:
        return self.conv.input_margin(margin)


class EnhancedBlock(Layer):
    """x + scale · conv(relu(conv(x))): a residual block without batch normalisation."""

    def __init__(self, features: int, scale: float) -> None:
        super().__init__()
        self.conv1 = _convolution(features, features)
        self.conv2 = _convolution(features, features)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x).mul(self.scale).add_(x)

    def residual(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(x)))

    def input_margin(self, margin: Margin) -> Margin:
        return self.conv1.input_margin(self.conv2.input_margin(margin))


class ChannelAttentionBlock(EnhancedBlock):
    """x + w · conv(relu(conv(x))), with a weight for every channel from its mean over the image.

    w = sigmoid(W₂ relu(W₁ mean)), W₁ to features / reduction channels and W₂ back.
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
    """x + conv(block(… block(x))): RCAN's residual group."""

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
    """To the target grid and its channels; beside the prediction sigma, stacked, if wanted.

    sigma = softplus(half of the output channels) + 0.001.
    """

    def __init__(self, config: SuperResConfig) -> None:
        super().__init__()
        features, stride = config.features, config.stride
        self.stride = stride
        self.spread = _convolution(features, features * stride**2) if stride > 1 else None
        heads = 2 if config.sigma else 1
        self.conv = _convolution(features, heads * config.out_channels)
        self.sigma = config.sigma
        if config.zero_output:
            nn.init.zeros_(self.conv.weight)
        if config.sigma and config.sigma_start is not None:
            own = slice(config.out_channels, None)
            bias = self.conv.bias
            assert bias is not None
            with torch.no_grad():
                begin_sigma(self.conv.weight[own], bias[own], config.sigma_start)

    def forward(self, x: Tensor) -> Tensor:
        if self.spread is None:
            y = self.conv(F.relu(x))
        else:
            y = self.conv(F.pixel_shuffle(self.spread(x), self.stride))
        if not self.sigma:
            return y
        prediction, sigma = y.chunk(2, dim=1)
        return torch.cat((prediction, F.softplus(sigma) + SIGMA_FLOOR), dim=1)

    def input_margin(self, margin: Margin) -> Margin:
        margin = self.conv.input_margin(margin)
        if self.spread is None:
            return margin
        return self.spread.input_margin(Margin(*(-(-pixels // self.stride) for pixels in margin)))


def _body(config: SuperResConfig) -> list[Layer]:
    features = config.features
    if config.architecture == "vdsr":
        return [Activated(features) for _ in range(config.blocks)]
    found: list[Layer]
    if config.architecture == "edsr":
        found = [EnhancedBlock(features, config.residual_scale) for _ in range(config.blocks)]
    else:
        found = [ResidualGroup(config) for _ in range(config.groups)]
    return [*found, _convolution(features, features)]


def _convolution(in_channels: int, out_channels: int) -> Convolution:
    return Convolution(2, in_channels, out_channels, 3, bias=True)
