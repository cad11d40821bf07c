"""Metrics: equal to scikit-image's, and blind to what they should be blind to."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import (
    mean_squared_error,
    normalized_root_mse,
    peak_signal_noise_ratio,
    structural_similarity,
)

from napari_aeanet.core.metrics import (
    affine_matched,
    care_matched,
    gain,
    interpolation_error,
    mse,
    nrmse,
    pearson,
    psnr,
    psnr_by_ground,
    ring_correlation,
    scale_matched,
    ssim,
)


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


def test_ssim_equals_its_definition(rng):
    """As published with the papers: sample covariances in windows of 7 x 7 inside the image."""
    x, y = rng.random((2, 12, 15))
    values = []
    for i, j in np.ndindex(6, 9):
        a, b = (one[i : i + 7, j : j + 7] for one in (x, y))
        (var_a, cov), (_, var_b) = np.cov(a.ravel(), b.ravel())
        above = (2 * a.mean() * b.mean() + 0.01**2) * (2 * cov + 0.03**2)
        below = (a.mean() ** 2 + b.mean() ** 2 + 0.01**2) * (var_a + var_b + 0.03**2)
        values.append(above / below)
    assert ssim(x, y, 1.0) == pytest.approx(np.mean(values), abs=1e-9)


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


def test_nrmse_equals_scikit_image(rng):
    truth = rng.random((30, 40)) * 200
    image = truth + rng.normal(0, 9, truth.shape)
    expected = normalized_root_mse(truth, image, normalization="min-max")
    assert nrmse(truth, image, np.ptp(truth)) == pytest.approx(expected, abs=1e-9)
    assert mse(truth, image) == pytest.approx(mean_squared_error(truth, image), abs=1e-9)


def test_pearson_equals_numpy(rng):
    truth, image = rng.random((2, 9, 20, 13))
    assert pearson(truth, image) == pytest.approx(
        np.corrcoef(truth.ravel(), image.ravel())[0, 1], abs=1e-9
    )
    assert pearson(truth, 3 - 2 * truth) == pytest.approx(-1)
    assert np.isnan(pearson(truth, np.zeros_like(truth)))


def test_interpolation_error_is_the_mean_absolute_error_of_8_bits():
    truth = np.zeros((10, 10))
    image = truth.copy()
    image[0] = 0.5
    assert interpolation_error(truth, image, 1.0) == pytest.approx(255 * 0.05)
    assert interpolation_error(truth, -image, 1.0) == pytest.approx(255 * 0.05)


def test_grounds_tell_an_error_in_the_dark_from_one_in_the_bright(rng):
    truth = np.where(np.arange(40) < 30, 10.0, 200.0) * np.ones((40, 1))
    image = truth.copy()
    image[:, :30] += 5.0
    image[:, 30:] -= 20.0
    found = psnr_by_ground(truth, image, 255.0)
    assert found.background == pytest.approx(20 * np.log10(255 / 5))
    assert found.foreground == pytest.approx(20 * np.log10(255 / 20))


def test_a_constant_truth_has_no_foreground():
    found = psnr_by_ground(np.zeros((9, 9)), np.ones((9, 9)), 1.0)
    assert np.isnan(found.foreground)
    assert found.background == 0


def test_care_matching_follows_its_formulas(rng):
    truth, image = 50 + 900 * rng.random((30, 31)), rng.random((30, 31))
    low, high = np.percentile(truth, (0.1, 99.9))
    y = (truth - low) / (high - low)
    y = y - y.mean()
    x = image - image.mean()
    matched, centred = care_matched(image, truth)
    np.testing.assert_allclose(centred, y, atol=1e-12)
    np.testing.assert_allclose(matched, x * np.mean(x * y) / np.mean(x * x), atol=1e-12)
    # what CARE calls NRMSE is the smallest that a gain and an offset can reach
    assert nrmse(centred, matched, 1.0) <= nrmse(centred, 1.1 * matched, 1.0)


def test_the_same_images_correlate_in_every_ring(rng):
    found = ring_correlation(*[rng.random((40, 60))] * 2)
    np.testing.assert_allclose(found.correlation, 1)
    assert found.resolution == 2


def test_ring_correlation_follows_its_formula(rng):
    truth, image = rng.random((2, 24, 24))
    window = np.outer(np.hanning(24), np.hanning(24))
    x, y = (np.fft.fft2((one - one.mean()) * window) for one in (truth, image))
    distance = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.fftfreq(24)) * 24
    ring = np.rint(distance) == 5
    expected = np.sum((x * y.conj()).real[ring])
    expected /= np.sqrt(np.sum(np.abs(x[ring]) ** 2) * np.sum(np.abs(y[ring]) ** 2))
    found = ring_correlation(truth, image)
    assert found.frequency[4] == pytest.approx(5 / 24)
    assert found.correlation[4] == pytest.approx(expected, abs=1e-9)


def test_a_blur_and_noise_lower_the_resolution(rng):
    truth = rng.random((128, 128))
    noise = rng.normal(0, 0.05, truth.shape)
    coarse = ring_correlation(truth, gaussian_filter(truth, 3) + noise).resolution
    fine = ring_correlation(truth, gaussian_filter(truth, 1) + noise).resolution
    assert 2 < fine < coarse < 20


@pytest.mark.parametrize(
    "metric",
    [
        lambda x, y: psnr(x, y, 1.0),
        lambda x, y: ssim(x, y, 1.0),
        lambda x, y: nrmse(x, y, 1.0),
        lambda x, y: interpolation_error(x, y, 1.0),
        lambda x, y: psnr_by_ground(x, y, 1.0),
        lambda x, y: care_matched(y, x),
        pearson,
        ring_correlation,
    ],
)
def test_unequal_sizes_are_an_error_even_where_they_would_broadcast(metric):
    with pytest.raises(ValueError, match="one size, got 20 × 1 and 20 × 30"):
        metric(np.ones((20, 30)), np.ones((20, 1)))
