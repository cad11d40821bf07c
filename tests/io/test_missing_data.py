"""Planes, files and chunks that are missing are told, never read as zeros without a word."""

from __future__ import annotations

import re
import struct
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
import zarr
from helpers import integer_noise

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy, ome_zarr
from napari_aeanet.io.files import read_image, read_images, write_image
from napari_aeanet.io.ome_zarr import create_omezarr, open_levels, write_chunk

PLANES = integer_noise(2, 3, 16, 20, dtype="uint16") + 1


def ome_set(folder, axes="TZYX", shape=(2, 3), binary_only=False):
    """A set of OME-TIFF files, one per plane, each with the description of the whole set."""
    names = [f"p{i}.ome.tif" for i in range(int(np.prod(shape)))]
    sizes = dict(zip(axes, shape, strict=False))
    tiff_data = ""
    for i, name in enumerate(names):
        at = np.unravel_index(i, shape)
        first = " ".join(f'First{a}="{n}"' for a, n in zip(axes, at, strict=False))
        uuid = f'<UUID FileName="{name}">urn:uuid:{i:08d}-0000-0000-0000-000000000000</UUID>'
        tiff_data += f'<TiffData IFD="0" PlaneCount="1" {first}>{uuid}</TiffData>'
    whole = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZTC" Type="uint16" '
        f'SizeX="20" SizeY="16" SizeZ="{sizes.get("Z", 1)}" SizeT="{sizes.get("T", 1)}" SizeC="1">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{tiff_data}</Pixels></Image>'
    )
    pages = PLANES.reshape(-1, 16, 20)
    for i, name in enumerate(names):
        content = whole
        if binary_only and i:
            first = "urn:uuid:00000000-0000-0000-0000-000000000000"
            content = f'<BinaryOnly MetadataFile="p0.ome.tif" UUID="{first}"/>'
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{i:08d}-0000-0000-0000-000000000000">{content}</OME>'
        )
        tifffile.imwrite(folder / name, pages[i], description=xml, metadata=None)
    return [folder / name for name in names]


@pytest.fixture(params=[False, True], ids=["loaded", "on disk"])
def large(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(lazy, "LARGE_BYTES", 100)


@pytest.mark.usefixtures("large")
def test_a_set_of_files_is_one_image(tmp_path):
    files = ome_set(tmp_path)
    image = read_image(files[3])
    assert (image.axes, image.notices) == ("TZYX", ())
    np.testing.assert_array_equal(image.read(), PLANES)


@pytest.mark.usefixtures("large")
def test_time_points_missing_at_the_end_of_a_set_are_told_and_left_out(tmp_path):
    files = ome_set(tmp_path)
    for file in files[4:]:
        file.unlink()
    image = read_image(files[0])
    np.testing.assert_array_equal(image.read(), PLANES[0])
    (notice,) = image.notices
    assert "2 of 6 planes" in notice
    assert "p4.ome.tif" in notice
    assert "first 1 of 2 along T" in notice


@pytest.mark.usefixtures("large")
def test_a_file_missing_in_the_middle_of_a_set_is_named(tmp_path):
    files = ome_set(tmp_path)
    files[1].unlink()
    files[4].unlink()
    with pytest.raises(ValueError, match=re.escape("p1.ome.tif")) as caught:
        read_image(files[0])
    assert "2 of 6 planes" in str(caught.value)
    assert str(files[0]) in str(caught.value)


@pytest.mark.usefixtures("large")
def test_planes_missing_in_the_middle_are_read_as_zeros_if_that_is_accepted(tmp_path):
    files = ome_set(tmp_path)
    files[1].unlink()
    files[4].unlink()
    image = read_image(files[0], accept_missing=True)
    expected = PLANES.copy()
    expected[:, 1] = 0
    np.testing.assert_array_equal(image.read(), expected)
    (notice,) = image.notices
    assert "2 of 6 planes" in notice
    assert "p1.ome.tif, p4.ome.tif" in notice
    assert "T 0 Z 1, T 1 Z 1 are read as 0" in notice


def test_accepting_missing_planes_changes_nothing_where_none_is_missing(tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_image(Image(PLANES, "TZYX"), path)
    for file in (path, ome_set(tmp_path)[0]):
        image = read_image(file, accept_missing=True)
        np.testing.assert_array_equal(image.read(), PLANES)
        assert image.notices == ()


def test_an_ome_tiff_that_promises_more_planes_than_it_holds_is_read_as_what_is_there(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, PLANES[0], metadata={"axes": "ZYX"}, photometric="minisblack")
    xml = tifffile.tiffcomment(path)
    promised = xml.replace('SizeZ="3"', 'SizeZ="30"').replace('PlaneCount="3"', 'PlaneCount="30"')
    assert promised != xml
    tifffile.tiffcomment(path, promised.encode())
    image = read_image(path)
    np.testing.assert_array_equal(image.read(), PLANES[0])
    assert "27 of 30 planes" in image.notices[0]


def test_a_file_that_refers_to_the_description_in_another_one_says_so(tmp_path):
    files = ome_set(tmp_path, binary_only=True)
    image = read_image(files[2])
    np.testing.assert_array_equal(image.read(), PLANES[0, 2])
    assert "p0.ome.tif" in image.notices[0]
    assert read_image(files[0]).axes == "TZYX"


def test_a_description_that_does_not_fit_its_pages_is_told(tmp_path):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "ZYX", "PhysicalSizeX": 2.0, "PhysicalSizeY": 2.0}
    tifffile.imwrite(path, PLANES[0], metadata=metadata, photometric="minisblack")
    xml = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, xml.replace('SizeX="20"', 'SizeX="21"').encode())
    images = read_images(path)
    np.testing.assert_array_equal([image.read() for image in images], PLANES[0])
    for image in images:
        assert "OME description" in image.notices[0]
        assert (image.pixel_size, image.unit) == ((2.0, 2.0), "µm")


