"""The projection networks: exact tiles, the height map, what weights mean."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import (
    miniature,
    predict_in_tiles,
    random_image,
    random_network,
    symmetrise,
)

from napari_aeanet import networks
from napari_aeanet.models.presets import preset
from napari_aeanet.networks.projection import project

NAMES = ("aeanet-projection", "gvtnet-projection", "unet-projection")


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def network_of(name: str):
    return random_network(miniature(preset(name).config))


@pytest.mark.parametrize("name", NAMES)
def test_tiles_equal_the_whole_volume(name):
    network, x = network_of(name), random_image(2, 20, 270)
    outputs = network.outputs(x)
    tiled = network.split(predict_in_tiles(network, x, 96))
    assert (tiled["prediction"] - outputs["prediction"]).abs().max() <= 1e-11
    assert torch.equal(tiled["height"], outputs["height"])


def test_tiles_equal_the_whole_volume_with_an_image_in_blocks_of_pixels():
    config = miniature(preset("aeanet-projection").config).with_changes(unshuffle=2)
    network, x = random_network(config), random_image(2, 20, 270)
    tiled = network.split(predict_in_tiles(network, x, 96))
    assert (tiled["prediction"] - network(x)).abs().max() <= 1e-11


@pytest.mark.parametrize("name", ["gvtnet-projection", "unet-projection"])
def test_a_halo_one_grid_step_too_small_shows(name):
    network, x = network_of(name), random_image(2, 10, 270)
    expected = network(x)
    for known in range(network.contexts + 1):
        tiled = predict_in_tiles(network, x, 96, shrink={known: 16})
        assert (network.split(tiled)["prediction"] - expected).abs().max() > 1e-8, f"pass {known}"


def test_z_is_never_tiled():
    network = network_of("gvtnet-projection")
    assert network.contexts == 6
    assert [network.halo(known)[0] for known in range(7)] == [0] * 7
    assert network.grid == (1, 16, 16)
    with pytest.raises(ValueError, match="are not tiled"):
        network.advance(random_image(4, 32, 32), interior=(slice(0, 2), slice(0, 32), slice(0, 32)))


@pytest.mark.parametrize("name", NAMES)
def test_volumes_of_any_size_become_images_of_the_same_height_and_width(name):
    network = network_of(name)
    for size in ((1, 5, 7), (3, 17, 30)):
        outputs = network.outputs(random_image(*size))
        assert {key: y.shape for key, y in outputs.items()} == {
            "prediction": (1, 1, *size[1:]),
            "height": (1, 1, *size[1:]),
        }


def test_the_projected_image_is_the_mean_over_z_of_weights_times_volume():
    weights, volume = torch.rand(2, 1, 5, 4, 6), torch.rand(2, 1, 5, 4, 6)
    projected = project(weights, volume)[:, :1]
    torch.testing.assert_close(projected, (weights * volume).sum(2) / 5)


def test_the_height_is_the_plane_that_contributes_most():
    volume = torch.rand(1, 1, 7, 4, 4) * 0.1
    planes = torch.randint(0, 7, (1, 1, 1, 4, 4))
    volume.scatter_(2, planes, 1.0)
    height = project(torch.ones_like(volume), volume)[:, 1:]
    assert torch.equal(height, planes[:, :, 0].float())


def test_what_the_image_part_predicts_is_added_to_the_projected_image():
    config = miniature(preset("gvtnet-projection").config)
    config = replace(config, image=replace(config.image, zero_output=True))
    network = networks.build(config).eval()
    weights = []
    network.weigh.register_forward_hook(lambda layer, x, y: weights.append(y))
    x = random_image(4, 16, 16).float()
    y = network(x)  # the image part still predicts zero
    torch.testing.assert_close(y, (weights[0] * x).mean(2))


def test_query_maps_of_the_projecting_part_lie_symmetrically():
    network = network_of("gvtnet-projection")
    symmetrise(network)
    x = random_image(3, 32, 64)
    flipped = x.flip(-1)
    contexts, contexts_flipped = [], []
    for grid in network.attention_grids()[:3]:
        pending, mirrored = network.attend(x, contexts), network.attend(flipped, contexts_flipped)
        torch.testing.assert_close(mirrored.query(), pending.query().flip(-1), rtol=0, atol=1e-12)
        # so the centre of the mirrored pixel is mirrored: stride · (n - 1) + 2 centre = 63
        assert grid.stride[-1] * (64 // grid.stride[-1] - 1) + 2 * grid.centre[-1] == 63
        contexts.append(pending.gather())
        contexts_flipped.append(mirrored.gather())
