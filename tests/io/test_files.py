"""Reading and writing whatever the format; the real data; what an image is described as."""

from __future__ import annotations

import cv2
import imagecodecs
import numpy as np
import pytest
from helpers import REAL_DATA, assert_same_image, integer_noise, needs_real_data
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.image import Channel, Image
from napari_aeanet.core.units import convert, in_one_unit, normalise_unit
from napari_aeanet.io import lazy
from napari_aeanet.io.describe import describe_image, image_statistics
from napari_aeanet.io.files import read_image, read_images, write_image
from napari_aeanet.io.lazy import OnDisk

REAL_AXES = {
    "em_stack_isbi2012/volume.tif": ("ZYX", 1),
    "em_stack_vnc/volume_crop.tif": ("ZYX", 1),
    "fluo_3d_plantseg/lateral_root_lightsheet_membrane.tif": ("ZYX", 1),
    "fluo_3d_plantseg/lateral_root_lightsheet_nuclei.tif": ("ZYX", 1),
    "fluo_pairs_w2s/avg1.tif": ("YX", 15),
    "fluo_pairs_w2s/avg400.tif": ("YX", 15),
    "projection_epitools/projected.tif": ("YX", 1),
    "projection_epitools/stack.tif": ("ZYX", 1),
    "sem_noisy_single_n2v/noisy.tif": ("YX", 1),
    "sem_pairs_wzl/hr.tif": ("YX", 20),
    "sem_pairs_wzl/lr.tif": ("YX", 20),
}


@needs_real_data
@pytest.mark.parametrize("name", REAL_AXES)
def test_real_data_opens_with_its_axes_and_without_a_pixel_size(name):
    images = read_images(REAL_DATA / name)
    axes, count = REAL_AXES[name]
    assert len(images) == count
    for image in images:
        assert image.axes == axes
        assert image.unit is None
        assert set(image.pixel_size) == {None}
        assert image.notices == ()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_png_keeps_its_pixels_and_loses_its_pixel_size(dtype, tmp_path):
    array = integer_noise(8, 9, dtype=dtype) * np.array(257 if dtype == "uint16" else 1, dtype)
    write_image(Image(array, "YX", (2.0, 2.0), "nm"), tmp_path / "a.png")
    assert_same_image(read_image(tmp_path / "a.png"), Image(array, "YX"))


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
def test_grey_bitmaps_are_read(suffix, tmp_path):
    array = integer_noise(31, 17)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), array)
    assert_same_image(read_image(tmp_path / f"a{suffix}"), Image(array, "YX"))


@pytest.mark.parametrize("suffix", [".bmp", ".png"])
def test_grey_bitmaps_stored_as_colour_become_grey_with_a_notice(suffix, tmp_path):
    array = integer_noise(31, 17)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), np.stack([array] * 3, axis=-1))
    image = read_image(tmp_path / f"a{suffix}")
    assert "grey" in image.notices[0]
    np.testing.assert_array_equal(image.read(), array)


def test_a_3d_npy_array_is_a_stack_of_images_or_a_volume_if_said(tmp_path):
    array = integer_noise(3, 8, 9, dtype="float64")
    np.save(tmp_path / "a.npy", array)
    assert [image.axes for image in read_images(tmp_path / "a.npy")] == ["YX"] * 3
    assert_same_image(read_image(tmp_path / "a.npy", stack_axis="Z"), Image(array, "ZYX"))


