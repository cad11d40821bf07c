"""The same image in any number type gives the same result; what was taken is said."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import blurred_pairs, model_of, small_network

from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.core.intensity_range import TrainedRange, common_range
from napari_aeanet.core.metrics import psnr
from napari_aeanet.io import read_image, write_image
from napari_aeanet.relevance.run import relevance_maps
from napari_aeanet.relevance.settings import RelevanceSettings
from napari_aeanet.restoration.batch import restore_all
from napari_aeanet.restoration.run import restore, restore_events
from napari_aeanet.restoration.settings import Output, RestoreSettings
from napari_aeanet.trust.run import trust_maps
from napari_aeanet.trust.settings import TrustSettings

FLOAT = RestoreSettings(output=Output.FLOAT32, device="cpu")


@pytest.fixture(scope="module")
def model():
    return model_of(small_network("aeanet-2d", features=2))


@pytest.fixture(scope="module")
def pair():
    """A source and its truth, 8 bit from 0 to 255."""
    (pair,) = blurred_pairs(1, (64, 80))
    return pair.source.read(), pair.target.read()


def last(image, model, settings=FLOAT, **kwargs):
    *_, restored = restore_events(image, model, settings, **kwargs)
    return restored


def pixels(values, model, settings=FLOAT, **kwargs):
    return last(Image(values, "YX", name="S05"), model, settings, **kwargs).image.read()


# Number type, and what becomes of a grey level of 8 bits: times, plus.
CONTAINERS = {
    "uint8": ("uint8", 1, 0),
    "8 bit in uint16": ("uint16", 1, 0),
    "12 bit in uint16": ("uint16", 4095 / 255, 0),
    "12 bit in uint16, times 16": ("uint16", 16, 0),
    "16 bit": ("uint16", 257, 0),
    "8 bit in uint32": ("uint32", 1, 0),
    "32 bit": ("uint32", 16843009, 0),
    "12 bit in uint64": ("uint64", 16, 0),
    "12 bit in int16": ("int16", 4095 / 255, 0),
    "int8, moved": ("int8", 1, -128),
    "int16, moved": ("int16", 257, -32768),
    "8 bit in int32, moved": ("int32", 1, -128),
    "8 bit in float16": ("float16", 1, 0),
    "float 0 to 1": ("float32", 1 / 255, 0),
    "float 0 to 255": ("float32", 1, 0),
    "float 0 to 4095": ("float64", 4095 / 255, 0),
    "float -0.5 to 0.5": ("float64", 1 / 255, -0.5),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_image_gives_the_same_result_in_every_number_type(model, pair, container):
    source, truth = pair
    dtype, factor, offset = CONTAINERS[container]
    values = source * float(factor) + offset
    stored = (np.rint(values) if np.dtype(dtype).kind != "f" else values).astype(dtype)
    # As decimal numbers, so that no rounding hides a difference.
    expected = psnr(truth, pixels(source, model), 255)
    found = (pixels(stored, model).astype(np.float64) - offset) / factor
    assert psnr(truth, found, 255) == pytest.approx(expected, abs=0.05)


def test_a_result_in_the_number_type_of_the_input_is_the_same_too(model, pair):
    source, truth = pair
    same = replace(FLOAT, output=Output.AS_INPUT)
    expected = psnr(truth, pixels(source, model, same), 255)
    twelve = pixels(source.astype(np.uint16) * 16, model, same)
    assert twelve.dtype == np.uint16
    # Noisy levels lie beyond the 8 bits of the truth, where only the result of 8 bits is cut.
    assert psnr(truth, np.clip(twelve / 16, 0, 255), 255) == pytest.approx(expected, abs=0.05)


def test_a_dim_image_is_restored_as_part_of_its_series(model, pair):
    source, _ = pair
    bright = source.astype(np.uint16) * 16
    dim = bright // 5
    series = common_range([Image(dim, "YX"), Image(bright, "YX")])
    stack = np.stack([dim, bright])
    together = last(Image(stack, "TYX"), model).image.read()
    np.testing.assert_array_equal(pixels(dim, model, series=series), together[0])
    np.testing.assert_array_equal(pixels(bright, model, series=series), together[1])
    assert not np.allclose(pixels(dim, model), together[0], atol=1)


def test_a_16_bit_model_restores_a_dim_image_at_the_scale_of_its_training(pair):
    source, _ = pair
    network = small_network("aeanet-2d", features=2)
    trained = model_of(network, source_range=TrainedRange(0, 65535, "uint16"))
    dim = source.astype(np.uint16)
    full = replace(FLOAT, range="full")
    np.testing.assert_array_equal(pixels(dim, trained), pixels(dim, trained, full))


def test_a_range_of_the_user_is_taken(model, pair):
    source, _ = pair
    moved = source.astype(np.uint16) + 300
    found = pixels(moved, model, replace(FLOAT, range=(300, 555)))
    np.testing.assert_allclose(found - 300, pixels(source, model), atol=1e-2)


def test_all_analyses_take_the_same_range(model, pair):
    source, _ = pair
    twelve, chosen = Image(source.astype(np.uint16) * 16, "YX"), (0.0, 4095.0)
    ten = (0.0, 1023.0)
    for function, kind in ((relevance_maps, RelevanceSettings), (trust_maps, TrustSettings)):
        more = {"symmetries": False} if kind is TrustSettings else {}
        by_itself, same, other = (
            function(twelve, model, kind(**more, **{"range": one} if one else {}))
            for one in (None, chosen, ten)
        )
        found = [
            one.maps if kind is RelevanceSettings else one.restored.read()
            for one in (by_itself, same, other)
        ]
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.allclose(found[0], found[2])


# --- what is said


def notices(image, model, settings=FLOAT):
    return " ".join(last(image, model, settings).notices)


def test_nothing_is_said_about_8_bits(model, pair):
    assert "ntensit" not in notices(Image(pair[0], "YX"), model)


def test_the_range_is_said_with_its_reason(model, pair):
    values = (pair[0].astype(np.uint16) * 3).clip(0, 700)
    known = DeclaredRange(0.0, 4095.0, "SignificantBits")
    image = Image(values, "YX", name="S05", intensity_range=known)
    text = notices(image, model)
    assert "S05" in text
    assert "0 to 4095 (12 bit)" in text
    assert "SignificantBits" in text
    assert "--range" not in text
    text = notices(replace(image, intensity_range=None), model)
    assert "0 to 1023 (10 bit)" in text
    assert "guessed" in text
    assert "--range" in text


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (NormalisationKind.PERCENTILE, "scales every image by its own"),
        (NormalisationKind.NONE, "takes intensities as they are"),
    ],
)
def test_a_range_for_a_model_that_needs_none_is_said_to_be_unused(kind, reason, pair):
    network = small_network("aeanet-2d", features=2)
    rule = Normalisation(kind=kind)
    text = notices(
        Image(pair[0], "YX"), model_of(network, normalisation=rule), replace(FLOAT, range=(0, 100))
    )
    assert f"range was not used: this model {reason}" in text


def test_a_wrong_range_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="two numbers, the lower one first"):
        RestoreSettings(range=(5, 1))


def test_an_interrupted_restoration_goes_on_with_the_range_it_was_begun_with(model, pair, tmp_path):
    values = np.tile(pair[0].astype(np.uint16) * 3, (2, 2))
    image, settings = Image(values, "YX", name="S05"), replace(FLOAT, tile=32)
    series = common_range([image, Image(values * 5, "YX")])
    expected = last(image, model, settings, series=series).image.read()
    out = tmp_path / "S05.ome.zarr"
    events = restore_events(image, model, settings, out=out, series=series)
    for _ in range(20):
        next(events)
    events.close()
    found = restore(image, model, settings, out=out)
    np.testing.assert_array_equal(found.read(), expected)


def test_a_dim_file_of_a_batch_has_the_range_of_the_others(model, pair, tmp_path):
    bright = pair[0].astype(np.uint16) * 16
    for name, values in (("dim", bright // 5), ("bright", bright)):
        write_image(Image(values, "YX"), tmp_path / f"{name}.tif")
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    outcomes = restore_all(tmp_path, model, FLOAT, out=tmp_path / "restored")
    assert [outcome.status for outcome in outcomes].count("failed") == 1
    found = read_image(tmp_path / "restored" / "dim-restored.ome.tif").read()
    chosen = replace(FLOAT, range=(0, 4095))
    np.testing.assert_allclose(found, pixels(bright // 5, model, chosen), rtol=1e-6)


# --- what is cut off


def test_pixels_beyond_the_number_type_are_counted_and_said(model, pair):
    image = Image(pair[0], "YX", name="S05")
    exact = last(image, model).image.read()
    above = (np.rint(exact) > 255).sum()
    assert above
    text = " ".join(last(image, model, replace(FLOAT, output=Output.AS_INPUT, tile=32)).notices)
    assert f"{above} pixel" in text
    assert "above 255" in text
    assert "32-bit float" in text
    assert "cut off" not in " ".join(last(image, model).notices)


def test_a_part_that_was_shown_first_is_not_counted_twice(model, pair):
    image, cut = Image(pair[0], "YX"), replace(FLOAT, output=Output.AS_INPUT, tile=32)
    visible = (slice(0, 20), slice(0, 20))
    assert last(image, model, cut, visible=visible).notices == last(image, model, cut).notices
