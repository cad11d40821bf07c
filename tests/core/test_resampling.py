"""Bicubic resampling and filling: the same for a part as for the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_aeanet.core.image import Image
from napari_aeanet.core.nan_fill import REACH, count_missing, filled
from napari_aeanet.core.resampling import cubic, nearest, resampled, resampled_shape
from napari_aeanet.core.tiles import whole


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def all_resampled(values, factors):
    shape = resampled_shape(values.shape, factors)
    return resampled(lambda region: values[region], values.shape, factors, whole(shape))


@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_resampling_equals_torch(factor):
    """Away from the border, which torch does not repeat but leaves out."""
    values = noise((32, 46))
    found = all_resampled(values, (factor, factor))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], found.shape, mode="bicubic", antialias=True
    )
    edge = int(4 * factor) + 2
    inner = (slice(edge, -edge),) * 2
    np.testing.assert_allclose(found[inner], expected[0, 0].numpy()[inner], atol=1e-5)


def test_the_kernel_interpolates_parabolas_exactly():
    at = np.linspace(0, 1, 9)[:, None]
    taps = np.arange(-1, 3)
    np.testing.assert_allclose((cubic(at - taps) * taps**2).sum(axis=1), at[:, 0] ** 2, atol=1e-12)


@given(st.floats(0.2, 4), st.floats(0.2, 4), st.data())
def test_a_part_is_exactly_what_it_is_in_the_whole(fy, fx, data):
    values = noise((17, 23))
    complete = all_resampled(values, (fy, fx))
    starts = [data.draw(st.integers(0, n - 1)) for n in complete.shape]
    stops = [data.draw(st.integers(a + 1, n)) for a, n in zip(starts, complete.shape, strict=True)]
    region = tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))
    part = resampled(lambda r: values[r], values.shape, (fy, fx), region)
    np.testing.assert_array_equal(part, complete[region])


@pytest.mark.parametrize("factor", [0.25, 0.4, 0.77, 1, 1.3, 2])
def test_what_lies_somewhere_stays_there(factor):
    """A gradient shows positions: position in, position out."""
    positions = np.arange(60, dtype=np.float32)
    found = all_resampled(positions, (factor,))
    expected = (np.arange(len(found)) + 0.5) / factor - 0.5
    inner = slice(len(found) // 4, -len(found) // 4)
    error = found[inner] - expected[inner]
    assert np.abs(error).max() < (1e-4 if factor >= 1 else 0.02)
    assert abs(error.mean()) < 0.005


def test_shrinking_averages_instead_of_skipping():
    values = np.tile(np.array([0, 1], np.float32), 64)
    inner = all_resampled(values, (0.125,))[2:-2]
    np.testing.assert_allclose(inner, 0.5, atol=0.02)


def test_axes_with_a_factor_of_one_are_left_alone():
    values = noise((5, 9))
    found = all_resampled(values, (1, 2))
    assert found.shape == (5, 18)
    np.testing.assert_array_equal(found[2:3], all_resampled(values[2:3], (1, 2)))


def test_the_nearest_source_pixel_is_the_one_below():
    values = np.arange(4)
    region = (slice(1, 7),)
    found = nearest(lambda r: values[r], (4,), (2,), region)
    assert found.tolist() == [0, 1, 1, 2, 2, 3]


def test_missing_pixels_take_the_mean_around_them():
    values = np.full((20, 20), 3.0, np.float32)
    values[4, 5] = np.nan
    values[9, 9] = np.inf
    np.testing.assert_allclose(filled(values, fallback=0), 3, rtol=1e-6)


def test_pixels_far_from_anything_known_take_the_fallback():
    values = np.full((30, 30), np.nan, np.float32)
    values[0, 0] = 1
    found = filled(values, fallback=0.5)
    assert found[REACH, REACH] == 1
    assert found[REACH + 1, 0] == 0.5


def test_images_without_missing_pixels_are_not_copied():
    values = noise((5, 5))
    assert filled(values, 0) is values


def test_missing_pixels_are_counted_block_by_block(monkeypatch):
    values = noise((40, 50))
    values[3:5, 7] = np.nan
    values[30, 1] = -np.inf
    monkeypatch.setattr("napari_aeanet.core.image.BLOCK_PIXELS", 100)
    assert count_missing(Image(values, "YX")) == 3
    assert count_missing(Image(values[:2].astype(np.uint8), "YX")) == 0
