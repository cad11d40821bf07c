"""Batch normalisation over the images of all processes, on any device.

With the number n, mean m and variance v of the values of a channel in each process:

    N = Σ n,   mean = Σ n·m / N,   variance = Σ n·(v + (m - mean)²) / N

so that a step is that of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from napari_aeanet.processes.group import ProcessGroup


@contextmanager
def joint_norms(network: nn.Module, group: ProcessGroup) -> Iterator[None]:
    """Let all batch normalisations of a network see the whole batch while the block lasts."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)] if group.size > 1 else []
    for norm in norms:
        vars(norm)["forward"] = partial(_joint_norm, group, norm)  # in the place of its own
    try:
        yield
    finally:
        for norm in norms:
            del vars(norm)["forward"]


def _joint_norm(group: ProcessGroup, norm: _BatchNorm, x: Tensor) -> Tensor:
    """Return the normalised values, and follow the running statistics."""
    y, mean, variance, count = _JointNorm.apply(x, norm.weight, norm.bias, norm.eps, group)
    unbiased = variance * (count / (count - 1))
    followed, momentum = (norm.running_mean, norm.running_var), norm.momentum
    assert norm.num_batches_tracked is not None and momentum is not None
    with torch.no_grad():
        norm.num_batches_tracked.add_(1)
        for running, now in zip(followed, (mean, unbiased), strict=True):
            assert running is not None
            running.lerp_(now.to(running.dtype), momentum)
    return y


class _JointNorm(torch.autograd.Function):
    """y = (x - mean) / √(variance + eps) · weight + bias, and its gradient over all processes."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, group: ProcessGroup
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        values, axes = _wide(x), _axes(x)
        own_mean = values.mean(axes)
        own_variance = (values - _along(own_mean, x)).square_().mean(axes)
        own_count = own_mean.new_full((1,), x.numel() / x.shape[1])
        table = own_mean.new_zeros(group.size, 2 * len(own_mean) + 1)
        table[group.rank] = torch.cat((own_mean, own_variance, own_count))
        group.add([table])
        means, variances, counts = table.split([len(own_mean), len(own_mean), 1], 1)
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean) ** 2)).sum(0) / count
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, mean, scale, weight, count)
        ctx.group = group
        slope = weight * scale
        y = torch.addcmul(_along(bias - mean * slope, x), values, _along(slope, x))
        ctx.mark_non_differentiable(mean, variance, count)
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, scale, weight, count = ctx.saved_tensors
        dy, values = _wide(dy), _wide(x) - _along(mean, x)
        own = torch.stack((dy.sum(_axes(x)), (dy * values).sum(_axes(x)) * scale))
        total = own.clone()
        ctx.group.add([total])
        # dx = weight · scale · (dy - Σdy / N - values · scale · Σ(dy · values · scale) / N)
        slope, (shift, bend) = weight * scale, total / count
        dx = torch.addcmul(_along(-slope * shift, x), dy, _along(slope, x))
        dx.addcmul_(values, _along(-slope * scale * bend, x))
        # Like all gradients of parameters, these are added up later.
        return dx.to(x.dtype), own[1].to(weight.dtype), own[0].to(weight.dtype), None, None


def _wide(x: Tensor) -> Tensor:
    """Return values in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _axes(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


def _along(one: Tensor, x: Tensor) -> Tensor:
    """Return a value for each channel so that it fits x (N, C, pixels...)."""
    return one.view(1, -1, *[1] * (x.dim() - 2))
