"""Making a section from its neighbours without a network."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from napari_aeanet.interpolation import (
    hide_section,
    interpolate_section,
    warp_neighbours,
    with_texture,
)
from napari_aeanet.interpolation.intensity import matched_intensities, quantiles
from napari_aeanet.interpolation.measures import (
    blurred,
    gaussian_ssim,
    membrane_agreement,
    sharpness,
)
from napari_aeanet.interpolation.neighbours import neighbours_between, power
from napari_aeanet.registration import transforms

SHAPE = (192, 200)


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    """Return a field of dark lines on grey, larger than a section."""
    noise = np.random.default_rng(3).normal(size=(320, 320))
    bands = np.abs(ndimage.gaussian_filter(noise, 8, mode="wrap"))
    lines = ndimage.gaussian_filter(np.minimum(bands / bands.std(), 0.6), 1.2)
    return (60 + 220 * lines).astype(np.float32)


def section(tissue: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Record a section; `matrix` leads from its pixels to those of the middle of the tissue."""
    at = transforms.translation((64, 60)) @ matrix
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    places = transforms.apply(at, np.stack([y.ravel(), x.ravel()], 1)).T.reshape(2, *SHAPE)
    return ndimage.map_coordinates(tissue, places, order=3).astype(np.float32)


def moved(shift: tuple[float, float], turn: float) -> np.ndarray:
    middle = transforms.translation(transforms.centre(SHAPE))
    return middle @ transforms.similarity(1, turn, shift) @ np.linalg.inv(middle)


def inner(values: np.ndarray, edge: int = 16) -> np.ndarray:
    return values[edge:-edge, edge:-edge]


def test_half_of_a_motion_twice_is_the_motion():
    motion = moved((7, -4), 3)
    half = power(motion, 0.5)
    np.testing.assert_allclose(half @ half, motion, atol=1e-9)
    np.testing.assert_allclose(power(motion, -1) @ motion, np.eye(3), atol=1e-9)


@pytest.mark.parametrize("at", [0.5, 1 / 3])
def test_rigid_sections_meet_at_the_position_between_them(tissue, at):
    motion = moved((6, -9), 2)
    before, after = section(tissue, np.eye(3)), section(tissue, motion)
    truth = section(tissue, power(motion, at))
    made = interpolate_section(before, after, at=at)
    assert made.correlation > 0.9
    assert np.abs(inner(made.pixels, 24) - inner(truth, 24)).mean() < 1.5
    unaligned = np.abs(inner((1 - at) * before + at * after, 24) - inner(truth, 24)).mean()
    assert unaligned > 8


