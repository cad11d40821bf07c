"""Linear attention in three steps: project, gather, apply.

Attention divides by the number of keys instead of taking a softmax:

    A_R(X) = 1/(r + s) · q(X) · k([R; X])ᵀ · v([R; X])

with s pixels X and r learned reference rows R (self-attention if r = 0). kᵀv is a small matrix per
head and a *sum over pixels*, which can be gathered tile by tile: the `Context`. No matrix of size
s × s is formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.networks.blocks import Convolution, Layer, Margin, TransposedConvolution, glorot
from napari_aeanet.networks.config_unet import AttentionNormalisation, Divisor

Query = Literal["same", "up", "down", "nearest", "learned"]

NEAREST = 4
"""The factor, in Y and X, of the query that is up-sampled without a convolution."""


@dataclass(frozen=True, kw_only=True)
class AttentionSettings:
    """Settings of all attentions of a network, as in `UNetConfig`."""

    heads: int = 2
    references: int = 0
    batch_aware: bool = False
    divisor: Divisor = "keys"
    normalisation: AttentionNormalisation = "linear"


DEFAULT = AttentionSettings()


@dataclass(frozen=True, eq=False)
class Context:
    """Sum Σ k(x)ᵀ v(x) over the pixels of an attention, and their number.

    Contexts of disjoint pixels add up. `sum` has the shape (N, heads, c_key, c_value). The
    references are added when the context is applied.
    """

    sum: Tensor
    count: int

    def __add__(self, other: Context) -> Context:
        return Context(self.sum + other.sum, self.count + other.count)

    def on_host(self) -> Context:
        """Return a detached copy in float64 on the host, to be added to others."""
        return Context(self.sum.detach().cpu().double(), self.count)

    def joined(self) -> Context:
        """Return one context of all images of the batch, for batch-aware attention."""
        return Context(self.sum.sum(0, keepdim=True), self.count * self.sum.shape[0])


def gather_context(k: Tensor, v: Tensor, heads: int) -> Context:
    """Return the context Σ kᵀv of keys (N, c_key, pixels...) and values (N, c_value, pixels...)."""
    k, v = split_heads(k, heads), split_heads(v, heads)
    if k.dtype in (torch.float16, torch.bfloat16):  # too few digits to sum millions of pixels
        k, v = k.float(), v.float()
    with torch.autocast(k.device.type, enabled=False):
        return Context(k @ v.transpose(-1, -2), k.shape[-1])


def apply_context(
    q: Tensor,
    context: Context,
    references: Context | None = None,
    *,
    queries_per_key: float = 1.0,
) -> Tensor:
    """Return the attention of queries (N, c_key, pixels...) to a context: (N, c_value, pixels...).

    q · (S + S_R) / (s + r), with q scaled by (c_key / heads)^-1/2. The factors are applied to the
    small matrix instead of the large map. `queries_per_key` turns the divisor into the number of
    queries, which cannot be counted in a tile.
    """
    total = context
    if references is not None:  # like the contexts of tiles, which are on the host in float64
        own = references.sum.to(context.sum.device).to(context.sum.dtype)
        total = context + Context(own, references.count)
    heads, width = total.sum.shape[1:3]
    # The host changes the type, since Apple's GPU has no float64.
    mean = (total.sum * (width**-0.5 / (total.count * queries_per_key))).to(q.dtype).to(q.device)
    y = mean.transpose(-1, -2) @ split_heads(q, heads)  # (N, heads, c_value / heads, pixels)
    return y.flatten(1, 2).unflatten(-1, q.shape[2:])


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return (N, C, pixels...) as (N, heads, C / heads, pixels)."""
    return x.flatten(2).unflatten(1, (heads, -1))


