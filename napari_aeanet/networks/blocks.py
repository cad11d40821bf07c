"""Convolutions and blocks, with the padding of the published networks.

Every layer declares its receptive field: `layer.input_margin(margin)` is the margin of the input
that an output with this margin depends on. The halos of tiles follow from it.

Padding is 'same', and asymmetric for a stride of 2: a 3-wide kernel has no padding before and one
pixel after, so that output pixel i depends on the input pixels 2i, 2i + 1 and 2i + 2::

    input    0   1   2   3   4   5  (0)
    output   '---0---'
                     '---1---'
                             '---2---'
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_SPREAD = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""The memory layout of maps, by their number of axes."""
_BATCH_NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
Module = TypeVar("Module", bound=nn.Module)


def channels_last(module: Module) -> Module:
    """Store the kernels of `module` so that its maps have their channels last; return it."""
    for parameter in module.parameters():
        if parameter.dim() in CHANNELS_LAST:
            layout = CHANNELS_LAST[parameter.dim()]
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return module


class Margin(NamedTuple):
    """Pixels beyond the two ends of an interior, along every axis that is tiled."""

    before: int = 0
    after: int = 0

    def union(self, other: Margin) -> Margin:
        """Return the larger of both margins, on each side."""
        return Margin(max(self.before, other.before), max(self.after, other.after))


class Layer(nn.Module):
    """A module with a declared receptive field."""

    def input_margin(self, margin: Margin) -> Margin:
        """Return the margin of the input that an output with `margin` depends on."""
        raise NotImplementedError

    @property
    def shift(self) -> float:
        """Distance from the first pixel of a stride to the centre of its receptive field."""
        raise NotImplementedError


class Convolution(Layer):
    """A convolution with 'same' padding: n pixels become n / stride.

    Parameters
    ----------
    dims, in_channels, out_channels
        Spatial dimensions and channels.
    kernel, stride
        One number, or one per axis.
    bias
        Add a bias.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        kernel: int | Sequence[int],
        *,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        size = _per_axis(kernel, dims)
        self.dims = dims
        self.stride = stride
        self.padding = [_same_padding(width, stride) for width in size]
        self.weight = nn.Parameter(glorot(out_channels, in_channels, *size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        even = all(before == after for before, after in self.padding)
        # One more stride of padding before adds one output there, which is dropped. This avoids
        # the padded copy of the input of torch's own asymmetric padding.
        padding = [before if even else before + self.stride for before, _ in self.padding]
        y = _CONVOLVE[self.dims](x, self.weight, self.bias, self.stride, padding)
        return y if even else crop(y, [slice(1, None)] * self.dims)

    def input_margin(self, margin: Margin) -> Margin:
        before, after = self.padding[-1]
        return Margin(margin.before * self.stride + before, margin.after * self.stride + after)

    @property
    def shift(self) -> float:
        before, _ = self.padding[-1]
        return (self.weight.shape[-1] - 1) / 2 - before


class TransposedConvolution(Layer):
    """The transpose of a strided convolution with 'same' padding: n pixels become n · stride."""

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 2,
        bias: bool = False,
    ) -> None:
        super().__init__()
        size = _per_axis(kernel, dims)
        self.dims = dims
        self.stride = _per_axis(stride, dims)
        self.before = [_same_padding(w, s)[0] for w, s in zip(size, self.stride, strict=True)]
        self.weight = nn.Parameter(glorot(in_channels, out_channels, *size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        y = _SPREAD[self.dims](x, self.weight, self.bias, self.stride, self.before)
        return crop(y, [slice(n * s) for n, s in zip(x.shape[2:], self.stride, strict=True)])

    def input_margin(self, margin: Margin) -> Margin:
        # Output o depends on the inputs i with 0 <= o + padding - i · stride < width.
        width, stride, padding = self.weight.shape[-1], self.stride[-1], self.before[-1]
        return Margin(
            (margin.before + width - 1 - padding) // stride,
            (margin.after - 1 + padding) // stride + 1,
        )


class Activation(Layer):
    """Batch normalisation, if the network has it, and relu6."""

    def __init__(self, dims: int, channels: int, momentum: float | None) -> None:
        super().__init__()
        self.norm = None if momentum is None else _BATCH_NORM[dims](channels, momentum=momentum)

    def forward(self, x: Tensor, *, overwrite: bool = False) -> Tensor:
        """Return relu6(bn(x)); with `overwrite` in the memory of x, if autograd allows it."""
        if self.norm is None:
            return F.relu6(x, inplace=overwrite)
        if overwrite and not self.norm.training and not torch.is_grad_enabled():
            scale, shift = _scale_and_shift(self.norm, x.dim())
            return torch.addcmul(shift, x, scale, out=x).clamp_(0, 6)
        return F.relu6(self.norm(x), inplace=True)

    def input_margin(self, margin: Margin) -> Margin:
        return margin


class ResidualBlock(Layer):
    """conv(relu6(bn(conv(relu6(bn(x)))))) plus a shortcut; with stride 2 it down-samples.

    If the channels or the size change, the shortcut is a 1×1 convolution of the activated input,
    otherwise the raw input.

    Parameters
    ----------
    overwrite
        Reuse the memory of the input, which no other layer reads (a concatenation).
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        *,
        momentum: float | None,
        stride: int = 1,
        overwrite: bool = False,
    ) -> None:
        super().__init__()
        self.act1 = Activation(dims, in_channels, momentum)
        self.conv1 = Convolution(dims, in_channels, out_channels, 3, stride=stride)
        self.act2 = Activation(dims, out_channels, momentum)
        self.conv2 = Convolution(dims, out_channels, out_channels, 3)
        self.shortcut: Convolution | None = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = Convolution(dims, in_channels, out_channels, 1, stride=stride)
        self.overwrite = overwrite and self.shortcut is not None

    def forward(self, x: Tensor) -> Tensor:
        activated = self.act1(x, overwrite=self.overwrite)
        shortcut = x if self.shortcut is None else self.shortcut(activated)
        y = self.conv1(activated)
        del activated, x  # large maps
        return self.conv2(self.act2(y, overwrite=True)).add_(shortcut)

    def input_margin(self, margin: Margin) -> Margin:
        return self.conv1.input_margin(self.conv2.input_margin(margin))

    @property
    def shift(self) -> float:
        return self.conv1.shift


