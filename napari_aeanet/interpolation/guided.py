"""A U-Net that improves the blend of the two neighbours as warped by optical flow."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from napari_aeanet.interpolation.config import GuidedConfig
from napari_aeanet.networks import UNetConfig, build


class GuidedNetwork(nn.Module):
    """m · w₀ + (1 - m) · w₂ + r, with m = sigmoid(U₁ + log((1 - t) / t)) and r = U₂.

    U is a U-Net of all four images, and t the position between the neighbours, where 0.5 is the
    middle. The output convolution starts with zeros: untrained, the network returns the blend of
    the flow, (1 - t) · w₀ + t · w₂.
    """

    in_channels = 4

    def __init__(self, config: GuidedConfig) -> None:
        super().__init__()
        self.config = config
        self.unet = build(
            UNetConfig(
                in_channels=self.in_channels,
                out_channels=2,
                features=config.features,
                levels=config.levels,
                unshuffle=config.unshuffle,
                encoder_blocks=(*[1] * (config.levels - 1), 0),
                decoder_blocks=(1,) * (config.levels - 1),
                bottom="block",
                batch_norm=False,
                out_bias=True,
                zero_output=True,
            )
        )

    def forward(self, images: Tensor, at: float = 0.5) -> Tensor:
        """Return the section (N, 1, H, W) at the position `at`, between 0 and 1.

        Parameters
        ----------
        images
            (N, 4, H, W): the neighbours before and after as aligned, then both as warped.
        """
        mask, residual = self.unet(images).chunk(2, dim=1)
        first, second = images[:, 2:3], images[:, 3:4]
        return torch.lerp(second, first, torch.sigmoid(mask + log((1 - at) / at))) + residual
