"""LB-NLM and SRSW: the formulas, what they must be blind to, and that they restore."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.metrics import psnr
from napari_aeanet.core.progress import returned
from napari_aeanet.evaluation.patch_library import (
    NeighbourSettings,
    Weights,
    _restored,
    build_library,
    restore_by_neighbours,
)
from napari_aeanet.evaluation.sparse_weights import sparse_weights

SMALL = NeighbourSettings(patch=5, library=3000, clusters=20, neighbours=8, components=10)
METHODS = list(Weights)


def specimen(seed: int, shape=(90, 110)):
    rng = np.random.default_rng(seed)
    target = 255.0 * (gaussian_filter(rng.standard_normal(shape), 2) > 0)
    source = gaussian_filter(target, 1.2) + rng.normal(0, 12, shape)
    return source.astype(np.float32), target.astype(np.float32)


def restored(image, library):
    """The result of the generator."""
    return returned(restore_by_neighbours(image, library))


@pytest.fixture(scope="module", params=METHODS)
def library(request):
    return build_library([specimen(0), specimen(1)], replace(SMALL, weights=request.param))


def test_an_image_that_is_not_in_the_library_becomes_better(library):
    source, target = specimen(2)
    assert psnr(target, restored(source, library), 255) > psnr(target, source, 255) + 2


def test_a_patch_is_the_weighted_mean_of_its_neighbours():
    source, target = specimen(0, (30, 30))
    settings = NeighbourSettings(
        patch=3, stride=1, library=10**6, clusters=1, searched=1, neighbours=10**6, components=9
    )
    library = build_library([(source, target)], settings)
    (features,), (targets,) = library.sources, library.targets
    patch = source[:3, :3].ravel()
    mean = patch.mean()
    distances = np.sum(((patch - mean) @ library.basis - features) ** 2, axis=1)
    weights = np.exp(-distances.astype(np.float64) / library.width**2)
    expected = mean + weights @ targets / weights.sum()
    np.testing.assert_allclose(_restored(patch[None], library)[0], expected, rtol=1e-3)


def test_sparse_weights_minimise_their_function():
    """At the minimum the gradient is zero where a weight is positive, and else not negative."""
    rng = np.random.default_rng(0)
    patches, nearest = rng.standard_normal((50, 6)), rng.standard_normal((50, 9, 6))
    nearest[:, 4] = 0
    penalty = 0.3
    weights = sparse_weights(patches, nearest, penalty)
    lengths = np.linalg.norm(nearest, axis=2)
    error = (weights[:, None] @ nearest)[:, 0] - patches
    gradient = (nearest @ error[..., None])[..., 0] + penalty * lengths
    assert (weights >= 0).all()
    assert (weights[:, 4] == 0).all()
    assert (weights == 0).mean() > 0.4
    assert np.abs(gradient[weights > 0]).max() < 0.02
    assert gradient[weights == 0].min() > -0.02


def test_a_patch_of_the_library_in_another_contrast_becomes_its_own_partner():
    settings = NeighbourSettings(
        weights=Weights.SPARSE, patch=5, library=10**6, clusters=1, searched=1
    )
    library = replace(build_library([specimen(0, (40, 40))], settings), width=1.0)
    (features,), (targets,) = library.sources, library.targets
    chosen = np.argsort(-np.linalg.norm(features, axis=1))[:500:100]
    patches = 70 + 1.3 * features[chosen] @ library.basis.T
    np.testing.assert_allclose(_restored(patches, library), 70 + 1.3 * targets[chosen], atol=2)


def test_images_of_the_library_become_better(library):
    source, target = specimen(0)
    assert psnr(target, restored(source, library), 255) > psnr(target, source, 255) + 2


def test_a_part_is_restored_as_in_the_whole(library):
    """Every pixel depends on what is nearer than a patch alone, on the grid of the patches."""
    source, _ = specimen(4, (60, 64))
    part = restored(source[10:50, 20:60], library)
    np.testing.assert_allclose(part[8:-8, 8:-8], restored(source, library)[18:42, 28:52], atol=1e-2)


def test_brightness_is_passed_through(library):
    source, _ = specimen(3, (40, 41))
    brighter = restored(source + 50, library)
    np.testing.assert_allclose(brighter, restored(source, library) + 50, atol=0.05)


def test_a_constant_image_stays_nearly_constant(library):
    flat = restored(np.full((33, 47), 100, np.uint8), library)
    assert flat.shape == (33, 47)
    assert flat.std() < 1e-3  # every patch is the same, whatever it becomes


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_every_pixel_is_covered_whatever_the_stride(stride):
    settings = NeighbourSettings(
        patch=4, stride=stride, library=500, clusters=4, neighbours=4, components=4
    )
    library = build_library([specimen(0, (40, 40))], settings)
    for shape in ((17, 23), (4, 5)):
        assert np.isfinite(restored(specimen(1, shape)[0], library)).all()


@pytest.mark.parametrize("weights", METHODS)
def test_the_same_seed_gives_the_same_image(weights):
    settings = replace(SMALL, weights=weights)
    first, second = (build_library([specimen(0)], settings) for _ in range(2))
    assert first.width == second.width
    source, _ = specimen(5, (30, 30))
    np.testing.assert_array_equal(restored(source, first), restored(source, second))


def test_pairs_on_different_grids_are_refused():
    with pytest.raises(ValueError, match="one grid"):
        build_library([(np.zeros((20, 20)), np.zeros((20, 21)))])
    with pytest.raises(ValueError, match="7 × 7"):
        build_library([(np.zeros((6, 6)), np.zeros((6, 6)))])