class Attention(nn.Module):
    """The attention operator with its projections q, k, v, its references and its output.

    Parameters
    ----------
    dims, in_channels, out_channels
        Spatial dimensions and channels; equal unless the attention changes the size.
    query
        Projection of the queries: "same" (1×1 convolution), "up" (3-wide transposed convolution
        with stride 2), "down" (3-wide convolution with stride 2), "nearest" (the map itself,
        repeated 4 times along its last two axes) or "learned" (one vector for all pixels).
    settings
        Heads, references and others.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        *,
        query: Query = "same",
        settings: AttentionSettings = DEFAULT,
    ) -> None:
        super().__init__()
        self.heads = settings.heads
        self.batch_aware = settings.batch_aware
        self.normalisation = settings.normalisation
        self.queries_per_key = 1.0
        if settings.divisor == "queries":
            ratios = {"up": 2.0**dims, "down": 0.5**dims, "nearest": NEAREST**2.0}
            self.queries_per_key = ratios.get(query, 1.0)
        self.q = query_projection(query, dims, in_channels, out_channels)
        self.k = Convolution(dims, in_channels, out_channels, 1, bias=True)
        self.v = Convolution(dims, in_channels, out_channels, 1, bias=True)
        self.out = Convolution(dims, out_channels, out_channels, 1, bias=True)
        self.references = None
        if settings.references:
            self.references = nn.Parameter(glorot(settings.references, in_channels))

    def gather(self, x: Tensor) -> Context:
        """Return the context of the pixels of x (N, C, pixels...)."""
        return gather_context(self.k(x), self.v(x), self.heads)

    def reference_keys(self) -> Tensor:
        """Return k(R), one row per reference: (r, c_key)."""
        if self.references is None:
            raise ValueError("This attention has no shared references (it is self-attention).")
        return F.linear(self.references, self.k.weight.flatten(1), self.k.bias)

    def reference_context(self) -> Context | None:
        """Return the context of the references, whose keys and values include the biases."""
        if self.references is None:
            return None
        values = F.linear(self.references, self.v.weight.flatten(1), self.v.bias)
        return gather_context(self.reference_keys().T[None], values.T[None], self.heads)

    def attend(self, q: Tensor, context: Context) -> Tensor:
        """Return A_R, attention to a context and the references, after the output transform."""
        return self.out(self._linear_attention(q, context, self.reference_context()))

    def attend_batch_aware(self, q: Tensor, x: Tensor) -> Tensor:
        """Return the training form: A_batch for the first half of the batch, A_R for the second.

        The first half of an odd batch is the smaller one.
        """
        half = len(x) // 2
        context = self.gather(x)
        own = Context(context.sum[half:], context.count)
        second = self._linear_attention(q[half:], own, self.reference_context())
        if half == 0:
            return self.out(second)
        common = Context(context.sum[:half], context.count).joined()
        return self.out(torch.cat((self._linear_attention(q[:half], common, None), second)))

    def attend_softmax(self, q: Tensor, x: Tensor) -> Tensor:
        """Return the dense form softmax(q kᵀ / √(c_key / heads)) v, by torch's fused kernel."""
        qs, ks, vs = (
            split_heads(t, self.heads).transpose(-1, -2) for t in (q, self.k(x), self.v(x))
        )
        y = F.scaled_dot_product_attention(qs, ks, vs)  # (N, heads, pixels, c_value / heads)
        return self.out(y.transpose(-1, -2).flatten(1, 2).unflatten(-1, q.shape[2:]))

    def _linear_attention(self, q: Tensor, context: Context, references: Context | None) -> Tensor:
        return apply_context(q, context, references, queries_per_key=self.queries_per_key)


class Nearest(Layer):
    """Up-sampling by repeating each pixel 4 × 4 times along the last two axes."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.factors = [1] * (dims - 2) + [NEAREST] * 2

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factors, mode="nearest")

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(-(-margin.before // NEAREST), -(-margin.after // NEAREST))


class LearnedQuery(Layer):
    """A learned query, the same for all pixels of all images.

    The attention is then invariant under permutations of the pixels: no place differs from another.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.row = nn.Parameter(glorot(1, channels))

    def forward(self, x: Tensor) -> Tensor:
        row = self.row.reshape(1, -1, *(1,) * (x.dim() - 2))
        return row.expand(len(x), -1, *x.shape[2:])

    def input_margin(self, margin: Margin) -> Margin:
        return margin

    @property
    def shift(self) -> float:
        return 0.0


def query_projection(
    query: Query, dims: int, in_channels: int, out_channels: int, *, bias: bool = True
) -> Layer:
    """Return a new projection of the queries."""
    if query == "nearest":
        return Nearest(dims)
    if query == "learned":
        return LearnedQuery(out_channels)
    if query == "up":
        return TransposedConvolution(dims, in_channels, out_channels, 3, bias=bias)
    if query == "down":
        return Convolution(dims, in_channels, out_channels, 3, stride=2, bias=bias)
    return Convolution(dims, in_channels, out_channels, 1, bias=bias)
