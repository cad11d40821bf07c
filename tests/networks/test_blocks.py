"""Convolutions and blocks: padding, receptive fields."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers import randomise
from torch import Tensor

from napari_aeanet.networks.attention import Nearest
from napari_aeanet.networks.attention_block import AttentionBlock
from napari_aeanet.networks.blocks import (
    Activation,
    Convolution,
    Layer,
    Margin,
    Normalised,
    PlainBlock,
    ResidualBlock,
    TransposedConvolution,
)


def dot(size: int, at: int) -> Tensor:
    x = torch.zeros(1, 1, size)
    x[..., at] = 1
    return x


def with_ones(layer: Layer) -> Layer:
    torch.nn.init.ones_(layer.weight)
    return layer


def lit(y: Tensor) -> list[int]:
    return y.flatten().nonzero().flatten().tolist()


def numbered(layer: Layer) -> list[float]:
    """A layer's kernel as 1, 2, 3, ... to see which tap lands where."""
    layer.weight.data = torch.arange(1.0, layer.weight.numel() + 1).view(layer.weight.shape)
    return layer


# Padding


def test_a_strided_convolution_depends_on_its_own_pixel_and_the_two_after():
    layer = with_ones(Convolution(1, 1, 1, 3, stride=2))
    assert [lit(layer(dot(8, at))) for at in range(6)] == [[0], [0], [0, 1], [1], [1, 2], [2]]


def test_a_strided_convolution_equals_one_on_a_zero_padded_image():
    layer = Convolution(2, 3, 4, 3, stride=2)
    x = torch.randn(2, 3, 8, 6)
    expected = F.conv2d(F.pad(x, (0, 1, 0, 1)), layer.weight, stride=2)
    torch.testing.assert_close(layer(x), expected)


def test_an_unstrided_convolution_is_padded_evenly():
    layer = with_ones(Convolution(1, 1, 1, 5))
    assert lit(layer(dot(9, 4))) == [2, 3, 4, 5, 6]


def test_a_three_wide_transposed_convolution_keeps_the_first_pixels():
    layer = numbered(TransposedConvolution(1, 1, 1, 3))
    assert layer(dot(3, 0)).flatten().tolist() == [1, 2, 3, 0, 0, 0]
    assert layer(dot(3, 2)).flatten().tolist() == [0, 0, 0, 0, 1, 2]  # the 3 falls off


def test_a_four_wide_transposed_convolution_is_padded_by_one_on_either_side():
    layer = numbered(TransposedConvolution(1, 1, 1, 4))
    assert layer(dot(3, 0)).flatten().tolist() == [2, 3, 4, 0, 0, 0]
    assert layer(dot(3, 1)).flatten().tolist() == [0, 1, 2, 3, 4, 0]


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_a_transposed_convolution_is_the_transpose_of_the_strided_one(kernel):
    down = Convolution(2, 3, 4, kernel, stride=2)
    up = TransposedConvolution(2, 4, 3, kernel)
    up.weight.data = down.weight.data.clone()
    x, y = torch.randn(1, 3, 8, 6), torch.randn(1, 4, 4, 3)
    torch.testing.assert_close((down(x) * y).sum(), (x * up(y)).sum())


# Reach


def everything(dims: int = 1) -> dict[str, tuple[Layer, int, int]]:
    """Layers by name, each with its input channels and pixels out per pixel in, times 16."""
    return {
        "convolution 3": (Convolution(dims, 2, 2, 3), 2, 16),
        "convolution 5": (Convolution(dims, 2, 2, 5), 2, 16),
        "convolution 3, stride 2": (Convolution(dims, 2, 2, 3, stride=2), 2, 8),
        "convolution 2, stride 2": (Convolution(dims, 2, 2, 2, stride=2), 2, 8),
        "convolution 1, stride 2": (Convolution(dims, 2, 2, 1, stride=2), 2, 8),
        "transposed 2": (TransposedConvolution(dims, 2, 2, 2), 2, 32),
        "transposed 3": (TransposedConvolution(dims, 2, 2, 3), 2, 32),
        "transposed 4": (TransposedConvolution(dims, 2, 2, 4), 2, 32),
        "transposed 4, stride 4": (TransposedConvolution(dims, 2, 2, 4, stride=4), 2, 64),
        "residual": (ResidualBlock(dims, 2, 2, momentum=0.1), 2, 16),
        "residual, other channels": (ResidualBlock(dims, 2, 4, momentum=None), 2, 16),
        "residual, stride 2": (ResidualBlock(dims, 2, 4, momentum=0.1, stride=2), 2, 8),
        "plain": (PlainBlock(dims, 2, 4, momentum=0.1), 2, 16),
        "normalised": (Normalised(Convolution(dims, 2, 2, 3), dims, 2, 0.1), 2, 16),
        "activation": (Activation(dims, 2, 0.1), 2, 16),
        "nearest": (Nearest(2), 2, 64),
    }


