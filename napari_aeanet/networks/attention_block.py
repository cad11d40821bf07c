"""The block around an attention: up to the context, and on from there.

Evaluated in two stages: pending (`PendingAttention`) until the global context is known, then an
ordinary local layer (`AttentionWithContext`), through which large maps go in blocks.
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
"""Numbers in a band of a map whose keys and values are computed at a time on a CPU."""


@dataclass(frozen=True, eq=False)
class PendingAttention:
    """An attention that has been reached and waits for its context.

    Nothing is computed before it is asked for.

    Parameters
    ----------
    attention
        The operator.
    features
        Its activated input (N, C, pixels...), with the margin its query reaches into.
    interior
        The part of `features` that counts, along its last axes; () is all of it.
    """

    attention: Attention
    features: Tensor
    interior: tuple[slice, ...] = ()

    def inside(self) -> Tensor:
        """The activated input over the interior."""
        return crop(self.features, self.interior)

    def gather(self) -> Context:
        """The context over the interior."""
        inside = self.inside()
        rows = max(1, GATHERED_AT_ONCE * inside.shape[2] // max(1, inside.numel()))
        if inside.device.type != "cpu" or torch.is_grad_enabled() or rows >= inside.shape[2]:
            return self.attention.gather(inside)
        # Bands, so that keys and values of a large map are never there as a whole.
        contexts = map(self.attention.gather, inside.split(rows, dim=2))
        return reduce(operator.add, contexts)

    def query(self) -> Tensor:
        """The query map over the interior, before heads are split and scaled: (N, c_key, ...)."""
        q = self.attention.q(self.features)
        first = q.dim() - len(self.interior)
        sizes = zip(q.shape[first:], self.features.shape[first:], self.interior, strict=True)
        return crop(q, [slice(s.start * nq // n, s.stop * nq // n) for nq, n, s in sizes])

    def keys(self) -> Tensor:
        """The keys of the image over the interior: (N, c_key, ...)."""
        return self.attention.k(self.inside())

    def reference_keys(self) -> Tensor:
        """The keys of the references: (r, c_key)."""
        return self.attention.reference_keys()


Pass = Generator[PendingAttention, Context, Tensor]
"""A network's way through its layers: yields each attention, is sent its context, returns."""


class AttentionBlock(Layer):
    """A pre-activation residual block around attention: residual + A(relu6(bn(x))).

    Parameters
    ----------
    residual
        What the attention is added to: the raw "input", the "query" itself (unscaled), or a
        "convolution" of the activated input, made as queries are but without bias.
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
    def waits(self) -> bool:
        """Whether a context is all the block needs beyond its reach, so that it can be cut."""
        return is_evaluating(self) and self.attention.normalisation == "linear"

    def pending(self, x: Tensor, interior: tuple[slice, ...] = ()) -> PendingAttention:
        """The attention, as far as it can be known without a context."""
        return PendingAttention(self.attention, self.act(x), interior)

    def given(self, context: Context) -> AttentionWithContext:
        """The block once its context is known: a layer like any other."""
        return AttentionWithContext(self, context)

    def forward(self, x: Tensor) -> Tensor:
        """The block on a whole map, gathering its own context."""
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
        """What the attention gave, and what it is added to."""
        if self.residual is not None:
            return y.add_(self.residual(activated))
        return y.add_(x if self.residual_from == "input" else q)

    def input_margin(self, margin: Margin) -> Margin:
        return self.attention.q.input_margin(margin)

    @property
    def shift(self) -> float:
        return self.attention.q.shift


class AttentionWithContext(Layer):
    """An attention block whose context is known, and which therefore only looks nearby."""

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
