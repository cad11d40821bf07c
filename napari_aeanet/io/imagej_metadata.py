"""Metadata of ImageJ and Fiji in TIFF files: calibration, labels of planes, colour tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import tifffile

from napari_aeanet.core.image import SPATIAL_AXES, Channel, Image
from napari_aeanet.core.units import in_one_unit, in_seconds, normalise_unit
from napari_aeanet.io.axes import Calibration
from napari_aeanet.io.ome_xml import WHITE

ORDER = "TZCYX"
_LARGEST_UINT32 = 2**32 - 1

Lengths = Mapping[str, tuple[float | None, str | None]]


def read_imagej(metadata: Mapping[str, Any], page: tifffile.TiffPage) -> Calibration | None:
    """Read ImageJ's description; origins are in pixels: position = (index - origin) * size."""
    unit_text = metadata.get("unit")
    if not metadata or unit_text == "inch":
        return None
    unit = normalise_unit(unit_text)
    sizes: dict[str, float] = {}
    if unit is not None:
        lengths: Lengths = {
            "Z": (as_number(metadata.get("spacing")), normalise_unit(metadata.get("zunit", unit))),
            "Y": (pixel_length(page, "YResolution"), normalise_unit(metadata.get("yunit", unit))),
            "X": (pixel_length(page, "XResolution"), unit),
        }
        sizes, unit = in_one_unit(lengths)
    origin = {
        a: -(as_number(metadata.get(f"{a.lower()}origin")) or 0.0) * sizes.get(a, 1.0)
        for a in SPATIAL_AXES
    }
    found = Calibration(
        pixel_size=sizes,
        unit=unit if sizes else None,
        origin={a: place for a, place in origin.items() if place},
        single_axes=str(metadata.get("image_axes", "")),
        channels=_channels(metadata),
        time_interval=in_seconds(
            as_number(metadata.get("finterval")), str(metadata.get("tunit", "s"))
        ),
    )
    return None if found == Calibration() else found


def _channels(metadata: Mapping[str, Any]) -> tuple[Channel, ...]:
    """Return the channels: the label of a plane is a name if all planes of a channel share it."""
    count = int(as_number(metadata.get("channels")) or 1)
    labels = _several(metadata.get("Labels"))
    names = [str(label) for label in labels[:count]]
    # The label of a single plane is mostly the name of a file.
    is_meant = count > 1 or "image_axes" in metadata
    if len(names) < count or not is_meant or labels != names * (len(labels) // count):
        names = [""] * count
    tables = _several(metadata.get("LUTs"))
    colours = map(_colour, tables) if len(tables) == count else [None] * count
    pairs = zip(names, colours, strict=True)
    channels = tuple(Channel(name=name, colour=colour) for name, colour in pairs)
    return () if set(channels) == {Channel()} else channels


def _several(value: Any) -> list[Any]:
    """Return a list; tifffile gives a single label or colour table as it is."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _colour(table: np.ndarray) -> tuple[int, int, int] | None:
    """Return the colour of a table that rises evenly from black to it; None for others."""
    if np.shape(table) != (3, 256):
        return None
    red, green, blue = (int(value) for value in table[:, -1])
    ramp = np.outer((red, green, blue), np.arange(256) / 255)
    is_ramp = bool(np.abs(table - ramp).max() <= 1)
    return (red, green, blue) if is_ramp and (red, green, blue) != WHITE else None


def imagej_metadata(image: Image) -> tuple[dict[str, Any], tuple[Any, Any] | None]:
    """Return metadata and resolution of an image as tifffile takes them."""
    metadata: dict[str, Any] = {"image_axes": image.axes}
    sizes = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    resolution = None
    if image.unit is not None:
        # ImageJ descriptions are ASCII, with these spellings.
        metadata["unit"] = {"µm": "um", "Å": "Angstrom"}.get(image.unit, image.unit)
        resolution = (_pixels_per_unit(sizes["X"] or 1.0), _pixels_per_unit(sizes["Y"] or 1.0))
        if sizes.get("Z") is not None:
            metadata["spacing"] = sizes["Z"]
    for axis, origin in zip(image.spatial_axes, image.origin, strict=True):
        if origin:
            metadata[f"{axis.lower()}origin"] = -origin / (sizes[axis] or 1.0)
    if image.time_interval is not None:
        metadata["finterval"] = image.time_interval
    if image.intensity_range is not None:  # as the contrast of the display
        metadata["min"], metadata["max"] = image.intensity_range.low, image.intensity_range.high
    if any(channel.name for channel in image.channels):
        planes = image.sizes.get("T", 1) * image.sizes.get("Z", 1)
        metadata["Labels"] = [channel.name for channel in image.channels] * planes
    if any(channel.colour for channel in image.channels):
        metadata["LUTs"] = _tables(image.channels)
        metadata["mode"] = "composite" if len(image.channels) > 1 else "color"
    return metadata, resolution


def _tables(channels: Sequence[Channel]) -> list[np.ndarray]:
    """Return a colour table per channel, from black to its colour."""
    ramp = np.arange(256) / 255
    return [
        np.outer(channel.colour or WHITE, ramp).round().astype(np.uint8) for channel in channels
    ]


def _pixels_per_unit(size: float) -> tuple[int, int]:
    """Return the nearest fraction of two 32-bit numbers (older tifffile rounds to six digits)."""
    per_unit = 1 / Fraction(size)
    fraction = per_unit.limit_denominator(min(_LARGEST_UINT32, int(_LARGEST_UINT32 / per_unit)))
    return fraction.numerator, fraction.denominator


def pixel_length(page: tifffile.TiffPage, tag: str) -> float | None:
    """Return the length of a pixel from a resolution tag (pixels per unit, a fraction)."""
    value = page.tags.valueof(tag, default=None)
    if not isinstance(value, tuple) or len(value) != 2:
        return None
    pixels, length = value
    return length / pixels if pixels and length else None


def as_number(value: object) -> float | None:
    """Return a value of a tag as a number; None if it is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
