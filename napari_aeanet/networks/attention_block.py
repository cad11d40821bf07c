"""Residual block around an attention, evaluated in two stages.

It is pending (`PendingAttention`) until the global context is known, then an ordinary local layer
(`AttentionWithContext`), which large maps pass in blocks.
"""

from __future__ import annotations

import operator
from collections.abc import Generator
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import torch
from torch import Tensor

from napari_aeanet.networks.attention import (
    DEFAULT,
    Attention,
    AttentionSettings,
    Context,
    Query,
    query_projection,
)
from napari_aeanet.networks.blocks import Activation, Layer, Margin, crop, is_evaluating

Residual = Literal["input", "query", "convolution"]

GATHERED_AT_ONCE = 2**22
"""Numbers in a band of a map whose keys and values are computed at once on a CPU."""


@dataclass(frozen=True, eq=False)
class PendingAttention:
    """An attention without its context. Every method computes its result anew.

    Parameters
    ----------
    attention
        The operator.
    features
        Its activated input (N, C, pixels...), with the input margin of the query.
    interior
        Interior of `features` along its last axes; () is all of it.
    """

    attention: Attention
    features: Tensor
    interior: tuple[slice, ...] = ()

    def interior_features(self) -> Tensor:
        """Return the activated input over the interior."""
        return crop(self.features, self.interior)

    def gather(self) -> Context:
        """Return the context over the interior."""
        x = self.interior_features()
        rows = max(1, GATHERED_AT_ONCE * x.shape[2] // max(1, x.numel()))
        if x.device.type != "cpu" or torch.is_grad_enabled() or rows >= x.shape[2]:
            return self.attention.gather(x)
        # In bands, to avoid whole maps of keys and values.
        return reduce(operator.add, map(self.attention.gather, x.split(rows, dim=2)))

    def query(self) -> Tensor:
        """Return the unscaled query map over the interior, all heads in one: (N, c_key, ...)."""
        q = self.attention.q(self.features)
        first = q.dim() - len(self.interior)
        sizes = zip(q.shape[first:], self.features.shape[first:], self.interior, strict=True)
        return crop(q, [slice(s.start * nq // n, s.stop * nq // n) for nq, n, s in sizes])

    def keys(self) -> Tensor:
        """Return the keys of the image over the interior: (N, c_key, ...)."""
        return self.attention.k(self.interior_features())

    def reference_keys(self) -> Tensor:
        """Return the keys of the references: (r, c_key)."""
        return self.attention.reference_keys()


ForwardPass = Generator[PendingAttention, Context, Tensor]
"""A forward pass: yields each attention, is sent its context, and returns the output."""


class AttentionBlock(Layer):
    """A pre-activation residual block around attention: residual + A(relu6(bn(x))).

    Parameters
    ----------
    residual
        Summand of the attention: the raw "input", the unscaled "query", or a "convolution" of
        the activated input, like that of the query but without bias.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        *,
        momentum: float | None,
        query: Query = "same",
        residual: Residual = "input",
        settings: AttentionSettings = DEFAULT,
    ) -> None:
        super().__init__()
        self.act = Activation(dims, in_channels, momentum)
        self.attention = Attention(dims, in_channels, out_channels, query=query, settings=settings)
        self.residual_from = residual
        self.residual = None
        if residual == "convolution":
            self.residual = query_projection(query, dims, in_channels, out_channels, bias=False)

    @property
    def is_tileable(self) -> bool:
        """True if the block depends on pixels beyond its input margin by its context only."""
        return is_evaluating(self) and self.attention.normalisation == "linear"

    def pending(self, x: Tensor, interior: tuple[slice, ...] = ()) -> PendingAttention:
        """Return the attention before its context is known."""
        return PendingAttention(self.attention, self.act(x), interior)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output for a whole map, with its own context."""
        activated = self.act(x)
        attention = self.attention
        q = attention.q(activated)
        if attention.normalisation == "softmax":
            y = attention.attend_softmax(q, activated)
        elif self.training and attention.batch_aware:
            y = attention.attend_batch_aware(q, activated)
        else:
            y = attention.attend(q, attention.gather(activated))
        return self.add_residual(y, x, activated, q)

    def add_residual(self, y: Tensor, x: Tensor, activated: Tensor, q: Tensor) -> Tensor:
        """Return the sum of the attention `y`, overwritten, and the residual."""
        if self.residual is not None:
            return y.add_(self.residual(activated))
        return y.add_(x if self.residual_from == "input" else q)

    def input_margin(self, margin: Margin) -> Margin:
        return self.attention.q.input_margin(margin)

    @property
    def shift(self) -> float:
        return self.attention.q.shift


class AttentionWithContext(Layer):
    """An attention block with a known context, and thus a local layer."""

    def __init__(self, block: AttentionBlock, context: Context) -> None:
        super().__init__()
        self.block = block
        self.context = context

    def forward(self, x: Tensor) -> Tensor:
        activated = self.block.act(x)
        q = self.block.attention.q(activated)
        y = self.block.attention.attend(q, self.context)
        return self.block.add_residual(y, x, activated, q)

    def input_margin(self, margin: Margin) -> Margin:
        return self.block.input_margin(margin)
