"""The calibration that a TIFF file carries, wherever its program put it.

First found wins: OME-XML, the ImageJ description, the private tags of FEI/Thermo and Zeiss
electron microscopes, the resolution tags. A resolution of 72, 96, 150, 300 ... dots per inch is
what programs write when they know nothing, so it counts as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_aeanet.core.image import SPATIAL_AXES
from napari_aeanet.core.units import convert, in_one_unit, normalise_unit, readable_length
from napari_aeanet.io.axes import Calibration

# The OME annotation that keeps what OME itself has no place for: axes of length 1, origin.
NAMESPACE = "napari-aeanet/image"
# OME's "arbitrary unit of length": sizes whose ratio is known but not their unit.
NO_UNIT = "reference frame"

_METRES_PER_INCH = 0.0254
_DEFAULT_DPI = (72, 75, 96, 100, 120, 150, 200, 240, 300, 360, 400, 600, 1200)
_DOTS_PER_INCH = {2: 1.0, 3: 2.54}  # by ResolutionUnit: inch, centimetre

Lengths = Mapping[str, tuple[float | None, str | None]]


def calibrations(tif: tifffile.TiffFile) -> list[Calibration]:
    """The calibration of every series of an open TIFF file."""
    count = len(tif.series)
    if tif.is_ome:
        found = _ome(tif.ome_metadata)
        # A series that could not be matched with its description stays uncalibrated.
        return found if len(found) == count else [Calibration()] * count
    page = tif.pages[0]
    for calibration in (
        _imagej(tif.imagej_metadata or {}, page),
        _fei(tif.fei_metadata or {}),
        _zeiss(tif.sem_metadata or {}),
        _resolution(page),
    ):
        if calibration is not None:
            return [calibration] * count
    return [Calibration()] * count


def _ome(xml: str) -> list[Calibration]:
    """From OME-XML; PhysicalSize without a unit is in µm, as its schema says."""
    root = ElementTree.fromstring(xml)
    ours = {
        item.get("K"): item.text or ""
        for annotation in root.iter()
        if annotation.tag.endswith("MapAnnotation") and annotation.get("Namespace") == NAMESPACE
        for item in annotation.iter()
        if item.tag.endswith("}M")
    }
    origin = [float(value) for value in ours.get("origin", "").split()]
    axes = ours.get("axes", "")
    spatial = [a for a in axes if a in SPATIAL_AXES]
    found = []
    for pixels in root.findall("{*}Image/{*}Pixels"):
        spelled = {a: pixels.get(f"PhysicalSize{a}Unit", "µm") for a in SPATIAL_AXES}
        sizes, unit = in_one_unit(
            {
                a: (_number(pixels.get(f"PhysicalSize{a}")), normalise_unit(text))
                for a, text in spelled.items()
                if text == NO_UNIT or normalise_unit(text)
            }
        )
        place = dict(zip(spatial, origin, strict=False))
        found.append(Calibration(pixel_size=sizes, unit=unit, origin=place, single_axes=axes))
    return found


def _imagej(metadata: Mapping[str, Any], page: tifffile.TiffPage) -> Calibration | None:
    """From ImageJ's description; its origins count pixels: position = (index - origin) * size."""
    unit_text = metadata.get("unit")
    if not metadata or unit_text == "inch":
        return None
    unit = normalise_unit(unit_text)
    sizes: dict[str, float] = {}
    if unit is not None:
        lengths: Lengths = {
            "Z": (_number(metadata.get("spacing")), normalise_unit(metadata.get("zunit", unit))),
            "Y": (_size(page, "YResolution"), normalise_unit(metadata.get("yunit", unit))),
            "X": (_size(page, "XResolution"), unit),
        }
        sizes, unit = in_one_unit(lengths)
    origin = {
        a: -(_number(metadata.get(f"{a.lower()}origin")) or 0.0) * sizes.get(a, 1.0)
        for a in SPATIAL_AXES
    }
    axes = str(metadata.get("image_axes", ""))
    if not sizes and not any(origin.values()) and not axes:
        return None
    return Calibration(
        pixel_size=sizes, unit=unit if sizes else None, origin=origin, single_axes=axes
    )


def _fei(metadata: Mapping[str, Any]) -> Calibration | None:
    """From the tags of FEI and Thermo Fisher microscopes, which are in metres."""
    scan = metadata.get("Scan") or metadata.get("EScan") or {}
    return _from_metres(_number(scan.get("PixelHeight")), _number(scan.get("PixelWidth")))


def _zeiss(metadata: Mapping[str, Any]) -> Calibration | None:
    """From the tag of Zeiss electron microscopes: (label, value, unit)."""
    entry = metadata.get("ap_image_pixel_size") or metadata.get("ap_pixel_size")
    if not isinstance(entry, tuple) or len(entry) != 3:
        return None
    size, unit = _number(entry[1]), normalise_unit(entry[2])
    if not size or unit is None:
        return None
    return Calibration(pixel_size={"Y": size, "X": size}, unit=unit)


def _resolution(page: tifffile.TiffPage) -> Calibration | None:
    """From the resolution tags, unless they hold a screen or print default."""
    unit = page.tags.valueof("ResolutionUnit", default=None)
    factor = _DOTS_PER_INCH.get(int(unit)) if unit is not None else None
    metres = []
    for tag in ("YResolution", "XResolution"):
        size = _size(page, tag)
        if factor is None or size is None:
            return None
        dpi = factor / size
        if any(abs(dpi - default) < 0.5 for default in _DEFAULT_DPI):
            return None
        metres.append(_METRES_PER_INCH / dpi)
    return _from_metres(*metres)


def _from_metres(y: float | None, x: float | None) -> Calibration | None:
    if not x or not y:
        return None
    size, unit = readable_length(x)
    return Calibration(pixel_size={"Y": convert(y, "m", unit), "X": size}, unit=unit)


def _size(page: tifffile.TiffPage, tag: str) -> float | None:
    """Length of a pixel from a resolution tag (pixels per unit, a fraction)."""
    pixels, length = page.tags.valueof(tag, default=None) or (0, 0)
    return length / pixels if pixels and length else None


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
