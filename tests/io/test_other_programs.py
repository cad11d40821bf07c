"""Files as other programs write them: instruments, thumbnails, pyramids, side files."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import tifffile
from helpers import integer_noise

from napari_aeanet.io.files import read_image, read_images
from napari_aeanet.io.tiff_metadata import _metamorph, _olympus, _zeiss_lsm

PICTURE = integer_noise(64, 80)


def test_a_thumbnail_beside_an_image_is_left_out(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(PICTURE, metadata=None)
        colours = integer_noise(16, 20, 3)
        tif.write(colours, photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").read(), PICTURE)


@pytest.mark.parametrize("where", ["pages", "subifds"])
def test_the_finest_level_of_a_tiled_pyramid_is_read(where, tmp_path):
    levels = [PICTURE, PICTURE[::2, ::2], PICTURE[::4, ::4]]
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for number, level in enumerate(levels):
            subifds = 2 if where == "subifds" and number == 0 else None
            kind = 1 if number else 0
            tif.write(level, tile=(16, 16), metadata=None, subfiletype=kind, subifds=subifds)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").read(), PICTURE)


def test_jpeg_in_a_tiff_is_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, compression="jpeg")
    assert any("loses detail" in notice for notice in read_image(tmp_path / "a.tif").notices)


@pytest.mark.parametrize("dtype", ["uint16", "float16", "uint64", "int64"])
def test_number_types_of_other_programs_are_kept(dtype, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PICTURE.astype(dtype), byteorder=">")
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.read(), PICTURE)


def test_twelve_bits_packed_are_unpacked(tmp_path):
    values = PICTURE.astype(np.uint16) * 20
    # The encoder of packed integers is missing in older releases of imagecodecs.
    bits = np.unpackbits(values.astype(">u2")[..., None].view(np.uint8), axis=-1)[..., 4:]
    packed = np.packbits(bits.reshape(len(values), -1), axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", packed, rowsperstrip=len(packed), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as tif:
        tif.pages[0].tags["ImageWidth"].overwrite(values.shape[1])
        tif.pages[0].tags["BitsPerSample"].overwrite(12)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").read(), values)


@pytest.mark.parametrize("version", [1, 2])
def test_the_pixel_size_of_a_tvips_camera_is_read(version, tmp_path):
    """The first version of its header tells the pixel of the sensor only."""
    record = np.zeros((), tifffile.TIFF.TVIPS_HEADER_V1)
    record["Version"] = version
    record["PhysicalPixelSize"] = 15000
    second = np.zeros((), tifffile.TIFF.TVIPS_HEADER_V2)
    second["Magic"] = 0xAAAAAAAA
    second["PixelSizeX"], second["PixelSizeY"] = 0.25, 0.5
    content = record.tobytes() + second.tobytes()
    extra = [(37706, 1, len(content), content, True)]
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, metadata=None, extratags=extra)
    image = read_image(tmp_path / "a.tif")
    assert image.pixel_size == ((None, None) if version == 1 else (0.5, 0.25))
    assert image.unit == (None if version == 1 else "nm")


def test_an_image_with_a_header_that_cannot_be_decoded_is_read(tmp_path):
    extra = [(37706, 1, 12, b"no such data", True)]
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, metadata=None, extratags=extra)
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.read(), PICTURE)
    assert image.pixel_size == (None, None)


def test_the_header_of_a_zeiss_lsm_file_gives_sizes_and_interval():
    header = {"VoxelSizeX": 2e-7, "VoxelSizeY": 2e-7, "VoxelSizeZ": 1e-6, "TimeIntervall": 1.5}
    found = _zeiss_lsm(header)
    assert found.unit == "µm"
    assert found.pixel_size == pytest.approx({"Z": 1.0, "Y": 0.2, "X": 0.2})
    assert found.time_interval == 1.5
    assert _zeiss_lsm({"VoxelSizeX": 0.0}) is None


def test_the_tags_of_metamorph_and_olympus_give_sizes():
    tags = {"XCalibration": 0.1, "YCalibration": 0.1, "CalibrationUnits": "um"}
    found = _metamorph({**tags, "ZDistance": np.array([0.3, 0.3])})
    assert found.unit == "µm"
    assert found.pixel_size == pytest.approx({"Z": 0.3, "Y": 0.1, "X": 0.1})
    assert _metamorph({**tags, "CalibrationUnits": "pixel"}) is None
    found = _olympus({"pixelsizex": 2e-9, "pixelsizey": 3e-9})
    assert (found.unit, found.pixel_size) == ("nm", pytest.approx({"Y": 3.0, "X": 2.0}))


JEOL = "$CM_FORMAT \r\n$CM_MAG 5000\r\n$$SM_MICRON_BAR 160\r\n$$SM_MICRON_MARKER 4{}\r\n"


@pytest.mark.parametrize(
    ("name", "text", "sizes", "unit"),
    [
        ("a.txt", JEOL.format("um").encode(), (25, 25), "nm"),
        ("a.txt", JEOL.format("µm").encode(), (25, 25), "nm"),
        ("a.txt", JEOL.format("µm").encode("latin-1"), (25, 25), "nm"),
        ("a.txt", JEOL.format("mm").encode(), (25, 25), "µm"),
        ("a.txt", b"[SemImageFile]\r\nInstructName=SU\r\nPixelSize=24.8\r\n", (24.8, 24.8), "nm"),
        ("a.hdr", b"[MAIN]\nPixelSizeX=2e-9\nPixelSizeY=4e-9\n", (4, 2), "nm"),
        ("a-tif.hdr", b"[MAIN]\nPixelSizeX=2e-9\nPixelSizeY=4e-9\n", (4, 2), "nm"),
        ("a.txt", JEOL.format("px").encode(), (None, None), None),
        ("a.txt", b"My notes: PixelSize=7\n", (None, None), None),
        ("a.txt", bytes(range(256)), (None, None), None),
    ],
)
def test_the_text_beside_an_image_of_an_electron_microscope_gives_its_pixel_size(
    name, text, sizes, unit, tmp_path
):
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, metadata=None)
    (tmp_path / name).write_bytes(text)
    image = read_image(tmp_path / "a.tif")
    assert image.unit == unit
    assert image.pixel_size == (sizes if unit is None else pytest.approx(sizes))
    assert image.notices == ((f"Pixel size from {name}.",) if unit else ())


def test_the_pixel_size_in_an_image_beats_that_beside_it(tmp_path):
    (tmp_path / "a.txt").write_text(JEOL.format("um"))
    tifffile.imwrite(
        tmp_path / "a.tif",
        PICTURE,
        metadata=None,
        resolution=(1e6, 1e6),
        resolutionunit="CENTIMETER",
    )
    assert read_image(tmp_path / "a.tif").pixel_size == pytest.approx((10, 10))


def test_samples_that_are_no_colours_stay_images_of_their_own(tmp_path):
    pages = np.stack([PICTURE, PICTURE[::-1]])
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.moveaxis(pages, 0, -1), photometric="minisblack", planarconfig="contig"
    )
    np.testing.assert_array_equal([image.read() for image in read_images(path)], pages)


def test_an_imagej_file_with_one_colour_table_is_read(tmp_path):
    table = np.zeros((3, 256), np.uint8)
    table[1] = np.arange(256)
    metadata = {"LUTs": [table], "Labels": ["a.tif"]}
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, imagej=True, metadata=metadata)
    (channel,) = read_image(tmp_path / "a.tif").channels
    assert (channel.name, channel.colour) == ("", (0, 255, 0))


def test_numbers_of_any_size_in_a_resolution_tag_do_no_harm(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PICTURE, resolution=(1, 1), resolutionunit="CENTIMETER", metadata=None)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].tags["XResolution"].valueoffset
    content = bytearray(path.read_bytes())
    content[offset : offset + 8] = struct.pack("<II", 0, 0)
    path.write_bytes(content)
    assert read_image(path).pixel_size == (None, None)
