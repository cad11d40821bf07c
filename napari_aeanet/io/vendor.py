"""LIF (Leica), ND2 (Nikon) and CZI (Zeiss), by libraries of the extra "vendor"."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.image import SPATIAL_AXES, Channel
from napari_aeanet.core.units import METRES, in_seconds, readable_length
from napari_aeanet.io.axes import SAMPLES, Calibration, Stored
from napari_aeanet.io.ome_xml import WHITE

# Colour tables of Leica that are named after a colour.
_LEICA_COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "yellow": (255, 255, 0),
}


class _ReadInside(FileIO):
    """A file of which no more is asked than it holds, whatever the sizes written in it say."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def read_lif(path: Path) -> list[Stored]:
    """Read all images of a Leica LIF file."""
    with _ReadInside(path) as file, _library("liffile", path).LifFile(file) as lif:
        return [lif_image(image) for image in lif.images]


def read_nd2(path: Path) -> list[Stored]:
    """Read a Nikon ND2 file; its stage positions are separate images."""
    with _library("nd2", path).ND2File(path) as nd2:
        return [nd2_image(nd2)]


def read_czi(path: Path) -> list[Stored]:
    """Read all scenes of a Zeiss CZI file."""
    with _library("czifile", path).CziFile(path) as czi:
        return [czi_image(scene) for scene in czi.scenes.values()]


def _library(name: str, path: Path) -> Any:
    """Return a library of the extra; raise a ValueError that tells how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        old = name == "czifile" and sys.version_info < (3, 12)
        where = " in an environment with Python 3.12 or later" if old else ""
        msg = (
            f"{path} needs the package {name}: install it by "
            f'pip install "napari-aeanet[vendor]"{where}, or save the image as OME-TIFF.'
        )
        raise ValueError(msg) from error


def lif_image(image: Any) -> Stored:
    """Return an image of liffile, whose coordinates are in metres and seconds."""
    steps = {
        axis: float(places[-1] - places[0]) / (len(places) - 1)
        for axis, places in image.coords.items()
        if len(places) > 1
    }
    channels = [
        Channel(
            name=_leica_name(entry), colour=_LEICA_COLOURS.get(entry.get("LUTName", "").lower())
        )
        for entry in image.xml_element.iter("ChannelDescription")
    ]
    return _stored(image.asarray(), image.sizes, steps, channels, steps.get("T"))


def _leica_name(entry: Any) -> str:
    """Return the name of the dye of a channel."""
    for item in entry.iter("ChannelProperty"):
        if item.findtext("Key") == "DyeName":
            return item.findtext("Value") or ""
    return ""


def nd2_image(file: Any) -> Stored:
    """Return the image of a file of nd2, whose sizes are in µm and periods in ms."""
    channels = getattr(file.metadata, "channels", None) or []  # a mapping in old files
    steps = {}
    if channels:
        volume = channels[0].volume
        known = zip("XYZ", volume.axesCalibrated, volume.axesCalibration, strict=True)
        steps = {axis: size * METRES["µm"] for axis, is_known, size in known if is_known}
    periods = [
        getattr(loop.parameters, "periodMs", None)
        for loop in (file.experiment or [])
        if loop.type == "TimeLoop"
    ]
    names = [
        Channel(name=one.channel.name, colour=_colour(one.channel.color[:3])) for one in channels
    ]
    interval = in_seconds(periods[0], "ms") if periods else None
    return _stored(file.asarray(), file.sizes, steps, names, interval)


def czi_image(scene: Any) -> Stored:
    """Return a scene of czifile, whose steps are in metres and seconds."""
    steps = dict(scene.coord_scales)
    channels = [
        Channel(name=str(name), colour=_zeiss_colour(entry.get("Color")))
        for name, entry in scene.channels.items()
    ]
    return _stored(scene.asarray(), scene.sizes, steps, channels, steps.get("T"))


def _zeiss_colour(text: object) -> tuple[int, int, int] | None:
    """Return the colour of "#FFrrggbb" or "#rrggbb"."""
    found = re.fullmatch("#(?:[0-9a-fA-F]{2})?([0-9a-fA-F]{6})", str(text))
    return _colour(tuple(bytes.fromhex(found[1]))) if found else None


def _colour(values: tuple[int, ...]) -> tuple[int, int, int] | None:
    red, green, blue = values
    return None if (red, green, blue) == WHITE else (red, green, blue)


def _stored(
    array: np.ndarray,
    sizes: Mapping[str, int],
    steps: Mapping[str, float],
    channels: list[Channel],
    interval: float | None,
) -> Stored:
    """Return an array with the steps of its axes in metres."""
    lengths = {axis: steps[axis] for axis in _known(steps)}
    unit = readable_length(lengths["X"])[1] if "X" in lengths else "µm"
    letters = "".join(axis if len(axis) == 1 else "?" for axis in sizes)
    return Stored(
        array=np.asarray(array),
        axes=letters,
        calibration=Calibration(
            pixel_size={axis: length / METRES[unit] for axis, length in lengths.items()},
            unit=unit if lengths else None,
            channels=tuple(channels),
            time_interval=in_seconds(interval, "s"),
        ),
        colour=SAMPLES in letters,
    )


def _known(steps: Mapping[str, float]) -> Iterator[str]:
    return (axis for axis in SPATIAL_AXES if steps.get(axis, 0) > 0)
