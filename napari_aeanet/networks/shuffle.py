"""Rearrangement of pixels into channels and back, without loss.

A network between both computes at a coarser resolution, with as many features as at the full one
and thus with a fraction of the arithmetic.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from napari_aeanet.networks.blocks import CHANNELS_LAST, Layer, Margin


class _Rearrangement(Layer):
    """A layer for blocks of stride × stride (× stride) pixels."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride


class PixelUnshuffle(_Rearrangement):
    """Rearrangement of blocks of pixels into channels."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return x
        if x.dim() == 4:
            return F.pixel_unshuffle(x, self.stride)
        return _unshuffled(x, self.stride)

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(margin.before * self.stride, margin.after * self.stride)

    @property
    def shift(self) -> float:
        return (self.stride - 1) / 2


class PixelShuffle(_Rearrangement):
    """The inverse of `PixelUnshuffle`."""

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return x
        return F.pixel_shuffle(x, self.stride) if x.dim() == 4 else _shuffled(x, self.stride)

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(*(-(-pixels // self.stride) for pixels in margin))


def _unshuffled(x: Tensor, stride: int) -> Tensor:
    """Return `x` (N, C, pixels...) with C · stride^dims channels, in any number of dimensions."""
    dims = x.dim() - 2
    split = [part for size in x.shape[2:] for part in (size // stride, stride)]
    parts = x.reshape(*x.shape[:2], *split)
    coarse, inner = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    y = parts.permute(0, 1, *inner, *coarse)
    y = y.reshape(x.shape[0], x.shape[1] * stride**dims, *(size // stride for size in x.shape[2:]))
    layout = CHANNELS_LAST.get(y.dim())
    return y if layout is None else y.contiguous(memory_format=layout)


def _shuffled(x: Tensor, stride: int) -> Tensor:
    """Return `x` (N, C · stride^dims, pixels...) with C channels, in any number of dimensions."""
    dims = x.dim() - 2
    channels = x.shape[1] // stride**dims
    parts = x.reshape(x.shape[0], channels, *[stride] * dims, *x.shape[2:])
    order = [axis for k in range(dims) for axis in (2 + dims + k, 2 + k)]
    y = parts.permute(0, 1, *order)
    return y.reshape(x.shape[0], channels, *(size * stride for size in x.shape[2:]))
