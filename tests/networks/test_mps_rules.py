"""Apple's GPU has neither float64 nor (before macOS 14) bfloat16: nothing computes with them there.

The device "meta" stands for it.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import (
    AppleGpu,
    blurred_pairs,
    float_noise,
    miniature,
    model_of,
    predict_in_tiles,
    small_config,
    small_network,
)

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.models import presets
from napari_aeanet.networks import DeviceInfo, mixed_precision
from napari_aeanet.relevance.influence import ranking_events
from napari_aeanet.relevance.run import relevance_events
from napari_aeanet.relevance.settings import RelevanceSettings
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import RestoreSettings
from napari_aeanet.training import run as training
from napari_aeanet.training.settings import TrainSettings
from napari_aeanet.trust.run import trust_events
from napari_aeanet.trust.settings import TrustSettings

GPU = torch.device("meta")


@pytest.fixture(autouse=True)
def apple_gpu(monkeypatch):
    """The only GPU of this machine."""
    devices = [DeviceInfo(name, name, 2**34, 2**33) for name in ("meta", "cpu")]
    monkeypatch.setattr("napari_aeanet.networks.device.devices", lambda: devices)
    autocast = torch.autocast
    names = {"meta": "mps"}
    monkeypatch.setattr(
        torch, "autocast", lambda name, **options: autocast(names.get(name, name), **options)
    )
    with AppleGpu():
        yield


@pytest.mark.parametrize(
    "attempt",
    [
        lambda x: x.double(),
        lambda x: x.bfloat16(),
        lambda x: x + torch.ones(3, dtype=torch.float64, device=GPU),
        lambda x: x.to("cpu", torch.float64),
        lambda x: torch.ones(3, dtype=torch.float64).to(GPU, torch.float32),
    ],
)
def test_its_rules_are_enforced(attempt):
    with pytest.raises(TypeError, match="Apple's GPU has no"):
        attempt(torch.ones(3, device=GPU))


def test_the_host_computes_as_ever():
    assert torch.ones(3, device=GPU).cpu().double().sum() == 3


def test_mixed_precision_is_left_to_others():
    with mixed_precision(torch.device("mps")):
        assert not torch.is_autocast_enabled("mps")


CONFIGS = {preset.name: miniature(preset.config) for preset in presets.all_presets()}
CONFIGS["rcan-2d-small"] = presets.preset("rcan-2d-small").config


@pytest.mark.parametrize("name", CONFIGS)
def test_networks_predict_on_it(name):
    network = networks.build(CONFIGS[name]).eval().to(GPU)
    x = torch.zeros(1, 1, *(5, 30, 34)[-len(network.input_axes) :], device=GPU)
    with torch.no_grad():
        assert network(x).shape[-2:] == (30, 34)


@pytest.mark.parametrize("name", ["aeanet-2d", "gvtnet-3d", "aeanet-projection"])
def test_tiles_are_predicted_on_it_with_contexts_of_the_host(name):
    network = small_network(name).to(GPU)
    x = torch.zeros(1, 1, *(4, 32, 48)[-len(network.input_axes) :], device=GPU)
    with torch.no_grad():
        assert predict_in_tiles(network, x, 16).shape[-2:] == (32, 48)


@pytest.mark.parametrize(
    ("events", "settings"),
    [
        (restore_events, RestoreSettings(device="meta", tile=32)),
        (relevance_events, RelevanceSettings(device="meta", tile=32)),
        (ranking_events, RelevanceSettings(device="meta", tile=32)),
        (trust_events, TrustSettings(device="meta", tile=32)),
    ],
)
def test_images_are_analysed_on_it(events, settings):
    model = model_of(small_network("aeanet-2d"))
    image = Image((float_noise((60, 76)) * 255).astype(np.uint8), "YX", name="S05")
    assert list(events(image, model, settings))


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_a_model_is_trained_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)
    settings = TrainSettings(steps=2, patch=16, batch=2, device="meta")
    assert list(training.train_events(blurred_pairs(2), settings, tmp_path / "run"))


@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_an_uncertainty_is_learnt_on_it(loss):
    from napari_aeanet.training.plan import first_plan
    from napari_aeanet.training.trainer import Trainer

    plan = first_plan(TrainSettings(loss=loss, uncertainty=True, steps=2, average=True))
    small = networks.config_to_json(small_config(presets.preset("aeanet-2d")).with_sigma(True))
    trainer = Trainer(replace(plan, network=small), GPU)
    x = torch.zeros(4, 1, 32, 32, device=GPU)
    trainer.launch(x, x)
    assert trainer.complete(1e-3) == 1
    assert all(tensor.device.type == "cpu" for tensor in trainer.state().values())
