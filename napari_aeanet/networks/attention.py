"""Linear attention as three functions - project, gather, apply - and the blocks around it.

Attention here divides by the number of keys instead of taking a softmax:

    A_R(X) = 1/(r + s) · q(X) · k([R; X])ᵀ · v([R; X])

with s pixels X and r learned reference rows R (none: self-attention). kᵀv is a small matrix per
head and a *sum over pixels*, so it may be gathered in any number of pieces: `Context` is that
sum, and nothing of size s × s is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.networks.blocks import Convolution, Layer, Margin, TransposedConvolution, glorot
from napari_aeanet.networks.config import AttentionNormalisation, Divisor

Query = Literal["same", "up", "down", "nearest"]

NEAREST = 4
"""The factor, in Y and X, of the query that is up-sampled without a convolution."""


@dataclass(frozen=True, kw_only=True)
class AttentionSettings:
    """What all attentions of a network have in common; each as in `UNetConfig`."""

    heads: int = 2
    references: int = 0
    batch_aware: bool = False
    divisor: Divisor = "keys"
    normalisation: AttentionNormalisation = "linear"


DEFAULT = AttentionSettings()


@dataclass(frozen=True, eq=False)
class Context:
    """What attention needs of the pixels it attends to: Σ k(x)ᵀ v(x), and their number.

    Contexts of disjoint pixels add up. `sum` has shape (N, heads, c_key, c_value); the share of
    the references is not in it (it is added when the context is applied).
    """

    sum: Tensor
    count: int

    def __add__(self, other: Context) -> Context:
        return Context(self.sum + other.sum, self.count + other.count)

    def on_host(self) -> Context:
        """Detached, in float64 on the host: how contexts of tiles are kept and added."""
        return Context(self.sum.detach().cpu().double(), self.count)

    def joined(self) -> Context:
        """One context of all images of the batch, for batch-aware attention."""
        return Context(self.sum.sum(0, keepdim=True), self.count * self.sum.shape[0])


def gather_context(k: Tensor, v: Tensor, heads: int) -> Context:
    """The context Σ kᵀv of keys (N, c_key, pixels...) and values (N, c_value, pixels...)."""
    k, v = split_heads(k, heads), split_heads(v, heads)
    if k.dtype in (torch.float16, torch.bfloat16):  # a sum over millions of pixels needs more
        k, v = k.float(), v.float()
    with torch.autocast(k.device.type, enabled=False):
        return Context(k @ v.transpose(-1, -2), k.shape[-1])


def apply(
    q: Tensor,
    context: Context,
    references: Context | None = None,
    *,
    queries_per_key: float = 1.0,
) -> Tensor:
    """Attention of queries (N, c_key, pixels...) to a context: (N, c_value, pixels...).

    q · (S + S_R) / (s + r), with q scaled by (c_key / heads)^-1/2. The small matrix is scaled
    and divided instead of the large map. With `queries_per_key` the divisor becomes the number
    of queries, which a tile cannot count.
    """
    total = context if references is None else context + _like(references, context)
    heads, width = total.sum.shape[1:3]
    mean = (total.sum * (width**-0.5 / (total.count * queries_per_key))).to(q.device, q.dtype)
    y = mean.transpose(-1, -2) @ split_heads(q, heads)  # (N, heads, c_value / heads, pixels)
    return y.flatten(1, 2).unflatten(-1, q.shape[2:])


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(N, C, pixels...) as (N, heads, C / heads, pixels)."""
    return x.flatten(2).unflatten(1, (heads, -1))


