"""Positions of patches and tiles, blending weights and blocks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_aeanet.core.image import blocks, regions
from napari_aeanet.core.tiles import (
    extent,
    fading,
    field_around,
    grid_padding,
    halves,
    has_centre_in,
    intersection,
    partition,
    patches,
    whole,
    with_halo,
    within,
)

GRID = 4
sizes = st.integers(1, 40).map(lambda n: n * GRID)


def times_covered(shape, regions):
    """Return how often each pixel lies in one of the regions."""
    count = np.zeros(shape, int)
    for region in regions:
        count[region] += 1
    return count


@given(sizes, sizes, st.integers(1, 200))
def test_a_partition_covers_every_pixel_once_and_cuts_on_the_grid(height, width, edge):
    parts = partition((height, width), (edge, edge), (GRID, GRID))
    assert (times_covered((height, width), parts) == 1).all()
    assert all(s.start % GRID == 0 and s.stop % GRID == 0 for part in parts for s in part)
    assert all(n <= max(edge, GRID) for part in parts for n in extent(part))


def test_the_parts_of_a_partition_are_of_nearly_equal_size():
    lengths = {extent(part)[0] for part in partition((300,), (256,), (4,))}
    assert lengths == {148, 152}


@given(sizes, sizes)
def test_halves_cover_a_region_once_and_stay_on_the_grid(height, width):
    region = (slice(8, 8 + height), slice(4, 4 + width))
    parts = halves(region, (GRID, GRID))
    count = times_covered((8 + height, 4 + width), parts)
    assert count.sum() == height * width
    assert (count[region] == 1).all()
    assert all(s.start % GRID == 0 for part in parts for s in part)
    assert len(parts) == (1 if height == GRID else 2) * (1 if width == GRID else 2)


def test_a_region_of_one_grid_step_cannot_be_halved():
    region = (slice(4, 8),)
    assert halves(region, (4,)) == [region]


@given(sizes, st.integers(0, 30), st.integers(1, 100), st.data())
def test_a_halo_is_complete_inside_and_clipped_at_the_border(size, halo, edge, data):
    inner = data.draw(st.sampled_from(partition((size,), (edge,), (GRID,))))
    tile = with_halo(inner, ((halo, halo),), (size,), (GRID,))
    (outer,) = tile.outer
    assert outer.start == 0 or inner[0].start - outer.start >= halo
    assert outer.stop == size or outer.stop - inner[0].stop >= halo
    assert 0 <= outer.start <= inner[0].start < inner[0].stop <= outer.stop <= size
    assert outer.start % GRID == 0
    assert outer.stop % GRID == 0
    assert np.arange(size)[tile.outer][tile.inside].tolist() == np.arange(size)[inner].tolist()


def test_patches_follow_the_published_rule_on_a_worked_example():
    """944 rows in patches of 256 with a margin of 32: five patches, 192 apart, the last flush."""
    cut = patches((944,), (256,), (32,))
    assert [tile.outer[0] for tile in cut] == [
        slice(0, 256),
        slice(192, 448),
        slice(384, 640),
        slice(576, 832),
        slice(688, 944),
    ]
    assert [tile.inner[0] for tile in cut] == [
        slice(0, 224),
        slice(224, 416),
        slice(416, 608),
        slice(608, 800),
        slice(800, 944),
    ]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(8, 128), st.integers(0, 40))
def test_patches_keep_every_pixel_once_and_no_margin(height, width, size, margin):
    if 2 * margin >= size:
        return
    shape = (height, width)
    cut = patches(shape, (size, size), (margin, margin))
    assert (times_covered(shape, [tile.inner for tile in cut]) == 1).all()
    for tile in cut:
        assert extent(tile.outer) == (min(size, height), min(size, width))
        for kept, patch, n in zip(tile.inner, tile.outer, shape, strict=True):
            assert patch.start == 0 or kept.start - patch.start >= margin
            assert patch.stop == n or patch.stop - kept.stop >= margin


@given(st.integers(1, 300), st.integers(8, 128), st.integers(0, 40))
def test_fading_weights_add_up_to_one(size, patch, margin):
    if 2 * margin >= patch:
        return
    spans = [tile.outer[0] for tile in patches((size,), (patch,), (margin,))]
    total = np.zeros(size)
    for (start, stop), weights in fading(spans, size, 2 * margin).items():
        assert (weights >= 0).all()
        total[start:stop] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_patch_fades_out_towards_its_ends_but_not_towards_those_of_the_image():
    weights = fading([slice(0, 8), slice(4, 12)], 12, 4)
    np.testing.assert_allclose(weights[0, 8], [1, 1, 1, 1, 1, 0.75, 0.25, 0])
    np.testing.assert_allclose(weights[4, 12], [0, 0.25, 0.75, 1, 1, 1, 1, 1])


def test_a_margin_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="margin of 32 px"):
        patches((300,), (64,), (32,))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((41, 42, 43, 44), ((1, 2), (1, 1), (0, 1), (0, 0))), ((9, 2), ((1, 2), (1, 1)))],
)
def test_padding_is_split_evenly_with_the_smaller_half_first(shape, expected):
    assert grid_padding(shape, (4,) * len(shape)) == expected


def test_a_field_is_centred_on_its_tile_and_moves_inwards_at_the_border():
    assert field_around((slice(40, 60),), (60,), (200,)) == (slice(20, 80),)
    assert field_around((slice(0, 20),), (60,), (200,)) == (slice(0, 60),)
    assert field_around((slice(180, 200),), (60,), (200,)) == (slice(140, 200),)
    assert field_around((slice(180, 200),), (600,), (200,)) == (slice(0, 200),)


def test_the_field_of_three_tiles_holds_the_centres_of_three_tiles():
    tiles = partition((200,), (20,), (4,))
    window = field_around(tiles[5], (60,), (200,))
    assert [t for t in tiles if has_centre_in(t, window)] == tiles[4:7]


def test_regions_overlap_or_not():
    assert intersection((slice(0, 5),), (slice(3, 9),)) == (slice(3, 5),)
    assert intersection((slice(0, 5),), (slice(5, 9),)) is None
    assert within((slice(3, 5),), (slice(3, 9),)) == (slice(0, 2),)
    assert extent(whole((3, 4))) == (3, 4)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(1, 40))
def test_blocks_cover_every_pixel_once_and_are_of_bounded_size(shape, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_aeanet.core.image.BLOCK_PIXELS", most)
        found = list(blocks(shape))
    assert (times_covered(tuple(shape), found) == 1).all()
    assert all(math.prod(extent(region)) <= max(most, shape[-1]) for region in found)


def test_regions_are_of_one_size_and_smaller_at_the_far_ends():
    found = list(regions((3, 5), (2, 4)))
    assert [extent(region) for region in found] == [(2, 4), (2, 1), (1, 4), (1, 1)]
    assert (times_covered((3, 5), found) == 1).all()
    assert not list(blocks((0, 4)))
    assert not list(blocks((4, 0)))
