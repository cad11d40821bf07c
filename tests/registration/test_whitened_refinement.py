"""Weights of spatial frequencies, and the accuracy on noisy planes."""

import numpy as np
import pytest
from scipy import ndimage

from napari_aeanet.registration import transforms, whitened_refinement
from napari_aeanet.registration.refinement import align
from napari_aeanet.registration.transforms import TransformKind

SHAPE = (192, 224)
EVERYWHERE = np.ones(SHAPE, bool)


def pattern(rng, blur=2.0, shape=SHAPE):
    """A stationary texture of unit variance."""
    values = ndimage.gaussian_filter(rng.standard_normal(shape), blur, mode="wrap")
    return (values / values.std()).astype(np.float32)


def noise(rng, shape=SHAPE):
    return rng.standard_normal(shape).astype(np.float32)


def test_weights_are_those_of_maximum_likelihood():
    rng = np.random.default_rng(0)
    blur, variances = 1.2, (0.3, 1.0)
    found = []
    for _ in range(12):
        common = pattern(rng, blur)
        planes = [common + np.sqrt(v) * noise(rng) for v in variances]
        found.append(whitened_refinement.weights(*planes, EVERYWHERE))
    frequency = (np.arange(whitened_refinement.RINGS) + 0.5) / (2 * whitened_refinement.RINGS)
    power = np.exp(-((2 * np.pi * frequency * blur) ** 2))
    power *= 4 * np.pi * blur**2  # of unit variance
    first, second = variances
    expected = power / ((power + first) * (power + second) - power**2)
    counted = frequency > 0.03  # of the lowest there are too few to tell
    found, expected = np.mean(found, axis=0)[counted], expected[counted]
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), atol=0.003)


def test_frequencies_without_correlation_get_no_weight():
    rng = np.random.default_rng(1)
    low = pattern(rng, 3.0)
    planes = [low + 0.5 * (n - ndimage.gaussian_filter(n, 2)) for n in (noise(rng), noise(rng))]
    found = whitened_refinement.weights(*planes, EVERYWHERE)
    assert found[whitened_refinement.RINGS // 2 :].max() < 0.05


def test_images_of_opposite_contrast_share_nothing():
    values = pattern(np.random.default_rng(2))
    assert whitened_refinement.weights(values, -values, EVERYWHERE) is None


def test_filtering_moves_nothing():
    dot = np.zeros(SHAPE, np.float32)
    dot[90, 100] = 1
    found = whitened_refinement.weighted(dot, np.linspace(1, 0, whitened_refinement.RINGS))
    around = found[90 - 40 : 90 + 41, 100 - 40 : 100 + 41]
    np.testing.assert_allclose(around, around[::-1, ::-1], atol=1e-6)
    assert np.unravel_index(found.argmax(), SHAPE) == (90, 100)


@pytest.mark.parametrize("blur", [1.0, 3.0])
def test_noisy_planes_are_aligned_nearly_as_well_as_theory_allows(blur):
    """The mean corner error stays within a quarter of the Cramér-Rao bound."""
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(16):
        common = pattern(rng, blur, (256, 256))
        truth = transforms.translation(rng.uniform(-0.4, 0.4, 2))
        moved = ndimage.shift(common, -truth[:2, 2], order=5, mode="grid-wrap")
        planes = [p + 1.5 * noise(rng, p.shape) for p in (moved, common)]
        found = align(*planes, np.eye(3), TransformKind.SIMILARITY).matrix
        errors.append(
            transforms.corner_distance(found @ np.linalg.inv(truth), np.eye(3), (256,) * 2)
        )
    assert np.mean(errors) < 1.25 * bound(blur, 1.5**2, 256)


def bound(blur, variance, side):
    """Mean corner distance of the best possible estimate of a similarity.

    The information about a shift is the sum of w² γ² / (1 - γ²) over all frequencies w, γ² being
    the coherence. Rotation and scale triple what a corner is off by: (1 + 3) times the variance.
    """
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    power = 4 * np.pi * blur**2 * np.exp(-((2 * np.pi * f * blur) ** 2))
    coherence = power**2 / (power + variance) ** 2
    information = ((2 * np.pi * f) ** 2 / 2 * coherence / (1 - coherence)).sum()
    return 2 * np.sqrt(np.pi / 2) / np.sqrt(information)