def test_a_large_npy_array_is_memory_mapped(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", integer_noise(80, 90))
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    assert isinstance(read_image(tmp_path / "a.npy").array, np.memmap)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.OME.TIFF", "a.ome.zarr", "a.tif", "a.png"])
def test_an_image_is_named_after_its_file_without_ending(name, tmp_path):
    write_image(Image(integer_noise(8, 9), "YX"), tmp_path / name)
    image = read_image(tmp_path / name)
    assert (image.name, image.source) == ("a", tmp_path / name)


def test_paths_with_spaces_and_letters_of_any_language_work(tmp_path):
    folder = tmp_path / "Größe µm 試料"
    folder.mkdir()
    image = Image(integer_noise(8, 9), "YX")
    for name in ("ein Bild.tif", "ein Bild.ome.tif", "ein Bild.png", "ein Bild.ome.zarr"):
        write_image(image, folder / name)
        assert_same_image(read_image(folder / name), image)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_write_of_a_folder_leaves_the_folder_that_was_there(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("half")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.rglob("*")] == ["a.zarr", "old"]


def test_units_are_told_from_words_that_are_none():
    assert normalise_unit("μm") == normalise_unit("µm") == normalise_unit("Micrometres") == "µm"
    assert normalise_unit("Angstrom") == normalise_unit("\u212b") == "Å"
    assert normalise_unit("pixel") is normalise_unit("") is normalise_unit(None) is None


def test_lengths_of_several_units_are_brought_to_one():
    sizes, unit = in_one_unit({"Z": (0.3, "µm"), "Y": (None, "nm"), "X": (5.0, "nm")})
    assert unit == "nm"
    assert sizes == {"Z": pytest.approx(300), "X": 5.0}
    assert convert(2, "µm", "nm") == pytest.approx(2000)


def test_an_array_on_disk_is_indexed_as_numpy_is():
    stored_array = integer_noise(2, 4, 1, 5, 6)
    seen = OnDisk(stored_array, order=(None, 1, 4, 3), fixed={0: 1, 2: 0}, dtype=np.dtype("f4"))
    expected = stored_array[1, :, 0].transpose(0, 2, 1)[None].astype("f4")
    assert (seen.shape, seen.ndim, seen.size) == (expected.shape, 4, expected.size)
    np.testing.assert_array_equal(np.asarray(seen), expected)
    for index in (
        ...,
        0,
        (0, -1),
        (..., 2),
        (slice(None), 2, ..., slice(1, 4)),
        (0, slice(None, None, -2), slice(5, 1, -1)),
        (slice(None), slice(3, 3)),
        (slice(0, 1), slice(1, 99), slice(-3, None), slice(None)),
    ):
        read = seen[index]
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, expected[index])


def test_an_array_on_disk_reads_no_more_than_is_asked_for():
    asked = []

    class Recorder:
        shape = (2, 100, 200)

        def __getitem__(self, index):
            asked.append(index)
            return np.zeros([part.stop - part.start for part in index], np.uint8)

    seen = OnDisk(Recorder(), order=(2, 1), fixed={0: 1}, dtype=np.dtype("u1"))
    assert seen[5:7, 30].shape == (2,)
    assert asked == [(slice(1, 2), slice(30, 31), slice(5, 7))]


def test_statistics_do_not_depend_on_how_the_image_is_cut_into_blocks(monkeypatch):
    array = integer_noise(3, 40, 50, dtype="float32")
    array[1, 3, 4] = np.nan
    array[2, 39, 49] = np.inf
    image = Image(array, "ZYX")
    whole = image_statistics(image)
    monkeypatch.setattr("napari_aeanet.core.image.BLOCK_PIXELS", 120)
    assert image_statistics(image) == whole
    finite = array[np.isfinite(array)]
    assert (whole.lowest, whole.highest) == (finite.min(), finite.max())
    assert whole.share_highest == pytest.approx((finite == finite.max()).mean())
    assert whole.share_lowest == pytest.approx((finite == finite.min()).mean())
    assert whole.not_finite == pytest.approx(2 / array.size)


