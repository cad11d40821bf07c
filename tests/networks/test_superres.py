"""VDSR, EDSR and RCAN: of the published sizes, exact in tiles, and trained like all others."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import blurred_pairs, model_of, predict_in_tiles, random_image, random_network

from napari_aeanet import networks
from napari_aeanet.cli import main
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import load_model
from napari_aeanet.networks import SuperResConfig
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import RestoreSettings
from napari_aeanet.training import run as training
from napari_aeanet.training.settings import Finished, TrainSettings

NAMES = ["vdsr-2d", "vdsr-2d-small", "edsr-2d", "edsr-2d-small", "rcan-2d", "rcan-2d-small"]
MINIATURES = {
    "vdsr": SuperResConfig(architecture="vdsr", features=8, blocks=3),
    "edsr": SuperResConfig(architecture="edsr", features=8, blocks=2, residual_scale=0.5),
    "rcan": SuperResConfig(architecture="rcan", features=8, groups=2, blocks=2, reduction=4),
}
every_architecture = pytest.mark.parametrize("name", MINIATURES)


def convolution(width: int, before: int, after: int) -> int:
    return width**2 * before * after + after


def test_vdsr_has_the_published_parameters():
    # twenty convolutions: 665 thousand weights, and a bias for every channel
    counted = networks.parameter_count(presets.preset("vdsr-2d").config)
    assert counted == 664_704 + 19 * 64 + 1


def test_edsr_has_the_published_parameters():
    # 40,729,603 for RGB at twofold magnification, less the first and last convolution of RGB
    published = 40_729_603 - convolution(3, 3, 256) - convolution(3, 256, 3)
    ours = convolution(3, 4, 256) + convolution(3, 256, 1)
    assert networks.parameter_count(presets.preset("edsr-2d").config) == published + ours


def test_rcan_has_the_published_parameters():
    block = 2 * convolution(3, 64, 64) + convolution(1, 64, 4) + convolution(1, 4, 64)
    group = 20 * block + convolution(3, 64, 64)
    body = 10 * group + convolution(3, 64, 64) + convolution(3, 64, 256)
    ends = convolution(3, 4, 64) + convolution(3, 64, 1)
    assert networks.parameter_count(presets.preset("rcan-2d").config) == body + ends
    # with the ends and the two fixed colour shifts of RGB this is the published count
    shifts = 2 * convolution(1, 3, 3)
    assert body + convolution(3, 3, 64) + convolution(3, 64, 3) + shifts == 15_444_667


def test_small_ones_are_small_and_say_so():
    for name in ("vdsr-2d", "edsr-2d", "rcan-2d"):
        small = presets.preset(f"{name}-small")
        assert networks.parameter_count(small.config) < 1_000_000
        assert "small" in small.title


def test_baselines_are_not_among_the_presets():
    care = ["care-2d", "care-3d", "care-projection"]
    assert [preset.name for preset in presets.baselines()] == [*NAMES, *care]
    assert not set(NAMES) & {preset.name for preset in presets.all_presets()}


def test_the_command_lists_them_with_all(capsys):
    assert main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert f"{'care-projection':<20} 346,970\n" in listed
    assert "for computers without a GPU" not in listed
    assert main(["presets", "--all"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{name} " in listed for name in [*NAMES, "aeanet-2d-r16"])


@pytest.mark.parametrize("preset", presets.ablations(), ids=lambda p: p.name)
def test_ablations_change_one_part_of_aeanet(preset):
    whole = networks.config_to_json(presets.preset("aeanet-2d").config)
    part = networks.config_to_json(preset.config)
    changed = {name for name in whole if whole[name] != part[name]}
    assert len(changed) == 1
    assert changed <= {"references", "batch_aware"}


@every_architecture
@pytest.mark.parametrize("sigma", [False, True])
@pytest.mark.parametrize("size", [(24, 30), (23, 29)])
def test_a_prediction_has_the_size_of_its_input(name, sigma, size):
    network = random_network(replace(MINIATURES[name], sigma=sigma, offset=True))
    outputs = network.outputs(random_image(*size))
    assert set(outputs) == ({"prediction", "sigma"} if sigma else {"prediction"})
    assert all(values.shape == (1, 1, *size) for values in outputs.values())
    assert not sigma or bool((outputs["sigma"] > 0).all())


@every_architecture
@torch.no_grad()
def test_sigma_starts_at_its_setting(name):
    config = replace(MINIATURES[name], sigma=True, sigma_start=0.05, offset=True)
    sigma = networks.build(config).outputs(random_image(24, 30).float())["sigma"]
    torch.testing.assert_close(sigma, torch.full_like(sigma, 0.05))


@pytest.mark.parametrize("name", ["vdsr", "edsr"])
@torch.no_grad()
def test_tiles_equal_the_whole_image(name):
    network = random_network(replace(MINIATURES[name], offset=True))
    x = random_image(41, 54)
    torch.testing.assert_close(predict_in_tiles(network, x, 16), network(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["vdsr", "edsr"])
@torch.no_grad()
def test_a_smaller_halo_would_not_do(name):
    network = random_network(MINIATURES[name])
    x = random_image(64, 64)
    worse = predict_in_tiles(network, x, 32, shrink={0: 2})
    assert (worse - network(x)).abs().max() > 1e-6


@torch.no_grad()
def test_a_signal_comes_through_all_layers_of_a_new_vdsr():
    torch.manual_seed(0)
    network = networks.build(presets.preset("vdsr-2d").config)
    signal = before = network.head(torch.randn(1, 1, 48, 48))
    for layer in network.body:
        signal = layer(signal)
    assert 0.3 < signal.std() / before.std() < 3


def test_rcan_refuses_tiles_with_the_reason():
    network = random_network(MINIATURES["rcan"])
    with pytest.raises(ValueError, match="mean over the whole image"):
        network.halo(0)


@every_architecture
def test_the_first_steps_go_the_right_way(name, tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "quick_config", lambda _: quick(MINIATURES[name]))
    pairs = blurred_pairs(1)
    settings = TrainSettings(preset=f"{name}-2d-small", steps=12, patch=32, batch=4, device="cpu")
    finished = list(training.train_events(pairs, settings, tmp_path / "run"))[-1]
    assert isinstance(finished, Finished)
    assert finished.psnr_gain > 0.02
    model = load_model(finished.bundle)
    restored = list(restore_events(pairs[0].source, model, RestoreSettings(device="cpu")))[-1].image
    assert restored.shape == pairs[0].source.shape


@every_architecture
@torch.no_grad()
def test_a_quick_one_begins_as_the_identity(name):
    config = presets.quick_config(presets.preset(f"{name}-2d-small"))
    network = networks.build(config).eval()
    x = torch.rand(1, 1, 16, 18)
    torch.testing.assert_close(network(x), x)


def test_an_image_is_restored_in_tiles_as_in_one_piece():
    network = random_network(replace(MINIATURES["edsr"], offset=True, zero_output=False)).float()
    image = blurred_pairs(1)[0].source
    model = model_of(network)
    whole, tiled = (
        list(restore_events(image, model, RestoreSettings(device="cpu", tile=tile)))[
            -1
        ].image.read()
        for tile in (1024, 32)
    )
    assert abs(whole.astype(int) - tiled.astype(int)).max() <= 1


def quick(config: SuperResConfig) -> SuperResConfig:
    return replace(config, offset=True, zero_output=True)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (dict(architecture="srgan"), "vdsr, edsr or rcan"),
        (dict(architecture="rcan", features=20), "multiple of reduction"),
        (dict(blocks=0), "blocks"),
        (dict(offset=True, out_channels=2), "same number of channels"),
    ],
)
def test_settings_that_make_no_network_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        SuperResConfig(**settings)
