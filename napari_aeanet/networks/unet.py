"""U-Net, GVTNet and AEANet in two and three dimensions, as one network."""

from __future__ import annotations

from collections.abc import Sequence
from math import expm1, log, prod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.networks.attention import AttentionSettings, Query
from napari_aeanet.networks.attention_block import AttentionBlock, Residual
from napari_aeanet.networks.blocks import (
    Activation,
    Convolution,
    Layer,
    Margin,
    Normalised,
    PlainBlock,
    ResidualBlock,
    TransposedConvolution,
    layers,
)
from napari_aeanet.networks.config_base import SIGMA_FLOOR
from napari_aeanet.networks.config_unet import UNetConfig
from napari_aeanet.networks.network import AttentionGrid, Network
from napari_aeanet.networks.program import (
    Apply,
    Merge,
    Save,
    Step,
    attention_strides,
    per_axis,
)
from napari_aeanet.networks.shuffle import PixelShuffle, PixelUnshuffle

_RESIDUALS: dict[str, Residual] = {"attention_v1": "convolution", "attention_v2": "query"}


class UNet(Network):
    """The U-shaped network of a `UNetConfig`::

    first - encoder[0] ------------------------------- decoder[0] - output
                 down - encoder[1] ------------ decoder[1] - up
                             down - encoder[2] - bottom - up

    With `unshuffle`, blocks of pixels become channels before and pixels again after all this.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        dims = config.dims
        self.tiled_axes = dims
        self.grid = per_axis(config.stride_at(config.levels - 1), dims)
        self.extras = ("sigma",) if config.sigma else ()
        if config.normalisation == "softmax" and config.has_attention:
            self.untileable_reason = (
                "With softmax attention tiles would not give the same result, since a softmax over "
                "the whole image is not a sum over tiles. Use normalisation='linear', or predict "
                "the image as a whole or patch by patch."
            )
        plain = config.block == "plain"
        self.unshuffle = PixelUnshuffle(config.unshuffle)
        channels = config.in_channels * prod(config.blocks_of_pixels)
        self.first = None if plain else Convolution(dims, channels, config.features, 3)
        self.encoder = nn.ModuleList(EncoderLevel(config, k) for k in range(config.levels))
        self.bottom = _bottom(config)
        channels = config.features * 2 ** (config.levels - 1)
        self.behind = _block(config, channels, channels) if config.bottom == "both" else None
        self.decoder = nn.ModuleList(DecoderLevel(config, k) for k in range(config.levels - 1))
        self.output = OutputLayer(config)
        self.shuffle = PixelShuffle(config.unshuffle)

    def program(self) -> list[Step]:
        config, stride_at = self.config, self.config.stride_at
        steps: list[Step] = [Save("input", 1)] if config.offset else []
        if stride_at(0) != 1:
            steps.append(Apply(self.unshuffle, 1))
        if self.first is not None:
            steps.append(Apply(self.first, stride_at(0)))
        for k, level in enumerate(self._encoder()):
            if level.down is not None:
                finer = stride_at(k - 1)
                steps += [Save(f"level {k - 1}", finer), Apply(level.down, finer)]
            steps += [Apply(block, stride_at(k)) for block in layers(level.blocks)]
        if self.bottom is not None:
            steps.append(Apply(self.bottom, stride_at(config.levels - 1)))
        if self.behind is not None:
            steps.append(Apply(self.behind, stride_at(config.levels - 1)))
        join = torch.add if config.skip == "add" else concatenate
        for k, up in reversed(list(enumerate(self._decoder()))):
            steps += [Apply(up.up, stride_at(k + 1)), Merge(f"level {k}", stride_at(k), join)]
            steps += [Apply(block, stride_at(k)) for block in layers(up.blocks)]
        steps.append(Apply(self.output, stride_at(0)))
        if stride_at(0) != 1:
            steps.append(Apply(self.shuffle, stride_at(0)))
        if config.offset:
            steps.append(Merge("input", 1, add_offset))
        return steps

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        return self.grids_at([layer.stride for layer in self.config.attention_layers()])

    def key_grids(self) -> tuple[AttentionGrid, ...]:
        return self.grids_at(attention_strides(self.program()))

    def grids_at(self, strides: Sequence[int]) -> tuple[AttentionGrid, ...]:
        """Return the position of the maps of these strides, which are those along the last axis."""
        # Because of asymmetric padding, every down-sampling moves the centre of a level's first
        # pixel by `shift` pixels of the finer level. The grids of the decoder are those of the
        # encoder, since their maps are joined.
        config, grids = self.config, {}
        centre = tuple((edge - 1) / 2 for edge in config.blocks_of_pixels)
        for k, level in enumerate(self._encoder()):
            if level.down is not None:
                finer = per_axis(config.stride_at(k - 1), config.dims)
                shift = level.down.shift
                centre = tuple(c + s * shift for c, s in zip(centre, finer, strict=True))
            stride = per_axis(config.stride_at(k), config.dims)
            grids[stride[-1]] = AttentionGrid(stride, centre)
        return tuple(grids[stride] for stride in strides)

    def _encoder(self) -> list[EncoderLevel]:
        return cast("list[EncoderLevel]", list(self.encoder))

    def _decoder(self) -> list[DecoderLevel]:
        return cast("list[DecoderLevel]", list(self.decoder))


class EncoderLevel(nn.Module):
    """Down-sampling, except in the first level, followed by convolution blocks."""

    def __init__(self, config: UNetConfig, k: int) -> None:
        super().__init__()
        channels = config.features * 2**k
        before = config.features * 2 ** (k - 1) if k else config.features
        if k == 0:
            self.down = None
            inputs = config.in_channels * prod(config.blocks_of_pixels)
            before = inputs if config.block == "plain" else channels
        else:
            self.down = _down(config, k, before, channels)
            # Plain networks change the channels in the block, not in the down-sampling.
            before = before if config.block == "plain" else channels
        blocks = []
        for _ in range(config.encoder_blocks[k]):
            blocks.append(_block(config, before, channels))
            before = channels
        self.blocks = nn.ModuleList(blocks)


class DecoderLevel(nn.Module):
    """Up-sampling to this level and, after the encoder's map is joined, convolution blocks."""

    def __init__(self, config: UNetConfig, k: int) -> None:
        super().__init__()
        channels = config.features * 2**k
        self.up = _up(config, k + 1, 2 * channels, channels)
        joined = 2 * channels if config.skip == "concatenate" else channels
        blocks = []
        for number in range(config.decoder_blocks[k]):
            blocks.append(
                _block(config, joined, channels, overwrite=number == 0 and joined != channels)
            )
            joined = channels
        self.blocks = nn.ModuleList(blocks)


