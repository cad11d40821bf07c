"""The source is found among two images whose names do not say it."""

import numpy as np
import pytest
import tifffile
from helpers import REAL_DATA, needs_real_data
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.image import Image
from napari_aeanet.core.noise import noise_level
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.pairs.roles import is_reversed
from napari_aeanet.pairs.sources import guess_folders, guess_pairs


@pytest.fixture
def clean(rng):
    return 100 + 50 * gaussian_filter(rng.standard_normal((160, 200)), 4) / 0.07


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_noise_level_is_that_of_added_noise(clean, rng):
    for sigma in (2.0, 20.0):
        noisy = clean + rng.normal(0, sigma, clean.shape)
        assert noise_level(noisy.astype(np.float32)) == pytest.approx(sigma, rel=0.1)


def test_the_noisier_of_two_images_is_the_source(clean, rng):
    average = Image(clean, "YX", name="one")
    # Other gain and offset, as two exposures have.
    noisy = Image(3 * (clean + rng.normal(0, 20, clean.shape)) + 500, "YX", name="two")
    assert is_reversed(average, noisy) and not is_reversed(noisy, average)
    (pair,) = guess_pairs([average, noisy]).pairs
    assert pair.source is noisy and pair.is_guess


def test_images_alike_stay_in_the_order_given(clean, rng):
    first, second = (Image(clean + rng.normal(0, 20, clean.shape), "YX") for _ in range(2))
    assert not is_reversed(first, second) and not is_reversed(second, first)


def test_a_stack_is_the_source_of_its_projection(rng):
    stack = Image(rng.random((5, 40, 50)), "ZYX")
    plane = Image(stack.read().max(axis=0), "YX")
    assert is_reversed(plane, stack) and not is_reversed(stack, plane)


def test_the_smaller_of_two_planes_is_the_source(rng):
    small, large = Image(rng.random((40, 50)), "YX"), Image(rng.random((80, 100)), "YX")
    assert is_reversed(large, small) and not is_reversed(small, large)


def test_names_that_say_the_role_are_no_guess(clean, rng):
    noisy = Image(clean + rng.normal(0, 20, clean.shape), "YX", name="S01 gt")
    (pair,) = guess_pairs([Image(clean, "YX", name="S01 noisy"), noisy]).pairs
    assert pair.target is noisy and not pair.is_guess


def paired(*names, shapes=()):
    """The names that are paired, of images of these shapes, and the names that are left over."""
    planes = [(8, 8)] * (len(names) - len(shapes))
    images = [
        Image(np.zeros(shape, np.uint8), "ZYX"[-len(shape) :], name=name)
        for name, shape in zip(names, [*shapes, *planes], strict=True)
    ]
    found = guess_pairs(images)
    left = [sentence.split(":")[0] for sentence in found.unmatched]
    return [(pair.source.name, pair.target.name) for pair in found], left


def test_an_image_beside_one_with_a_role_has_the_other_role():
    assert paired("S01_gt", "S02", "S01") == ([("S01", "S01_gt")], ["S02"])
    assert paired("S01_noisy", "S01") == ([("S01_noisy", "S01")], [])
    volume = [(3, 8, 8)]
    assert paired("confocal", "S01 noisy") == ([("S01 noisy", "confocal")], [])
    assert paired("gt", "dish 3") == ([("dish 3", "gt")], [])
    assert paired("transmitted light", "nuclei") == ([("transmitted light", "nuclei")], [])
    names = ("e volume", "e projection", "e height")
    assert paired(*names, shapes=volume) == ([("e volume", "e projection")], ["e height"])


def test_several_exposures_share_a_target_whose_name_they_begin_with():
    names = ("cells truth", "cells 5 ms", "cells 50 ms", "dish")
    expected = [("cells 5 ms", "cells truth"), ("cells 50 ms", "cells truth")]
    assert paired(*names) == (expected, ["dish"])


@pytest.mark.parametrize("names", [("long", "short"), ("short", "long"), ("gt", "short")])
def test_folders_in_any_order_are_paired_source_first(tmp_path, clean, rng, names):
    poor = names.index("short")
    for index, name in enumerate(names):
        (tmp_path / name).mkdir()
        values = clean + (rng.normal(0, 20, clean.shape) if index == poor else 0)
        for number in (1, 2):
            image = Image(values.astype(np.float32), "YX")
            write_image(image, tmp_path / name / f"S{number}.tif")
    found = guess_folders((tmp_path / names[0], tmp_path / names[1]))
    assert [pair.source.source.parent.name for pair in found.pairs] == ["short"] * 2
    assert [pair.is_guess for pair in found.pairs] == ["gt" not in names] * 2


def test_a_swapped_pair_is_to_be_registered_again(clean):
    first, second = Image(clean, "YX", name="a"), Image(clean, "YX", name="b")
    swapped = ImagePair(first, second, name="S01", is_guess=True).swapped()
    assert (swapped.source, swapped.target, swapped.name) == (second, first, "S01")
    assert swapped.registration is None and not swapped.is_guess


@needs_real_data
def test_real_averages_and_projections_come_second():
    one, many = (
        Image(tifffile.imread(REAL_DATA / "fluo_pairs_w2s" / f"avg{n}.tif", key=0), "YX")
        for n in (1, 400)
    )
    assert is_reversed(many, one) and not is_reversed(one, many)
    folder = REAL_DATA / "projection_epitools"
    stack = read_image(folder / "stack.tif", stack_axis="Z")
    plane = read_image(folder / "projected.tif")
    assert is_reversed(plane, stack)
