"""The U-Net of CARE: its layers one by one, its parameters by hand, exact in tiles."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from helpers import blurred_pairs, eight_bit_image, predict_in_tiles, random_image, random_network

from napari_aeanet import networks, restore
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import load_model
from napari_aeanet.networks import CareConfig
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training import KeptOut, TrainSettings, train

MINIATURES = {
    "care-2d": CareConfig(dims=2, features=4, kernel=5),
    "care-3d": CareConfig(features=4, sigma=True),
    "care-projection": CareConfig(projects=True, features=4, projection_features=2),
}
SHAPES = {"care-2d": (24, 36), "care-3d": (8, 16, 24), "care-projection": (5, 32, 48)}
every_network = pytest.mark.parametrize("name", MINIATURES)


def convolution(width: int, before: int, after: int) -> int:
    """Weights and biases of a convolution of `width` positions in all axes together."""
    return width * before * after + after


def unet(width: int, heads: int = 1) -> int:
    """Parameters of CARE's U-Net of 32 features and two poolings, layer by layer."""
    down = [(1, 32), (32, 32), (32, 64), (64, 64)]
    middle = [(64, 128), (128, 64)]
    up = [(64 + 64, 64), (64, 32), (32 + 32, 32), (32, 32)]
    body = sum(convolution(width, *pair) for pair in (*down, *middle, *up))
    return body + heads * convolution(1, 32, 1)


def projecting(width: int = 27) -> int:
    """Parameters of CARE's projection: one convolution a level, four poolings, no skips."""
    levels = 4 * convolution(width, 8, 8) + 4 * convolution(width, 8, 8)  # with the middle, up
    return convolution(width, 1, 8) + levels + convolution(width, 8, 1)


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("care-2d", unet(5**2)),
        ("care-3d", unet(3**3, heads=2)),
        ("care-projection", projecting() + unet(3**2)),
    ],
)
def test_parameters_are_those_counted_by_hand(name, counted):
    assert networks.parameter_count(presets.preset(name).config) == counted
    assert counted == {"care-2d": 922_977, "care-3d": 996_802, "care-projection": 346_970}[name]


def bare(weights: dict[str, torch.Tensor], x: torch.Tensor, kernel: int) -> torch.Tensor:
    """CARE's U-Net with two poolings, written out with functions of torch alone."""
    dims = x.dim() - 2
    conv, pool = (F.conv2d, F.max_pool2d) if dims == 2 else (F.conv3d, F.max_pool3d)

    def level(x, name):
        for i in range(2):
            weight, bias = (weights[f"{name}.{i}.conv.{part}"] for part in ("weight", "bias"))
            x = conv(x, weight, bias, padding=kernel // 2).relu()
        return x

    def double(x):
        for axis in range(2, x.dim()):
            x = x.repeat_interleave(2, dim=axis)
        return x

    first = level(x, "down.0")
    second = level(pool(first, 2), "down.1")
    deep = level(pool(second, 2), "middle")
    second = level(torch.cat((double(deep), second), 1), "up.1")
    first = level(torch.cat((double(second), first), 1), "up.0")
    return x + conv(first, weights["output.conv.weight"], weights["output.conv.bias"])


@pytest.mark.parametrize("name", ["care-2d", "care-3d"])
@torch.no_grad()
def test_a_prediction_equals_the_layers_one_by_one(name):
    network = random_network(MINIATURES[name])
    x = random_image(*SHAPES[name])
    expected = bare(network.state_dict(), x, MINIATURES[name].kernel)
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_projection_sums_the_volume_by_probabilities():
    network = random_network(MINIATURES["care-projection"])
    plane = random_image(32, 48)
    volume = plane[:, :, None].expand(-1, -1, 5, -1, -1)  # any weighted mean of it is the plane
    expected = bare(network.state_dict(), plane, 3)
    torch.testing.assert_close(network(volume), expected, rtol=0, atol=1e-12)
    assert set(network.outputs(volume)) == {"prediction", "height"}


@every_network
@torch.no_grad()
def test_tiles_equal_the_whole_image(name):
    network = random_network(MINIATURES[name])
    x = random_image(*(n + 3 * (i > 0) for i, n in enumerate(SHAPES[name])))
    tiled = predict_in_tiles(network, x, 16)
    whole = torch.cat(list(network.outputs(x).values()), dim=1)
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-12)


@torch.no_grad()
def test_a_smaller_halo_would_not_do():
    network = random_network(MINIATURES["care-2d"])
    x = random_image(64, 64)
    worse = predict_in_tiles(network, x, 16, shrink={0: 4})
    assert (worse - network(x)).abs().max() > 1e-6


@every_network
@torch.no_grad()
def test_a_quick_one_begins_as_its_input(name):
    network = networks.build(presets.quick_config(presets.preset(name))).eval()
    x = torch.rand(1, 1, *SHAPES[name])
    if name == "care-projection":
        x = x[:, :, :1].expand(-1, -1, 5, -1, -1)
    expected = x[:, :, 0] if name == "care-projection" else x
    torch.testing.assert_close(network(x), expected)


@every_network
def test_configurations_survive_json(name):
    config = replace(MINIATURES[name], sigma=True, sigma_start=0.05)
    written = json.dumps(networks.config_to_json(config))
    assert networks.config_from_json(json.loads(written)) == config


@every_network
def test_it_is_trained_and_restores_like_all_others(name, tmp_path, monkeypatch):
    config = MINIATURES[name].quick()
    monkeypatch.setattr(presets, "quick_config", lambda _: config)
    shape = {"care-2d": (48, 64), "care-3d": (4, 32, 48), "care-projection": (4, 32, 64)}[name]
    pairs = blurred_pairs(2, shape)
    if name == "care-projection":
        pairs = [
            ImagePair(one.source, eight_bit_image(one.target.array.max(axis=0) / 255, one.name))
            for one in pairs
        ]
    settings = TrainSettings(
        preset=name, steps=3, patch=16, batch=2, kept_out=KeptOut.WHOLE_IMAGES, device="cpu"
    )
    finished = train(pairs, settings, tmp_path / "run", force=True)
    model = load_model(finished.bundle)
    assert model.card.config == config
    assert restore(pairs[0].source, model).shape == pairs[0].target.shape


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (dict(dims=1), "dims must be 2 or 3"),
        (dict(dims=2, projects=True), "three dimensions"),
        (dict(kernel=4), "odd"),
        (dict(poolings=0), "poolings"),
        (dict(out_channels=2), "same number of channels"),
    ],
)
def test_settings_that_make_no_network_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        CareConfig(**settings)
