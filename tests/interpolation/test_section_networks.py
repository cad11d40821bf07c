"""SSAN, its parts for comparison, and the U-Net guided by flow."""

from __future__ import annotations

import pytest
import torch
from helpers import randomise
from torch import Tensor

from napari_aeanet.core.schema import from_plain, to_plain
from napari_aeanet.interpolation.config import (
    Extractor,
    GuidedConfig,
    InterpolationConfig,
    Projections,
    SsanConfig,
    WarpLayer,
)
from napari_aeanet.interpolation.guided import GuidedNetwork
from napari_aeanet.interpolation.kernel_layer import KernelLayer
from napari_aeanet.interpolation.ssan import Ssan

TINY = {"channels": 8, "blocks": 1, "convolutions": 2, "growth": 4, "kernel": 5}


def images(*shape: int, seed=0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def ssan(**changes) -> Ssan:
    torch.manual_seed(0)
    return Ssan(SsanConfig(**(TINY | changes))).double()


def count(network: torch.nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize("extractor", Extractor)
@pytest.mark.parametrize("layer", WarpLayer)
def test_every_combination_keeps_any_size(extractor, layer):
    network = ssan(extractor=extractor, layer=layer)
    result = network(images(2, 2, 21, 35))
    assert result.shape == (2, 1, 21, 35)
    result.sum().backward()


@pytest.mark.parametrize("extractor", [Extractor.SIAMESE_DENSE, Extractor.SIAMESE_UNET])
@pytest.mark.parametrize("layer", [WarpLayer.SPARSE, WarpLayer.KERNELS])
def test_swapped_neighbours_swap_the_warped_sections(extractor, layer):
    network = ssan(extractor=extractor, layer=layer)
    randomise(network.warp)
    neighbours = images(1, 2, 24, 40)
    there, back = network.warps(neighbours), network.warps(neighbours.flip(1))
    assert torch.equal(there.first, back.second)
    assert torch.equal(there.second, back.first)
    assert not torch.equal(there.first, there.second)


def test_other_extractors_are_not_symmetric():
    network = ssan(extractor=Extractor.DENSE)
    neighbours = images(1, 2, 24, 40)
    there, back = network.warps(neighbours), network.warps(neighbours.flip(1))
    assert not torch.allclose(there.first, back.second)


def test_the_result_is_the_blend_by_the_mask():
    network, neighbours = ssan(), images(1, 2, 16, 16)
    warps = network.warps(neighbours)
    expected = warps.mask * warps.first + (1 - warps.mask) * warps.second
    torch.testing.assert_close(network(neighbours), expected)
    assert ((warps.mask > 0) & (warps.mask < 1)).all()


def test_the_residual_form_starts_as_the_mean_of_the_neighbours():
    neighbours = images(2, 2, 20, 30)
    torch.testing.assert_close(ssan(residual=True)(neighbours), neighbours.mean(1, keepdim=True))


def test_the_small_network_has_the_parameters_stated():
    assert count(Ssan(SsanConfig.small())) == 106_253


def test_kernels_filter_every_pixel_with_its_own():
    layer = KernelLayer(4, 5).double()
    randomise(layer)
    features, section = images(1, 4, 6, 7), images(1, 1, 6, 7, seed=1)
    vertical, horizontal = layer.taps(features)[0].chunk(2)
    extended = torch.nn.functional.pad(section, (2, 2, 2, 2), mode="replicate")[0, 0]
    result = layer(features, section)[0, 0]
    for y in range(6):
        for x in range(7):
            kernel = torch.outer(vertical[:, y, x], horizontal[:, y, x])
            expected = (kernel * extended[y : y + 5, x : x + 5]).sum()
            torch.testing.assert_close(result[y, x], expected)


def test_untrained_kernels_return_the_section():
    section = images(1, 1, 6, 7)
    assert torch.equal(KernelLayer(4, 5).double()(images(1, 4, 6, 7), section), section)


@pytest.mark.parametrize("at", [0.5, 1 / 3])
def test_the_guided_network_starts_as_the_blend_of_the_flow(at):
    network = GuidedNetwork(GuidedConfig(features=8, levels=2)).double()
    four = images(2, 4, 19, 33)
    blend = (1 - at) * four[:, 2:3] + at * four[:, 3:4]
    torch.testing.assert_close(network(four, at), blend)


def test_the_guided_network_learns_from_all_four_images():
    network = GuidedNetwork(GuidedConfig(features=8, levels=2)).double()
    randomise(network)
    four = images(1, 4, 16, 16).requires_grad_()
    network(four).sum().backward()
    assert (four.grad.abs().sum((0, 2, 3)) > 0).all()


@pytest.mark.parametrize(
    "config", [SsanConfig.small(), SsanConfig(projections=Projections.TEXT), GuidedConfig()]
)
def test_configurations_survive_json(config):
    assert from_plain(InterpolationConfig, to_plain(config), "card") == config


@pytest.mark.parametrize(
    ("kind", "values", "word"),
    [
        (SsanConfig, {"channels": 12}, "multiple of 8"),
        (SsanConfig, {"blocks": 0}, "blocks"),
        (SsanConfig, {"kernel": 4}, "odd"),
        (SsanConfig, {"layer": "softmax"}, "layer"),
        (GuidedConfig, {"levels": 99}, "levels"),
    ],
)
def test_impossible_networks_are_refused(kind, values, word):
    with pytest.raises(ValueError, match=word):
        kind(**values)