def test_flow_follows_what_no_rigid_motion_explains(tissue):
    """Tissue that shears by up to 5 px to the left before, and to the right after."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    shear = 5 * np.sin(2 * np.pi * y / 192)
    still = section(tissue, np.eye(3))

    def warped(sign):
        return cv2.remap(still, x + sign * shear, y, cv2.INTER_CUBIC, None, cv2.BORDER_REFLECT)

    hidden = hide_section(still, warped(-1), warped(1))
    flow, mean = hidden.neighbours.blended(), hidden.neighbours.mean()
    gain = hidden.score(flow, 255).agreement - hidden.score(mean, 255).agreement
    assert gain > 0.1
    assert hidden.score(flow, 255).psnr > hidden.score(mean, 255).psnr + 10


def test_equal_neighbours_give_themselves(tissue):
    one = section(tissue, np.eye(3))
    made = interpolate_section(one, one)
    assert np.abs(made.pixels - one).max() < 1.0


def test_order_of_the_neighbours_does_not_matter(tissue):
    before, after = section(tissue, np.eye(3)), section(tissue, moved((4, 2), 1))
    forth, back = (interpolate_section(*pair).pixels for pair in ((before, after), (after, before)))
    assert np.abs(inner(forth) - inner(back)).mean() < 1.0


def test_sections_without_common_structure_are_not_interpolated():
    noise = np.random.default_rng(0).normal(100, 20, (2, *SHAPE)).astype(np.float32)
    assert interpolate_section(*noise) is None
    assert hide_section(noise[0], noise[1], noise[1]) is None


def test_what_is_left_between_leads_from_one_neighbour_to_the_other(tissue):
    """Neighbours that have nothing in common directly, and a damaged section that has with both."""
    other = section(tissue[::-1].copy(), np.eye(3))
    before, after = section(tissue, np.eye(3)), other
    left = (before + other) / 2
    assert neighbours_between(before, after) is None
    found = neighbours_between(before, after, between=[left])
    assert found.correlation > 0.25
    np.testing.assert_allclose(found.to_after @ np.linalg.inv(found.to_before), np.eye(3), atol=2)
    lost = np.full(SHAPE, 200, np.float32)
    assert interpolate_section(before, before + 1, between=[lost]) is not None
    assert interpolate_section(before, after, between=[lost]) is None


def test_sections_of_two_sizes_are_refused(tissue):
    with pytest.raises(ValueError, match="planes of one size, got 192 x 100, 192 x 200 pixels"):
        interpolate_section(np.zeros(SHAPE), np.zeros((192, 100)))


def test_brightness_of_the_result_is_between_that_of_the_neighbours(tissue):
    before = section(tissue, np.eye(3))
    made = interpolate_section(before, 0.5 * before + 100)
    assert np.abs(made.pixels - (0.75 * before + 50)).max() < 2.0


def test_matched_intensities_have_common_quantiles(tissue):
    before = section(tissue, np.eye(3))
    after = 0.5 * section(tissue, moved((4, 2), 1)) ** 1.1 + 20
    first, second = matched_intensities(before, after, at=0.25)
    wanted = 0.75 * quantiles(before) + 0.25 * quantiles(after)
    for one in (first, second):
        np.testing.assert_allclose(quantiles(one), wanted, atol=1.0)
    flat, _ = matched_intensities(np.full(SHAPE, 7, np.float32), before)
    assert np.ptp(flat) == 0


def test_where_one_neighbour_shows_nothing_the_other_is_taken(tissue):
    motion = moved((0, 40), 0)
    before, after = section(tissue, np.eye(3)), section(tissue, motion)
    neighbours = neighbours_between(before, after)
    warped = warp_neighbours(neighbours)
    assert set(np.unique(warped.weight)) == {0, 0.5, 1}
    truth = section(tissue, power(motion, 0.5))
    assert np.abs(inner(warped.blended()) - inner(truth)).mean() < 2


def test_texture_restores_the_sharpness_of_the_neighbours(tissue):
    rng = np.random.default_rng(5)
    plain = [section(tissue, np.eye(3)), section(tissue, moved((3, 1), 0.5))]
    before, after = (one + rng.normal(0, 40, SHAPE).astype(np.float32) for one in plain)
    warped = warp_neighbours(neighbours_between(before, after))
    blend = warped.blended()
    for base in (blend, blurred(blend)):
        share = sharpness(with_texture(base, warped)) / sharpness(before)
        assert 0.9 < share < 1.1
    assert sharpness(blend) / sharpness(before) < 0.85
    even = np.full(SHAPE, 5, np.float32)
    flat = warp_neighbours(neighbours_between(before, before))
    assert np.isfinite(with_texture(even, flat)).all()


def test_membrane_agreement_is_one_for_itself_and_nothing_for_other_tissue(tissue):
    one, other = section(tissue, np.eye(3)), section(tissue[::-1, ::-1].copy(), np.eye(3))
    assert membrane_agreement(one, one) == 1
    assert membrane_agreement(one, 2 * one + 30) > 0.99
    assert abs(membrane_agreement(one, other)) < 0.15
    assert membrane_agreement(one, 255 - one) < -0.2


def test_blur_lowers_sharpness_and_hardly_agreement(tissue):
    one = section(tissue, np.eye(3))
    assert sharpness(blurred(one)) < 0.85 * sharpness(one)
    assert membrane_agreement(one, blurred(one)) > 0.9


def test_ssim_equals_the_published_definition(tissue):
    """Gaussian window of 11 pixels, standard deviation 1.5, over the valid region."""
    x = section(tissue, np.eye(3)).astype(np.float64)
    y = x + np.random.default_rng(1).normal(0, 15, SHAPE)
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2

    def mean(v):
        return cv2.filter2D(v, -1, window)[5:-5, 5:-5]

    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    every = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert gaussian_ssim(x, y, 255) == pytest.approx(every.mean(), abs=1e-6)
