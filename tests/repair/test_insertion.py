"""Inserting slices between those of a stack."""

import numpy as np
import pytest

from napari_aeanet.core.image import Image
from napari_aeanet.interpolation.measures import membrane_agreement
from napari_aeanet.io import read_image
from napari_aeanet.repair import insert_slices
from napari_aeanet.samples.sections import SectionSettings, serial_sections


@pytest.fixture(scope="module")
def stack() -> Image:
    settings = SectionSettings(damaged=0, neurite_size=24)
    return serial_sections(1, (9, 96, 96), settings).stack


@pytest.mark.parametrize("name", ["finer.ome.zarr", "finer.ome.tif", None])
def test_every_second_slice_comes_back(stack, tmp_path, name):
    coarse = stack.with_array(stack.read()[::2], pixel_size=(100.0, 4.0, 4.0), unit="nm")
    out = None if name is None else tmp_path / name
    finer = insert_slices(coarse, out=out).image
    assert finer.shape == stack.shape
    assert finer.pixel_size == (50, 4, 4)
    pixels = finer.read()
    np.testing.assert_array_equal(pixels[::2], coarse.read())
    assert set(finer.interpolated) == {1, 3, 5, 7}
    for index in finer.interpolated:
        truth = stack.read()[index]
        assert membrane_agreement(truth, pixels[index]) > 0.5
    if out is not None:
        again = read_image(out)
        np.testing.assert_array_equal(again.read(), pixels)
        assert again.interpolated == finer.interpolated


def test_several_slices_move_evenly_from_one_to_the_next():
    first = serial_sections(3, (3, 128, 128), SectionSettings(damaged=0)).stack.read()[1]
    pair = np.stack([first, np.roll(first, 8, axis=1)])
    finer = insert_slices(pair, 3).image.read()
    for index in (1, 2, 3):
        shifted = np.roll(first, 2 * index, axis=1)[16:-16, 32:-32].astype(float)
        assert np.abs(finer[index][16:-16, 32:-32] - shifted).mean() < 4
    assert finer.shape == (5, 128, 128)


def test_marks_of_an_earlier_repair_move_with_their_slices(stack):
    marked = stack.with_array(stack.read(), interpolated={2: "optical flow"})
    assert insert_slices(marked).image.interpolated[4] == "optical flow"


def test_neighbours_that_do_not_match_are_named_and_nothing_is_written(stack, tmp_path):
    pixels = stack.read().copy()
    pixels[5] = 200
    with pytest.raises(ValueError, match="Slices 4 and 5 of image do not match"):
        insert_slices(pixels, out=tmp_path / "finer.ome.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("between", [0, 10])
def test_a_wrong_number_is_refused(stack, between):
    with pytest.raises(ValueError, match="between must be 1 to 9"):
        insert_slices(stack, between)
    with pytest.raises(ValueError, match="one slice"):
        insert_slices(stack.read()[:1])
