"""What is taken for a stack of sections."""

import numpy as np
import pytest
import tifffile

from napari_aeanet.core.image import Image
from napari_aeanet.io import Fingerprint, write_image
from napari_aeanet.stacks import align_stack, as_stack

PIXELS = np.random.default_rng(0).integers(0, 4096, (11, 40, 48)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of sections whose numbers have no leading zeros, and a text beside them."""
    place = tmp_path / "sections"
    place.mkdir()
    for number, pixels in enumerate(PIXELS):
        image = Image(pixels, "YX", pixel_size=(4, 4), unit="nm")
        write_image(image, place / f"S{number}.tif")
    (place / "notes.txt").write_text("cut on Monday")
    return place


def test_pages_of_other_programs_are_sections(tmp_path):
    tifffile.imwrite(tmp_path / "pages.tif", PIXELS, photometric="minisblack", metadata=None)
    stack = as_stack(tmp_path / "pages.tif")
    assert stack.axes == "ZYX"
    np.testing.assert_array_equal(stack.read(), PIXELS)


def test_time_points_are_sections_where_there_is_no_z(tmp_path):
    tifffile.imwrite(tmp_path / "time.tif", PIXELS, imagej=True, metadata={"axes": "TYX"})
    stack = as_stack(tmp_path / "time.tif")
    assert stack.axes == "ZYX"
    assert "time points are taken as sections" in stack.notices[-1]
    np.testing.assert_array_equal(stack.read(), PIXELS)


def test_a_folder_is_a_stack_in_the_order_of_numbers(folder):
    stack = as_stack(folder)
    assert (stack.name, stack.shape, stack.unit) == ("sections", PIXELS.shape, "nm")
    assert stack.pixel_size == (None, 4, 4)
    np.testing.assert_array_equal(stack.read(), PIXELS)


@pytest.mark.parametrize(
    "region",
    [
        (3,),
        (-1,),
        (slice(2, 5),),
        (slice(3, 4), slice(5, 20), slice(0, 7)),
        (10, slice(3, 9)),
        (slice(0, 0),),
        (slice(1, 9, 3), 4),
    ],
)
def test_regions_of_a_folder_are_those_of_an_array(folder, region):
    np.testing.assert_array_equal(as_stack(folder).read(region), PIXELS[region])


def test_a_changed_section_is_noticed(folder):
    before = Fingerprint.of(as_stack(folder))
    assert Fingerprint.of(as_stack(folder)) == before
    write_image(PIXELS[3] // 2, folder / "S7.tif")
    assert Fingerprint.of(as_stack(folder)) != before


def test_a_folder_is_aligned_as_a_file_is(folder, tmp_path):
    found = align_stack(folder, out=tmp_path / "aligned.ome.zarr")
    wanted = align_stack(PIXELS)
    np.testing.assert_array_equal(found.image.read(), wanted.image.read())


def test_a_section_that_does_not_fit_is_named(folder, tmp_path):
    write_image(PIXELS[0, :30], folder / "S4.tif")
    with pytest.raises(ValueError, match=r"S4\.tif has 30 x 48 pixels of type uint16, but"):
        align_stack(folder, out=tmp_path / "aligned.ome.zarr")
    write_image(PIXELS[:3], folder / "S4.tif")
    with pytest.raises(ValueError, match=r"S4\.tif (has the axes 'ZYX'|holds 3 separate)"):
        as_stack(folder).read()
    (folder / "S4.tif").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"S4\.tif"):
        as_stack(folder).read()
    assert not (tmp_path / "aligned.ome.zarr").exists()


def test_folders_without_sections_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match="empty"):
        as_stack(tmp_path / "empty")
    write_image(Image(PIXELS, "ZYX"), tmp_path / "stack.ome.tif")
    with pytest.raises(ValueError, match="each file is one plane"):
        as_stack(tmp_path)
