"""The full range of intensities, as metadata of files state it.

In TIFF files, the first of these: OME's SignificantBits, the bit depth of the camera in the
metadata of Micro-Manager and MetaMorph, MinSampleValue and MaxSampleValue, the display range of
ImageJ. In OME-Zarr the limits (not the contrast) of the display windows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_aeanet.core.declared_range import (
    DeclaredRange,
    bits_of,
    declared_range,
    significant_bits,
)
from napari_aeanet.core.image import Image

_LIMITS = (("MinSampleValue", "MaxSampleValue"), ("SMinSampleValue", "SMaxSampleValue"))
_METAMORPH_BITS = re.compile(r'id="camera-bit-depth"[^>]*value="(\d+)"')


def range_in_tiff(tif: tifffile.TiffFile, index: int) -> DeclaredRange | None:
    """Return the range of series number `index` of a TIFF file, or None if it states none."""
    series = tif.series[index]
    return next((one for one in _in_tiff(tif, index, series.dtype) if one is not None), None)


def _in_tiff(tif: tifffile.TiffFile, index: int, dtype: np.dtype) -> Iterator[DeclaredRange | None]:
    if tif.is_ome:
        pixels = ElementTree.fromstring(tif.ome_metadata or "").findall("{*}Image/{*}Pixels")
        if len(pixels) == len(tif.series):
            yield significant_bits(pixels[index].get("SignificantBits"), dtype)
    page = tif.series[index].keyframe
    camera = page.tags.valueof("MicroManagerMetadata", default=None)
    for settings in (camera, (tif.micromanager_metadata or {}).get("Summary")):
        if isinstance(settings, dict):
            yield _of_bits(settings.get("BitDepth"), dtype, "BitDepth of Micro-Manager")
    if found := _METAMORPH_BITS.search(str(page.description)):
        yield _of_bits(found[1], dtype, "camera-bit-depth of MetaMorph")
    for names in _LIMITS:
        low, high = (_number(page.tags.valueof(name, default=None)) for name in names)
        yield declared_range(0.0 if low is None else low, high, dtype, names[1])
    shown = tif.imagej_metadata or {}
    low, high = _number(shown.get("min")), _number(shown.get("max"))
    yield declared_range(low, high, dtype, "display range of ImageJ", is_display=True)


def _of_bits(bits: object, dtype: np.dtype, stated_by: str) -> DeclaredRange | None:
    number = _number(bits)
    if number is None or not 0 < number <= 64:
        return None
    return declared_range(0.0, 2.0**number - 1, dtype, stated_by)


def range_in_omero(omero: object, dtype: np.dtype) -> DeclaredRange | None:
    """Return the range that the windows of all channels of an OME-Zarr image have in common."""
    channels = omero.get("channels") if isinstance(omero, dict) else None
    windows = [c.get("window") for c in channels or () if isinstance(c, dict)]
    limits = {
        (_number(window.get("min")), _number(window.get("max")))
        for window in windows
        if isinstance(window, dict)
    }
    if len(limits) != 1:
        return None
    return declared_range(*limits.pop(), dtype, "window of its channels")


def stated_range(image: Image) -> tuple[float, float] | None:
    """Return the range to be stored with an image; None if none is known."""
    stated = image.intensity_range
    return None if stated is None or stated.is_display else (stated.low, stated.high)


def stored_bits(image: Image) -> int | None:
    """Return SignificantBits for an image of whole numbers; None if they are not known."""
    stated = stated_range(image)
    return None if stated is None or image.dtype.kind not in "iu" else bits_of(*stated)


def _number(value: Any) -> float | None:
    """Return a finite number; of several samples, that which all have in common."""
    if isinstance(value, tuple):
        value = value[0] if len(set(value)) == 1 else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
