"""Metrics: equal to scikit-image's, and blind to what they should be blind to."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_aeanet.engine.metrics import affine_matched, gain, psnr, scale_matched, ssim


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(40, 51), (9, 20, 13)])
@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_psnr_and_ssim_equal_scikit_image(rng, shape, data_range):
    truth = rng.random(shape) * data_range
    image = truth + rng.normal(0, 0.1 * data_range, shape)
    assert psnr(truth, image, data_range) == pytest.approx(
        peak_signal_noise_ratio(truth, image, data_range=data_range), abs=1e-9
    )
    assert ssim(truth, image, data_range) == pytest.approx(
        structural_similarity(truth, image, data_range=data_range), abs=1e-9
    )


def test_integer_images_do_not_overflow(rng):
    truth = rng.integers(0, 256, (32, 32), np.uint8)
    image = 255 - truth
    expected = peak_signal_noise_ratio(truth, image, data_range=255)
    assert psnr(truth, image, 255) == pytest.approx(expected)
    expected = structural_similarity(truth, image, data_range=255)
    assert ssim(truth, image, 255) == pytest.approx(expected, abs=1e-9)


def test_an_equal_image_is_perfect(rng):
    truth = rng.random((20, 20))
    assert psnr(truth, truth, 1.0) == float("inf")
    assert ssim(truth, truth, 1.0) == pytest.approx(1.0)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 7 pixels"):
        ssim(np.zeros((6, 30)), np.zeros((6, 30)), 1.0)


def test_affine_matching_undoes_gain_and_offset(rng):
    truth = rng.random((20, 30))
    np.testing.assert_allclose(affine_matched(-3 * truth + 7, truth), truth, atol=1e-12)


def test_affine_matching_is_the_best_gain_and_offset(rng):
    truth, image = rng.random((2, 20, 30))
    best = np.mean((affine_matched(image, truth) - truth) ** 2)
    for _ in range(50):
        a, b = rng.normal(size=2)
        assert np.mean((a * image + b - truth) ** 2) >= best


def test_affine_matching_of_a_constant_image_is_the_mean(rng):
    truth = rng.random((20, 30))
    np.testing.assert_allclose(affine_matched(np.full((20, 30), 5.0), truth), truth.mean())


def test_scale_matching_compares_mean_free_images(rng):
    truth = rng.random((20, 30))
    image, centred = scale_matched(2 * truth + 5, truth)
    assert centred.mean() == pytest.approx(0)
    np.testing.assert_allclose(image, centred, atol=1e-12)


def test_a_gain_or_offset_earns_nothing(rng):
    truth = rng.random((30, 30))
    source = truth + rng.normal(0, 0.1, truth.shape)
    nothing = gain(source, 0.5 * source + 0.2, truth, 1.0)
    assert nothing.psnr == pytest.approx(0)
    assert nothing.ssim == pytest.approx(0)


def test_less_noise_is_a_gain_of_twenty_decibels_per_factor_of_ten(rng):
    truth = rng.random((200, 200))
    noise = rng.normal(0, 0.01, truth.shape)
    better = gain(truth + 10 * noise, truth + noise, truth, 1.0)
    assert better.psnr == pytest.approx(20, abs=0.5)
    assert better.ssim > 0
