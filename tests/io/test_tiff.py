"""TIFF files: what they say about axes and pixel size is read, and written again."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from helpers import assert_same_image, calibrated_images, integer_noise
from hypothesis import HealthCheck, given, settings

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy
from napari_aeanet.io.files import read_image, read_images, write_image

quick = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
OME_TYPES = (*IMAGEJ_TYPES, "int8", "int16", "int32", "uint32", "float64")


@quick
@given(image=calibrated_images(OME_TYPES))
def test_an_ome_tiff_keeps_pixels_axes_calibration_and_place(image, tmp_path):
    write_image(image, tmp_path / "a.ome.tif")
    assert_same_image(read_image(tmp_path / "a.ome.tif"), image)


@quick
@given(image=calibrated_images(OME_TYPES))
def test_a_tiff_keeps_pixels_axes_calibration_and_place(image, tmp_path):
    write_image(image, tmp_path / "a.tif")
    assert_same_image(read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("dtype", IMAGEJ_TYPES)
def test_a_tiff_is_in_the_form_of_imagej_where_that_holds_the_type(dtype, tmp_path):
    write_image(Image(integer_noise(3, 8, 9, dtype=dtype), "ZYX"), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_imagej
        assert tif.series[0].axes == "ZYX"


def test_a_tiff_that_imagej_cannot_calibrate_holds_ome_metadata(tmp_path):
    image = Image(integer_noise(2, 8, 9), "ZYX", pixel_size=(300.0, None, None), unit="nm")
    write_image(image, tmp_path / "a.tif")
    assert_same_image(read_image(tmp_path / "a.tif"), image)


def test_sizes_of_unknown_unit_stay_without_one(tmp_path):
    image = Image(integer_noise(2, 8, 9), "ZYX", pixel_size=(3.0, 1.0, 1.0))
    write_image(image, tmp_path / "a.ome.tif")
    assert_same_image(read_image(tmp_path / "a.ome.tif"), image)


@pytest.mark.parametrize(("dtype", "becomes"), [("bool", "uint8"), ("float16", "float32")])
def test_types_that_tiff_readers_do_not_know_are_widened(dtype, becomes, tmp_path):
    image = Image(integer_noise(8, 9).astype(dtype), "YX")
    write_image(image, tmp_path / "a.ome.tif")
    assert_same_image(read_image(tmp_path / "a.ome.tif"), image, dtype=becomes)


def test_an_imagej_hyperstack_is_read_in_our_order_of_axes(tmp_path):
    array = integer_noise(2, 3, 4, 8, 9, dtype="uint16")  # time, plane, channel
    tifffile.imwrite(tmp_path / "a.tif", array, imagej=True, metadata={"axes": "TZCYX"})
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "TCZYX"
    np.testing.assert_array_equal(image.read(), array.transpose(0, 2, 1, 3, 4))


@pytest.mark.parametrize("spelling", ["um", "micron", "micrometer", "\\u00B5m", "microns"])
def test_spellings_of_micrometre_in_imagej_files_are_one_unit(spelling, tmp_path):
    metadata = {"axes": "ZYX", "unit": spelling, "spacing": 0.5}
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(3, 8, 9),
        imagej=True,
        resolution=(10, 5),
        metadata=metadata,
    )
    image = read_image(tmp_path / "a.tif")
    assert image.unit == "µm"
    assert image.pixel_size == pytest.approx((0.5, 0.2, 0.1))


@pytest.mark.parametrize("metadata", [{}, {"unit": "pixel"}])
def test_an_imagej_file_in_pixels_has_no_pixel_size(metadata, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", integer_noise(8, 9), imagej=True, resolution=(1, 1), metadata=metadata
    )
    assert read_image(tmp_path / "a.tif").pixel_size == (None, None)


def test_a_pixel_size_of_one_nanometre_is_known(tmp_path):
    image = Image(integer_noise(8, 9), "YX", pixel_size=(1.0, 1.0), unit="nm")
    write_image(image, tmp_path / "a.tif")
    assert_same_image(read_image(tmp_path / "a.tif"), image)


def test_ome_sizes_without_a_unit_are_micrometres_and_units_are_made_one(tmp_path):
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeY": 0.1,
        "PhysicalSizeZ": 300,
        "PhysicalSizeZUnit": "nm",
    }
    tifffile.imwrite(
        tmp_path / "a.ome.tif", integer_noise(3, 8, 9), metadata=metadata, photometric="minisblack"
    )
    image = read_image(tmp_path / "a.ome.tif")
    assert image.unit == "µm"
    assert image.pixel_size == pytest.approx((0.3, 0.1, 0.1))


@pytest.mark.parametrize(("unit", "dots"), [("INCH", d) for d in (72, 96, 150, 300)])
def test_a_screen_or_print_resolution_is_no_pixel_size(unit, dots, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(8, 9),
        resolution=(dots, dots),
        resolutionunit=unit,
        metadata=None,
    )
    assert read_image(tmp_path / "a.tif").pixel_size == (None, None)


def test_a_print_resolution_in_centimetres_is_no_pixel_size_either(tmp_path):
    dots = 300 / 2.54
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(8, 9),
        resolution=(dots, dots),
        resolutionunit="CENTIMETER",
    )
    assert read_image(tmp_path / "a.tif").pixel_size == (None, None)


@pytest.mark.parametrize(
    ("unit", "dots", "size", "written"),
    [
        ("CENTIMETER", 2e4, 0.5, "µm"),
        ("INCH", 25400, 1.0, "µm"),
        ("CENTIMETER", 2e6, 5.0, "nm"),
        ("NONE", 1, None, None),
    ],
)
def test_a_true_resolution_is_the_pixel_size(unit, dots, size, written, tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(8, 9),
        resolution=(dots, dots),
        resolutionunit=unit,
        metadata=None,
    )
    image = read_image(tmp_path / "a.tif")
    assert image.unit == written
    assert image.pixel_size == ((None, None) if size is None else pytest.approx((size, size)))


def test_the_pixel_size_of_an_fei_microscope_beats_the_print_resolution(tmp_path):
    text = b"[User]\r\nUser=x\r\n[Scan]\r\nPixelWidth=4.5e-009\r\nPixelHeight=4.6e-009\r\n"
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(8, 9),
        resolution=(96, 96),
        resolutionunit="INCH",
        metadata=None,
        extratags=[(34682, 2, 0, text, True)],
    )
    image = read_image(tmp_path / "a.tif")
    assert image.unit == "nm"
    assert image.pixel_size == pytest.approx((4.6, 4.5))


def test_the_pixel_size_of_a_zeiss_microscope_is_read(tmp_path):
    text = b"1\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.233 nm\r\n"
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(8, 9),
        metadata=None,
        extratags=[(34118, 2, 0, text, True)],
    )
    image = read_image(tmp_path / "a.tif")
    assert image.unit == "nm"
    assert image.pixel_size == pytest.approx((2.233, 2.233))


DOUBLE, FLOAT, SHORT, BYTE, ASCII = 12, 11, 3, 1, 2  # types of TIFF tags


def gatan_image(folder, *tags, **resolution):
    """The image read from a TIFF with private tags (code, type, count, value)."""
    path = folder / "gatan.tif"
    extra = [(code, kind, count, value, True) for code, kind, count, value in tags]
    tifffile.imwrite(path, integer_noise(8, 9), metadata=None, extratags=extra, **resolution)
    return read_image(path)


def gatan_unit(code, text):
    return code, ASCII, 0, text


@pytest.mark.parametrize(
    ("kind", "count", "value", "expected"),
    [
        (ASCII, 0, "nm", "nm"),
        (BYTE, 5, "µm".encode("utf-16-le") + b"\0", "µm"),
        (BYTE, 6, "nm".encode("utf-16-le") + b"\0\0", "nm"),
        (BYTE, 2, b"\xb5m", "µm"),
        (BYTE, 3, "µm".encode(), "µm"),
        (SHORT, 3, (0x3BC, ord("m"), 0), "µm"),
        (ASCII, 0, "Angstrom", "Å"),
    ],
)
def test_the_pixel_size_of_a_gatan_camera_is_read_in_any_spelling_of_its_unit(
    kind, count, value, expected, tmp_path
):
    image = gatan_image(
        tmp_path,
        (65003, kind, count, value),
        (65004, kind, count, value),
        (65009, DOUBLE, 1, 0.25),
        (65010, DOUBLE, 1, 0.5),
        resolution=(1234, 1234),
        resolutionunit="CENTIMETER",
    )
    assert (image.pixel_size, image.unit) == ((0.5, 0.25), expected)


def test_gatan_sizes_of_other_types_and_units_per_axis_are_read(tmp_path):
    image = gatan_image(
        tmp_path,
        gatan_unit(65003, "um"),
        gatan_unit(65004, "nm"),
        (65009, FLOAT, 1, 0.25),
        (65010, ASCII, 0, "500"),
    )
    assert image.unit == "µm"
    assert image.pixel_size == pytest.approx((0.5, 0.25))


def test_a_gatan_unit_of_x_alone_is_that_of_both_axes(tmp_path):
    sizes = ((65009, DOUBLE, 1, 2.0), (65010, DOUBLE, 1, 2.0))
    image = gatan_image(tmp_path, gatan_unit(65003, "nm"), *sizes)
    assert (image.pixel_size, image.unit) == ((2.0, 2.0), "nm")


@pytest.mark.parametrize(
    "tags",
    [
        ((65009, DOUBLE, 1, 2.0), (65010, DOUBLE, 1, 2.0)),
        (gatan_unit(65003, "1/nm"), (65009, DOUBLE, 1, 2.0), (65010, DOUBLE, 1, 2.0)),
        (gatan_unit(65003, ""), (65009, DOUBLE, 1, 1.0), (65010, DOUBLE, 1, 1.0)),
        (gatan_unit(65003, "nm"), (65009, DOUBLE, 1, 0.0), (65010, DOUBLE, 1, np.nan)),
        (gatan_unit(65003, "nm"), (65009, DOUBLE, 2, (2.0, 2.0)), (65010, SHORT, 2, (2, 2))),
        ((65003, BYTE, 3, b"\xff\xfe\x00"), (65009, DOUBLE, 1, 2.0)),
    ],
    ids=["no unit", "reciprocal", "empty unit", "no size", "several sizes", "damaged unit"],
)
def test_gatan_tags_without_a_length_leave_the_pixel_size_unknown(tags, tmp_path):
    image = gatan_image(tmp_path, *tags, resolution=(1234, 1234), resolutionunit="CENTIMETER")
    assert image.pixel_size == (None, None)
    assert not image.is_calibrated


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw", "rowsperstrip": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("large", [False, True], ids=["loaded", "on disk"])
def test_any_layout_of_a_tiff_gives_the_same_pixels(how, dtype, large, tmp_path, monkeypatch):
    array = integer_noise(4, 40, 33, dtype=dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", array, metadata={"axes": "ZYX"}, **how, photometric="minisblack"
    )
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100 if large else 2**30)
    image = read_image(tmp_path / "a.tif")
    assert (type(image.array) is np.ndarray) is not large
    assert (image.axes, image.dtype) == ("ZYX", np.dtype(dtype))
    assert image.read().dtype.isnative
    np.testing.assert_array_equal(image.read(), array)
    part = (slice(1, 2), slice(7, 30), slice(20, 33))
    np.testing.assert_array_equal(image.read(part), array[part])


def test_a_large_uncompressed_tiff_is_memory_mapped(tmp_path, monkeypatch):
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(4, 40, 33),
        metadata={"axes": "ZYX"},
        photometric="minisblack",
    )
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    assert isinstance(read_image(tmp_path / "a.tif").array, np.memmap)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_a_large_image_is_written_as_it_is(name, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    image = Image(integer_noise(2, 3, 1030, 1100), "CZYX", pixel_size=(3.0, 2.0, 2.0), unit="nm")
    write_image(image, tmp_path / name)
    assert_same_image(read_image(tmp_path / name), image)


def test_pages_without_a_meaning_are_separate_images(tmp_path):
    array = integer_noise(3, 8, 9)
    tifffile.imwrite(tmp_path / "run.tif", array, metadata=None, photometric="minisblack")
    images = read_images(tmp_path / "run.tif")
    assert [image.name for image in images] == ["run [0]", "run [1]", "run [2]"]
    assert all(image.axes == "YX" for image in images)
    np.testing.assert_array_equal([image.read() for image in images], array)


def test_pages_are_a_volume_if_the_caller_says_so(tmp_path):
    array = integer_noise(3, 8, 9)
    tifffile.imwrite(tmp_path / "run.tif", array, metadata=None, photometric="minisblack")
    image = read_image(tmp_path / "run.tif", stack_axis="Z")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.read(), array)


@pytest.mark.parametrize(("axis", "sizes"), [("Z", (None, 5.0, 5.0)), ("T", (5.0, 5.0))])
def test_pages_written_one_by_one_are_a_stack_if_the_axis_is_named(tmp_path, axis, sizes):
    path = tmp_path / "run.tif"
    with tifffile.TiffWriter(path) as file:
        for page in range(4):
            options = {"resolution": (2e6, 2e6), "resolutionunit": "CENTIMETER"}
            file.write(np.full((20, 30), page, np.uint16), contiguous=False, **options)
    assert len(read_images(path)) == 4
    image = read_image(path, stack_axis=axis)
    assert (image.axes, image.name, image.shape) == (f"{axis}YX", "run", (4, 20, 30))
    assert image.pixel_size == pytest.approx(sizes)
    assert image.read()[:, 0, 0].tolist() == [0, 1, 2, 3]


def test_pages_of_different_sizes_are_separate_images(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(integer_noise(8, 9), metadata=None)
        tif.write(integer_noise(6, 7), metadata=None)
    assert [image.shape for image in read_images(tmp_path / "a.tif")] == [(8, 9), (6, 7)]


def test_axes_in_the_metadata_are_honoured(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(2, 3, 8, 9),
        metadata={"axes": "ICYX"},
        photometric="minisblack",
    )
    images = read_images(tmp_path / "a.tif")
    assert [(image.axes, image.shape) for image in images] == [("CYX", (3, 8, 9))] * 2


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("large", [False, True], ids=["loaded", "on disk"])
def test_grey_stored_as_colour_becomes_grey_with_a_notice(planar, large, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100 if large else 2**30)
    grey = integer_noise(8, 9)
    samples = np.stack([grey] * 3, axis=-1 if planar == "contig" else 0)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", planarconfig=planar)
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "YX"
    assert "grey" in image.notices[0]
    np.testing.assert_array_equal(image.read(), grey)


def test_opaque_grey_with_transparency_becomes_grey(tmp_path):
    grey = integer_noise(8, 9)
    samples = np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").read(), grey)


def test_samples_that_are_no_colours_are_separate_images(tmp_path):
    array = integer_noise(5, 8, 9)
    tifffile.imwrite(
        tmp_path / "a.tif",
        array,
        photometric="minisblack",
        planarconfig="separate",
        metadata=None,
    )
    np.testing.assert_array_equal([i.read() for i in read_images(tmp_path / "a.tif")], array)


def test_a_colour_table_is_left_out_with_a_notice(tmp_path):
    array = integer_noise(8, 9)
    colours = np.zeros((3, 256), np.uint16)
    colours[1] = np.arange(256) * 257  # green, as fluorescence is shown
    tifffile.imwrite(tmp_path / "a.tif", array, colormap=colours, photometric="palette")
    image = read_image(tmp_path / "a.tif")
    assert "colour table" in image.notices[0]
    np.testing.assert_array_equal(image.read(), array)
