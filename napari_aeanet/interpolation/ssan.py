"""The siamese sparse attention network (SSAN) for the interpolation of sections."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.interpolation.config import SsanConfig, WarpLayer
from napari_aeanet.interpolation.extractors import FeatureExtractor
from napari_aeanet.interpolation.kernel_layer import KernelLayer
from napari_aeanet.interpolation.sparse_attention import SectionAttention
from napari_aeanet.networks import channels_last


@dataclass(frozen=True, eq=False)
class Warps:
    """The two warped sections and the weight of the first, each (N, 1, H, W)."""

    first: Tensor
    second: Tensor
    mask: Tensor

    @property
    def blended(self) -> Tensor:
        """m · first + (1 - m) · second."""
        return torch.lerp(self.second, self.first, self.mask)


class AttentionWarp(nn.Module):
    """Attention, then a convolution to one channel; with `residual` added to the section."""

    def __init__(self, config: SsanConfig) -> None:
        super().__init__()
        self.attention = SectionAttention(config.channels, config.layer, config.projections)
        self.conv = nn.Conv2d(config.channels, 1, 3, padding=1)
        self.residual = config.residual
        if config.residual:
            _start_with_zeros(self.conv)

    def forward(self, features: Tensor, section: Tensor) -> Tensor:
        y = self.conv(self.attention(features))
        return section + y if self.residual else y


class MaskNetwork(nn.Module):
    """The weight of the first warped section, from both features and both warped sections."""

    def __init__(self, channels: int, *, zero_output: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(2 * channels + 2, channels // 2, 3, padding=1)
        self.second = nn.Conv2d(channels // 2, 1, 3, padding=1)
        if zero_output:
            _start_with_zeros(self.second)

    def forward(self, *maps: Tensor) -> Tensor:
        return torch.sigmoid(self.second(F.relu(self.first(torch.cat(maps, dim=1)))))


class Ssan(nn.Module):
    """The middle section (N, 1, H, W) of two neighbours (N, 2, H, W) of any size::

    [I₀, I₂] - extractor - F₀₂ - layer - warp₀ -.
                            |              |    m · warp₀ + (1 - m) · warp₂
                           mask network m -|----'
                            |              |
    [I₂, I₀] - extractor - F₂₀ - layer - warp₂
    """

    in_channels = 2

    def __init__(self, config: SsanConfig) -> None:
        super().__init__()
        self.config = config
        self.extractor = FeatureExtractor(config)
        self.warp: nn.Module
        if config.layer is WarpLayer.KERNELS:
            self.warp = KernelLayer(config.channels, config.kernel)
        else:
            self.warp = AttentionWarp(config)
        self.mask = MaskNetwork(config.channels, zero_output=config.residual)
        channels_last(self)  # a seventh faster on a CPU

    def forward(self, neighbours: Tensor) -> Tensor:
        return self.warps(neighbours).blended

    def warps(self, neighbours: Tensor) -> Warps:
        """Return the two warped sections and their mask."""
        features = self.extractor(neighbours)
        sections = neighbours.split(1, dim=1)
        first, second = (self.warp(f, s) for f, s in zip(features, sections, strict=True))
        return Warps(first, second, self.mask(*features, first, second))


def _start_with_zeros(conv: nn.Conv2d) -> None:
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
