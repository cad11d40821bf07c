"""Methods of configurations."""

import pytest

from napari_aeanet import networks
from napari_aeanet.models.presets import all_presets, baselines, preset
from napari_aeanet.networks import CareConfig, ProjectionConfig, SuperResConfig, UNetConfig

EACH_CONFIG = [preset.config for preset in (*all_presets(), *baselines())]
each_config = pytest.mark.parametrize(
    "config",
    [
        *(UNetConfig(), UNetConfig(dims=3), ProjectionConfig(), SuperResConfig()),
        *(CareConfig(), CareConfig(projects=True)),
    ],
)


@each_config
@pytest.mark.parametrize("sigma", [True, False])
def test_a_sigma_is_added_and_removed(config, sigma):
    changed = config.with_sigma(not sigma).with_sigma(sigma)
    assert changed.sigma == sigma
    assert ("sigma" in networks.build(changed).extras) == sigma


@each_config
def test_axes_are_those_of_the_network(config):
    network = networks.build(config)
    assert (config.input_axes, config.output_axes) == (network.input_axes, network.output_axes)
    assert config.is_projection == (config.input_axes != config.output_axes)


def test_only_a_projection_is_one():
    assert [c.kind for c in EACH_CONFIG if c.is_projection] == [*["projection"] * 3, "care"]


@each_config
def test_a_quick_one_begins_with_small_changes_of_its_input(config):
    quick = config.quick()
    assert quick.offset
    assert quick.with_changes(offset=config.offset) != config
    assert config.quick(residual=False).offset == config.offset


def test_abstract_pixels_need_references():
    assert len(preset("aeanet-3d").config.abstract_pixel_layers()) == 3
    assert not preset("gvtnet-3d").config.abstract_pixel_layers()
    assert preset("gvtnet-3d").config.has_attention
    assert not preset("unet-projection").config.has_attention


@pytest.mark.parametrize("config", EACH_CONFIG)
def test_memory_is_proportional_to_the_pixels(config):
    shape = (8, 32, 48)[-config.dims :]
    larger = (*shape[:-1], 2 * shape[-1])
    for needed in (config.tile_bytes, config.suspended_bytes):
        assert needed(larger) == pytest.approx(2 * needed(shape))
        assert needed(shape) > 4 * 32 * 48


def test_memory_of_a_tile_is_eight_maps_of_the_first_level():
    assert UNetConfig(features=16).tile_bytes((10, 20)) == 4 * 16 * 8 * 200


def test_a_projection_takes_memory_for_volume_and_image():
    config = ProjectionConfig()
    assert config.tile_bytes((6, 10, 20)) == 4 * 8 * 6 * 1200 + config.image.tile_bytes((10, 20))


def test_settings_out_of_range_are_refused_by_name_when_read():
    values = networks.config_to_json(UNetConfig())
    with pytest.raises(ValueError, match=r"^Settings of a unet network: dims must be 1, 2 or 3"):
        networks.config_from_json(values | {"dims": 4})
    with pytest.raises(ValueError, match=r"unet network: bottom: input should be 'attention'"):
        networks.config_from_json(values | {"bottom": "cellar"})
    image = values | {"depth": 3}
    with pytest.raises(ValueError, match=r"depth.*newer version"):
        networks.config_from_json(networks.config_to_json(ProjectionConfig()) | {"image": image})
