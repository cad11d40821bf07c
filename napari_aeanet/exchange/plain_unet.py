"""U-Net, GVTNet and AEANet for whole images, in PyTorch alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.exchange.plain_layers import (
    SIGMA_FLOOR,
    Activation,
    AttentionBlock,
    Convolution,
    Normalised,
    Outputs,
    PlainBlock,
    ResidualBlock,
    TransposedConvolution,
    pixels_of_block,
    shuffled,
    unshuffled,
)


class UNet(nn.Module):
    """U-Net, GVTNet or AEANet."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        dims, width, levels = config["dims"], config["features"], config["levels"]
        channels = config["in_channels"] * pixels_of_block(config["unshuffle"], dims)
        is_plain = config["block"] == "plain"
        self.first = None if is_plain else Convolution(dims, channels, width, 3)
        self.encoder = nn.ModuleList(_encoder_level(config, k) for k in range(levels))
        self.bottom = _bottom(config)
        self.decoder = nn.ModuleList(_decoder_level(config, k) for k in range(levels - 1))
        self.output = UNetOutput(config)

    def forward(self, x: Tensor) -> Outputs:
        config, image = self.config, x
        x = unshuffled(x, config["unshuffle"])
        x = x if self.first is None else self.first(x)
        skips = []
        levels: list[Any] = list(self.encoder)
        for level in levels:
            if level.down is not None:
                skips.append(x)
                x = level.down(x)
            for block in level.blocks:
                x = block(x)
        x = x if self.bottom is None else self.bottom(x)
        ups: list[Any] = list(self.decoder)
        for level, skip in zip(reversed(ups), reversed(skips), strict=True):
            x = level.up(x)
            x = x + skip if config["skip"] == "add" else torch.cat((x, skip), dim=1)
            for block in level.blocks:
                x = block(x)
        outputs = [shuffled(y, config["unshuffle"]) for y in self.output(x)]
        if config["offset"]:
            outputs[0] = outputs[0] + image
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


class Level(nn.Module):
    """The parts of a level of a U-Net, by their names."""

    def __init__(self, blocks: Sequence[nn.Module], **parts: nn.Module | None) -> None:
        super().__init__()
        for name, part in parts.items():
            self.register_module(name, part)
        self.blocks = nn.ModuleList(blocks)


class UNetOutput(nn.Module):
    """The prediction conv(relu6(bn(x))) and, if wanted, sigma = softplus(conv(x)) + 0.001."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        dims, width, kernel = config["dims"], config["features"], config["out_kernel"]
        channels = config["out_channels"] * pixels_of_block(config["unshuffle"], dims)
        is_plain = config["block"] == "plain"
        self.act = None if is_plain else Activation(dims, width, config["batch_norm"])
        self.conv = Convolution(dims, width, channels, kernel, bias=config["out_bias"])
        self.sigma = None
        if config["sigma"]:
            has_bias = config["out_bias"] or config["sigma_start"] is not None
            self.sigma = Convolution(dims, width, channels, kernel, bias=has_bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = [self.conv(x if self.act is None else self.act(x))]
        if self.sigma is not None:
            found.append(F.softplus(self.sigma(x)) + SIGMA_FLOOR)
        return found


def _block(config: dict[str, Any], inputs: int, outputs: int) -> nn.Module:
    kind = PlainBlock if config["block"] == "plain" else ResidualBlock
    return kind(config["dims"], inputs, outputs, config["batch_norm"])


def _blocks(config: dict[str, Any], count: int, inputs: int, outputs: int) -> list[nn.Module]:
    return [_block(config, outputs if number else inputs, outputs) for number in range(count)]


def _attention(
    config: dict[str, Any], inputs: int, outputs: int, query: str, version: str
) -> AttentionBlock:
    residual = {"attention_v1": "convolution", "attention_v2": "query"}[version]
    return AttentionBlock(config, config["dims"], inputs, outputs, query=query, residual=residual)


def _encoder_level(config: dict[str, Any], k: int) -> Level:
    dims, is_plain = config["dims"], config["block"] == "plain"
    outputs = config["features"] * 2**k
    inputs = (
        outputs // 2 if k else config["in_channels"] * pixels_of_block(config["unshuffle"], dims)
    )
    # Plain networks change the channels in the block, not in the down-sampling.
    first = inputs if is_plain else outputs
    down: nn.Module | None = None
    if k and is_plain:
        conv = Convolution(dims, inputs, inputs, config["down_kernel"], stride=2, bias=True)
        down = Normalised(conv, dims, inputs, config["batch_norm"])
    elif k and config["down"] == "convolution":
        down = Convolution(dims, inputs, outputs, config["down_kernel"], stride=2)
    elif k and config["down"] == "residual":
        down = ResidualBlock(dims, inputs, outputs, config["batch_norm"], stride=2)
    elif k:
        down = _attention(config, inputs, outputs, "down", config["down"])
    return Level(_blocks(config, config["encoder_blocks"][k], first, outputs), down=down)


def _bottom(config: dict[str, Any]) -> nn.Module | None:
    channels = config["features"] * 2 ** (config["levels"] - 1)
    if config["bottom"] == "attention":
        return AttentionBlock(config, config["dims"], channels, channels)
    return None if config["bottom"] == "none" else _block(config, channels, channels)


def _decoder_level(config: dict[str, Any], k: int) -> Level:
    dims, is_plain = config["dims"], config["block"] == "plain"
    outputs = config["features"] * 2**k
    up: nn.Module
    if config["up"] != "transposed":
        up = _attention(config, 2 * outputs, outputs, "up", config["up"])
    else:
        up = TransposedConvolution(dims, 2 * outputs, outputs, config["up_kernel"], bias=is_plain)
        up = Normalised(up, dims, outputs, config["batch_norm"]) if is_plain else up
    joined = 2 * outputs if config["skip"] == "concatenate" else outputs
    return Level(_blocks(config, config["decoder_blocks"][k], joined, outputs), up=up)
