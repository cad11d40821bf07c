"""OME-Zarr 0.4 and 0.5: read as the specification says, written so that it reads back."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr
from helpers import assert_same_image, calibrated_images, integer_noise
from hypothesis import HealthCheck, given, settings

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy, ome_zarr
from napari_aeanet.io.files import read_image, read_images, write_image
from napari_aeanet.io.ome_zarr import create_omezarr, open_levels, write_omezarr

TYPES = ("uint8", "uint16", "int16", "uint32", "float16", "float32", "float64")


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(image=calibrated_images(TYPES))
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_keeps_pixels_axes_calibration_and_place(version, image, tmp_path):
    shutil.rmtree(tmp_path / "a.ome.zarr", ignore_errors=True)
    write_omezarr(image, tmp_path / "a.ome.zarr", version)
    assert_same_image(read_image(tmp_path / "a.ome.zarr"), image)


def test_images_are_written_as_version_0_5(tmp_path):
    write_image(Image(integer_noise(8, 9), "YX", (2.0, 2.0), "nm"), tmp_path / "a.zarr")
    metadata = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    ome = metadata["attributes"]["ome"]
    assert ome["version"] == "0.5"
    assert ome["multiscales"][0]["axes"][0] == {"name": "y", "type": "space", "unit": "nanometer"}


def foreign(path, version="0.4", **multiscale):
    """An OME-Zarr folder as another program may write it, by the specification."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3)
    array = integer_noise(3, 8, 9, dtype="uint16")
    group.create_array("full", data=array)
    group.create_array("half", data=array[:, ::2, ::2])
    content = {
        "axes": [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"],
        "datasets": [
            {
                "path": name,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [2.0, 0.5 * factor, 0.5 * factor]}
                ],
            }
            for name, factor in (("full", 1), ("half", 2))
        ],
        **multiscale,
    }
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": "0.4", **content}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [content]}
    return array


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_finest_level_is_read(version, tmp_path):
    array = foreign(tmp_path / "a.ome.zarr", version)
    image = read_image(tmp_path / "a.ome.zarr")
    assert (image.axes, image.unit, image.pixel_size) == ("ZYX", "µm", (2.0, 0.5, 0.5))
    np.testing.assert_array_equal(image.read(), array)


def test_transformations_of_level_and_image_are_applied_one_after_the_other(tmp_path):
    level = [
        {"type": "scale", "scale": [1, 2, 2]},
        {"type": "translation", "translation": [0, 3, 5]},
    ]
    both = [
        {"type": "scale", "scale": [10, 10, 10]},
        {"type": "translation", "translation": [1, 1, 1]},
    ]
    foreign(
        tmp_path / "a.zarr",
        datasets=[{"path": "full", "coordinateTransformations": level}],
        coordinateTransformations=both,
    )
    image = read_image(tmp_path / "a.zarr")
    assert image.pixel_size == (10, 20, 20)
    assert image.origin == (1, 31, 51)


def test_a_scale_of_one_without_a_unit_is_unknown(tmp_path):
    scale = [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]
    foreign(
        tmp_path / "a.zarr",
        axes=[{"name": a, "type": "space"} for a in "zyx"],
        datasets=[{"path": "full", "coordinateTransformations": scale}],
    )
    image = read_image(tmp_path / "a.zarr")
    assert (image.pixel_size, image.unit) == ((None, None, None), None)


def test_a_folder_converted_from_several_images_gives_them_all(tmp_path):
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    root.create_group("OME")
    for series in ("0", "1"):
        foreign(tmp_path / "a.zarr" / series)
    images = read_images(tmp_path / "a.zarr")
    assert [image.name for image in images] == ["a [0]", "a [1]"]


def test_a_large_array_is_read_piece_by_piece(tmp_path, monkeypatch):
    image = Image(integer_noise(3, 50, 60), "ZYX", pixel_size=(3.0, 2.0, 2.0), unit="nm")
    write_image(image, tmp_path / "a.zarr")
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    found = read_image(tmp_path / "a.zarr")
    assert not isinstance(found.array, np.ndarray)
    assert_same_image(found, image)
    part = (slice(1, 2), slice(5, 40), slice(50, 60))
    np.testing.assert_array_equal(found.read(part), image.read(part))


def test_an_image_larger_than_a_chunk_is_written_whole(tmp_path):
    image = Image(integer_noise(2, 1030, 2050), "ZYX")
    write_image(image, tmp_path / "a.zarr")
    assert_same_image(read_image(tmp_path / "a.zarr"), image)


