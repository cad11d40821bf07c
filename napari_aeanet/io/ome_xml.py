"""OME-XML, the metadata of OME-TIFF files: calibration, channels and stage positions.

The position of a plane is taken as that of the centre of its first pixel, which OME leaves open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from xml.etree.ElementTree import Element, fromstring

from napari_aeanet.core.image import SPATIAL_AXES, Channel, Image
from napari_aeanet.core.units import convert, in_one_unit, in_seconds, normalise_unit
from napari_aeanet.io.axes import Calibration
from napari_aeanet.io.intensity_metadata import stored_bits

# OME annotation for facts without a place in OME: axes of length 1, and slices that were made from
# their neighbours ("interpolated:7").
NAMESPACE = "napari-aeanet/image"
INTERPOLATED = "interpolated:"
# OME's "arbitrary unit of length", for sizes without a unit; the default unit of positions.
NO_UNIT = "reference frame"

# The bound keeps damaged numbers from filling the memory.
_MOST_PLANES = 10**6
WHITE = (255, 255, 255)
_WHITE_NUMBER = -1  # red, green, blue and opacity as a signed 32-bit number


@dataclass(frozen=True, kw_only=True)
class OmeFiles:
    """The other files that an OME-XML text names.

    Parameters
    ----------
    names
        Files with planes of the images.
    elsewhere
        The file with the description, if it is not in this one.
    """

    names: tuple[str, ...] = ()
    elsewhere: str = ""


def ome_files(xml: str | None, path: Path) -> OmeFiles:
    """Return the files that the OME-XML text of the file at `path` names.

    Raises
    ------
    ValueError
        If the text promises more planes than any file holds.
    """
    if xml is None:
        return OmeFiles()
    root = fromstring(xml)
    for pixels in root.findall("{*}Image/{*}Pixels"):
        planes = math.prod(int(pixels.get(f"Size{a}", "1")) for a in "ZCT")
        if planes > _MOST_PLANES:
            msg = f"{path} claims to have {planes} planes: its OME description is damaged."
            raise ValueError(msg)
    named = [element.get("FileName", "") for element in root.iter() if _tag(element) == "UUID"]
    elsewhere = [e.get("MetadataFile", "") for e in root if _tag(e) == "BinaryOnly"]
    return OmeFiles(
        names=tuple(dict.fromkeys(name for name in named if name)),
        elsewhere=elsewhere[0] or "another file" if elsewhere else "",
    )


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def read_ome(xml: str) -> list[tuple[str, Calibration]]:
    """Return name and calibration of every image of an OME-XML text."""
    root = fromstring(xml)
    ours = {
        item.get("K"): item.text or ""
        for annotation in root.iter()
        if annotation.tag.endswith("MapAnnotation") and annotation.get("Namespace") == NAMESPACE
        for item in annotation.iter()
        if item.tag.endswith("}M")
    }
    return [
        (image.get("Name", ""), _calibration(pixels, ours))
        for image in root.findall("{*}Image")
        for pixels in image.findall("{*}Pixels")
    ]


def _calibration(pixels: Element, ours: Mapping[str | None, str]) -> Calibration:
    """Return the calibration of an image; PhysicalSize without a unit is in µm, as in OME."""
    spelled = {a: pixels.get(f"PhysicalSize{a}Unit", "µm") for a in SPATIAL_AXES}
    sizes, unit = in_one_unit(
        {
            a: (_number(pixels.get(f"PhysicalSize{a}")), normalise_unit(text))
            for a, text in spelled.items()
            if text == NO_UNIT or normalise_unit(text)
        }
    )
    axes = ours.get("axes", "")
    positions = _positions(pixels, own=bool(ours))
    if unit is None and not sizes:
        origin, unit = in_one_unit(positions)
    else:
        origin = {
            a: place if given is None or unit is None else convert(place, given, unit)
            for a, (place, given) in positions.items()
            if (given is None) == (unit is None)
        }
    if not origin and "origin" in ours:  # files of earlier versions
        spatial = [a for a in axes if a in SPATIAL_AXES]
        origin = dict(zip(spatial, map(float, ours["origin"].split()), strict=False))
    return Calibration(
        pixel_size=sizes,
        unit=unit,
        origin=origin,
        single_axes=axes,
        channels=tuple(map(_channel, pixels.findall("{*}Channel"))),
        time_interval=in_seconds(
            _number(pixels.get("TimeIncrement")), pixels.get("TimeIncrementUnit", "s")
        ),
        interpolated={
            int(key.removeprefix(INTERPOLATED)): how
            for key, how in ours.items()
            if key is not None and key.startswith(INTERPOLATED)
        },
    )


def _positions(pixels: Element, *, own: bool) -> dict[str, tuple[float, str | None]]:
    """Return position and unit of the first plane along each axis.

    Positions in an unknown frame of reference are left out, unless the file is our `own`.
    """
    for plane in pixels.findall("{*}Plane"):
        if all(plane.get(f"The{a}", "0") == "0" for a in "ZCT"):
            break
    else:
        return {}
    found = {}
    for axis in SPATIAL_AXES:
        place = _number(plane.get(f"Position{axis}"))
        text = plane.get(f"Position{axis}Unit", NO_UNIT)
        unit = normalise_unit(text)
        if place is not None and (unit or (own and text == NO_UNIT)):
            found[axis] = (place, unit)
    return found


def _channel(element: Element) -> Channel:
    number = _number(element.get("Color"))
    colour = None
    if number is not None and number != _WHITE_NUMBER and abs(number) < 2**32:
        red, green, blue, _ = (int(number) & 0xFFFFFFFF).to_bytes(4, "big")
        colour = (red, green, blue)
    return Channel(name=element.get("Name", ""), colour=None if colour == WHITE else colour)


def ome_metadata(image: Image) -> dict[str, Any]:
    """Return the metadata of an image as tifffile takes them, without anything random."""
    metadata: dict[str, Any] = {
        "axes": image.axes,
        "Name": image.name,
        "MapAnnotation": {
            "Namespace": NAMESPACE,
            "axes": image.axes,
            **{f"{INTERPOLATED}{z}": how for z, how in image.interpolated.items()},
        },
    }
    unit = image.unit or NO_UNIT
    for axis, size in zip(image.spatial_axes, image.pixel_size, strict=True):
        if size is not None:
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = unit
    if image.time_interval is not None:
        metadata |= {"TimeIncrement": image.time_interval, "TimeIncrementUnit": "s"}
    if (bits := stored_bits(image)) is not None:
        metadata["SignificantBits"] = bits
    if image.channels:
        metadata["Channel"] = {
            "Name": [channel.name for channel in image.channels],
            "Color": [_colour_number(channel) for channel in image.channels],
        }
    if any(image.origin):
        metadata["Plane"] = _planes(image, unit)
    # tifffile would take a random one.
    metadata["UUID"] = str(uuid5(NAMESPACE_URL, f"{metadata} {image.shape} {image.dtype}"))
    return metadata


def _colour_number(channel: Channel) -> int:
    if channel.colour is None:
        return _WHITE_NUMBER
    return int.from_bytes(bytes((*channel.colour, 255)), "big", signed=True)


def _planes(image: Image, unit: str) -> dict[str, list[Any]]:
    """Return position and unit of every plane, Z being the fastest of the axes before Y."""
    count = math.prod(image.shape[:-2])
    depth = image.sizes.get("Z", 1)
    planes: dict[str, list[Any]] = {}
    for axis, size, first in zip(image.spatial_axes, image.pixel_size, image.origin, strict=True):
        step = (size or 1.0) if axis == "Z" else 0.0
        places = [float(first + step * z) for z in range(depth)]
        planes[f"Position{axis}"] = places * (count // depth)
        planes[f"Position{axis}Unit"] = [unit] * count
    return planes


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
