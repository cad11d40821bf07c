"""The U-shaped networks: sizes, exact tiles, attention grids, symmetry."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import (
    make_transparent,
    miniature,
    predict_in_tiles,
    random_image,
    random_network,
    symmetries,
    symmetrise,
)

from napari_aeanet import networks
from napari_aeanet.models.presets import preset
from napari_aeanet.networks import UNetConfig, attention_block, program
from napari_aeanet.networks.attention import Context
from napari_aeanet.networks.network import pad_to_grid

pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture
def no_gradients():
    with torch.no_grad():
        yield


def mini(name: str, **changes) -> UNetConfig:
    return replace(miniature(preset(name).config), **changes)


AEANET = mini("aeanet-2d")

# Size of the image and of the tiles: several tiles, small enough for a test.
PRESETS = {
    "aeanet-2d": ((71, 150), 48),
    "gvtnet-2d": ((71, 150), 48),
    "unet-2d": ((71, 150), 48),
    "aeanet-2d-fast": ((71, 230), 64),
    "gvtnet-2d-fast": ((71, 230), 64),
    "unet-2d-fast": ((71, 270), 80),
    "aeanet-3d": ((6, 13, 75), 24),
    "gvtnet-3d": ((6, 13, 75), 24),
    "unet-3d": ((6, 13, 101), 32),
    "aeanet-3d-fast": ((6, 13, 150), 48),
    "gvtnet-3d-fast": ((6, 13, 150), 48),
    "unet-3d-fast": ((6, 13, 202), 64),
    "aeanet-label-free": ((6, 9, 150), 56),
    "gvtnet-label-free": ((6, 9, 150), 56),
    "unet-label-free": ((7, 9, 230), 112),
}

# What no preset uses, and combinations of it.
SWITCHES = {
    "down attention, version 1": dict(down="attention_v1", references=3),
    "down attention, version 2": dict(down="attention_v2", divisor="queries"),
    "up attention, version 1": dict(up="attention_v1", references=3),
    "all attentions": dict(down="attention_v2", up="attention_v2", bottom="attention"),
    "added skips": dict(skip="add", down="residual", up_kernel=3),
    "more blocks": dict(encoder_blocks=(2, 1, 1), decoder_blocks=(1, 2)),
    "four levels": dict(levels=4, encoder_blocks=(1, 0, 1, 0), decoder_blocks=(1, 2, 1)),
    "one level": dict(levels=1, encoder_blocks=(1,), decoder_blocks=()),
    "sigma and offset": dict(sigma=True, offset=True),
    "four-wide down-sampling": dict(down_kernel=4),
    "wide output": dict(out_kernel=3, out_bias=True, up_kernel=2),
    "blocks of pixels": dict(unshuffle=2, sigma=True, offset=True, up="attention_v2", references=3),
    "large blocks of pixels": dict(unshuffle=4, levels=1, encoder_blocks=(1,), decoder_blocks=()),
    "plain, blocks of pixels": dict(
        block="plain", bottom="none", encoder_blocks=(1, 1, 1), unshuffle=2
    ),
    "plain": dict(
        block="plain", bottom="none", down_kernel=2, up_kernel=2, encoder_blocks=(1, 1, 1)
    ),
}


def whole(network, x):
    return torch.cat(list(network.outputs(x).values()), dim=1)


# Tiles


def relative_error(tiled, expected):
    """The largest difference, in standard deviations of what is expected."""
    return (tiled - expected).abs().max() / expected.std()


@pytest.mark.parametrize("name", PRESETS)
def test_tiles_equal_the_whole_image(name):
    size, edge = PRESETS[name]
    network, x = random_network(mini(name)), random_image(*size)
    assert relative_error(predict_in_tiles(network, x, edge), whole(network, x)) <= 1e-11


@pytest.mark.parametrize("name", PRESETS)
def test_a_halo_one_grid_step_too_small_shows(name):
    size, edge = PRESETS[name]
    network, x = random_network(mini(name)), random_image(*size)
    expected = whole(network, x)
    for known in range(network.contexts + 1):
        tiled = predict_in_tiles(network, x, edge, shrink={known: network.grid[-1]})
        assert (tiled - expected).abs().max() > 1e-7, f"pass {known}"


@pytest.mark.parametrize("switch", SWITCHES)
def test_tiles_equal_the_whole_image_for_every_switch(switch):
    config = replace(UNetConfig(features=8), **SWITCHES[switch])
    network, x = random_network(config), random_image(50, 131)
    assert relative_error(predict_in_tiles(network, x, 40), whole(network, x)) <= 1e-11


@pytest.mark.parametrize(
    ("blocks", "size", "edge"),
    [(2, (10, 17, 150), 48), ((1, 2, 2), (75, 13, 20), 24), ((2, 1, 1), (150, 9, 12), 48)],
)
def test_tiles_equal_the_whole_volume_in_blocks_of_voxels(blocks, size, edge):
    network, x = random_network(mini("aeanet-3d", unshuffle=blocks)), random_image(*size)
    assert relative_error(predict_in_tiles(network, x, edge), whole(network, x)) <= 1e-11


@pytest.mark.parametrize("blocks", [0, (2, 2), (1, 1, 2), (0, 2, 2)])
def test_blocks_of_voxels_that_cannot_be_are_refused(blocks):
    with pytest.raises(ValueError, match="unshuffle"):
        mini("aeanet-3d", unshuffle=blocks)


def test_halos_are_as_wide_as_the_blocks_of_pixels():
    flat = networks.build(preset("aeanet-3d-fast").config).eval()
    full = networks.build(preset("aeanet-3d").config).eval()
    for known in range(4):
        z, y, x = full.halo(known)
        assert flat.halo(known) == (z, 2 * y, 2 * x)


def test_tiles_equal_the_whole_of_a_larger_image():
    network, x = random_network(AEANET), random_image(300, 410)
    assert relative_error(predict_in_tiles(network, x, 128), whole(network, x)) <= 1e-11


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(program, "BLOCK_PIXELS", {2: 20**2, 3: 800})
    monkeypatch.setattr(attention_block, "GATHERED_AT_ONCE", 1000)


@pytest.mark.parametrize("name", PRESETS)
def test_blocks_do_not_change_the_prediction(name, small_blocks):
    network, x = random_network(mini(name)), random_image(*PRESETS[name][0])
    with torch.enable_grad():  # which wants all maps, and therefore no blocks
        at_once = network(x).detach()
    assert relative_error(network(x), at_once) <= 1e-12


@pytest.mark.parametrize("switch", SWITCHES)
def test_tiles_in_blocks_equal_the_whole_image_for_every_switch(switch, small_blocks):
    config = replace(UNetConfig(features=8), **SWITCHES[switch])
    network, x = random_network(config), random_image(50, 131)
    with torch.enable_grad():
        at_once = whole(network, x).detach()
    assert relative_error(predict_in_tiles(network, x, 40), at_once) <= 1e-11


def test_a_context_of_other_pixels_changes_the_prediction():
    network, x = random_network(AEANET), random_image(64, 64)
    own = network.advance(x)
    other = network.advance(random_image(64, 64, seed=1) * 2)
    assert (network.advance(x, [own]) - network.advance(x, [other])).abs().max() > 1e-6


def test_halos_of_the_published_two_dimensional_networks():
    halos = {
        name: [network.halo(known) for known in range(network.contexts + 1)]
        for name in ("aeanet-2d", "unet-2d")
        for network in [networks.build(preset(name).config).eval()]
    }
    assert halos == {"aeanet-2d": [(12, 12), (24, 24)], "unet-2d": [(32, 32)]}


def test_advance_without_an_interior_is_the_forward_pass():
    network, x = random_network(mini("aeanet-3d", sigma=False)), random_image(4, 8, 12)
    contexts: list[Context] = []
    while len(contexts) < network.contexts:
        contexts.append(network.advance(x, contexts))
    torch.testing.assert_close(network.advance(x, contexts), network(x), rtol=0, atol=1e-12)


def test_tiles_off_the_grid_are_refused():
    network = random_network(AEANET)
    with pytest.raises(ValueError, match="multiple of"):
        network.advance(random_image(30, 32))
    with pytest.raises(ValueError, match="on the grid"):
        network.advance(random_image(32, 32), interior=(slice(0, 32), slice(2, 32)))
    with pytest.raises(ValueError, match="inside the tile"):
        network.advance(random_image(32, 32), interior=(slice(0, 32), slice(0, 64)))


def test_tiles_in_training_mode_are_refused():
    with pytest.raises(ValueError, match="eval"):
        random_network(AEANET).train().advance(random_image(32, 32))


def test_more_contexts_than_attentions_are_refused():
    network, x = random_network(AEANET), random_image(32, 32)
    context = network.advance(x)
    with pytest.raises(ValueError, match="1 context"):
        network.advance(x, [context, context])
    with pytest.raises(ValueError, match="no attention number 1"):
        network.attend(x, [context])
    with pytest.raises(ValueError, match="between 0 and 1"):
        network.halo(2)


def test_softmax_networks_predict_whole_images_and_refuse_tiles_with_the_reason():
    network = random_network(mini("gvtnet-2d", normalisation="softmax"))
    assert network(random_image(30, 21)).shape == (1, 1, 30, 21)
    for refused in (lambda: network.halo(0), lambda: network.advance(random_image(32, 32))):
        with pytest.raises(ValueError, match="softmax"):
            refused()
    assert "softmax" in network.untileable_reason


def test_softmax_with_references_is_refused():
    with pytest.raises(ValueError, match="self-attention only"):
        UNetConfig(normalisation="softmax", references=4)


def test_decoder_levels_that_concatenate_need_a_block():
    with pytest.raises(ValueError, match="every decoder level"):
        UNetConfig(decoder_blocks=(1, 0))


# Sizes


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 64), (33, 18)])
def test_images_of_any_size_keep_it(size):
    network = random_network(AEANET)
    assert network(random_image(*size)).shape == (1, 1, *size)


def test_padding_reflects_about_the_outermost_pixels():
    x = torch.arange(5.0).view(1, 1, 5)
    assert pad_to_grid(x, (8,)).flatten().tolist() == [1, 0, 1, 2, 3, 4, 3, 2]
    two = torch.arange(2.0).view(1, 1, 2)
    assert pad_to_grid(two, (8,)).flatten().tolist() == [1, 0, 1, 0, 1, 0, 1, 0]


# Attention grids


def test_a_bright_dot_reaches_the_attention_pixel_at_its_position():
    network = random_network(AEANET)
    make_transparent(network)
    (grid,) = network.attention_grids()
    assert (grid.stride, grid.centre) == ((4, 4), (3.0, 3.0))
    for i, j in ((3, 4), (8, 6)):
        for nudge in (-1, 0, 1):  # nearest is nearest
            x = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
            x[..., 4 * i + 3 + nudge, 4 * j + 3] = 1
            features = network.attend(x).features.sum(1)
            assert divmod(int(features.argmax()), 16) == (i, j)


@pytest.mark.parametrize(
    ("name", "strides", "centres"),
    [
        ("gvtnet-3d", [(4,) * 3, (2,) * 3, (1,) * 3], [(3,) * 3, (1,) * 3, (0,) * 3]),
        ("aeanet-label-free", [(8,) * 3], [(7,) * 3]),
        ("aeanet-2d-fast", [(8, 8)], [(6.5, 6.5)]),
        (
            "gvtnet-3d-fast",
            [(4, 8, 8), (2, 4, 4), (1, 2, 2)],
            [(3, 6.5, 6.5), (1, 2.5, 2.5), (0, 0.5, 0.5)],
        ),
    ],
)
def test_attention_grids_give_the_centres_of_receptive_fields(name, strides, centres):
    network = random_network(mini(name))
    make_transparent(network)
    grids = network.attention_grids()
    dims = len(network.grid)
    assert [grid.stride for grid in grids] == strides
    assert [grid.centre for grid in grids] == centres
    x = torch.rand(1, 1, *[8] * (dims - 1), 96, dtype=torch.float64, requires_grad=True)
    contexts: list[Context] = []
    for grid in grids:
        i = 48 // grid.stride[-1]
        with torch.enable_grad():
            pending = network.attend(x, contexts)
            (gradient,) = torch.autograd.grad(pending.query()[..., i].sum(), x)
        weight = gradient.flatten(0, -2).sum(0)
        if not contexts:  # encoders are local: the centre of the receptive field
            seen = weight.nonzero().flatten()
            middle = float(seen[0] + seen[-1]) / 2
        else:  # up-sampling weighs even and odd pixels differently, so nearly
            middle = float((weight * torch.arange(96)).sum() / weight.sum())
        assert middle == pytest.approx(grid.stride[-1] * i + grid.centre[-1], abs=0.25)
        contexts.append(pending.gather())


# Symmetry


def test_one_level_with_symmetric_kernels_is_equivariant_under_the_eight_symmetries():
    one_level = replace(AEANET, levels=1, encoder_blocks=(1,), decoder_blocks=())
    network, x = random_network(one_level), random_image(24, 24)
    symmetrise(network)
    expected = symmetries(network(x))
    for turned, y in zip(symmetries(x), expected, strict=True):
        torch.testing.assert_close(network(turned), y, rtol=0, atol=1e-12)


def test_the_published_asymmetric_stride_is_not_equivariant():
    network, x = random_network(AEANET), random_image(24, 24)
    symmetrise(network)
    expected = symmetries(network(x))
    errors = [
        float((network(turned) - y).abs().max())
        for turned, y in zip(symmetries(x), expected, strict=True)
    ]
    assert errors[0] == 0
    assert min(errors[i] for i in (1, 2, 3, 4, 6)) > 1e-3


# Outputs and training


def test_offset_with_a_zero_output_begins_as_the_identity():
    network = networks.build(replace(AEANET, offset=True, zero_output=True)).eval()
    x = random_image(20, 30).float()
    torch.testing.assert_close(network(x), x)


def test_sigma_comes_beside_the_prediction_and_stays_above_its_floor():
    network = random_network(mini("gvtnet-3d"))
    x = random_image(4, 8, 12)
    outputs = network.outputs(x)
    assert list(outputs) == ["prediction", "sigma"]
    assert outputs["sigma"].min() >= 1e-3
    assert torch.equal(outputs["prediction"], network(x))


def test_sigma_starts_at_its_setting_and_is_trained_from_there():
    config = replace(AEANET, sigma=True, sigma_start=0.05, offset=True, zero_output=True)
    network = networks.build(config)
    with torch.enable_grad():
        sigma = network.outputs(random_image(16, 16).repeat(2, 1, 1, 1).float())["sigma"]
        sigma.log().mean().backward()
    torch.testing.assert_close(sigma, torch.full_like(sigma, 0.05))
    assert network.output.sigma.weight.grad.any()
    assert network.output.sigma.bias.grad.any()
    with pytest.raises(ValueError, match="sigma_start"):
        replace(AEANET, sigma_start=0.001)


def test_several_channels_are_split_by_output():
    config = replace(AEANET, in_channels=2, out_channels=2, sigma=True, offset=True)
    network = random_network(config)
    x = random_image(16, 16).repeat(1, 2, 1, 1)
    outputs = network.outputs(x)
    assert {name: y.shape for name, y in outputs.items()} == {
        "prediction": (1, 2, 16, 16),
        "sigma": (1, 2, 16, 16),
    }


def test_prediction_does_not_depend_on_the_other_images():
    network = random_network(AEANET)
    x = torch.cat([random_image(16, 20, seed=seed) for seed in range(3)])
    alone = torch.cat([network(image[None]) for image in x])
    torch.testing.assert_close(network(x), alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", PRESETS)
def test_every_parameter_gets_a_gradient_in_training(name):
    torch.manual_seed(0)
    network = networks.build(mini(name)).train()
    with torch.enable_grad():
        outputs = network.outputs(torch.rand(2, 1, *[16] * len(network.grid)))
        sum(y.square().mean() for y in outputs.values()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []


def test_in_place_arithmetic_does_not_change_the_prediction():
    network, x = random_network(AEANET), random_image(32, 32)
    with torch.enable_grad():  # keeps every map
        kept = network(x.requires_grad_())
    torch.testing.assert_close(network(x.detach()), kept.detach(), rtol=0, atol=1e-12)


def test_the_input_is_left_alone():
    network, x = random_network(replace(AEANET, offset=True)), random_image(32, 32)
    before = x.clone()
    network(x)
    assert torch.equal(x, before)
