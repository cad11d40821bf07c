"""Paired LB-NLM: the formula, what it must be blind to, and that it restores."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.metrics import psnr
from napari_aeanet.core.progress import returned
from napari_aeanet.evaluation.lb_nlm import (
    NeighbourSettings,
    _restored,
    build_library,
    restore_by_neighbours,
)

SMALL = NeighbourSettings(patch=5, library=3000, clusters=20, neighbours=8, components=10)


def specimen(seed: int, shape=(90, 110)):
    rng = np.random.default_rng(seed)
    target = 255.0 * (gaussian_filter(rng.standard_normal(shape), 2) > 0)
    source = gaussian_filter(target, 1.2) + rng.normal(0, 12, shape)
    return source.astype(np.float32), target.astype(np.float32)


def restored(image, library):
    """The result of the generator."""
    return returned(restore_by_neighbours(image, library))


@pytest.fixture(scope="module")
def library():
    return build_library([specimen(0), specimen(1)], SMALL)


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


def test_the_same_seed_gives_the_same_library():
    first, second = (build_library([specimen(0)], SMALL) for _ in range(2))
    assert first.width == second.width
    np.testing.assert_array_equal(first.centres, second.centres)


def test_pairs_on_different_grids_are_refused():
    with pytest.raises(ValueError, match="one grid"):
        build_library([(np.zeros((20, 20)), np.zeros((20, 21)))])
    with pytest.raises(ValueError, match="7 × 7"):
        build_library([(np.zeros((6, 6)), np.zeros((6, 6)))])
