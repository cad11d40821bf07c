"""The algebra of plane transforms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aeanet.registration import transforms
from napari_aeanet.registration.transforms import TransformKind

POINTS = np.array([[0.0, 0], [3, 40], [50, 7], [44, 61], [20, 30], [35, 12]])


def random_transform(kind, seed):
    rng = np.random.default_rng(seed)
    matrix = transforms.translation(rng.uniform(-50, 50, 2)) @ transforms.similarity(
        rng.uniform(0.3, 4), rng.uniform(-180, 180)
    )
    if kind is not TransformKind.SIMILARITY:
        matrix[:2, :2] += rng.uniform(-0.1, 0.1, (2, 2))
    if kind is TransformKind.HOMOGRAPHY:
        matrix[2, :2] = rng.uniform(-1e-3, 1e-3, 2)
    return matrix


@pytest.mark.parametrize("kind", list(TransformKind))
@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_fitting_moved_points_returns_the_transform(kind, seed):
    matrix = random_transform(kind, seed)
    found = transforms.fit(POINTS, transforms.apply(matrix, POINTS), kind)
    np.testing.assert_allclose(found, matrix, atol=1e-7)


def test_a_fit_stays_within_its_kind():
    rng = np.random.default_rng(0)
    target = transforms.apply(random_transform(TransformKind.HOMOGRAPHY, 1), POINTS)
    found = transforms.fit(
        POINTS, target + rng.normal(0, 1, target.shape), TransformKind.SIMILARITY
    )
    assert found[0, 0] == pytest.approx(found[1, 1])
    assert found[0, 1] == pytest.approx(-found[1, 0])
    np.testing.assert_array_equal(found[2], [0, 0, 1])


@pytest.mark.parametrize("kind", list(TransformKind))
def test_motions_are_the_derivatives_of_moved_points(kind):
    step = 1e-6
    for generator, motion in zip(
        transforms.generators(kind), transforms.motions(kind, POINTS), strict=True
    ):
        moved = transforms.apply(np.eye(3) + step * generator, POINTS)
        np.testing.assert_allclose((moved - POINTS) / step, motion, rtol=1e-3, atol=1e-3)


def test_scale_and_rotation_are_read_back():
    matrix = transforms.similarity(1.7, -23.0, (4, 5))
    assert transforms.scale_of(matrix) == pytest.approx(1.7)
    assert transforms.rotation_of(matrix) == pytest.approx(-23.0)


def test_a_positive_rotation_turns_the_x_axis_towards_y():
    moved = transforms.apply(transforms.similarity(1.0, 90.0), np.array([[0.0, 1.0]]))[0]
    np.testing.assert_allclose(moved, [1.0, 0.0], atol=1e-12)


def test_enlarging_keeps_the_edges_of_the_field():
    # Pixel 0 covers -1/2 to 1/2; on a grid three times finer these are -1/2 and 5/2.
    edges = np.array([[-0.5, -0.5], [0.5, 0.5]])
    np.testing.assert_allclose(
        transforms.apply(transforms.enlargement(3), edges), [[-0.5, -0.5], [2.5, 2.5]]
    )
