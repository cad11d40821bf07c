"""Names and colours of channels in OME-Zarr: its entry "omero"."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from napari_aeanet.core.image import Channel, Image
from napari_aeanet.io.intensity_metadata import stated_range
from napari_aeanet.io.ome_xml import WHITE

_COLOUR = re.compile("[0-9a-fA-F]{6}")


def read_channels(omero: object) -> tuple[Channel, ...]:
    """Return the channels of the entry, as far as they can be understood."""
    entries = omero.get("channels") if isinstance(omero, dict) else None
    return tuple(map(_channel, entries)) if isinstance(entries, list) else ()


def _channel(entry: object) -> Channel:
    if not isinstance(entry, dict):
        return Channel()
    name, text = entry.get("label"), str(entry.get("color"))
    colour = None
    if _COLOUR.fullmatch(text) and text.upper() != "FFFFFF":
        red, green, blue = bytes.fromhex(text)
        colour = (red, green, blue)
    return Channel(name=name if isinstance(name, str) else "", colour=colour)


def omero_metadata(image: Image) -> dict[str, Any]:
    """Return the entry; a colour and a window are compulsory in it."""
    window = _window(image)
    channels = [
        {
            "label": channel.name,
            "color": bytes(channel.colour or WHITE).hex().upper(),
            "active": True,
            "window": window,
        }
        for channel in image.channels or (Channel(),) * image.sizes.get("C", 1)
    ]
    return {"channels": channels}


def _window(image: Image) -> dict[str, float]:
    """Return the contrast of the display: the range of the pixels if in memory, else the limits.

    The limits are the range of intensities if it is known, else that of the number type; decimal
    numbers have none: 0 to 1.
    """
    low, high = 0.0, 1.0
    if image.dtype.kind in "iu":
        low, high = float(np.iinfo(image.dtype).min), float(np.iinfo(image.dtype).max)
    stated = stated_range(image)
    low, high = stated or (low, high)
    start, end = low, high
    if type(image.array) is np.ndarray:
        values = image.array[np.isfinite(image.array)]
        if values.size and values.min() < values.max():
            start, end = float(values.min()), float(values.max())
    if stated is not None:  # pixels may lie a little beyond
        start, end = max(start, low), min(end, high)
    return {"min": min(low, start), "max": max(high, end), "start": start, "end": end}
