"""Attention of pixels in groups: sparse, one-level interlaced, and dense.

Along an axis, a grouping with step s and window w divides the pixels into windows of w pixels; in
each window, pixels s apart attend together. With s = 2 and w = 6::

    pixel   0  1  2  3  4  5 | 6  7  8  9 10 11
    group   a  b  a  b  a  b | c  d  c  d  c  d

Per axis a group has w / s tokens, in the plane the square of that. The published sparse layer has
three attentions in a row. It divides the map into 8 × 8 sub-maps (every eighth pixel). In each
sub-map, pixels 4 apart attend together (window: all, step: 32), then blocks of 4 × 4 pixels
(window: 32, step: 8). Blocks of 8 × 8 pixels of the whole map come last (window: 8, step: 1).

Maps of any size are reflected about their outermost pixels up to multiples of 32, half of the
missing pixels before and half after (`pad_to_grid`), and the result is cropped. Reflected pixels
are keys like others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_aeanet.core.tiles import grid_padding
from napari_aeanet.interpolation.config import GRID, Projections, WarpLayer
from napari_aeanet.networks import pad_to_grid

#: Channels per channel of queries and keys, and per channel of the values of the text's form.
KEY_REDUCTION, TEXT_REDUCTION = 8, 2
#: Groups in one call: CUDA kernels take at most 65,535.
MOST_GROUPS = 2**14


@dataclass(frozen=True)
class Grouping:
    """Pixels that attend together: those `step` apart in windows of `window` pixels (None: all)."""

    step: int
    window: int | None = None

    def tokens(self, height: int, width: int) -> int:
        """Return the number of pixels in a group, on a map whose sides are multiples of `GRID`."""
        return ((self.window or height) // self.step) * ((self.window or width) // self.step)


GROUPINGS = {
    WarpLayer.SPARSE: (Grouping(32), Grouping(8, 32), Grouping(1, 8)),
    WarpLayer.INTERLACED: (Grouping(8), Grouping(1, 8)),
    WarpLayer.DENSE: (Grouping(1),),
}


class GroupedAttention(nn.Module):
    """y = x + γ · out(softmax(scale · q kᵀ) v) in every group, with γ = 0 at the start.

    q and k have c / 8 channels. In the solved form, v has c channels, the scale is 1 and there is
    no out; in the form of the text, v has c / 2 channels, the scale is (c / 2)^-½ and out leads
    back to c channels.
    """

    def __init__(self, channels: int, grouping: Grouping, projections: Projections) -> None:
        super().__init__()
        self.grouping = grouping
        text = projections is Projections.TEXT
        self.value_channels = channels // TEXT_REDUCTION if text else channels
        self.scale = self.value_channels**-0.5 if text else 1.0
        self.q = nn.Linear(channels, channels // KEY_REDUCTION)
        self.k = nn.Linear(channels, channels // KEY_REDUCTION)
        self.v = nn.Linear(channels, self.value_channels)
        self.out = nn.Linear(self.value_channels, channels) if text else None
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the map (N, C, H, W) after the attention; H and W are multiples of `GRID`."""
        tokens = group(x, self.grouping)  # (groups, tokens, c)
        y = torch.cat([self._attend(part) for part in tokens.split(MOST_GROUPS)])
        del tokens  # a large map
        return torch.addcmul(x, self.gamma, ungroup(y, self.grouping, x))

    def _attend(self, tokens: Tensor) -> Tensor:
        q, k = (self._widened(tokens, one) for one in (self.q, self.k))
        y = F.scaled_dot_product_attention(
            q.unsqueeze(1), k.unsqueeze(1), self.v(tokens).unsqueeze(1), scale=self.scale
        ).squeeze(1)
        return y if self.out is None else self.out(y)

    def _widened(self, tokens: Tensor, projection: nn.Linear) -> Tensor:
        """Return queries or keys with zeros up to the width of the values.

        That changes no product. Of other widths than the values, torch would compute the whole
        matrix of all pairs of tokens.
        """
        missing = self.value_channels - projection.out_features
        weight, bias = (
            F.pad(projection.weight, (0, 0, 0, missing)),
            F.pad(projection.bias, (0, missing)),
        )
        return F.linear(tokens, weight, bias)

    def multiply_adds(self, height: int, width: int) -> int:
        """Return the multiply-adds a map: scores, sums of values, projections and γ.

        In every pixel, with t tokens a group: t · (c_k + c_v) + c · (2 c_k + c_v) + c, and c · c_v
        more for the output projection of the text's form.
        """
        channels, keys, values = self.q.in_features, self.q.out_features, self.value_channels
        pairs = self.grouping.tokens(height, width) * (keys + values)
        projections = channels * (2 * keys + values + (0 if self.out is None else values))
        return height * width * (pairs + projections + channels)


class SectionAttention(nn.Module):
    """The attentions of a layer, one after another, on a map (N, C, H, W) of any size."""

    def __init__(self, channels: int, layer: WarpLayer, projections: Projections) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(
            GroupedAttention(channels, grouping, projections) for grouping in GROUPINGS[layer]
        )

    def forward(self, x: Tensor) -> Tensor:
        size, grid = x.shape[2:], (GRID, GRID)
        y = pad_to_grid(x, grid)
        for attention in self.attentions:
            y = attention(y)
        (top, _), (left, _) = grid_padding(size, grid)
        return y[..., top : top + size[0], left : left + size[1]]

    def multiply_adds(self, height: int, width: int) -> int:
        """Return the multiply-adds of a map whose sides are multiples of `GRID`."""
        parts = cast("list[GroupedAttention]", list(self.attentions))
        return sum(attention.multiply_adds(height, width) for attention in parts)


def group(x: Tensor, grouping: Grouping) -> Tensor:
    """Return the pixels of a map (N, C, H, W) by group, (groups, tokens, C)."""
    n, c, h, w = x.shape
    split = x.view(n, c, *_parts(h, grouping), *_parts(w, grouping))
    # (n, c, row windows, row tokens, row offsets, the same of the columns)
    return split.permute(0, 2, 4, 5, 7, 3, 6, 1).reshape(-1, grouping.tokens(h, w), c)


def ungroup(tokens: Tensor, grouping: Grouping, like: Tensor) -> Tensor:
    """Return the map of the shape of `like` whose pixels `group` sorted."""
    n, c, h, w = like.shape
    (rows, row_tokens, row_offsets), (columns, column_tokens, column_offsets) = (
        _parts(size, grouping) for size in (h, w)
    )
    split = tokens.view(n, rows, row_offsets, columns, column_offsets, row_tokens, column_tokens, c)
    return split.permute(0, 7, 1, 5, 2, 3, 6, 4).reshape(n, c, h, w)


def _parts(size: int, grouping: Grouping) -> tuple[int, int, int]:
    """Return the windows of an axis, the tokens of a group in one, and its groups."""
    window = grouping.window or size
    return size // window, window // grouping.step, grouping.step