def test_pixels_may_be_filled_in_later(tmp_path):
    image = Image(integer_noise(8, 9), "YX", pixel_size=(2.0, 2.0), unit="nm")
    array, *_ = create_omezarr(image, tmp_path / "a.zarr")
    assert not read_image(tmp_path / "a.zarr").read().any()
    array[...] = image.read()
    assert_same_image(read_image(tmp_path / "a.zarr"), image)


def test_writing_replaces_the_folder_of_that_name(tmp_path):
    write_image(Image(integer_noise(80, 90), "YX"), tmp_path / "a.zarr")
    image = Image(integer_noise(8, 9), "YX")
    write_image(image, tmp_path / "a.zarr")
    assert_same_image(read_image(tmp_path / "a.zarr"), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_large_image_can_be_written_over_itself(tmp_path, monkeypatch):
    image = Image(integer_noise(3, 50, 60), "ZYX")
    write_image(image, tmp_path / "a.zarr")
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    write_image(read_image(tmp_path / "a.zarr"), tmp_path / "a.zarr")
    assert_same_image(read_image(tmp_path / "a.zarr"), image)


def test_coarser_levels_are_means_in_their_place(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr, "_SHARD", 16)
    pixels = np.arange(2 * 70 * 30, dtype=np.float32).reshape(2, 70, 30)
    image = Image(pixels, "ZYX", (2.0, 0.5, 0.5), "µm", (1.0, 3.0, 4.0))
    write_omezarr(image, tmp_path / "a.zarr")
    levels = open_levels(tmp_path / "a.zarr")
    assert [level.shape for level in levels] == [(2, 70, 30), (2, 18, 8), (2, 5, 2)]
    np.testing.assert_allclose(levels[1][0, 0, 0], pixels[0, :4, :4].mean())
    np.testing.assert_allclose(levels[1][1, -1, -1], pixels[1, 68:, 28:].mean())
    np.testing.assert_allclose(levels[2][1, 1, 0], pixels[1, 16:32, :16].mean())
    (multiscale,) = zarr.open_group(tmp_path / "a.zarr").attrs["ome"]["multiscales"]
    scale, translation = multiscale["datasets"][1]["coordinateTransformations"]
    assert scale["scale"] == [2.0, 2.0, 2.0]
    assert translation["translation"] == [1.0, 3.75, 4.75]  # the mean of four pixel centres
    (found,) = read_images(tmp_path / "a.zarr")
    np.testing.assert_array_equal(found.read(), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_finest_level_is_in_shards_of_chunks_and_each_coarser_chunk_is_a_file(
    dtype, tmp_path, monkeypatch
):
    monkeypatch.setattr(ome_zarr, "_SHARD", 16)
    image = Image(integer_noise(2, 20, 70).astype(dtype), "ZYX")
    write_image(image, tmp_path / "a.zarr")
    assert_same_image(read_image(tmp_path / "a.zarr"), image)
    levels = open_levels(tmp_path / "a.zarr")
    assert [level.shards for level in levels] == [(1, 16, 16), None, None]
    assert [level.chunks for level in levels] == [(1, 4, 4), (1, 4, 4), (1, 2, 4)]
    files = [len([*tmp_path.glob(f"a.zarr/{n}/c/*/*/*")]) for n in range(3)]
    assert files == [2 * 2 * 5, 2 * 2 * 5, 2 * 1 * 2]


@pytest.mark.parametrize(
    ("shape", "chunks", "shards"),
    [
        ((200, 256), (200, 256), None),
        ((257, 90), (256, 90), (512, 90)),
        ((300, 2000), (256, 256), (512, 1024)),
    ],
)
def test_small_images_have_no_shards_or_small_ones(shape, chunks, shards, tmp_path):
    image = Image(integer_noise(*shape), "YX")
    write_image(image, tmp_path / "a.zarr")
    assert_same_image(read_image(tmp_path / "a.zarr"), image)
    finest = open_levels(tmp_path / "a.zarr")[0]
    assert (finest.chunks, finest.shards) == (chunks, shards)


def test_version_0_4_has_no_shards(tmp_path):
    image = Image(integer_noise(300, 1100), "YX")
    write_omezarr(image, tmp_path / "a.zarr", "0.4")
    assert_same_image(read_image(tmp_path / "a.zarr"), image)
    finest = open_levels(tmp_path / "a.zarr")[0]
    assert (finest.chunks, finest.shards) == ((300, 1024), None)


def test_an_image_of_one_chunk_has_one_level(tmp_path):
    write_omezarr(Image(np.zeros((30, 40), np.uint8), "YX"), tmp_path / "a.zarr")
    assert len(open_levels(tmp_path / "a.zarr")) == 1
