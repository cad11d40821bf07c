"""The presets: complete, without torch, with the published numbers of parameters."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from napari_aeanet import networks
from napari_aeanet.models import presets
from napari_aeanet.networks import ProjectionConfig, UNetConfig

NAMES = [
    *("aeanet-2d", "gvtnet-2d", "unet-2d"),
    *("aeanet-2d-fast", "gvtnet-2d-fast", "unet-2d-fast"),
    *("aeanet-3d", "gvtnet-3d", "unet-3d"),
    *("aeanet-3d-fast", "gvtnet-3d-fast", "unet-3d-fast"),
    *("aeanet-projection", "gvtnet-projection", "unet-projection"),
    *("aeanet-label-free", "gvtnet-label-free", "unet-label-free"),
]

PARAMETERS = {
    "aeanet-2d": 572_480,
    "gvtnet-2d": 564_288,
    "unet-2d": 793_408,
    "gvtnet-3d": 1_347_360,
    "gvtnet-projection": 538_873,
    "gvtnet-label-free": 6_172_225,
    "unet-label-free": 23_280_769,
}

every_preset = pytest.mark.parametrize("preset", presets.all_presets(), ids=lambda p: p.name)


def test_all_presets_are_there_under_their_names():
    assert [p.name for p in presets.all_presets()] == NAMES
    assert all(presets.preset(name).name == name for name in NAMES)


def test_an_unknown_preset_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=r"'aeanet'.*aeanet-2d, gvtnet-2d"):
        presets.preset("aeanet")


def test_the_catalogue_and_the_configurations_import_no_torch():
    code = (
        "import sys, napari_aeanet.models.presets as c, napari_aeanet.networks as m; "
        "c.all_presets(); m.config_to_json(c.all_presets()[0].config); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@every_preset
def test_parameters_are_as_many_as_published(preset):
    assert preset.parameters == PARAMETERS.get(preset.name)
    if preset.parameters is not None:
        assert networks.parameter_count(preset.config) == preset.parameters


def test_the_presets_for_a_task_can_be_those_that_were_published():
    assert all(preset.is_published for preset in presets.presets_for("projection"))
    for task, dims in (("super-resolution", "2d"), ("denoising", "3d")):
        names = [preset.name for preset in presets.presets_for(task, published=True)]
        assert names == [f"aeanet-{dims}", f"gvtnet-{dims}", f"unet-{dims}"]


def test_the_first_choice_is_fast_for_volumes_and_for_images_that_are_enlarged():
    def first(task, **options):
        return presets.first_choice(task, **options).name

    assert first("super-resolution") == "aeanet-2d"
    assert first("super-resolution", enlarged=True) == "aeanet-2d-fast"
    assert first("super-resolution", enlarged=True, published=True) == "aeanet-2d"
    assert first("denoising") == first("denoising", enlarged=True) == "aeanet-3d-fast"
    assert first("denoising", published=True) == "aeanet-3d"
    assert first("label-free") == "aeanet-label-free"
    assert first("projection", enlarged=True) == "aeanet-projection"


def test_sixteen_references_give_the_other_published_count():
    config = networks.config_to_json(presets.preset("aeanet-2d").config) | {"references": 16}
    assert networks.parameter_count(networks.config_from_json(config)) == 566_336


def test_fast_networks_have_the_frame_of_the_published_ones():
    for name in (*NAMES[:3], *NAMES[6:9]):
        published, fast = presets.preset(name), presets.preset(f"{name}-fast")
        config = published.config
        assert replace(fast.config, unshuffle=1) == config
        # Four channels instead of one into the first convolution, and out of those behind.
        more = 3 * 3**config.dims * 32 + 3 * 32 * (1 + config.sigma)
        count = networks.parameter_count(config) + more
        assert networks.parameter_count(fast.config) == count


@every_preset
def test_configurations_survive_json(preset):
    for config in (preset.config, presets.quick_config(preset)):
        written = json.dumps(networks.config_to_json(config))
        assert networks.config_from_json(json.loads(written)) == config


@every_preset
def test_recipes_fit_their_networks(preset):
    network = networks.build(preset.config)
    assert len(preset.recipe.patch) == len(network.input_axes)
    patch = zip(preset.recipe.patch, network.grid, strict=True)
    assert all(size % multiple == 0 for size, multiple in patch)
    assert (preset.recipe.loss == "laplace") == ("sigma" in network.extras)


@every_preset
def test_presets_say_when_to_use_them_in_sentences(preset):
    assert preset.when_to_use.endswith(".")
    assert preset.title
    assert presets.quick_note(preset).startswith("Quick profile:")


@pytest.mark.parametrize("name", ["aeanet-2d", "gvtnet-3d", "unet-2d"])
def test_a_quick_network_begins_as_the_identity(name):
    config = presets.quick_config(presets.preset(name))
    assert config.batch_norm_momentum >= 0.05
    network = networks.build(config).eval()
    x = torch.rand(1, 1, *[8] * config.dims)
    with torch.no_grad():
        torch.testing.assert_close(network(x), x)


def test_a_quick_label_free_network_predicts_the_image_itself():
    assert not presets.quick_config(presets.preset("aeanet-label-free")).offset


def test_unknown_kinds_and_settings_are_refused():
    with pytest.raises(ValueError, match=r"'resnet'.*care, projection, superres, unet"):
        networks.config_from_json({"kind": "resnet"})
    with pytest.raises(ValueError, match=r"depth.*newer version"):
        networks.config_from_json({"kind": "unet", "depth": 3})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (dict(dims=4), "dims"),
        (dict(levels=4), "encoder_blocks"),
        (dict(heads=3), "multiple of heads"),
        (dict(offset=True, out_channels=2), "same number of channels"),
        (dict(references=4, divisor="queries"), "number of keys"),
        (dict(block="plain"), "plain blocks"),
    ],
)
def test_settings_that_make_no_network_are_refused_with_the_reason(settings, reason):
    with pytest.raises(ValueError, match=reason):
        UNetConfig(**settings)


def test_a_projection_needs_a_two_dimensional_image_part():
    with pytest.raises(ValueError, match="two-dimensional"):
        ProjectionConfig(image=UNetConfig(dims=3))
