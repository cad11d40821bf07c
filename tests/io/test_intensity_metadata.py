"""The range of intensities that a file states is read, kept and written; other entries are not."""

import json

import numpy as np
import pytest
import tifffile

from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import Image
from napari_aeanet.io import read_image, read_images, write_image

PIXELS = np.full((6, 7), 900, np.uint16)


def stated(path):
    found = read_image(path).intensity_range
    return found and (found.low, found.high)


def ome(path, pixels=PIXELS, **metadata):
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "YX", **metadata})
    return path


def tagged(path, pixels=PIXELS, **tags):
    codes = {"MinSampleValue": 280, "MaxSampleValue": 281}
    extra = [(codes[name], "H", 1, value, True) for name, value in tags.items()]
    tifffile.imwrite(path, pixels, extratags=extra, metadata=None)
    return path


def imagej(path, low, high, pixels=PIXELS):
    tifffile.imwrite(path, pixels, imagej=True, metadata={"min": low, "max": high})
    return path


def test_significant_bits_are_read(tmp_path):
    assert stated(ome(tmp_path / "a.ome.tif", SignificantBits=12)) == (0, 4095)


def test_significant_bits_that_repeat_the_number_type_say_nothing(tmp_path):
    assert stated(ome(tmp_path / "a.ome.tif", SignificantBits=16)) is None
    eight = PIXELS.astype(np.uint8)
    assert stated(ome(tmp_path / "b.ome.tif", eight, SignificantBits=7)) is None


def test_every_image_of_a_file_has_its_own_bits(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(PIXELS, metadata={"axes": "YX", "SignificantBits": 12})
        tif.write(PIXELS, metadata={"axes": "YX", "SignificantBits": 10})
    assert [image.intensity_range.high for image in read_images(path)] == [4095, 1023]


@pytest.mark.parametrize(("low", "high", "expected"), [(0, 4095, (0, 4095)), (12, 3127, None)])
def test_sample_values_count_if_they_are_a_bit_depth(tmp_path, low, high, expected):
    path = tagged(tmp_path / "a.tif", MinSampleValue=low, MaxSampleValue=high)
    assert stated(path) == expected


def test_the_camera_of_micro_manager_and_metamorph_is_read(tmp_path):
    settings = json.dumps({"BitDepth": 14}).encode()
    tag = (51123, "s", len(settings), settings, True)
    tifffile.imwrite(tmp_path / "m.tif", PIXELS, extratags=[tag], metadata=None)
    assert stated(tmp_path / "m.tif") == (0, 16383)
    text = '<MetaData><prop id="camera-bit-depth" type="int" value="12"/></MetaData>'
    tifffile.imwrite(tmp_path / "n.tif", PIXELS, description=text, metadata=None)
    assert stated(tmp_path / "n.tif") == (0, 4095)


def test_the_display_of_imagej_is_read_as_such(tmp_path):
    found = read_image(imagej(tmp_path / "a.tif", 0.0, 4095.0)).intensity_range
    assert (found.low, found.high, found.is_display) == (0, 4095, True)
    assert stated(imagej(tmp_path / "b.tif", 130.0, 871.0)) is None


def test_windows_of_omezarr_count_by_their_limits_not_by_the_contrast(tmp_path):
    import zarr

    image = Image(PIXELS, "YX", name="S05")
    for name, limits, expected in (("a", (0, 4095), (0, 4095)), ("b", (0, 65535), None)):
        path = tmp_path / f"{name}.ome.zarr"
        write_image(image, path)
        group = zarr.open_group(path, mode="r+")
        window = {"min": limits[0], "max": limits[1], "start": 0, "end": 255}
        channel = {"color": "FFFFFF", "window": window}
        group.attrs["ome"] = dict(group.attrs["ome"]) | {"omero": {"channels": [channel]}}
        assert stated(path) == expected


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_a_range_is_written_back(tmp_path, ending):
    known = DeclaredRange(0.0, 4095.0, "SignificantBits")
    image = Image(PIXELS + 3500, "YX", name="S05", intensity_range=known)  # 4400: beyond
    write_image(image, tmp_path / f"a{ending}")
    assert stated(tmp_path / f"a{ending}") == (0, 4095)
    if ending == ".ome.tif":
        with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
            assert 'SignificantBits="12"' in tif.ome_metadata


def test_a_contrast_is_not_written_back_as_a_range(tmp_path):
    shown = DeclaredRange(0.0, 4095.0, "display range of ImageJ", is_display=True)
    write_image(Image(PIXELS, "YX", intensity_range=shown), tmp_path / "a.ome.tif")
    assert stated(tmp_path / "a.ome.tif") is None


def test_a_range_is_kept_through_copies():
    known = DeclaredRange(0.0, 4095.0, "SignificantBits")
    image = Image(PIXELS, "YX", intensity_range=known)
    assert image.regridded(np.zeros((12, 14)), (2, 2)).intensity_range == known
