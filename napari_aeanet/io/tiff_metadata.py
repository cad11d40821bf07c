"""Calibration of TIFF files.

The first one found is used: OME-XML, Micro-Manager, ImageJ description, private tags of FEI/Thermo
and Zeiss electron microscopes, of Gatan and TVIPS cameras, headers of Zeiss LSM, MetaMorph and
Olympus SIS, resolution tags. A resolution of 72, 96, 150, 300 ... dots per inch is a default of
many programs and counts as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tifffile

from napari_aeanet.core.image import Channel
from napari_aeanet.core.units import (
    convert,
    in_one_unit,
    in_seconds,
    normalise_unit,
    readable_length,
)
from napari_aeanet.io.axes import Calibration
from napari_aeanet.io.imagej_metadata import Lengths, as_number, pixel_length, read_imagej
from napari_aeanet.io.ome_xml import WHITE, OmeFiles, read_ome

_METRES_PER_INCH = 0.0254
_DEFAULT_DPI = (72, 75, 96, 100, 120, 150, 200, 240, 300, 360, 400, 600, 1200)
_DOTS_PER_INCH = {2: 1.0, 3: 2.54}  # by ResolutionUnit: inch, centimetre
_GATAN_TAGS = {"Y": (65010, 65004), "X": (65009, 65003)}  # pixel size and its unit


def calibrations(
    tif: tifffile.TiffFile, files: OmeFiles
) -> tuple[list[Calibration], tuple[str, ...]]:
    """Return the calibration of every series of an open TIFF file, and notices."""
    count = len(tif.series)
    if tif.is_ome:
        return _of_ome(tif, files)
    return [_of_tags(tif)] * count, ()


def _of_ome(tif: tifffile.TiffFile, files: OmeFiles) -> tuple[list[Calibration], tuple[str, ...]]:
    """Return the calibration of OME images, which are matched with the series by name."""
    series = tif.series
    unknown = [Calibration()] * len(series)
    if files.elsewhere:
        return unknown, (
            f"Its axes and pixel size are described in {files.elsewhere}, which was not read.",
        )
    found = read_ome(tif.ome_metadata)
    kinds = {one.kind for one in series}
    if kinds == {"mmstack"} and len(found) == 1:
        return [found[0][1]], ()
    if kinds == {"mmstack"}:  # positions of the stage, of which each would have a place of its own
        return [_micro_manager(_decoded(tif.micromanager_metadata)) or Calibration()], ()
    if kinds != {"ome"}:
        size = found[0][1] if len(found) == 1 else Calibration()
        return [size] * len(series), ("The OME description does not fit the pages of the file.",)
    if len(found) == len(series):
        return [calibration for _, calibration in found], ()
    left = iter(found)
    names = [one.name for one in series]
    matched = [next((one for name, one in left if name == wanted), None) for wanted in names]
    if None in matched:
        return unknown, ("The OME description does not fit the images of the file.",)
    return [one for one in matched if one is not None], (
        f"{len(found) - len(series)} of {len(found)} images of its OME description are missing.",
    )


def _of_tags(tif: tifffile.TiffFile) -> Calibration:
    page = tif.pages[0]
    for calibration in (
        _micro_manager(_decoded(tif.micromanager_metadata)),
        read_imagej(_decoded(tif.imagej_metadata), page),
        _fei(_decoded(tif.fei_metadata)),
        _zeiss(_decoded(tif.sem_metadata)),
        _gatan(page),
        _tvips(_decoded(tif.tvips_metadata)),
        _zeiss_lsm(_decoded(tif.lsm_metadata)),
        _metamorph(_decoded(tif.stk_metadata)),
        _olympus(_decoded(tif.sis_metadata)),
        _resolution(page),
    ):
        if calibration is not None:
            return calibration
    return Calibration()


def _decoded(header: object) -> Mapping[str, Any]:
    """Return a header of a program; empty if there is none, or none that could be decoded."""
    return header if isinstance(header, Mapping) else {}


def _micro_manager(metadata: Mapping[str, Any]) -> Calibration | None:
    """Read the summary of Micro-Manager, in µm and ms; 0 stands for unknown."""
    summary = metadata.get("Summary")
    if not isinstance(summary, dict):
        return None
    size, step = as_number(summary.get("PixelSize_um")), as_number(summary.get("z-step_um"))
    lengths: Lengths = {a: (n or None, "µm") for a, n in (("Z", step), ("Y", size), ("X", size))}
    sizes, unit = in_one_unit(lengths) if size else ({}, None)
    names, colours = summary.get("ChNames"), summary.get("ChColors")
    names = names if isinstance(names, list) else []
    colours = colours if isinstance(colours, list) and len(colours) == len(names) else names
    found = Calibration(
        pixel_size=sizes,
        unit=unit,
        channels=tuple(map(_channel, names, colours)),
        time_interval=in_seconds(as_number(summary.get("Interval_ms")), "ms"),
    )
    return None if found == Calibration() else found


def _channel(name: object, colour: object) -> Channel:
    """Return a channel of Micro-Manager: opacity, red, green, blue as a signed number."""
    rgb = None
    if isinstance(colour, int):
        red, green, blue = (colour & 0xFFFFFF).to_bytes(3, "big")
        rgb = (red, green, blue)
    return Channel(name=str(name), colour=None if rgb == WHITE else rgb)


def _fei(metadata: Mapping[str, Any]) -> Calibration | None:
    """Read the tags of FEI and Thermo Fisher microscopes, in metres."""
    scan = metadata.get("Scan") or metadata.get("EScan") or {}
    return _from_metres(as_number(scan.get("PixelHeight")), as_number(scan.get("PixelWidth")))


def _zeiss(metadata: Mapping[str, Any]) -> Calibration | None:
    """Read the tag of Zeiss electron microscopes: (label, value, unit)."""
    entry = metadata.get("ap_image_pixel_size") or metadata.get("ap_pixel_size")
    if not isinstance(entry, tuple) or len(entry) != 3:
        return None
    size, unit = as_number(entry[1]), normalise_unit(entry[2])
    if not size or unit is None:
        return None
    return Calibration(pixel_size={"Y": size, "X": size}, unit=unit)


def _gatan(page: tifffile.TiffPage) -> Calibration | None:
    """Read the tags of Gatan DigitalMicrograph, which decide if present: size and unit per axis.

    A missing unit of Y is that of X. Units other than lengths (1/nm of a diffraction pattern) and
    missing ones leave the size unknown.
    """
    if not any(size in page.tags for size, _ in _GATAN_TAGS.values()):
        return None
    x_unit = page.tags.valueof(_GATAN_TAGS["X"][1], default=None)
    lengths: Lengths = {
        axis: (
            as_number(page.tags.valueof(size, default=None)),
            normalise_unit(_text(page.tags.valueof(unit, default=x_unit))),
        )
        for axis, (size, unit) in _GATAN_TAGS.items()
    }
    sizes, common = in_one_unit(lengths)
    return Calibration(pixel_size=sizes, unit=common) if common else Calibration()


def _tvips(metadata: Mapping[str, Any]) -> Calibration | None:
    """Read the second version of the header of TVIPS cameras, in nm; the first has no size."""
    y, x = as_number(metadata.get("PixelSizeY")), as_number(metadata.get("PixelSizeX"))
    return _from_metres(y and y * 1e-9, x and x * 1e-9)


def _zeiss_lsm(metadata: Mapping[str, Any]) -> Calibration | None:
    """Read the header of Zeiss LSM files, in metres and seconds."""
    lengths: Lengths = {
        axis: (as_number(metadata.get(f"VoxelSize{axis}")) or None, "m") for axis in "ZYX"
    }
    return _in_unit_of_x(lengths, in_seconds(as_number(metadata.get("TimeIntervall")), "s"))


def _metamorph(metadata: Mapping[str, Any]) -> Calibration | None:
    """Read the tags of MetaMorph: size of a pixel, distance of the first planes."""
    unit = normalise_unit(metadata.get("CalibrationUnits"))
    distances = np.ravel(metadata.get("ZDistance", ()))
    if unit is None:
        return None
    lengths: Lengths = {
        "Z": (as_number(distances[0]) or None if distances.size else None, unit),
        "Y": (as_number(metadata.get("YCalibration")) or None, unit),
        "X": (as_number(metadata.get("XCalibration")) or None, unit),
    }
    return _in_unit_of_x(lengths)


def _olympus(metadata: Mapping[str, Any]) -> Calibration | None:
    """Read the tag of Olympus SIS, in metres."""
    return _from_metres(
        as_number(metadata.get("pixelsizey")), as_number(metadata.get("pixelsizex"))
    )


def _in_unit_of_x(lengths: Lengths, time_interval: float | None = None) -> Calibration | None:
    """Return a calibration in the unit that suits the size along X; None without that size."""
    size, unit = lengths["X"]
    if not size or unit is None:
        return None
    _, unit = readable_length(convert(size, unit, "m"))
    sizes, common = in_one_unit(lengths)
    assert common is not None
    sizes = {axis: convert(length, common, unit) for axis, length in sizes.items()}
    return Calibration(pixel_size=sizes, unit=unit, time_interval=time_interval)


def _text(value: object) -> object:
    """Return the text of a tag stored as bytes (UTF-8, Latin-1, UTF-16) or as 16-bit numbers."""
    if isinstance(value, tuple):
        return "".join(chr(v) for v in value if isinstance(v, int) and 0 < v < 2**16)
    if isinstance(value, bytes):
        plain = value.replace(b"\0", b"")  # Latin-1 from UTF-16
        try:
            return plain.decode()
        except UnicodeDecodeError:
            return plain.decode("latin-1")
    return value


def _resolution(page: tifffile.TiffPage) -> Calibration | None:
    """Read the resolution tags, unless they hold a screen or print default."""
    unit = page.tags.valueof("ResolutionUnit", default=None)
    factor = _DOTS_PER_INCH.get(int(unit)) if unit is not None else None
    metres = []
    for tag in ("YResolution", "XResolution"):
        size = pixel_length(page, tag)
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
