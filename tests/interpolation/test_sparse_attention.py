"""Sparse attention: against the definition with the matrix of all pairs, counts, sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import randomise
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from napari_aeanet.core.tiles import grid_padding, reflected
from napari_aeanet.interpolation.config import GRID, Projections, WarpLayer
from napari_aeanet.interpolation.sparse_attention import (
    GroupedAttention,
    Grouping,
    SectionAttention,
    group,
    ungroup,
)

ATTENTIONS = (WarpLayer.SPARSE, WarpLayer.INTERLACED, WarpLayer.DENSE)
both_forms = pytest.mark.parametrize("projections", Projections)


def layer(kind: WarpLayer, channels=8, projections=Projections.SOLVED) -> SectionAttention:
    found = SectionAttention(channels, kind, projections).double()
    randomise(found)
    return found


def padded(x: Tensor) -> Tensor:
    """Reflect about the outermost pixels, half of what is missing on either side."""
    for axis, (before, after) in enumerate(grid_padding(x.shape[2:], (GRID, GRID)), start=2):
        index = reflected(np.arange(-before, x.shape[axis] + after), x.shape[axis])
        x = x.index_select(axis, torch.from_numpy(index))
    return x


def together(grouping: Grouping, height: int, width: int) -> Tensor:
    """True for every pair of pixels, row by row, that attends together: the definition."""
    members = []
    for size in (height, width):
        place = torch.arange(size)
        window = place // (grouping.window or size)
        members.append((window, place % grouping.step))
    (row_window, row_rest), (column_window, column_rest) = members
    code = torch.stack(
        torch.broadcast_tensors(
            row_window[:, None], row_rest[:, None], column_window[None], column_rest[None]
        )
    ).flatten(1)
    return (code[:, :, None] == code[:, None, :]).all(0)


def naive(attention: GroupedAttention, x: Tensor) -> Tensor:
    """Softmax over the matrix of all pairs of pixels, with those of other groups masked."""
    tokens = x.flatten(2).transpose(1, 2)
    q, k, v = (tokens @ p.weight.T + p.bias for p in (attention.q, attention.k, attention.v))
    scores = attention.scale * q @ k.transpose(1, 2)
    mask = together(attention.grouping, *x.shape[2:])
    y = scores.masked_fill(~mask, -torch.inf).softmax(-1) @ v
    y = y if attention.out is None else y @ attention.out.weight.T + attention.out.bias
    return x + attention.gamma * y.transpose(1, 2).view_as(x)


@both_forms
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_a_layer_equals_masked_dense_attention(kind, projections):
    operator = layer(kind, projections=projections)
    x = torch.randn(1, 8, 29, 61, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = padded(x)
    for attention in operator.attentions:
        expected = naive(attention, expected)
    expected = expected[..., 1:30, 1:62]
    assert (operator(x) - x).abs().max() > 0.1
    torch.testing.assert_close(operator(x), expected, rtol=0, atol=1e-10)


def test_groups_are_those_of_the_publication():
    """Every eighth pixel forms a sub-map; in it pixels 4 apart, then blocks of 4 x 4."""
    x = torch.arange(64 * 64.0).view(1, 1, 64, 64)
    first, second, third = (a.grouping for a in layer(WarpLayer.SPARSE).attentions)
    sub_map = x[0, 0, 3::8, 5::8]
    assert_group(group(x, first), sub_map[1::4, 2::4])
    assert_group(group(x, second), sub_map[4:8, 0:4])
    assert_group(group(x, third), x[0, 0, 16:24, 40:48])


def assert_group(groups: Tensor, expected: Tensor) -> None:
    wanted = set(expected.flatten().tolist())
    assert [set(one.flatten().tolist()) for one in groups].count(wanted) == 1


@pytest.mark.parametrize("grouping", [Grouping(1), Grouping(32), Grouping(8, 32), Grouping(1, 8)])
def test_ungroup_undoes_group(grouping):
    x = torch.rand(2, 3, 64, 32)
    assert torch.equal(ungroup(group(x, grouping), grouping, x), x)


def test_many_groups_are_computed_in_parts(monkeypatch):
    operator, x = layer(WarpLayer.SPARSE), torch.rand(1, 8, 32, 64, dtype=torch.float64)
    whole = operator(x)
    monkeypatch.setattr("napari_aeanet.interpolation.sparse_attention.MOST_GROUPS", 7)
    torch.testing.assert_close(operator(x), whole, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("kind", "projections", "count"),
    [
        (WarpLayer.DENSE, Projections.SOLVED, 5_201),
        (WarpLayer.INTERLACED, Projections.SOLVED, 10_402),
        (WarpLayer.SPARSE, Projections.SOLVED, 15_603),
        (WarpLayer.DENSE, Projections.TEXT, 5_233),
    ],
)
def test_parameters_are_those_published(kind, projections, count):
    parameters = SectionAttention(64, kind, projections).parameters()
    assert sum(one.numel() for one in parameters) == count


@pytest.mark.parametrize(
    ("kind", "billions"), [(WarpLayer.SPARSE, 10.4187), (WarpLayer.INTERLACED, 81.2353)]
)
def test_multiply_adds_are_those_published(kind, billions):
    count = SectionAttention(64, kind, Projections.SOLVED).multiply_adds(512, 512)
    assert count / 1e9 == pytest.approx(billions, abs=5e-5)


@both_forms
def test_multiply_adds_are_those_that_torch_counts(projections):
    operator = SectionAttention(64, WarpLayer.SPARSE, projections)
    attention_width = operator.attentions[0].value_channels
    # The counter knows the products of the plain form alone.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        operator(torch.rand(1, 64, 64, 64))
    # It counts the products with the zeros of wider queries and keys too, but not γ.
    zeros = sum(
        64 * 64 * (attention_width - 8) * (2 * 64 + a.grouping.tokens(64, 64))
        for a in operator.attentions
    )
    expected = operator.multiply_adds(64, 64) - 3 * 64 * 64 * 64 + zeros
    assert counter.get_total_flops() == 2 * expected


@both_forms
def test_the_matrix_of_pairs_is_never_stored(projections):
    """The fused kernel alone is allowed, which refuses values wider than the queries."""
    operator = SectionAttention(16, WarpLayer.SPARSE, projections)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        operator(torch.rand(1, 16, 40, 33)).sum().backward()


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (32, 32), (33, 31)])
def test_any_size_keeps_its_size(size):
    x = torch.rand(1, 8, *size, dtype=torch.float64)
    assert layer(WarpLayer.SPARSE)(x).shape == x.shape


def test_the_untrained_layer_is_the_identity():
    x = torch.rand(1, 8, 40, 40)
    assert torch.equal(SectionAttention(8, WarpLayer.SPARSE, Projections.SOLVED)(x), x)
