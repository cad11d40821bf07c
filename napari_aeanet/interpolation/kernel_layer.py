"""Warping by estimated kernels, for comparison with attention (separable convolution, SepConv)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KernelLayer(nn.Module):
    """Filter a section in every pixel with a separable kernel that the features tell.

    warped(y, x) = Σᵢ v_i(y, x) Σⱼ h_j(y, x) · section(y + i, x + j), with i and j from -r to r.
    At the start, v and h are 1 at the centre and 0 elsewhere: the section is returned as it is.
    Beyond its border, a section continues with its outermost pixels.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.taps = nn.Conv2d(channels, 2 * kernel, 3, padding=1)
        nn.init.zeros_(self.taps.weight)
        assert self.taps.bias is not None
        with torch.no_grad():
            self.taps.bias.copy_(torch.eye(kernel)[kernel // 2].repeat(2))

    def forward(self, features: Tensor, section: Tensor) -> Tensor:
        """Return the section (N, 1, H, W) as warped by the features (N, C, H, W)."""
        vertical, horizontal = self.taps(features).chunk(2, dim=1)
        radius, height = self.kernel // 2, section.shape[2]
        padded = F.pad(section, (radius,) * 4, mode="replicate")
        rows = padded.squeeze(1).unfold(2, self.kernel, 1)  # (n, h + 2r, w, taps), a view
        result = torch.zeros_like(section.squeeze(1))
        for i in range(self.kernel):
            filtered = torch.einsum("ntyx,nyxt->nyx", horizontal, rows[:, i : i + height])
            result = result + vertical[:, i] * filtered
        return result.unsqueeze(1)