class PlainBlock(Layer):
    """Twice relu(bn(conv(x))), as in the published label-free U-Net."""

    def __init__(
        self, dims: int, in_channels: int, out_channels: int, *, momentum: float | None
    ) -> None:
        super().__init__()
        first = Convolution(dims, in_channels, out_channels, 3, bias=True)
        second = Convolution(dims, out_channels, out_channels, 3, bias=True)
        self.first = Normalised(first, dims, out_channels, momentum)
        self.second = Normalised(second, dims, out_channels, momentum)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))

    def input_margin(self, margin: Margin) -> Margin:
        return self.first.input_margin(self.second.input_margin(margin))


class Normalised(Layer):
    """relu(bn(conv(x))) for a convolution or its transpose."""

    def __init__(
        self,
        conv: Convolution | TransposedConvolution,
        dims: int,
        channels: int,
        momentum: float | None,
    ) -> None:
        super().__init__()
        self.conv = conv
        self.norm = None if momentum is None else _BATCH_NORM[dims](channels, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return F.relu(y if self.norm is None else self.norm(y), inplace=True)

    def input_margin(self, margin: Margin) -> Margin:
        return self.conv.input_margin(margin)

    @property
    def shift(self) -> float:
        return self.conv.shift


class Activated(Layer):
    """layer(relu6(x))."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(F.relu6(x))

    def input_margin(self, margin: Margin) -> Margin:
        return self.layer.input_margin(margin)


def is_evaluating(module: nn.Module) -> bool:
    """Return True if every submodule is in eval mode, so that maps may be cut."""
    return not any(part.training for part in module.modules())


def layers(modules: nn.ModuleList) -> list[Layer]:
    """Return the members of a module list, typed as layers."""
    return cast("list[Layer]", list(modules))


def crop(x: Tensor, slices: Iterable[slice]) -> Tensor:
    """Return the given slices of the last axes."""
    where: tuple[Any, ...] = (..., *slices)
    return x[where]


def glorot(out_channels: int, in_channels: int, *size: int) -> Tensor:
    """Return a new weight of this shape, Glorot uniform, with channels last in memory.

    The maps then have their channels last too. On a CPU convolutions need not rearrange them, which
    makes large images nearly twice as fast.
    """
    weight = nn.init.xavier_uniform_(torch.empty(out_channels, in_channels, *size))
    layout = CHANNELS_LAST.get(weight.dim())
    return weight if layout is None else weight.contiguous(memory_format=layout)


def _same_padding(width: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after with which n pixels become n / stride."""
    total = max(width - stride, 0)
    return total // 2, total - total // 2


def _per_axis(value: int | Sequence[int], dims: int) -> list[int]:
    return [value] * dims if isinstance(value, int) else list(value)


def _scale_and_shift(norm: _BatchNorm, ndim: int) -> tuple[Tensor, Tensor]:
    """Return scale and shift with which x · scale + shift is normalised by running statistics."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shape = (1, -1, *[1] * (ndim - 2))
    return scale.view(shape), (norm.bias - mean * scale).view(shape)
