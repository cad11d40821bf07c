"""Slices that were made from their neighbours stay marked in the file and in what is made of it."""

import numpy as np
import pytest

from napari_aeanet.core.image import Image
from napari_aeanet.io import read_image, write_image

HOW = {2: "optical flow between slices 1 and 3", 5: "optical flow between slices 4 and 6"}


@pytest.mark.parametrize("name", ["stack.ome.tif", "stack.ome.zarr"])
def test_interpolated_slices_are_stored_and_told(tmp_path, name):
    pixels = np.random.default_rng(0).integers(0, 4096, (8, 20, 24)).astype(np.uint16)
    write_image(Image(pixels, "ZYX", interpolated=HOW), tmp_path / name)
    found = read_image(tmp_path / name)
    assert found.interpolated == HOW
    assert "Slices 2 and 5 were interpolated" in " ".join(found.notices)
    np.testing.assert_array_equal(found.read(), pixels)


def test_images_without_interpolated_slices_tell_nothing(tmp_path):
    write_image(np.zeros((4, 20, 24), np.uint8), tmp_path / "stack.ome.tif")
    found = read_image(tmp_path / "stack.ome.tif")
    assert not found.interpolated
    assert not found.notices


def test_marks_that_no_longer_fit_are_dropped():
    stack = Image(np.zeros((8, 4, 4)), "ZYX", interpolated=HOW)
    assert stack.with_array(np.ones((8, 4, 4))).interpolated == HOW
    assert set(stack.with_array(np.ones((4, 4, 4))).interpolated) == {2}
    assert not Image(np.zeros((4, 4)), "YX", interpolated=HOW).interpolated
    assert stack.regridded(np.zeros((8, 8, 8)), (1, 2, 2)).interpolated == HOW
    assert not stack.regridded(np.zeros((16, 4, 4)), (2, 1, 1)).interpolated
