"""VDSR, EDSR and RCAN for whole images, in PyTorch alone."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.exchange.plain_layers import (
    SIGMA_FLOOR,
    Convolution,
    Outputs,
    shuffled,
    unshuffled,
)


class SuperRes(nn.Module):
    """VDSR, EDSR or RCAN."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        width, self.stride = config["features"], _stride(config)
        self.head = _spatial(config["in_channels"] * self.stride**2, width)
        self.body = nn.ModuleList(_body(config))
        self.tail = SuperResTail(config)

    def forward(self, x: Tensor) -> Outputs:
        config, image = self.config, x
        head = self.head(unshuffled(x, self.stride))
        y = head
        for layer in self.body:
            y = layer(y)
        y = self.tail(y if config["architecture"] == "vdsr" else y + head)
        if not config["sigma"]:
            return y + image if config["offset"] else y
        y, sigma = y.chunk(2, dim=1)
        return y + image if config["offset"] else y, F.softplus(sigma) + SIGMA_FLOOR


class VdsrLayer(nn.Module):
    """conv(relu(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _spatial(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.relu(x))


class EdsrBlock(nn.Module):
    """x + scale · conv(relu(conv(x))); for RCAN with a weight per channel, by their means."""

    def __init__(self, width: int, scale: float = 1.0, reduction: int = 0) -> None:
        super().__init__()
        self.conv1, self.conv2 = _spatial(width, width), _spatial(width, width)
        self.scale = scale
        self.squeeze = self.excite = None
        if reduction:
            self.squeeze = Convolution(2, width, width // reduction, 1, bias=True)
            self.excite = Convolution(2, width // reduction, width, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        if self.squeeze is None or self.excite is None:
            return y * self.scale + x
        weight = self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True))))
        return y * weight.sigmoid() + x


class ResidualGroup(nn.Module):
    """x + conv(block(… block(x)))."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["features"]
        self.blocks = nn.ModuleList(
            EdsrBlock(width, reduction=config["reduction"]) for _ in range(config["blocks"])
        )
        self.conv = _spatial(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in self.blocks:
            y = block(y)
        return self.conv(y) + x


class SuperResTail(nn.Module):
    """The output layer on the target grid."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, self.stride = config["features"], _stride(config)
        self.spread = _spatial(width, width * self.stride**2) if self.stride > 1 else None
        self.conv = _spatial(width, (2 if config["sigma"] else 1) * config["out_channels"])

    def forward(self, x: Tensor) -> Tensor:
        if self.spread is None:
            return self.conv(F.relu(x))
        return self.conv(shuffled(self.spread(x), self.stride))


def _stride(config: dict[str, Any]) -> int:
    return 1 if config["architecture"] == "vdsr" else 2


def _body(config: dict[str, Any]) -> list[nn.Module]:
    width = config["features"]
    if config["architecture"] == "vdsr":
        return [VdsrLayer(width) for _ in range(config["blocks"])]
    found: list[nn.Module]
    if config["architecture"] == "edsr":
        found = [EdsrBlock(width, config["residual_scale"]) for _ in range(config["blocks"])]
    else:
        found = [ResidualGroup(config) for _ in range(config["groups"])]
    return [*found, _spatial(width, width)]


def _spatial(inputs: int, outputs: int) -> Convolution:
    return Convolution(2, inputs, outputs, 3, bias=True)