@pytest.mark.parametrize("name", everything())
@pytest.mark.parametrize("margin", [(0, 0), (1, 2), (2, 1), (3, 5)])
def test_the_input_margin_is_exactly_the_receptive_field(name, margin):
    layer, channels, ratio = everything()[name]
    layer.eval()
    for parameter in layer.parameters():  # all small and positive: relu6 lets everything through
        parameter.data.abs_().mul_(0.1)
    size, start, stop = 96, 32, 48  # an interior of the input, on every grid
    x = torch.rand(1, channels, size)
    x = x[:, :, None].repeat(1, 1, 4, 1) if name == "nearest" else x
    x.requires_grad_()
    before, after = margin
    layer(x)[..., start * ratio // 16 - before : stop * ratio // 16 + after].sum().backward()
    touched = x.grad.abs().flatten(0, -2).sum(0).nonzero().flatten().tolist()
    input_margin = layer.input_margin(Margin(*margin))
    assert touched[0] == start - input_margin.before
    if name == "convolution 1, stride 2":  # skips the last pixel of every stride
        assert touched[-1] < stop + input_margin.after
    else:
        assert touched[-1] == stop + input_margin.after - 1


# Activation and blocks


@pytest.mark.parametrize("momentum", [None, 0.1])
def test_overwriting_gives_the_same_values_in_the_same_memory(momentum):
    layer = Activation(2, 3, momentum).eval()
    randomise(layer)
    x = torch.randn(2, 3, 5, 5) * 4
    with torch.no_grad():
        expected = layer(x)
        again = x.clone()
        y = layer(again, overwrite=True)
    assert y.data_ptr() == again.data_ptr()
    torch.testing.assert_close(y, expected)


def test_without_permission_the_input_is_left_alone():
    layer = ResidualBlock(2, 3, 5, momentum=0.1).eval()
    x = torch.randn(1, 3, 6, 6)
    before = x.clone()
    with torch.no_grad():
        layer(x)
    assert torch.equal(x, before)


def test_overwriting_blocks_train_like_the_others():
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8, 8, dtype=torch.float64)
    gradients = []
    for overwrite in (False, True):
        layer = ResidualBlock(2, 6, 3, momentum=0.1, overwrite=overwrite).double()
        randomise(layer)
        layer.train()
        layer(x.clone()).square().sum().backward()
        gradients.append(layer.conv1.weight.grad)
    torch.testing.assert_close(*gradients)


def test_the_shortcut_is_raw_where_channels_stay_and_of_the_activated_input_where_they_change():
    x = torch.full((1, 2, 4, 4), 9.0)
    same = ResidualBlock(2, 2, 2, momentum=None)
    torch.nn.init.zeros_(same.conv2.weight)
    assert (same(x) == 9).all()
    wider = ResidualBlock(2, 2, 3, momentum=None)
    torch.nn.init.zeros_(wider.conv2.weight)
    torch.nn.init.ones_(wider.shortcut.weight)
    assert (wider(x) == 12).all()  # relu6 makes 6 of each of the two channels


@pytest.mark.parametrize("query", ["same", "up", "down"])
@pytest.mark.parametrize("residual", ["query", "convolution"])
def test_attention_blocks_change_the_size_as_their_query_does(query, residual):
    out = {"same": 4, "up": 2, "down": 8}[query]
    block = AttentionBlock(3, 4, out, momentum=0.1, query=query, residual=residual)
    y = block(torch.randn(2, 4, 4, 6, 8))
    ratio = {"same": 1, "up": 2, "down": 0.5}[query]
    assert y.shape == (2, out, *(int(n * ratio) for n in (4, 6, 8)))


def test_new_kernels_are_glorot_uniform_and_biases_zero():
    torch.manual_seed(0)
    layer = Convolution(2, 16, 32, 3, bias=True)
    limit = (6 / (9 * (16 + 32))) ** 0.5
    assert 0.95 * limit < layer.weight.abs().max() <= limit
    assert not layer.bias.any()
