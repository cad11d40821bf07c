"""Resampling onto another grid keeps places, values and calibration."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind
from napari_aeanet.registration.warping import (
    crop_to_overlap,
    overlap_region,
    resample,
    resample_reverse,
)


def registration(matrix, source_shape, target_shape, **changes):
    made = Registration(
        matrix=np.asarray(matrix, dtype=np.float64),
        kind=TransformKind.SIMILARITY,
        source_shape=source_shape,
        target_shape=target_shape,
        verdict=Verdict.GOOD,
        reason="made for a test",
        matches=np.empty((0, 2, 2)),
        drift_vectors=np.empty((0, 2, 2)),
    )
    return replace(made, **changes)


TURNED = transforms.translation((3.3, -2.7)) @ transforms.similarity(1.9, 12.0)


def test_a_bright_dot_lands_where_the_matrix_takes_it():
    source = np.zeros((40, 50))
    source[20, 30] = 1.0
    moved = resample(
        Image(source, "YX"),
        registration(TURNED, (40, 50), (80, 100)),
        Image(np.zeros((80, 100)), "YX"),
    ).array
    where = np.array(np.meshgrid(np.arange(80), np.arange(100), indexing="ij"))
    centre = (where * moved).sum(axis=(1, 2)) / moved.sum()
    expected = transforms.apply(TURNED, np.array([[20.0, 30]]))[0]
    np.testing.assert_allclose(centre, expected, atol=0.02)


def test_a_parabola_is_reproduced_exactly():
    def surface(y, x):
        return 0.3 * y**2 - 0.2 * x * y + x - 4

    y, x = np.mgrid[:60, :60]
    source = Image(surface(y, x).astype(np.float64), "YX")
    matrix = transforms.translation((-30, -12)) @ transforms.similarity(1.5, 10.0)
    target = Image(np.zeros((30, 40)), "YX")
    moved = resample(source, registration(matrix, (60, 60), (30, 40)), target).array
    rows, columns = np.mgrid[:30, :40]
    at = transforms.apply(np.linalg.inv(matrix), np.column_stack([rows.ravel(), columns.ravel()]))
    assert at.min() > 2 and at.max() < 57
    np.testing.assert_allclose(moved.ravel(), surface(*at.T), atol=1e-9)


def test_the_identity_changes_nothing():
    rng = np.random.default_rng(0)
    source = Image(rng.integers(0, 65535, (17, 23), dtype=np.uint16), "YX")
    moved = resample(source, registration(np.eye(3), (17, 23), (17, 23)), source)
    np.testing.assert_array_equal(moved.array, source.array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_intensity_type_is_kept_and_overshoot_is_clipped(dtype):
    top = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    step = np.zeros((20, 20), dtype)
    step[:, 10:] = top
    moved = resample(
        Image(step, "YX"),
        registration(transforms.enlargement(3), (20, 20), (60, 60)),
        Image(np.zeros((60, 60)), "YX"),
    ).array
    assert moved.dtype == dtype
    if dtype is np.float32:
        assert moved.max() > top  # the kernel does overshoot
    else:
        assert moved[:, -1].min() == top and moved[:, 0].max() == 0


def test_calibration_and_place_become_those_of_the_target():
    source = Image(np.zeros((3, 10, 10)), "ZYX", (0.05, 0.01, 0.01), "µm", (1.0, 0.0, 0.0))
    target = Image(np.zeros((20, 20)), "YX", (5.0, 5.0), "nm", (7.0, 8.0))
    found = registration(transforms.enlargement(2), (10, 10), (20, 20))
    moved = resample(source, found, target, (slice(4, 20), slice(2, 12)))
    assert moved.shape == (3, 16, 10) and moved.axes == "ZYX"
    assert moved.unit == "nm"
    assert moved.pixel_size == pytest.approx((50.0, 5.0, 5.0))
    assert moved.origin == pytest.approx((1000.0, 7.0 + 4 * 5, 8.0 + 2 * 5))


def test_a_region_equals_that_part_of_the_whole():
    rng = np.random.default_rng(1)
    source = Image(rng.random((40, 50)), "YX")
    target = Image(np.zeros((80, 100)), "YX")
    found = registration(TURNED, (40, 50), (80, 100))
    region = (slice(13, 60), slice(40, 90))
    whole = resample(source, found, target).array
    np.testing.assert_array_equal(resample(source, found, target, region).array, whole[region])


def test_the_reverse_averages_detail_that_the_coarse_grid_cannot_show():
    # Stripes of one pixel would turn into wide false stripes if pixels were skipped.
    fine = Image(np.tile([0.0, 100.0], (64, 32)), "YX")
    coarse = Image(np.zeros((20, 20)), "YX")
    found = registration(transforms.similarity(3.1), (20, 20), (64, 64))
    back = resample_reverse(fine, found, coarse).array
    assert np.abs(back[3:-3, 3:-3] - 50).max() < 5


def test_there_and_back_returns_a_smooth_image():
    y, x = np.mgrid[:40, :50] / 7.0
    source = Image(np.sin(y) + np.cos(x), "YX")
    target = Image(np.zeros((110, 130)), "YX")
    found = registration(
        transforms.translation((10, 5)) @ transforms.similarity(2.0, 3.0), (40, 50), (110, 130)
    )
    there = resample(source, found, target)
    back = resample_reverse(there, found, source).array
    assert np.abs(back - source.array)[6:-6, 6:-6].max() < 0.03


def test_every_plane_moves_by_its_own_transform():
    source = np.zeros((2, 20, 20))
    source[:, 8, 8] = 1
    shifts = [transforms.translation((2, 0)), transforms.translation((0, 5))]
    base = registration(np.eye(3), (20, 20), (20, 20))
    found = replace(base, slices=tuple(replace(base, matrix=m) for m in shifts))
    moved = resample(Image(source, "ZYX"), found, Image(np.zeros((20, 20)), "YX")).array
    peaks = [np.unravel_index(plane.argmax(), plane.shape) for plane in moved]
    assert peaks == [(10, 8), (8, 13)]
    with pytest.raises(ValueError, match="3 planes"):
        resample(Image(np.zeros((3, 20, 20)), "ZYX"), found, Image(np.zeros((20, 20)), "YX"))


def test_a_failed_registration_is_not_applied():
    image = Image(np.zeros((20, 20)), "YX", name="S03")
    found = registration(np.eye(3), (20, 20), (20, 20), verdict=Verdict.FAILED)
    with pytest.raises(ValueError, match="S03 is not registered"):
        resample(image, found, image)


def test_an_image_of_another_size_is_refused():
    found = registration(np.eye(3), (20, 20), (20, 20))
    small, right = Image(np.zeros((10, 20)), "YX"), Image(np.zeros((20, 20)), "YX")
    with pytest.raises(ValueError, match="source of 20 x 20"):
        resample(small, found, right)
    with pytest.raises(ValueError, match="target of 20 x 20"):
        resample(right, found, small)


def test_a_source_that_covers_the_target_leaves_it_whole():
    found = registration(transforms.enlargement(2), (20, 30), (40, 60))
    assert overlap_region(found) == (slice(0, 40), slice(0, 60))


def test_the_overlap_of_a_shifted_source_is_the_common_rectangle():
    found = registration(transforms.translation((7, -4)), (20, 30), (20, 30))
    assert overlap_region(found) == (slice(7, 20), slice(0, 26))


@settings(deadline=None, max_examples=25)
@given(
    angle=st.floats(-40, 40),
    scale=st.floats(0.7, 2.5),
    dy=st.floats(-25, 25),
    dx=st.floats(-25, 25),
)
def test_the_overlap_lies_within_the_source_and_cannot_grow(angle, scale, dy, dx):
    source_shape, target_shape = (60, 70), (90, 80)
    matrix = (
        transforms.translation(transforms.centre(target_shape) + np.array([dy, dx]))
        @ transforms.similarity(scale, angle)
        @ transforms.translation(-transforms.centre(source_shape))
    )
    found = registration(matrix, source_shape, target_shape)
    rows, columns = overlap_region(found)

    def is_covered(y0, y1, x0, x1):
        corners = np.array([[y, x] for y in (y0, y1) for x in (x0, x1)], dtype=float)
        at = transforms.apply(np.linalg.inv(matrix), corners)
        inside = (at > -0.51).all() and (at < np.array(source_shape) - 0.49).all()
        return inside and min(y0, x0) >= 0 and y1 < target_shape[0] and x1 < target_shape[1]

    y0, y1, x0, x1 = rows.start, rows.stop - 1, columns.start, columns.stop - 1
    assert is_covered(y0, y1, x0, x1)
    assert not is_covered(y0 - 2, y1 + 2, x0 - 2, x1 + 2)
    widened = [(y0 - 2, y1, x0, x1), (y0, y1 + 2, x0, x1), (y0, y1, x0 - 2, x1)]
    grown = [w for w in (*widened, (y0, y1, x0, x1 + 2)) if is_covered(*w)]
    area = (y1 - y0 + 1) * (x1 - x0 + 1)
    assert all((w[1] - w[0] + 1) * (w[3] - w[2] + 1) < 1.15 * area for w in grown)


def test_both_sides_are_cropped_to_the_common_field():
    rng = np.random.default_rng(2)
    picture = rng.random((50, 60))
    source, target = Image(picture[:40, :], "YX"), Image(picture[10:, 5:], "YX", (2, 2), "nm")
    found = registration(transforms.translation((-10, -5)), (40, 60), (40, 55))
    first, second = crop_to_overlap(source, found, target)
    np.testing.assert_allclose(first.array, second.array)
    np.testing.assert_array_equal(second.array, picture[10:40, 5:])
    assert first.pixel_size == second.pixel_size == (2, 2)
    assert first.origin == second.origin == (0.0, 0.0)


def test_a_missing_overlap_is_reported():
    found = registration(transforms.translation((100, 0)), (20, 20), (20, 20))
    with pytest.raises(ValueError, match="no field in common"):
        overlap_region(found)