class Attention(nn.Module):
    """The attention operator with its projections q, k, v, its references and its output.

    Parameters
    ----------
    dims, in_channels, out_channels
        Spatial dimensions and channels; without a change of size both channels are the same.
    query
        How queries are made: "same" (1×1 convolution), "up" (3-wide transposed convolution with
        stride 2), "down" (3-wide convolution with stride 2) or "nearest" (the map itself,
        repeated 4 times in its last two axes).
    settings
        Heads, references and the like.
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
            self.queries_per_key = _queries_per_key(query, dims)
        self.q = query_projection(query, dims, in_channels, out_channels)
        self.k = Convolution(dims, in_channels, out_channels, 1, bias=True)
        self.v = Convolution(dims, in_channels, out_channels, 1, bias=True)
        self.out = Convolution(dims, out_channels, out_channels, 1, bias=True)
        self.references = None
        if settings.references:
            self.references = nn.Parameter(glorot(settings.references, in_channels))

    def gather(self, x: Tensor) -> Context:
        """The context of the pixels of x (N, C, pixels...)."""
        return gather_context(self.k(x), self.v(x), self.heads)

    def reference_keys(self) -> Tensor:
        """k(R), one row per reference: (r, c_key)."""
        if self.references is None:
            msg = "This attention has no shared references (it is self-attention)."
            raise ValueError(msg)
        return F.linear(self.references, self.k.weight.flatten(1), self.k.bias)

    def reference_context(self) -> Context | None:
        """The references' own share of every context; they pass k and v with their biases."""
        if self.references is None:
            return None
        values = F.linear(self.references, self.v.weight.flatten(1), self.v.bias)
        return gather_context(self.reference_keys().T[None], values.T[None], self.heads)

    def attend(self, q: Tensor, context: Context) -> Tensor:
        """A_R: queries attend to a context and the references, then the output transform."""
        return self.out(self._share(q, context, self.reference_context()))

    def attend_batch_aware(self, q: Tensor, x: Tensor) -> Tensor:
        """The training form: A_batch for the first half of the batch, A_R for the second.

        A batch of one has no first half; of an odd batch the first half is the smaller.
        """
        half = len(x) // 2
        context = self.gather(x)
        second = self._share(q[half:], _part(context, slice(half, None)), self.reference_context())
        if half == 0:
            return self.out(second)
        first = self._share(q[:half], _part(context, slice(half)).joined(), None)
        return self.out(torch.cat((first, second)))

    def attend_softmax(self, q: Tensor, x: Tensor) -> Tensor:
        """The dense form softmax(q kᵀ / √(c_key / heads)) v, by torch's fused kernel."""
        qs, ks, vs = (
            split_heads(t, self.heads).transpose(-1, -2) for t in (q, self.k(x), self.v(x))
        )
        y = F.scaled_dot_product_attention(qs, ks, vs)  # (N, heads, pixels, c_value / heads)
        return self.out(y.transpose(-1, -2).flatten(1, 2).unflatten(-1, q.shape[2:]))

    def _share(self, q: Tensor, context: Context, references: Context | None) -> Tensor:
        return apply(q, context, references, queries_per_key=self.queries_per_key)


class Nearest(Layer):
    """Each pixel repeated 4 × 4 times in the last two axes."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.factors = [1] * (dims - 2) + [NEAREST] * 2

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.factors, mode="nearest")

    def input_margin(self, margin: Margin) -> Margin:
        return Margin(-(-margin.before // NEAREST), -(-margin.after // NEAREST))


def query_projection(
    query: Query, dims: int, in_channels: int, out_channels: int, *, bias: bool = True
) -> Layer:
    if query == "nearest":
        return Nearest(dims)
    if query == "up":
        return TransposedConvolution(dims, in_channels, out_channels, 3, bias=bias)
    if query == "down":
        return Convolution(dims, in_channels, out_channels, 3, stride=2, bias=bias)
    return Convolution(dims, in_channels, out_channels, 1, bias=bias)


def _queries_per_key(query: Query, dims: int) -> float:
    return {"same": 1.0, "up": 2.0**dims, "down": 0.5**dims, "nearest": NEAREST**2.0}[query]


def _part(context: Context, images: slice) -> Context:
    return Context(context.sum[images], context.count)


def _like(references: Context, context: Context) -> Context:
    """Contexts of tiles are kept on the host in float64; so is then what is added to them."""
    return Context(references.sum.to(context.sum.device, context.sum.dtype), references.count)
