"""Channels and time interval go through a restoration, into whatever format."""

from __future__ import annotations

import pytest
from helpers import integer_noise, model_of, small_network

from napari_aeanet.core.image import Channel, Image
from napari_aeanet.io import read_image, write_image
from napari_aeanet.restoration.run import restore
from napari_aeanet.restoration.settings import RestoreSettings

CHANNELS = (Channel(name="DAPI", colour=(0, 0, 255)), Channel(name="GFP"))
SERIES = Image(
    integer_noise(2, 2, 16, 24),
    "TCYX",
    (2.0, 2.0),
    "nm",
    (100.0, 50.0),
    channels=CHANNELS,
    time_interval=0.5,
)


@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr", "a.tif"])
def test_a_restored_series_keeps_channels_interval_and_place(name, tmp_path):
    write_image(SERIES, tmp_path / name)
    model = model_of(small_network("aeanet-2d"), ratio=(2.0, 2.0))
    settings = RestoreSettings(device="cpu")
    restored = restore(read_image(tmp_path / name), model, settings)
    write_image(restored, tmp_path / f"restored-{name}")
    streamed = tmp_path / "streamed.ome.zarr"
    restore(read_image(tmp_path / name), model, settings, out=streamed)
    for found in (restored, read_image(tmp_path / f"restored-{name}"), read_image(streamed)):
        assert found.channels == CHANNELS
        assert found.time_interval == 0.5
        # Pixels of half the size: the first centre moves by a quarter of the old one.
        factor = 2 / found.pixel_size[0]
        assert found.origin == pytest.approx([o - (1 - 1 / factor) for o in (100.0, 50.0)])
