"""Rearrangement of pixels into channels and back, without loss.

A network between both computes at a coarser resolution, with as many features as at the full one
and thus with a fraction of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch.nn.functional as F
from torch import Tensor

from napari_aeanet.networks.blocks import CHANNELS_LAST, Layer, Margin


class _Rearrangement(Layer):
    """A layer for blocks of pixels, whose edge is one number or one for each axis."""

    def __init__(self, stride: int | Sequence[int]) -> None:
        super().__init__()
        self.strides = (stride,) if isinstance(stride, int) else tuple(stride)

    def _per_axis(self, x: Tensor) -> tuple[int, ...]:
        return self.strides * (x.dim() - 2) if len(self.strides) == 1 else self.strides


class PixelUnshuffle(_Rearrangement):
    """Rearrangement of blocks of pixels into channels."""

    def forward(self, x: Tensor) -> Tensor:
        strides = self._per_axis(x)
        if max(strides) == 1:
            return x
        if x.dim() == 4 and strides[0] == strides[1]:
            return F.pixel_unshuffle(x, strides[0])
        return _unshuffled(x, strides)

    def input_margin(self, margin: Margin) -> Margin:
        widest = max(self.strides)
        return Margin(margin.before * widest, margin.after * widest)


class PixelShuffle(_Rearrangement):
    """The inverse of `PixelUnshuffle`."""

    def forward(self, x: Tensor) -> Tensor:
        strides = self._per_axis(x)
        if max(strides) == 1:
            return x
        if x.dim() == 4 and strides[0] == strides[1]:
            return F.pixel_shuffle(x, strides[0])
        return _shuffled(x, strides)

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(*(-(-pixels // min(self.strides)) for pixels in margin))


def _unshuffled(x: Tensor, strides: Sequence[int]) -> Tensor:
    """Return `x` (N, C, pixels...) with the pixels of a block as channels."""
    dims = x.dim() - 2
    coarse_size = [size // s for size, s in zip(x.shape[2:], strides, strict=True)]
    split = [part for both in zip(coarse_size, strides, strict=True) for part in both]
    parts = x.reshape(*x.shape[:2], *split)
    coarse, inner = range(2, 2 + 2 * dims, 2), range(3, 3 + 2 * dims, 2)
    y = parts.permute(0, 1, *inner, *coarse)
    y = y.reshape(x.shape[0], x.shape[1] * prod(strides), *coarse_size)
    layout = CHANNELS_LAST.get(y.dim())
    return y if layout is None else y.contiguous(memory_format=layout)


def _shuffled(x: Tensor, strides: Sequence[int]) -> Tensor:
    """Return `x` (N, C · pixels of a block, pixels...) with C channels."""
    dims = x.dim() - 2
    channels = x.shape[1] // prod(strides)
    parts = x.reshape(x.shape[0], channels, *strides, *x.shape[2:])
    order = [axis for k in range(dims) for axis in (2 + dims + k, 2 + k)]
    y = parts.permute(0, 1, *order)
    sizes = (size * s for size, s in zip(x.shape[2:], strides, strict=True))
    return y.reshape(x.shape[0], channels, *sizes)
