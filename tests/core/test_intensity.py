"""Normalisation is invertible, ignores bad pixels, and does not depend on how it is read."""

import numpy as np
import pytest

from napari_aeanet.core import intensity
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind, percentiles

KINDS = list(NormalisationKind)


def noise(dtype=np.float32, shape=(40, 50)):
    values = np.random.default_rng(0).normal(1000, 100, shape)
    return Image(values.astype(dtype), "YX")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_was_normalised_comes_back(kind, dtype):
    image = noise(dtype)
    scaling = Normalisation(kind=kind).measure(image)
    back = scaling.undo(scaling.apply(image.read()))
    np.testing.assert_allclose(back, image.read(), atol=1e-3)


def test_full_scale_of_8_bit_is_255():
    scaling = Normalisation().measure(Image(np.full((2, 2), 255, np.uint8), "YX"))
    assert (scaling.offset, scaling.scale) == (0, 255)


def test_percentiles_become_0_and_1():
    image = noise()
    normalised = Normalisation(kind=KINDS[1], low=2, high=99.8).measure(image).apply(image.read())
    np.testing.assert_allclose(np.percentile(normalised, [2, 99.8]), [0, 1], atol=1e-5)


def test_z_score_has_mean_0_and_deviation_1():
    image = noise()
    normalised = Normalisation(kind=KINDS[2]).measure(image).apply(image.read())
    assert abs(normalised.mean()) < 1e-4
    assert abs(normalised.std() - 1) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_nan_and_infinity_do_not_count(kind):
    image = noise()
    spoilt = image.read().copy()
    spoilt[0, 0], spoilt[1, 1] = np.nan, np.inf
    clean = np.delete(image.read().ravel(), [0, 51]).reshape(1, -1)
    rule = Normalisation(kind=kind)
    ours, expected = rule.measure(image.with_array(spoilt)), rule.measure(image.with_array(clean))
    np.testing.assert_allclose([ours.offset, ours.scale], [expected.offset, expected.scale])


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_image_gives_finite_numbers(kind):
    image = Image(np.full((8, 8), 3.0, np.float32), "YX")
    assert np.isfinite(Normalisation(kind=kind).measure(image).apply(image.read())).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_measuring_in_blocks_equals_measuring_at_once(kind, dtype, monkeypatch):
    image = noise(dtype)
    rule = Normalisation(kind=kind)
    whole = rule.measure(image)
    monkeypatch.setattr(intensity, "SORTED_BYTES", 0)
    monkeypatch.setattr("napari_aeanet.core.image.BLOCK_PIXELS", 256)
    blocks = rule.measure(image)
    # A float image's histogram has 65,536 bins over its range of about 800.
    np.testing.assert_allclose(
        [blocks.offset, blocks.scale], [whole.offset, whole.scale], atol=2.0, rtol=1e-5
    )


def test_percentiles_of_integers_in_blocks_are_exact(monkeypatch):
    image = noise(np.uint16)
    expected = np.percentile(image.read(), (2, 50, 98), method="lower")
    monkeypatch.setattr(intensity, "SORTED_BYTES", 0)
    monkeypatch.setattr("napari_aeanet.core.image.BLOCK_PIXELS", 256)
    np.testing.assert_array_equal(percentiles(image, (2, 50, 98)), expected)
