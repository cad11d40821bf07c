"""The surface projection for whole volumes, in PyTorch alone."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.exchange.plain_layers import (
    NEAREST,
    Activated,
    AttentionBlock,
    Convolution,
    Outputs,
    ResidualBlock,
    TransposedConvolution,
)
from napari_aeanet.exchange.plain_unet import UNet


class Projection(nn.Module):
    """Projection of the surface in a volume, p = 1/Z · Σ_z w · volume, and a 2D network for p."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        n, kernel = config["projection_features"], (3, 5, 5)
        self.shrink = nn.ModuleList(
            [Convolution(3, 1, n, kernel, bias=True), _activated(n, n, kernel)]
        )
        self.bottom: nn.Module
        ups: list[nn.Module]
        if config["attention"]:
            self.bottom = AttentionBlock(config, 3, n, n)
            ups = [
                AttentionBlock(config, 3, n, n, query="nearest", residual="query") for _ in range(2)
            ]
        else:
            size = (1, NEAREST, NEAREST)
            self.bottom = ResidualBlock(3, n, n, False)
            ups = [Activated(TransposedConvolution(3, n, n, size, stride=size)) for _ in range(2)]
        self.side = _activated(n, n, kernel)
        self.up = nn.ModuleList(ups)
        self.mix = nn.ModuleList(_activated(n, n, kernel) for _ in range(2))
        self.weigh = _activated(n, 1, (5, 5, 5))
        self.image = UNet(config["image"])

    def forward(self, volume: Tensor) -> Outputs:
        x = volume
        for layer in self.shrink:
            x = F.max_pool3d(layer(x), (1, NEAREST, NEAREST))
        x = self.bottom(x) + self.side(x)
        for k in (1, 0):
            x = self.mix[k](self.up[k](x))
        contributions = self.weigh(x) * volume
        height = contributions.argmax(2).to(contributions.dtype)
        restored = self.image(contributions.mean(2))
        return (*(restored if isinstance(restored, tuple) else (restored,)), height)


def _activated(inputs: int, outputs: int, kernel: tuple[int, ...]) -> Activated:
    return Activated(Convolution(3, inputs, outputs, kernel, bias=True))