def test_images_of_a_set_whose_files_are_missing_are_counted(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        for number, size in enumerate((0.5, 0.25)):
            metadata = {"axes": "YX", "Name": f"position {number}"}
            metadata |= {"PhysicalSizeX": size, "PhysicalSizeY": size}
            tif.write(PLANES[0, number], metadata=metadata, photometric="minisblack")
    assert [image.pixel_size for image in read_images(path)] == [(0.5, 0.5), (0.25, 0.25)]
    xml = tifffile.tiffcomment(path)
    gone = '<UUID FileName="b.ome.tif">urn:uuid:11111111-0000-0000-0000-000000000000</UUID>'
    there = '<TiffData IFD="0" PlaneCount="1"/>'
    assert there in xml
    xml = xml.replace(there, f'<TiffData IFD="0" PlaneCount="1">{gone}</TiffData>')
    tifffile.tiffcomment(path, xml.encode())
    image = read_image(path)
    assert image.pixel_size == (0.25, 0.25)
    np.testing.assert_array_equal(image.read(), PLANES[0, 1])
    assert "1 of 2 images" in image.notices[0]


# OME-Zarr


def chunk_files(path):
    return sorted(p for p in (path / "0" / "c").rglob("*") if p.is_file())


def test_missing_chunks_are_counted(tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_image(Image(PLANES, "TZYX"), path)
    assert read_image(path).notices == ()
    for file in chunk_files(path)[:2]:
        file.unlink()
    (notice,) = read_image(path).notices
    assert "2 of 6 chunks" in notice
    assert "read as 0" in notice


def test_no_chunk_of_an_image_of_zeros_is_missing(tmp_path):
    path = tmp_path / "a.ome.zarr"
    image = Image(np.zeros((2, 16, 20), np.uint8), "ZYX")
    write_image(image, path)
    assert read_image(path).notices == ()
    create_omezarr(image, tmp_path / "b.ome.zarr")
    assert "2 of 2 chunks" in read_image(tmp_path / "b.ome.zarr").notices[0]
    levels = open_levels(tmp_path / "b.ome.zarr", "r+")
    for z in range(2):
        write_chunk(levels, (slice(z, z + 1), slice(0, 16), slice(0, 20)), image.array[:1])
    assert read_image(tmp_path / "b.ome.zarr").notices == ()


def test_chunks_of_an_emptied_shard_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr, "_SHARD", 16)
    path = tmp_path / "a.ome.zarr"
    write_image(Image(np.ones((20, 24), np.uint8), "YX"), path)
    chunk_files(path)[0].write_bytes(b"")
    (notice,) = read_image(path).notices
    assert "16 of 30 chunks" in notice


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shards", [None, (2, 16, 20)])
def test_chunks_missing_in_files_of_other_programs_are_counted(version, shards, tmp_path):
    if version == 2 and shards:
        pytest.skip("Zarr 2 has no shards")
    path = tmp_path / "a.zarr"
    group = zarr.create_group(path, zarr_format=version)
    array = group.create_array(
        "s0", shape=(4, 16, 20), dtype="uint16", chunks=(1, 8, 20), shards=shards
    )
    array[0] = PLANES[0, 0]
    array[3, :8] = PLANES[0, 0, :8]
    scales = {
        "axes": [{"name": a, "type": "space"} for a in "zyx"],
        "datasets": [
            {
                "path": "s0",
                "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}],
            }
        ],
    }
    if version == 2:
        group.attrs["multiscales"] = [{"version": "0.4", **scales}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
    (notice,) = read_image(path).notices
    assert "5 of 8 chunks" in notice


def test_the_set_of_these_tests_is_valid_xml(tmp_path):
    for file in ome_set(tmp_path, binary_only=True):
        assert ElementTree.fromstring(tifffile.tiffcomment(file)) is not None


@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {"rowsperstrip": 4}], ids=str)
def test_a_tiff_with_fewer_tiles_than_its_size_needs_is_refused(layout, tmp_path):
    """Refuse it at once: a small file may claim a width of millions of pixels."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANES[0, 0], metadata=None, compression="zlib", **layout)
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages[0].tags["ImageLength"]
        place, kind = tag.valueoffset, {3: "<H", 4: "<I"}[int(tag.dtype)]
    content = bytearray(path.read_bytes())
    struct.pack_into(kind, content, place, 60_000)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="incomplete"):
        read_images(path)
