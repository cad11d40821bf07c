"""Stacks of Micro-Manager, made here by its format: header, summary, index of planes."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import tifffile
from helpers import integer_noise

from napari_aeanet.core.image import Channel
from napari_aeanet.io.files import read_image

PLANES = integer_noise(3, 2, 16, 20, dtype="uint16")  # time, channel
SUMMARY = {
    "MicroManagerVersion": "2.0.0",
    "Frames": 3,
    "Slices": 1,
    "Channels": 2,
    "Positions": 1,
    "PixelSize_um": 0.25,
    "z-step_um": 0,
    "Interval_ms": 500,
    "ChNames": ["DAPI", "GFP"],
    "ChColors": [-16776961, -1],
    "Prefix": "run",
    "TimeFirst": False,
    "SlicesFirst": False,
}


def stack(path, frames, *, promised=3, ome=True, cut=0):
    """Write a stack with the time points `frames`, of which `promised` were planned."""
    summary = json.dumps({**SUMMARY, "Frames": promised}).encode()
    size = (
        f'SizeX="20" SizeY="16" SizeZ="1" SizeC="2" SizeT="{promised}" PhysicalSizeX="0.25" '
        'PhysicalSizeY="0.25" TimeIncrement="500" TimeIncrementUnit="ms"'
    )
    names = "".join(
        f'<Channel ID="Channel:0:{c}" Name="{name}"/>' for c, name in enumerate(("DAPI", "GFP"))
    )
    planes = "".join(
        f'<TiffData FirstC="{c}" FirstT="{t}" IFD="{2 * i + c}" PlaneCount="1"/>'
        for i, t in enumerate(frames)
        for c in range(2)
    )
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0" Name="run"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" '
        f'Type="uint16" {size}>{names}{planes}</Pixels></Image></OME>'
    ).encode() + b"\0"
    plane_bytes = PLANES[0, 0].nbytes
    start = 40 + len(summary) + len(summary) % 2
    texts = start + 2 * len(frames) * (162 + plane_bytes)
    note = b'{"Width": 20}\0'
    description = texts + len(note)
    index = description + len(xml)
    head = struct.pack(
        "<2sHI8I",
        b"II",
        42,
        start,
        54773648,
        index,
        483765892,
        0,
        99384722,
        0,
        2355492,
        len(summary),
    )
    content = (head + summary).ljust(start, b" ")
    entries = []
    for number, (t, c) in enumerate((t, c) for t in frames for c in range(2)):
        here = start + number * (162 + plane_bytes)
        last = number == 2 * len(frames) - 1
        tags = [
            (256, 4, 1, 20),
            (257, 4, 1, 16),
            (258, 3, 1, 16),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (270, 2, len(xml), description) if ome else (270, 2, 1, 0),
            (273, 4, 1, here + 162),
            (277, 3, 1, 1),
            (278, 4, 1, 16),
            (279, 4, 1, plane_bytes),
            (282, 3, 1, 1),
            (283, 3, 1, 1),
            (51123, 2, len(note), texts),
        ]
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
        content += struct.pack("<I", 0 if last else here + 162 + plane_bytes)
        content += PLANES[t, c].tobytes()
        entries.append((c, 0, t, 0, here))
    content += note + xml + struct.pack("<II", 3453623, len(entries))
    content += b"".join(struct.pack("<5I", *entry) for entry in entries)
    path.write_bytes(content[: len(content) - cut])


@pytest.mark.parametrize("ome", [True, False])
def test_a_stack_is_read_with_its_sizes_interval_and_channels(ome, tmp_path):
    path = tmp_path / "run_MMStack.tif"
    stack(path, range(3), ome=ome)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_mmstack
    image = read_image(path)
    assert (image.axes, image.notices) == ("TCYX", ())
    np.testing.assert_array_equal(image.read(), PLANES)
    assert (image.pixel_size, image.unit, image.time_interval) == ((0.25, 0.25), "µm", 0.5)
    assert [channel.name for channel in image.channels] == ["DAPI", "GFP"]
    if not ome:
        assert image.channels == (Channel(name="DAPI", colour=(0, 0, 255)), Channel(name="GFP"))


def test_an_acquisition_that_was_stopped_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "run_MMStack.tif"
    stack(path, range(2))
    image = read_image(path)
    np.testing.assert_array_equal(image.read(), PLANES[:2])
    assert any("missing" in notice for notice in image.notices)


def test_a_stack_in_several_files_is_one_image(tmp_path):
    stack(tmp_path / "run_MMStack.tif", range(2))
    stack(tmp_path / "run_MMStack_1.tif", [2], ome=False)
    image = read_image(tmp_path / "run_MMStack.tif")
    np.testing.assert_array_equal(image.read(), PLANES)
    assert image.notices == ()