class OutputLayer(Layer):
    """Output convolution of relu6(bn(x)) and, stacked below it, sigma if wanted.

    The input of sigma is the map before bn and relu6, as published:
    sigma = softplus(conv(x)) + 0.001.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        dims, features = config.dims, config.features
        channels = config.out_channels * prod(config.blocks_of_pixels)
        # Plain blocks end with normalisation and activation.
        plain = config.block == "plain"
        self.act = None if plain else Activation(dims, features, _momentum(config))
        self.conv = Convolution(dims, features, channels, config.out_kernel, bias=config.out_bias)
        self.sigma = None
        if config.sigma:
            start = config.sigma_start
            has_bias = config.out_bias or start is not None
            self.sigma = Convolution(dims, features, channels, config.out_kernel, bias=has_bias)
            if start is not None:
                start_sigma(self.sigma.weight, self.sigma.bias, start)
        if config.zero_output:
            nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        prediction = self.conv(x if self.act is None else self.act(x))
        if self.sigma is None:
            return prediction
        return torch.cat((prediction, F.softplus(self.sigma(x)) + SIGMA_FLOOR), dim=1)

    def input_margin(self, margin: Margin) -> Margin:
        return self.conv.input_margin(margin)


def start_sigma(weight: Tensor, bias: Tensor | None, start: float) -> None:
    """Initialise a sigma head with the output `start` at every pixel.

    Random weights give about 0.7, far too large for images in the range of 0 to 1. The features
    would first adapt to that, and restore worse.
    """
    assert bias is not None
    nn.init.zeros_(weight)
    above = start - SIGMA_FLOOR
    nn.init.constant_(bias, above + log(-expm1(-above)))  # the inverse of softplus


def _momentum(config: UNetConfig) -> float | None:
    return config.batch_norm_momentum if config.batch_norm else None


def _block(
    config: UNetConfig, in_channels: int, out_channels: int, *, overwrite: bool = False
) -> Layer:
    if config.block == "plain":
        return PlainBlock(config.dims, in_channels, out_channels, momentum=_momentum(config))
    return ResidualBlock(
        config.dims, in_channels, out_channels, momentum=_momentum(config), overwrite=overwrite
    )


def _down(config: UNetConfig, k: int, in_channels: int, out_channels: int) -> Layer:
    dims, momentum, down = config.dims, _momentum(config), config.down_at(k)
    if config.block == "plain":
        conv = Convolution(dims, in_channels, in_channels, config.down_kernel, stride=2, bias=True)
        return Normalised(conv, dims, in_channels, momentum)
    if down == "convolution":
        return Convolution(dims, in_channels, out_channels, config.down_kernel, stride=2)
    if down == "residual":
        return ResidualBlock(dims, in_channels, out_channels, momentum=momentum, stride=2)
    return _attention(config, in_channels, out_channels, "down", _RESIDUALS[down])


def _bottom(config: UNetConfig) -> Layer | None:
    channels = config.features * 2 ** (config.levels - 1)
    if config.bottom in ("attention", "both"):
        query: Query = "same" if config.query == "pixels" else "learned"
        return _attention(config, channels, channels, query, "input")
    return None if config.bottom == "none" else _block(config, channels, channels)


def _up(config: UNetConfig, k: int, in_channels: int, out_channels: int) -> Layer:
    dims, momentum, up = config.dims, _momentum(config), config.up_at(k)
    if up != "transposed":
        return _attention(config, in_channels, out_channels, "up", _RESIDUALS[up])
    plain = config.block == "plain"
    conv = TransposedConvolution(dims, in_channels, out_channels, config.up_kernel, bias=plain)
    return Normalised(conv, dims, out_channels, momentum) if plain else conv


def _attention(
    config: UNetConfig, in_channels: int, out_channels: int, query: Query, residual: Residual
) -> AttentionBlock:
    return AttentionBlock(
        config.dims,
        in_channels,
        out_channels,
        momentum=_momentum(config),
        query=query,
        residual=residual,
        settings=AttentionSettings(
            heads=config.heads,
            references=config.references,
            batch_aware=config.batch_aware,
            divisor=config.divisor,
            normalisation=config.normalisation,
        ),
    )


def concatenate(up: Tensor, skip: Tensor) -> Tensor:
    """Return the channels of both maps, those of the up-sampled one first."""
    return torch.cat((up, skip), dim=1)


def add_offset(outputs: Tensor, x: Tensor) -> Tensor:
    """Add the input to the prediction, the first of the stacked outputs."""
    outputs.narrow(1, 0, x.shape[1]).add_(x)
    return outputs