def test_pixels_at_the_highest_value_are_counted_from_where_it_first_occurs(monkeypatch):
    array = np.arange(200, dtype=np.uint16).reshape(20, 10)
    array[19, 5:] = 500
    monkeypatch.setattr("napari_aeanet.core.image.BLOCK_PIXELS", 20)
    rising, falling = (
        image_statistics(Image(array, "YX")),
        image_statistics(Image(array[::-1], "YX")),
    )
    assert rising.share_highest == falling.share_highest == 5 / 200
    assert rising.share_lowest == falling.share_lowest == 1 / 200


def test_a_description_says_in_words_what_is_known():
    array = integer_noise(5, 100, 200)
    array[:, :50] = 255
    image = Image(array, "ZYX", (300.0, 5.0, 5.0), "nm", name="cell")
    lines = "\n".join(describe_image(image))
    assert "cell" in lines
    assert "5 planes of 100 x 200 pixels" in lines
    assert "Z 300 nm, Y 5 nm, X 5 nm (field 0.5 x 1 µm)" in lines
    assert "50 % at the highest" in lines


def test_a_description_names_channels_and_the_time_interval():
    channels = (Channel(name="DAPI"), Channel(colour=(255, 0, 0)))
    image = Image(integer_noise(3, 2, 8, 9), "TCYX", channels=channels, time_interval=0.25)
    facts = describe_image(image)
    assert "  channels: DAPI, (no name)" in facts
    assert "  time interval: 0.25 s" in facts


def test_a_description_admits_what_is_unknown():
    facts = describe_image(Image(np.full((8, 9), np.nan), "YX"))
    assert "  pixel size: unknown" in facts
    assert "  values: none is a finite number" in facts
    assert any("all 7" in line for line in describe_image(Image(np.full((8, 9), 7), "YX")))


SMOOTH = gaussian_filter(integer_noise(40, 50).astype(float), 2).astype(np.uint8)


@pytest.mark.parametrize("stored", ["grey", "colour"])
@pytest.mark.parametrize(
    ("suffix", "error"), [(".jpg", 3), (".jpeg", 3), (".webp", 6), (".gif", 0)]
)
def test_pictures_of_the_web_are_read_with_a_notice_of_what_they_lose(
    suffix, error, stored, tmp_path
):
    array = SMOOTH if stored == "grey" else np.stack([SMOOTH] * 3, axis=-1)
    path = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        path.write_bytes(imagecodecs.gif_encode(SMOOTH))
    else:
        cv2.imwrite(str(path), array, [cv2.IMWRITE_WEBP_QUALITY, 90] if suffix == ".webp" else [])
    image = read_image(path)
    assert (image.axes, image.dtype) == ("YX", np.uint8)
    assert np.abs(image.read().astype(int) - SMOOTH).max() <= error
    assert any("loses detail" in notice for notice in image.notices) is (suffix != ".gif")


def test_the_first_frame_of_an_animation_is_read_with_a_notice(tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(imagecodecs.gif_encode(np.stack([SMOOTH, SMOOTH[::-1], SMOOTH])))
    image = read_image(path)
    np.testing.assert_array_equal(image.read(), SMOOTH)
    assert "first of 3 frames" in image.notices[0]


def test_webp_without_loss_needs_no_notice_about_it(tmp_path):
    path = tmp_path / "a.webp"
    colours = np.ascontiguousarray(np.stack([SMOOTH] * 3, axis=-1))
    path.write_bytes(imagecodecs.webp_encode(colours, lossless=True))
    image = read_image(path)
    np.testing.assert_array_equal(image.read(), SMOOTH)
    assert not any("loses" in notice for notice in image.notices)


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".gif"])
def test_colour_pictures_of_the_web_are_refused(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        colours = np.zeros((256, 3), np.uint8)
        colours[:, 0] = np.arange(256)
        path.write_bytes(imagecodecs.gif_encode(SMOOTH, colormap=colours))
    else:
        cv2.imwrite(str(path), np.stack([SMOOTH, SMOOTH.T.reshape(40, 50), SMOOTH], axis=-1))
    with pytest.raises(ValueError, match="colour image"):
        read_image(path)
