"""Residual dense network: features at full resolution, without pooling and batch normalisation.

x - conv - conv - block - block ... block - 1×1 of all blocks - conv -(+)- features
        '------------------------------------------------------------'
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseBlock(nn.Module):
    """x + 1×1 convolution of [x, y₁, y₂ ...], with yᵢ = relu(conv([x, y₁ ... yᵢ₋₁]))."""

    def __init__(self, channels: int, convolutions: int, growth: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels + number * growth, growth, 3, padding=1)
            for number in range(convolutions)
        )
        self.fusion = nn.Conv2d(channels + convolutions * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        joined = x
        for convolution in self.convolutions:
            joined = torch.cat((joined, F.relu(convolution(joined))), dim=1)
        return x + self.fusion(joined)


class ResidualDenseNetwork(nn.Module):
    """Features (N, `channels`, H, W) of images (N, `in_channels`, H, W)."""

    def __init__(
        self, in_channels: int, channels: int, *, blocks: int, convolutions: int, growth: int
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            DenseBlock(channels, convolutions, growth) for _ in range(blocks)
        )
        self.fusion = nn.Sequential(
            nn.Conv2d(blocks * channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        y = self.second(first)
        outputs = []
        for block in self.blocks:
            y = block(y)
            outputs.append(y)
        return first + self.fusion(torch.cat(outputs, dim=1))
