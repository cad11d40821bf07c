"""Layers of the networks for whole images, in PyTorch alone.

Linear attention divides by the number of keys instead of taking a softmax, with s pixels X and r
learned reference rows R:

    A_R(X) = 1/(r + s) · q(X) · k([R; X])ᵀ · v([R; X])
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SPREAD = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
BATCH_NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
SIGMA_FLOOR = 1e-3
NEAREST = 4
Outputs = Tensor | tuple[Tensor, ...]


class Convolution(nn.Module):
    """A convolution with 'same' padding; with a stride the smaller half of it comes first."""

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        kernel: int | Sequence[int],
        *,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        size = [kernel] * dims if isinstance(kernel, int) else list(kernel)
        self.dims, self.stride = dims, stride
        total = [max(width - stride, 0) for width in size]
        self.padding = [part for n in reversed(total) for part in (n // 2, n - n // 2)]
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, *size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        padding: Sequence[int] = self.padding[::2][::-1]
        if self.padding[::2] != self.padding[1::2]:
            x, padding = F.pad(x, self.padding), [0] * self.dims
        return CONVOLVE[self.dims](x, self.weight, self.bias, self.stride, padding)


class TransposedConvolution(nn.Module):
    """The transpose of a strided convolution with 'same' padding: n pixels become n · stride."""

    def __init__(
        self,
        dims: int,
        inputs: int,
        outputs: int,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 2,
        bias: bool = False,
    ) -> None:
        super().__init__()
        size = [kernel] * dims if isinstance(kernel, int) else list(kernel)
        self.dims = dims
        self.stride = [stride] * dims if isinstance(stride, int) else list(stride)
        total = [max(w - s, 0) for w, s in zip(size, self.stride, strict=True)]
        self.before = [n // 2 for n in total]
        self.surplus = [n % 2 for n in total]
        self.weight = nn.Parameter(torch.zeros(inputs, outputs, *size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        y = SPREAD[self.dims](x, self.weight, self.bias, self.stride, self.before)
        kept = tuple(slice(None, -n if n else None) for n in self.surplus)
        return y[(..., *kept)]


class Activation(nn.Module):
    """relu6(bn(x)), or relu6(x)."""

    def __init__(self, dims: int, channels: int, has_norm: bool) -> None:
        super().__init__()
        self.norm = BATCH_NORM[dims](channels) if has_norm else None

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x if self.norm is None else self.norm(x))


class ResidualBlock(nn.Module):
    """conv(relu6(bn(conv(relu6(bn(x)))))) plus a shortcut; with stride 2 it down-samples."""

    def __init__(
        self, dims: int, inputs: int, outputs: int, has_norm: bool, stride: int = 1
    ) -> None:
        super().__init__()
        self.act1 = Activation(dims, inputs, has_norm)
        self.conv1 = Convolution(dims, inputs, outputs, 3, stride=stride)
        self.act2 = Activation(dims, outputs, has_norm)
        self.conv2 = Convolution(dims, outputs, outputs, 3)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = Convolution(dims, inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.act1(x)
        y = self.conv2(self.act2(self.conv1(activated)))
        return y + (x if self.shortcut is None else self.shortcut(activated))


class Normalised(nn.Module):
    """relu(bn(conv(x)))."""

    def __init__(self, conv: nn.Module, dims: int, channels: int, has_norm: bool) -> None:
        super().__init__()
        self.conv = conv
        self.norm = BATCH_NORM[dims](channels) if has_norm else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return F.relu(y if self.norm is None else self.norm(y))


class PlainBlock(nn.Module):
    """Twice relu(bn(conv(x)))."""

    def __init__(self, dims: int, inputs: int, outputs: int, has_norm: bool) -> None:
        super().__init__()
        first = Convolution(dims, inputs, outputs, 3, bias=True)
        second = Convolution(dims, outputs, outputs, 3, bias=True)
        self.first = Normalised(first, dims, outputs, has_norm)
        self.second = Normalised(second, dims, outputs, has_norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class Nearest(nn.Module):
    """Repetition of each pixel 4 × 4 times along the last two axes."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.factors = [1.0] * (dims - 2) + [float(NEAREST)] * 2

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factors, mode="nearest")


def query_projection(
    query: str, dims: int, inputs: int, outputs: int, *, bias: bool = True
) -> nn.Module:
    """Return the projection to the queries of an attention."""
    if query == "nearest":
        return Nearest(dims)
    if query == "up":
        return TransposedConvolution(dims, inputs, outputs, 3, bias=bias)
    if query == "down":
        return Convolution(dims, inputs, outputs, 3, stride=2, bias=bias)
    return Convolution(dims, inputs, outputs, 1, bias=bias)


