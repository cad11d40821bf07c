"""Channels, time interval and stage position: read, kept and written, and judged by others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import ome_types
import pytest
import tifffile
import zarr
from helpers import assert_same_image, integer_noise
from lxml import etree

from napari_aeanet.core.image import Channel, Image
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.io.ome_zarr import write_omezarr

CHANNELS = (Channel(name="DAPI", colour=(0, 0, 255)), Channel(name="membrane & µ"))
SERIES = Image(
    integer_noise(3, 2, 4, 20, 30, dtype="uint16"),
    "TCZYX",
    pixel_size=(0.5, 0.25, 0.125),
    unit="µm",
    origin=(10.0, -2000.5, 3000.25),
    name="series",
    channels=CHANNELS,
    time_interval=0.5,
)
PLANE = Image(
    integer_noise(20, 30),
    "YX",
    (2.0, 2.0),
    "nm",
    (7.0, 8.0),
    channels=(Channel(name="GFP", colour=(0, 255, 0)),),
)
SCHEMA = etree.XMLSchema(etree.parse(Path(ome_types.__file__).parent / "ome-2016-06.xsd"))


def ome_xml(path: Path) -> str:
    with tifffile.TiffFile(path) as tif:
        assert tif.ome_metadata is not None
        return tif.ome_metadata


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr", "a.tif"])
@pytest.mark.parametrize("image", [SERIES, PLANE], ids=["series", "plane"])
def test_channels_interval_and_place_are_kept(name, image, tmp_path):
    write_image(image, tmp_path / name)
    found = read_image(tmp_path / name)
    assert_same_image(found, image)
    assert found.channels == image.channels
    assert found.time_interval == image.time_interval


@pytest.mark.parametrize("axes", ["TZYX", "CYX", "TCYX", "CZYX", "YX"])
def test_an_ome_tiff_fits_the_ome_schema_whatever_its_axes(axes, tmp_path):
    count = 2 if "C" in axes else 1
    shape = [count if axis == "C" else 3 for axis in axes]
    image = Image(
        integer_noise(*shape),
        axes,
        origin=(1.0,) * sum(a in "ZYX" for a in axes),
        channels=CHANNELS[:count],
        time_interval=2.0,
    )
    write_image(image, tmp_path / "a.ome.tif")
    SCHEMA.assertValid(etree.fromstring(ome_xml(tmp_path / "a.ome.tif").encode()))


def test_the_ome_model_sees_what_an_ome_tiff_says(tmp_path):
    write_image(SERIES, tmp_path / "a.ome.tif")
    pixels = ome_types.from_tiff(tmp_path / "a.ome.tif").images[0].pixels
    assert [channel.name for channel in pixels.channels] == ["DAPI", "membrane & µ"]
    assert pixels.channels[0].color.as_rgb_tuple() == (0, 0, 255)
    assert (pixels.time_increment, pixels.time_increment_unit.value) == (0.5, "s")
    assert len(pixels.planes) == 3 * 2 * 4
    for plane in pixels.planes:
        assert (plane.position_x, plane.position_x_unit.value) == (3000.25, "µm")
        assert plane.position_y == -2000.5
        assert plane.position_z == 10 + 0.5 * plane.the_z


def test_the_ome_model_can_write_what_we_read(tmp_path):
    """Read a file as an acquisition program writes it, in other units than its pixel size."""
    metadata = {
        "axes": "TCYX",
        "PhysicalSizeX": 100,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 100,
        "PhysicalSizeYUnit": "nm",
        "TimeIncrement": 250,
        "TimeIncrementUnit": "ms",
        "Channel": {"Name": ["Cy3", "Cy5"], "Color": [16711935, -1]},
        "Plane": {"PositionX": [2.0] * 6, "PositionXUnit": ["µm"] * 6, "PositionY": [5.0] * 6},
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", integer_noise(3, 2, 8, 9), metadata=metadata)
    image = read_image(tmp_path / "a.ome.tif")
    assert image.channels == (Channel(name="Cy3", colour=(0, 255, 0)), Channel(name="Cy5"))
    assert image.time_interval == 0.25
    # PositionY is in an unknown frame of reference, the default unit of OME.
    assert image.origin == pytest.approx((0, 2000))


def test_ome_zarr_names_channels_and_seconds_as_the_specification_does(tmp_path):
    write_image(SERIES, tmp_path / "a.ome.zarr")
    ome = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    first, second = ome["omero"]["channels"]
    assert (first["label"], first["color"]) == ("DAPI", "0000FF")
    assert (second["label"], second["color"]) == ("membrane & µ", "FFFFFF")
    assert set(first["window"]) == {"min", "max", "start", "end"}
    (multiscale,) = ome["multiscales"]
    assert multiscale["axes"][0] == {"name": "t", "type": "time", "unit": "second"}
    scale, translation = multiscale["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [0.5, 1.0, 0.5, 0.25, 0.125]
    assert translation["translation"] == [0, 0, 10.0, -2000.5, 3000.25]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_both_versions_of_ome_zarr_keep_channels(version, dtype, tmp_path):
    image = replace(SERIES, array=SERIES.array.astype(dtype))
    write_omezarr(image, tmp_path / "a.zarr", version)
    found = read_image(tmp_path / "a.zarr")
    assert (found.channels, found.time_interval) == (image.channels, image.time_interval)


def test_channels_of_another_programs_ome_zarr_are_read_as_far_as_they_go(tmp_path):
    write_image(SERIES, tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr")
    ome = dict(group.attrs["ome"])
    ome["omero"] = {"channels": [{"color": "ff8000"}, {"label": 7, "color": "red"}]}
    ome["multiscales"][0]["axes"][0] = {"name": "t", "type": "time", "unit": "minute"}
    group.attrs["ome"] = ome
    found = read_image(tmp_path / "a.zarr")
    assert found.channels == (Channel(colour=(255, 128, 0)), Channel())
    assert found.time_interval == 30


def test_a_time_scale_without_a_unit_is_no_interval(tmp_path):
    write_image(replace(SERIES, time_interval=None), tmp_path / "a.zarr")
    assert read_image(tmp_path / "a.zarr").time_interval is None


def test_imagej_sees_frame_interval_labels_and_colours(tmp_path):
    write_image(SERIES, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_imagej
        metadata = tif.imagej_metadata
    assert metadata["finterval"] == 0.5
    assert metadata["Labels"][:4] == ["DAPI", "membrane & µ"] * 2
    assert len(metadata["Labels"]) == 3 * 4 * 2
    assert metadata["LUTs"][0][:, -1].tolist() == [0, 0, 255]


def test_labels_of_slices_are_no_names_of_channels(tmp_path):
    labels = [f"c:{c}/2 z:{z}/3" for z in range(3) for c in range(2)]
    tifffile.imwrite(
        tmp_path / "a.tif",
        integer_noise(3, 2, 8, 9),
        imagej=True,
        metadata={"axes": "ZCYX", "Labels": labels},
    )
    assert read_image(tmp_path / "a.tif").channels == ()


def test_the_unit_of_imagejs_frame_interval_is_honoured(tmp_path):
    metadata = {"axes": "TYX", "finterval": 2, "tunit": "min"}
    tifffile.imwrite(tmp_path / "a.tif", integer_noise(3, 8, 9), imagej=True, metadata=metadata)
    assert read_image(tmp_path / "a.tif").time_interval == 120


@pytest.mark.parametrize("name", ["a.ome.tif", "a.tif", "a.png", "a.ome.zarr"])
def test_the_same_image_gives_the_same_bytes(name, tmp_path):
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        write_image(PLANE, folder / name)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        written.append([(path.relative_to(folder), path.read_bytes()) for path in files])
    assert written[0] == written[1]


def test_what_fits_other_axes_no_more_is_dropped():
    still = SERIES.with_array(np.asarray(SERIES.array)[0, 0], axes="ZYX")
    assert (still.channels, still.time_interval) == ((), None)
    assert SERIES.with_array(SERIES.array[:2]).channels == CHANNELS
