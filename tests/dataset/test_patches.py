"""Positions of patches, and cutting them there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aeanet.dataset.patch_source import PatchSource
from napari_aeanet.dataset.patches import Area, PatchPositions, PatchSampler, strided


def whole(image: int, shape: tuple[int, ...]) -> Area:
    return Area(image, tuple(slice(0, n) for n in shape))


@settings(deadline=None, max_examples=50)
@given(
    shape=st.lists(st.integers(6, 20), min_size=2, max_size=3).map(tuple),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_patches_lie_inside_their_area(shape, seed, data):
    start = tuple(data.draw(st.integers(0, n - 5)) for n in shape)
    patch = tuple(data.draw(st.integers(1, n - s)) for n, s in zip(shape, start, strict=True))
    area = Area(0, tuple(slice(a, n) for a, n in zip(start, shape, strict=True)))
    positions = PatchSampler([area], patch).draw(20, np.random.default_rng(seed))
    assert (positions.start >= start).all()
    assert (positions.start + patch <= shape).all()


def test_every_position_is_equally_likely_whatever_box_it_is_in():
    areas = [
        whole(0, (5, 5)),
        whole(1, (5, 8)),
        Area(1, (slice(0, 4), slice(10, 14))),
    ]  # 4, 10 and 1 positions
    sampler = PatchSampler(areas, (4, 4))
    assert [sampler.positions(area) for area in areas] == [4, 10, 1]
    positions = sampler.draw(15000, np.random.default_rng(0))
    _, counts = np.unique(
        np.column_stack([positions.image, positions.start]), axis=0, return_counts=True
    )
    assert len(counts) == 15
    assert abs(counts / 1000 - 1).max() < 0.15


def test_no_patch_holds_an_invalid_pixel():
    rng = np.random.default_rng(0)
    valid = rng.random((60, 80)) > 0.002
    area = Area(0, (slice(3, 57), slice(5, 79)))
    sampler = PatchSampler([area], (9, 12), [valid])
    positions = sampler.draw(500, rng)
    assert all(valid[y : y + 9, x : x + 12].all() for y, x in positions.start)
    expected = [
        valid[y : y + 9, x : x + 12].all()
        for y in range(3, 57 - 9 + 1)
        for x in range(5, 79 - 12 + 1)
    ]
    assert sampler.positions(area) == sum(expected) < len(expected)


def test_an_image_without_a_valid_position_is_not_drawn_from():
    areas = [whole(0, (20, 20)), whole(1, (20, 20))]
    sampler = PatchSampler(areas, (8, 8), [np.zeros((20, 20), bool), None])
    assert set(sampler.draw(50, np.random.default_rng(0)).image) == {1}


def test_a_patch_that_fits_nowhere_is_an_error():
    with pytest.raises(ValueError, match="32 × 32"):
        PatchSampler([whole(0, (20, 40))], (32, 32))


def test_uninteresting_background_is_drawn_less_often():
    interest = np.ones((40, 80))
    interest[:, 40:] = 0.1
    sampler = PatchSampler([whole(0, (40, 80))], (1, 1), interest=[interest])
    positions = sampler.draw(4000, np.random.default_rng(0))
    assert (positions.start[:, 1] >= 40).mean() == pytest.approx(0.1 / 1.1, abs=0.02)


def test_the_same_generator_state_draws_the_same_positions():
    sampler = PatchSampler([whole(0, (50, 50))], (8, 8))
    first, second = (sampler.draw(10, np.random.default_rng([1, 2])) for _ in range(2))
    for name in ("image", "start", "turn"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_oblong_patches_are_flipped_but_never_turned():
    sampler = PatchSampler([whole(0, (50, 50))], (8, 10))
    assert set(sampler.draw(200, np.random.default_rng(0)).turn) == {0, 1, 2, 3}


@pytest.mark.parametrize("turn", range(8))
def test_a_bright_pixel_lands_where_flips_and_turns_put_it(turn):
    image = np.zeros((6, 9))
    image[2, 4] = 1
    positions = PatchPositions(np.array([0]), np.array([[1, 2]]), np.array([turn]))
    offset, strides = strided(positions, [image.shape], (4, 4))
    patch = image.ravel()[
        offset[0] + np.arange(4)[:, None] * strides[0, 0] + np.arange(4) * strides[0, 1]
    ]
    row, column = 1, 2
    row = 3 - row if turn & 1 else row
    column = 3 - column if turn & 2 else column
    expected = (column, row) if turn & 4 else (row, column)
    assert np.argwhere(patch).tolist() == [list(expected)]


@pytest.mark.parametrize("shapes", [[(20, 31), (25, 18)], [(5, 20, 31), (8, 25, 18)]])
def test_a_batch_is_cut_as_slicing_and_turning_would(shapes):
    rng = np.random.default_rng(0)
    images = [rng.random((2, *shape), dtype=np.float32) for shape in shapes]
    patch = (8, 8) if len(shapes[0]) == 2 else (3, 8, 8)
    sampler = PatchSampler([whole(i, shape) for i, shape in enumerate(shapes)], patch)
    positions = sampler.draw(40, rng)
    assert len(np.unique(positions.turn)) == 8
    batch = stored(images).cut(positions, patch).numpy()
    for cut, number, start, turn in zip(
        batch, positions.image, positions.start, positions.turn, strict=True
    ):
        box = tuple(slice(a, a + n) for a, n in zip(start, patch, strict=True))
        expected = images[number][(slice(None), *box)]
        expected = expected[..., ::-1, :] if turn & 1 else expected
        expected = expected[..., ::-1] if turn & 2 else expected
        expected = expected.swapaxes(-1, -2) if turn & 4 else expected
        np.testing.assert_array_equal(cut, expected)


def stored(images: list[np.ndarray]) -> PatchSource:
    flat = np.concatenate([image.ravel() for image in images])
    return PatchSource(flat, [image.shape for image in images])


def test_an_area_is_read_as_it_is():
    rng = np.random.default_rng(0)
    images = [rng.random((2, 20, 30), dtype=np.float32), rng.random((2, 9, 8), dtype=np.float32)]
    read = stored(images).area(Area(1, (slice(2, 7), slice(3, 8))))[0].numpy()
    np.testing.assert_array_equal(read, images[1][:, 2:7, 3:8])
