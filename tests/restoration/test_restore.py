"""Restoring whole images: place, scale, number type, contexts, bad input, stopping."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import float_noise, micrograph, model_of, small_network
from torch.nn.functional import interpolate

from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.core.progress import Progressed
from napari_aeanet.restoration.pixel_size import fit_to_model
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import (
    Output,
    Restored,
    RestoreSettings,
    Seams,
    TileDone,
    Use,
)
from napari_aeanet.restoration.tile_runner import TileRunner

FLOAT = RestoreSettings(output=Output.FLOAT32)


@pytest.fixture(scope="module")
def aeanet():
    return model_of(small_network("aeanet-2d", features=2))


@pytest.fixture(scope="module")
def unet():
    return model_of(small_network("unet-2d", features=2))


@pytest.fixture(scope="module")
def sharpener():
    """Takes images of 10 nm a pixel to 5 nm."""
    network = small_network("aeanet-2d", features=2)
    return model_of(network, ratio=(2.0, 2.0), pixel_size=(5.0, 5.0), unit="nm")


def result(image, model, settings=FLOAT, **kwargs):
    *_, last = restore_events(image, model, settings, **kwargs)
    assert isinstance(last, Restored)
    return last


def pixels(image, model, settings=FLOAT, **kwargs):
    return result(image, model, settings, **kwargs).image.array


def plane(shape=(70, 90), seed=0):
    return Image(float_noise(shape, seed), "YX")


# --- place and scale


def test_the_result_lies_on_its_source_with_half_the_pixel_size(sharpener):
    source = Image(float_noise((30, 41)), "YX", (10.0, 10.0), "nm", (100.0, 200.0), name="S05")
    restored = result(source, sharpener).image
    assert restored.shape == (60, 82)
    assert restored.pixel_size == (5.0, 5.0)
    assert restored.unit == "nm"
    # The field stays: its edge is at 100 - 5 nm, half a new pixel before the new centre.
    assert restored.origin == (97.5, 197.5)
    assert "S05" in restored.name


def test_enlarging_is_the_network_applied_to_the_bicubic_enlargement(sharpener):
    source = Image(float_noise((30, 41)), "YX", (10.0, 10.0), "nm")
    # Beyond the border the last pixel is repeated.
    padded = torch.from_numpy(np.pad(source.array, 4, mode="edge"))[None, None]
    large = interpolate(padded, scale_factor=2, mode="bicubic", antialias=True)
    large = large[0, 0, 8:-8, 8:-8].numpy()
    scaling = sharpener.card.normalisation.measure(source)
    with torch.inference_mode():
        expected = sharpener.network()(torch.from_numpy(scaling.apply(large))[None, None])
    expected = scaling.undo(expected[0, 0].numpy())
    found = pixels(source, sharpener, replace(FLOAT, tile=32))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_blocks_make_up_the_result(aeanet):
    *events, last = restore_events(plane(), aeanet, replace(FLOAT, tile=32))
    tiles = [event for event in events if isinstance(event, TileDone)]
    filled = np.full(last.image.shape, np.nan, np.float32)
    for tile in tiles:
        filled[tile.region] = tile.block
    np.testing.assert_array_equal(filled, last.image.array)
    assert any(isinstance(event, Progressed) for event in events)
    done = [event.progress.done for event in events]
    assert done == list(range(1, len(events) + 1))
    assert last.progress.done == last.progress.total == len(events)


def test_other_axes_are_looped_over(aeanet):
    values = float_noise((2, 3, 20, 24))
    restored = result(Image(values, "TZYX", (3.0, 1.0, 1.0), "µm", (9.0, 0.0, 0.0)), aeanet)
    assert restored.image.axes == "TZYX"
    assert restored.image.pixel_size == (3.0, 1.0, 1.0)
    assert restored.image.origin == (9.0, 0.0, 0.0)
    # Each plane has its own context, but the scaling is measured on all of them.
    scaling = aeanet.card.normalisation.measure(Image(values, "TZYX"))
    with torch.inference_mode():
        x = torch.from_numpy(scaling.apply(values[1, 2]))[None, None]
        expected = scaling.undo(aeanet.network()(x)[0, 0].numpy())
    np.testing.assert_allclose(restored.image.array[1, 2], expected, atol=1e-5)


def test_channels_are_scaled_each_by_itself(aeanet):
    values = np.stack([float_noise((20, 24)), 1000 * float_noise((20, 24), seed=1)])
    both = pixels(Image(values, "CYX"), aeanet)
    for channel, values_of_one in zip(both, values, strict=True):
        np.testing.assert_allclose(
            channel, pixels(Image(values_of_one, "YX"), aeanet), rtol=1e-4, atol=1e-4
        )


def test_a_projection_has_one_axis_less():
    model = model_of(small_network("gvtnet-projection", features=2))
    stack = Image(float_noise((3, 20, 37)), "ZYX", (2.0, 0.5, 0.5), "µm", (0.0, 7.0, 8.0))
    image = result(stack, model).image
    assert image.axes == "YX"
    assert image.shape == (20, 37)
    assert image.pixel_size == (0.5, 0.5)
    assert image.origin == (7.0, 8.0)


# --- the height map of a projection


@pytest.fixture(scope="module")
def projection():
    return model_of(small_network("gvtnet-projection", features=2), name="projector")


def stack(shape=(5, 48, 37), **changes):
    known = {"pixel_size": (2.0, 0.5, 0.5), "unit": "µm", "origin": (10.0, 7.0, 8.0), "name": "S"}
    return Image(float_noise(shape), "ZYX", **(known | changes))


def planes_of(image, model):
    """The plane that contributes most, from one pass over the whole stack."""
    with torch.inference_mode():
        x = torch.from_numpy(model.card.normalisation.measure(image).apply(image.read()))
        return model.network().outputs(x[None, None])["height"][0, 0].numpy()


def test_a_height_map_holds_the_position_of_the_plane_of_each_pixel(projection):
    found = result(stack(), projection, replace(FLOAT, height=True, tile=16))
    planes = planes_of(stack(), projection)
    assert len(np.unique(planes)) > 1
    np.testing.assert_allclose(found.height.array, 10 + 2 * planes)
    assert found.height.name == "S height (µm)"
    for part in ("axes", "shape", "pixel_size", "unit", "origin"):
        assert getattr(found.height, part) == getattr(found.image, part)


def test_without_a_known_distance_of_planes_heights_are_their_numbers(projection):
    image = stack(pixel_size=(None, 0.5, 0.5))
    found = result(image, projection, replace(FLOAT, height=True)).height
    np.testing.assert_array_equal(found.array, planes_of(image, projection))
    assert found.name == "S height (plane)"


def test_heights_are_counted_in_planes_of_the_image_where_it_was_resampled():
    model = model_of(
        small_network("gvtnet-projection", features=2),
        ratio=(1.0, 1.0, 1.0),
        pixel_size=(1.0, 0.5, 0.5),
        unit="µm",
    )
    image = stack(pixel_size=(2.0, 0.5, 0.5), origin=(0.0, 0.0, 0.0))
    found = result(image, model, replace(FLOAT, height=True, resample=True)).height.array
    # Ten planes of the model's grid, 1 µm apart, over the five of the image: -0.5 to 8.5 µm.
    assert set(np.unique(found)) <= set(np.arange(-0.5, 9))
    assert len(np.unique(found)) > 1


def test_heights_are_not_averaged_over_symmetries(projection):
    settings = replace(FLOAT, height=True, symmetries=True)
    heights = result(stack(), projection, settings).height.array
    np.testing.assert_allclose(heights, 10 + 2 * planes_of(stack(), projection))


def test_each_pixel_has_the_height_from_its_patch(projection):
    settings = replace(FLOAT, height=True, use=Use.PATCHES, patch_size=32, margin=0)
    image = stack((5, 32, 64))
    found = result(image, projection, settings).height.array
    network = projection.network()
    with torch.inference_mode():
        x = torch.from_numpy(projection.card.normalisation.measure(image).apply(image.read()))
        for left in (0, 32):
            part = slice(left, left + 32)
            expected = network.outputs(x[None, None, ..., part])["height"][0, 0].numpy()
            np.testing.assert_allclose(found[:, part], 10 + 2 * expected)
    with pytest.raises(ValueError, match="cannot be blended"):
        list(restore_events(image, projection, replace(settings, seams=Seams.BLEND)))


def test_of_a_stack_without_numbers_in_a_place_there_is_no_height(projection):
    image = stack()
    image.array[:, :3, :4] = np.nan
    found = result(image, projection, replace(FLOAT, height=True))
    np.testing.assert_array_equal(np.isnan(found.height.array), np.isnan(found.image.array))
    assert np.isnan(found.height.array).sum() == 12


def test_every_time_point_has_its_own_heights(projection):
    image = Image(float_noise((2, 3, 20, 24)), "TZYX")
    found = result(image, projection, replace(FLOAT, height=True))
    assert found.height.axes == "TYX"
    assert found.height.shape == found.image.shape == (2, 20, 24)


def test_a_model_that_does_not_project_gives_no_height_map(aeanet):
    with pytest.raises(ValueError, match="miniature gives no height map"):
        list(restore_events(plane(), aeanet, replace(FLOAT, height=True)))


# --- number types


def test_whole_numbers_are_rounded_and_clipped(unet):
    values = (255 * float_noise((20, 24))).astype(np.uint8)
    exact = pixels(Image(values, "YX"), unet)
    assert exact.min() < 0 or exact.max() > 255, "the example should need clipping"
    stored = pixels(Image(values, "YX"), unet, RestoreSettings())
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, np.clip(np.rint(exact), 0, 255))


def test_8_bit_is_spread_over_16_bit_with_a_notice(unet):
    values = (255 * float_noise((20, 24))).astype(np.uint8)
    exact = pixels(Image(values, "YX"), unet)
    last = result(Image(values, "YX"), unet, RestoreSettings(output=Output.UINT16))
    np.testing.assert_allclose(last.image.array, np.clip(257 * exact, 0, 65535), atol=0.6)
    assert "257" in last.notices[0]


# --- contexts


def test_a_patch_larger_than_the_image_equals_the_whole_image(aeanet):
    whole = pixels(plane((70, 91)), aeanet, replace(FLOAT, tile=32))
    patch = pixels(plane((70, 91)), aeanet, replace(FLOAT, use=Use.PATCHES, patch_size=512))
    np.testing.assert_allclose(patch, whole, atol=2e-5 * whole.std())


@pytest.mark.parametrize("shape", [(150, 170), (149, 171)])
def test_without_attention_patches_with_a_margin_equal_the_whole_image(unet, shape):
    whole = pixels(plane(shape), unet, replace(FLOAT, tile=1024))
    patches = replace(FLOAT, use=Use.PATCHES, patch_size=128, margin=32)
    np.testing.assert_allclose(pixels(plane(shape), unet, patches), whole, atol=1e-5)
    too_small = replace(patches, margin=4)
    assert np.abs(pixels(plane(shape), unet, too_small) - whole).max() > 1e-3


@pytest.mark.parametrize("shape", [(150, 170), (149, 301), (60, 200), (50, 60)])
def test_blended_patches_equal_the_whole_image_where_patches_agree(unet, shape):
    """The weights add up to one, whatever the overlaps: also with the last patch flush."""
    whole = pixels(plane(shape), unet, replace(FLOAT, tile=1024))
    blended = replace(FLOAT, use=Use.PATCHES, patch_size=128, margin=32, seams=Seams.BLEND)
    found = pixels(plane(shape), unet, blended)
    # A patch is a little off where it fades out, so this is not exact.
    assert np.abs(found - whole).mean() < 0.005 * whole.std()


def test_blending_leaves_no_seams(aeanet):
    """Patches with contexts of their own differ by a step where they are cut."""
    values = float_noise((64, 256))
    values[:, 128:] *= 0.2
    settings = replace(FLOAT, use=Use.PATCHES, patch_size=64, margin=16)
    cut = pixels(Image(values, "YX"), aeanet, settings)
    blended = pixels(Image(values, "YX"), aeanet, replace(settings, seams=Seams.BLEND))
    difference = np.abs(cut - blended).mean(axis=0)
    assert difference[:8].max() < 1e-5, "one patch only: nothing to blend"
    assert difference[40:56].max() > 1e-5


def test_blended_patches_of_a_stack_cover_it(unet):
    model = model_of(small_network("unet-3d", features=2))
    stack = Image(float_noise((20, 30, 37)), "ZYX")
    settings = replace(
        FLOAT, use=Use.PATCHES, patch_size=16, patch_depth=8, margin=4, seams=Seams.BLEND
    )
    found = pixels(stack, model, settings)
    assert np.isfinite(found).all()
    assert (found != 0).mean() > 0.9


def test_patches_of_a_stack_have_the_depth_that_is_wanted():
    model = model_of(small_network("unet-3d", features=2))
    stack = Image(float_noise((20, 16, 16)), "ZYX")
    settings = replace(FLOAT, use=Use.PATCHES, patch_size=16, patch_depth=8, margin=4)
    tiles = [
        event for event in restore_events(stack, model, settings) if isinstance(event, TileDone)
    ]
    # Along Z the margin is a quarter of the depth at most, here on a grid of 4: nothing.
    assert [(tile.region[0].start, tile.region[0].stop) for tile in tiles] == [
        (0, 8),
        (8, 16),
        (16, 20),
    ]
    (whole,) = (
        event.region
        for event in restore_events(stack, model, replace(settings, patch_depth=0))
        if isinstance(event, TileDone)
    )
    assert whole[0] == slice(0, 20)


def test_with_attention_a_patch_has_only_its_own_context(aeanet):
    values = float_noise((64, 160))
    values[0, :2] = 0, 1  # the same scaling for both
    patches = replace(FLOAT, use=Use.PATCHES, patch_size=64, margin=16)
    found = pixels(Image(values, "YX"), aeanet, patches)
    first = pixels(Image(values[:, :64], "YX"), aeanet, patches)
    np.testing.assert_allclose(found[:, :48], first[:, :48], atol=1e-5)


def test_the_context_comes_from_the_field_only(aeanet):
    """In a field of 72 px, three tiles of 24, the middle tile does not depend on the ends."""
    values = float_noise((24, 216))
    values[0, :2] = 0, 1  # the same scaling for both
    changed = values.copy()
    changed[1:, :48] = changed[:, -48:] = 0.5
    middle = np.s_[:, 96:120]

    def difference(context):
        settings = replace(FLOAT, context=context, tile=24)
        found = [pixels(Image(v, "YX"), aeanet, settings)[middle] for v in (values, changed)]
        return np.abs(found[0] - found[1]).max()

    assert difference("72") < 1e-6
    assert difference("whole") > 1e-5


def test_a_field_as_large_as_the_image_is_the_whole_image(aeanet):
    whole = pixels(plane(), aeanet, replace(FLOAT, context="whole"))
    np.testing.assert_array_equal(pixels(plane(), aeanet, replace(FLOAT, context="512")), whole)


def test_the_best_context_is_the_one_that_the_model_found_best(aeanet):
    narrow = replace(aeanet, card=replace(aeanet.card, context=48))
    source = plane((96, 96))
    best = pixels(source, narrow, FLOAT)
    np.testing.assert_array_equal(best, pixels(source, narrow, replace(FLOAT, context="48")))
    assert np.abs(best - pixels(source, aeanet, FLOAT)).max() > 1e-6


@pytest.mark.parametrize("context", ["", "half", "-3", "0"])
def test_a_context_that_is_none_is_refused(aeanet, context):
    with pytest.raises(ValueError, match='"best", "whole" or a number of pixels'):
        list(restore_events(plane(), aeanet, replace(FLOAT, context=context)))


def test_symmetries_make_the_restoration_of_a_turned_image_the_turned_restoration(aeanet):
    source = float_noise((48, 64))
    settings = replace(FLOAT, symmetries=True, tile=32)
    upright = pixels(Image(source, "YX"), aeanet, settings)
    turned = pixels(Image(np.rot90(source).copy(), "YX"), aeanet, settings)
    np.testing.assert_allclose(turned, np.rot90(upright), atol=2e-5)
    plain = [pixels(Image(v.copy(), "YX"), aeanet) for v in (source, np.rot90(source))]
    assert np.abs(plain[1] - np.rot90(plain[0])).max() > 1e-3


def test_symmetries_serve_patches_too(unet):
    source = float_noise((56, 80))  # where the patches lie symmetrically
    settings = replace(FLOAT, symmetries=True, use=Use.PATCHES, patch_size=32, margin=4)
    upright = pixels(Image(source, "YX"), unet, settings)
    turned = pixels(Image(source[::-1].copy(), "YX"), unet, settings)
    np.testing.assert_allclose(turned, upright[::-1], atol=2e-5)


# --- visible parts


def test_what_is_on_the_screen_comes_first_provisionally_and_then_finally(aeanet):
    window = (slice(64, 96), slice(64, 96))
    settings = replace(FLOAT, tile=32)
    events = list(restore_events(plane((128, 128)), aeanet, settings, visible=window))
    tiles = [event for event in events if isinstance(event, TileDone)]
    assert tiles[0].provisional
    assert tiles[0].region == window
    assert not any(tile.provisional for tile in tiles[1:])
    assert tiles[1].region == window
    np.testing.assert_array_equal(
        events[-1].image.array, pixels(plane((128, 128)), aeanet, settings)
    )
    assert events[-2].progress.done == events[-2].progress.total


def test_the_plane_on_the_screen_comes_first(unet):
    stack = Image(float_noise((3, 20, 24)), "ZYX")
    window = (slice(2, 3), slice(0, 20), slice(0, 24))
    tiles = [
        e for e in restore_events(stack, unet, FLOAT, visible=window) if isinstance(e, TileDone)
    ]
    assert [tile.region[0].start for tile in tiles] == [2, 0, 1]


# --- pixel sizes


def test_an_image_with_another_pixel_size_is_refused_with_the_remedy(sharpener):
    source = Image(float_noise((30, 30)), "YX", (12.0, 12.0), "nm", name="S07")
    with pytest.raises(ValueError, match=r"S07: .* 10 nm .* 12 nm.*--resample.*--force"):
        list(restore_events(source, sharpener))


def test_units_do_not_matter(sharpener):
    source = Image(float_noise((30, 30)), "YX", (0.0102, 0.0102), "µm")
    assert result(source, sharpener).image.shape == (60, 60)


def test_resampling_brings_an_image_to_the_size_the_model_works_at(sharpener):
    source = Image(float_noise((30, 30)), "YX", (12.0, 12.0), "nm", name="S07")
    last = result(source, sharpener, replace(FLOAT, resample=True))
    assert last.image.shape == (72, 72)
    assert last.image.pixel_size == pytest.approx((5.0, 5.0))
    assert "12 nm" in last.notices[0]


def test_forcing_keeps_the_ratio_and_warns(sharpener):
    source = Image(float_noise((30, 30)), "YX", (12.0, 12.0), "nm", name="S07")
    last = result(source, sharpener, replace(FLOAT, force=True))
    assert last.image.pixel_size == (6.0, 6.0)
    assert "unreliable" in last.notices[0]


def test_an_image_on_the_models_grid_is_not_enlarged_again(sharpener):
    source = Image(float_noise((30, 30)), "YX", (5.0, 5.0), "nm")
    last = result(source, sharpener)
    assert last.image.shape == (30, 30)
    assert "without enlarging" in last.notices[0]


def test_a_pixel_size_that_the_model_does_not_know_is_mentioned():
    model = model_of(small_network("aeanet-2d-fast", features=2), ratio=(2.0, 2.0))

    def said(sizes, unit="nm", card=model.card):
        image = replace(micrograph((16, 16)), pixel_size=sizes, unit=unit)
        return fit_to_model(image, card, "YX").notices

    known = "The model does not know the pixel size of its training: that of S05 ({}) was not "
    known += "checked, and it was enlarged 2 times."
    assert said((5.0, 5.0)) == (known.format("5 nm"),)
    assert said((5.0, 10.0)) == (known.format("5 × 10 nm, not square"),)
    assert said((None, None), None) == ()
    same = replace(model.card, ratio=(1.0, 1.0))
    assert said((5.0, 5.0), card=same)[0].endswith("(5 nm) was not checked.")


def test_an_unknown_pixel_size_is_taken_to_be_as_trained_with_a_notice(sharpener):
    last = result(plane((30, 30)), sharpener)
    assert last.image.shape == (60, 60)
    assert last.image.pixel_size == (None, None)
    assert "10 nm" in last.notices[0]


# --- bad input


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("factor", [1, 2])
def test_missing_pixels_stay_missing_and_spoil_nothing(factor, value):
    network = small_network("aeanet-2d", features=2)
    model = model_of(network, ratio=(factor, factor))
    values = float_noise((40, 50))
    spoilt = values.copy()
    spoilt[7:9, 20] = value
    spoilt[values == values.max()] = 1.0
    last = result(Image(spoilt, "YX"), model, replace(FLOAT, tile=32))
    missing = np.isnan(last.image.array)
    expected = np.zeros((40, 50), bool)
    expected[7:9, 20] = True
    np.testing.assert_array_equal(missing, expected.repeat(factor, 0).repeat(factor, 1))
    assert any("2 pixels" in notice for notice in last.notices)


def test_an_image_of_nothing_but_missing_pixels_comes_back_as_such(aeanet):
    assert np.isnan(pixels(Image(np.full((20, 20), np.nan, np.float32), "YX"), aeanet)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (3, 5), (9, 2)])
def test_images_smaller_than_the_receptive_field_are_restored(aeanet, shape):
    found = pixels(plane(shape), aeanet)
    assert found.shape == shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.int16])
def test_a_constant_image_is_restored(aeanet, dtype):
    found = pixels(Image(np.full((20, 24), 7, dtype), "YX"), aeanet, RestoreSettings())
    assert found.dtype == dtype
    assert np.isfinite(found).all()


def test_an_image_without_the_models_axes_is_refused():
    model = model_of(small_network("gvtnet-3d", features=2))
    with pytest.raises(ValueError, match=r"axes ZYX, this one has YX"):
        list(restore_events(plane(), model))


def test_an_image_without_pixels_is_refused(aeanet):
    with pytest.raises(ValueError, match="holds no pixels"):
        list(restore_events(Image(np.zeros((0, 5)), "YX"), aeanet))


def test_a_margin_that_leaves_nothing_of_a_patch_is_refused(aeanet):
    settings = replace(FLOAT, use=Use.PATCHES, patch_size=64, margin=32)
    with pytest.raises(ValueError, match="margin of 32 px"):
        list(restore_events(plane((200, 200)), aeanet, settings))


# --- memory and stopping


def test_running_out_of_memory_makes_the_tiles_smaller_and_goes_on(aeanet, monkeypatch):
    expected = pixels(plane((96, 96)), aeanet, replace(FLOAT, tile=96))
    plain, sizes = TileRunner._predicted, []

    def short_of_memory(self, source, inner, known):
        sizes.append(inner[0].stop - inner[0].start)
        if sizes[-1] > 24:
            raise MemoryError
        return plain(self, source, inner, known)

    monkeypatch.setattr(TileRunner, "_predicted", short_of_memory)
    last = result(plane((96, 96)), aeanet, replace(FLOAT, tile=48))
    np.testing.assert_allclose(last.image.array, expected, atol=2e-5)
    assert sizes[:2] == [48, 24], "halved once"
    assert set(sizes[1:]) == {24}, "and not tried at full size again"
    assert any("smaller tiles" in notice for notice in last.notices)


def test_memory_that_is_too_little_for_anything_is_an_error(aeanet, monkeypatch):
    def hopeless(self, source, inner, known):
        raise MemoryError("too little for anything")

    monkeypatch.setattr(TileRunner, "_predicted", hopeless)
    with pytest.raises(MemoryError, match="too little for anything"):
        list(restore_events(plane((32, 32)), aeanet, FLOAT))


def test_other_errors_are_not_taken_for_lack_of_memory(aeanet, monkeypatch):
    def broken(self, source, inner, known):
        raise RuntimeError("something else")

    monkeypatch.setattr(TileRunner, "_predicted", broken)
    with pytest.raises(RuntimeError, match="something else"):
        list(restore_events(plane((32, 32)), aeanet, FLOAT))


def test_closing_stops_before_the_next_tile(aeanet, monkeypatch):
    calls = []
    plain = TileRunner._gathered
    monkeypatch.setattr(TileRunner, "_gathered", lambda *a: calls.append(1) or plain(*a))
    work = restore_events(plane((96, 96)), aeanet, replace(FLOAT, tile=32))
    next(work)
    work.close()
    assert len(calls) == 1


@pytest.mark.parametrize("kind", NormalisationKind)
def test_no_pixel_is_read_before_the_first_event(aeanet, kind):
    class Unread:
        shape, ndim, size, dtype = (70, 90), 2, 6300, np.dtype(np.float32)

        def __getitem__(self, _):
            pytest.fail("too early")

    card = replace(aeanet.card, normalisation=Normalisation(kind=kind))
    restore_events(Image(Unread(), "YX"), replace(aeanet, card=card))


def test_how_a_result_was_made_can_be_written_down(aeanet):
    made = result(plane(), aeanet).provenance
    assert json.loads(json.dumps(made))["settings"]["use"] == "whole image"