class Attention(nn.Module):
    """Attention to the whole image and to the learned references, with its projections."""

    def __init__(self, config: dict[str, Any], dims: int, inputs: int, outputs: int, query: str):
        super().__init__()
        self.heads = config["heads"]
        self.has_softmax = config.get("normalisation") == "softmax"
        ratios = {"same": 1.0, "up": 2.0**dims, "down": 0.5**dims, "nearest": NEAREST**2.0}
        self.queries_per_key = ratios[query] if config["divisor"] == "queries" else 1.0
        self.q = query_projection(query, dims, inputs, outputs)
        self.k = Convolution(dims, inputs, outputs, 1, bias=True)
        self.v = Convolution(dims, inputs, outputs, 1, bias=True)
        self.out = Convolution(dims, outputs, outputs, 1, bias=True)
        self.references = None
        if config["references"]:
            self.references = nn.Parameter(torch.zeros(config["references"], inputs))

    def forward(self, x: Tensor, query: Tensor) -> Tensor:
        q, k, v = self._heads(query), self._heads(self.k(x)), self._heads(self.v(x))
        if self.has_softmax:
            q, k, v = (t.transpose(-1, -2) for t in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2)
        else:
            total = k @ v.transpose(-1, -2)
            count = k.shape[-1]
            if self.references is not None:
                rows = self.references
                keys = F.linear(rows, self.k.weight.flatten(1), self.k.bias)
                values = F.linear(rows, self.v.weight.flatten(1), self.v.bias)
                total = total + self._heads(keys.T[None]) @ self._heads(values.T[None]).mT
                count = count + rows.shape[0]
            mean = total * (total.shape[2] ** -0.5 / (count * self.queries_per_key))
            y = mean.transpose(-1, -2) @ q
        return self.out(y.reshape(query.shape))

    def _heads(self, x: Tensor) -> Tensor:
        """Return (N, C, pixels...) as (N, heads, C / heads, pixels)."""
        return x.flatten(2).unflatten(1, (self.heads, -1))


class AttentionBlock(nn.Module):
    """residual + A(relu6(bn(x)))."""

    def __init__(
        self,
        config: dict[str, Any],
        dims: int,
        inputs: int,
        outputs: int,
        *,
        query: str = "same",
        residual: str = "input",
    ) -> None:
        super().__init__()
        self.act = Activation(dims, inputs, config.get("batch_norm", False))
        self.attention = Attention(config, dims, inputs, outputs, query)
        self.residual_from = residual
        self.residual = None
        if residual == "convolution":
            self.residual = query_projection(query, dims, inputs, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.act(x)
        query = self.attention.q(activated)
        y = self.attention(activated, query)
        if self.residual is not None:
            return y + self.residual(activated)
        return y + (x if self.residual_from == "input" else query)


class Activated(nn.Module):
    """layer(relu6(x))."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(F.relu6(x))


def pixels_of_block(stride: int | Sequence[int], dims: int) -> int:
    """Return the pixels of a block, whose edge is one number or one for each axis."""
    return stride**dims if isinstance(stride, int) else prod(stride)


def unshuffled(x: Tensor, stride: int | Sequence[int]) -> Tensor:
    """Return blocks of pixels as channels: (N, C · pixels of a block, pixels / stride...)."""
    if stride == 1:
        return x
    dims = x.dim() - 2
    strides = [stride] * dims if isinstance(stride, int) else list(stride)
    for axis in reversed(range(2, 2 + dims)):
        x = x.unflatten(axis, (-1, strides[axis - 2]))
    order = [0, 1, *range(3, 3 + 2 * dims, 2), *range(2, 2 + 2 * dims, 2)]
    return x.permute(order).flatten(1, 1 + dims)


def shuffled(x: Tensor, stride: int | Sequence[int]) -> Tensor:
    """Return channels as blocks of pixels, the inverse of `unshuffled`."""
    if stride == 1:
        return x
    dims = x.dim() - 2
    x = x.unflatten(1, (-1, *([stride] * dims if isinstance(stride, int) else stride)))
    x = x.permute(0, 1, *(axis for k in range(dims) for axis in (2 + dims + k, 2 + k)))
    for axis in range(2, 2 + dims):
        x = x.flatten(axis, axis + 1)
    return x
