"""LIF, ND2 and CZI: the LIF file is made here by its format, the others by their libraries' types.

Neither nd2 nor czifile can write, so their files are stood in for by what the libraries return;
where the library of Zeiss is installed too (Python 3.12), a real CZI file is written and read.
"""

from __future__ import annotations

import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from format_table import lif_file
from helpers import integer_noise
from nd2 import structures

from napari_aeanet.core.image import Channel, Image
from napari_aeanet.io.axes import images_from
from napari_aeanet.io.files import READERS, read_image, read_images
from napari_aeanet.io.vendor import czi_image, nd2_image

PLANES = integer_noise(3, 8, 9, dtype="uint16")


def test_a_lif_file_is_read_with_its_sizes_and_channel(tmp_path):
    lif_file(tmp_path / "a.lif", PLANES)
    image = read_image(tmp_path / "a.lif")
    np.testing.assert_array_equal(image.read(), PLANES)
    assert (image.axes, image.unit) == ("ZYX", "µm")
    assert image.pixel_size == pytest.approx((2.0, 0.5, 0.25))
    assert image.channels == (Channel(name="DAPI", colour=(0, 255, 0)),)


def test_a_damaged_lif_file_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "a.lif"
    lif_file(path, PLANES)
    content = path.read_bytes()
    for damaged in (content[:-100], content[:50], b"text" * 50, content.replace(b"D", b"<")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=path.name) as caught:
            read_images(path)
        assert "\n" not in str(caught.value)


def test_no_more_is_read_of_a_lif_file_than_it_holds(tmp_path):
    path = tmp_path / "a.lif"
    lif_file(path, PLANES)
    content = path.read_bytes()
    block = content.index("MemBlock".encode("utf-16-le"))
    # The length of the description, and that of the name of a block of pixels.
    for at in (9, block - 4):
        path.write_bytes(content[:at] + b"\xff" * 4 + content[at + 4 :])
        tracemalloc.start()
        with pytest.raises(ValueError, match=r"a\.lif is not a complete"):
            read_images(path)
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert largest < 2**26


@pytest.mark.parametrize("suffix", [".nd2", ".czi"])
def test_text_in_a_file_of_a_microscope_is_refused_in_one_sentence(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_text("no image " * 50)
    with pytest.raises(ValueError, match=path.name) as caught:
        read_images(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["liffile", "nd2", "czifile"])
def test_a_missing_library_is_named_with_the_extra(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    path = tmp_path / f"a.{dict(liffile='lif', nd2='nd2', czifile='czi')[name]}"
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"napari-aeanet\[vendor\]") as caught:
        read_images(path)
    assert f"needs the package {name}" in str(caught.value)


def only(stored, tmp_path) -> Image:
    (image,) = images_from(stored, tmp_path / "a", "a")
    return image


def nd2_channel(name, color):
    return structures.Channel(
        channel=structures.ChannelMeta(name=name, index=0, color=structures.Color(*color)),
        loops=None,
        microscope=structures.Microscope(),
        volume=structures.Volume(
            axesCalibrated=(True, True, False),
            axesCalibration=(0.25, 0.5, 1.0),
            axesInterpretation=("distance",) * 3,
            bitsPerComponentInMemory=16,
            bitsPerComponentSignificant=12,
            cameraTransformationMatrix=(1, 0, 0, 1),
            componentCount=1,
            componentDataType="unsigned",
            componentMaxima=[0.0],
            componentMinima=[0.0],
            voxelCount=(9, 8, 3),
        ),
    )


def test_what_nd2_returns_becomes_a_calibrated_image(tmp_path):
    array = integer_noise(3, 2, 8, 9, dtype="uint16")
    loop = structures.TimeLoop(
        count=3,
        nestingLevel=0,
        parameters=structures.TimeLoopParams(
            startMs=0, periodMs=250, durationMs=500, periodDiff=structures.PeriodDiff(0, 0, 0)
        ),
    )
    channels = [nd2_channel("GFP", (0, 255, 0)), nd2_channel("DIC", (255, 255, 255))]
    file = SimpleNamespace(
        metadata=structures.Metadata(channels=channels),
        experiment=[loop],
        sizes={"T": 3, "C": 2, "Y": 8, "X": 9},
        asarray=lambda: array,
    )
    image = only(nd2_image(file), tmp_path)
    np.testing.assert_array_equal(image.read(), array)
    assert (image.axes, image.unit, image.pixel_size) == ("TCYX", "µm", (0.5, 0.25))
    assert image.time_interval == 0.25
    assert image.channels == (Channel(name="GFP", colour=(0, 255, 0)), Channel(name="DIC"))


def test_an_nd2_file_without_metadata_stays_uncalibrated(tmp_path):
    file = SimpleNamespace(
        metadata={}, experiment=[], sizes={"Y": 8, "X": 9}, asarray=lambda: PLANES[0]
    )
    image = only(nd2_image(file), tmp_path)
    assert (image.unit, image.pixel_size, image.channels) == (None, (None, None), ())


def test_what_czifile_returns_becomes_a_calibrated_image(tmp_path):
    scene = SimpleNamespace(
        sizes={"T": 2, "C": 1, "Z": 3, "Y": 8, "X": 9},
        asarray=lambda: np.stack([PLANES, PLANES])[:, None],
        coord_scales={"X": 2e-7, "Y": 2e-7, "Z": 1e-6, "T": 1.5},
        channels={"EGFP": {"Color": "#FF00FF00"}},
    )
    image = only(czi_image(scene), tmp_path)
    assert (image.axes, image.unit, image.time_interval) == ("TZYX", "µm", 1.5)
    assert image.pixel_size == pytest.approx((1.0, 0.2, 0.2))
    assert image.channels == (Channel(name="EGFP", colour=(0, 255, 0)),)


@pytest.mark.parametrize("compression", ["uncompressed:", "zstd1:ExplicitLevel=2"])
def test_a_czi_file_of_zeiss_own_library_is_read_as_it_was_written(tmp_path, compression):
    pytest.importorskip("czifile")  # both need not be installed
    create = pytest.importorskip("pylibCZIrw.czi").create_czi
    data = np.random.default_rng(0).integers(0, 4000, (2, 3, 40, 60)).astype(np.uint16)
    path = tmp_path / "a.czi"
    with create(str(path), compression_options=compression) as file:
        for channel, z in np.ndindex(data.shape[:2]):
            for left in (0, 30):  # two tiles
                part = np.ascontiguousarray(data[channel, z, :, left : left + 30, None])
                file.write(part, plane={"T": 0, "C": channel, "Z": z}, location=(left, 0))
        names = {0: "DNA", 1: "membrane"}
        file.write_metadata("a", names, scale_x=1.08e-7, scale_y=1.08e-7, scale_z=2.9e-7)
    (image,) = read_images(path)
    np.testing.assert_array_equal(image.read(), data)
    assert (image.axes, image.unit) == ("CZYX", "µm")
    assert image.pixel_size == pytest.approx((0.29, 0.108, 0.108))
    assert [channel.name for channel in image.channels] == ["DNA", "membrane"]


def test_all_of_them_are_among_the_readers():
    assert {".lif", ".nd2", ".czi"} <= set(READERS)
