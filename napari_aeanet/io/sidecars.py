"""Pixel sizes in text files beside the images of electron microscopes: JEOL, Hitachi, TESCAN.

S05.tif has S05.txt (JEOL, Hitachi), S05.hdr or S05-tif.hdr (TESCAN) beside it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import METRES, normalise_unit, readable_length

_LARGEST = 2**20  # bytes; longer texts are no such files
# Pixels of the scale bar, and its length as printed: "100nm".
_JEOL = re.compile(
    r"^\$\$SM_MICRON_BAR\s+([\d.]+)\s.*^\$\$SM_MICRON_MARKER\s+([\d.]+)\s*(\S+)", re.M | re.S
)
_HITACHI = re.compile(r"^\[SemImageFile\].*^PixelSize=([\d.]+)", re.M | re.S)  # in nm
_TESCAN = re.compile(r"^PixelSizeX=(\S+).*^PixelSizeY=(\S+)", re.M | re.S)  # in metres


def with_sidecar(image: Image, path: Path) -> Image:
    """Return an image without a pixel size with that of the text file beside it, if any."""
    if image.unit is not None or any(image.pixel_size):
        return image
    names = (f"{path.stem}.txt", f"{path.stem}.hdr", f"{path.stem}-{path.suffix[1:]}.hdr")
    for file in (path.with_name(name) for name in names):
        if file.is_file() and file.stat().st_size <= _LARGEST:
            metres = _pixel_size(file.read_bytes().decode("latin-1").replace("\r", ""))
            if metres is not None:
                x, unit = readable_length(metres[1])
                y = metres[0] / METRES[unit]
                notice = f"Pixel size from {file.name}."
                sizes = (*image.pixel_size[:-2], y, x)
                return replace(image, pixel_size=sizes, unit=unit, notices=(*image.notices, notice))
    return image


def _pixel_size(text: str) -> tuple[float, float] | None:
    """Return height and width of a pixel in metres."""
    if found := _JEOL.search(text):
        bar, length, unit = _number(found[1]), _number(found[2]), _unit(found[3])
        if bar and length and unit:
            return (length * METRES[unit] / bar,) * 2
    elif found := _HITACHI.search(text):
        if size := _number(found[1]):
            return (size * 1e-9,) * 2
    elif found := _TESCAN.search(text):
        x, y = _number(found[1]), _number(found[2])
        if x and y:
            return y, x
    return None


def _unit(text: str) -> str | None:
    """Return the unit; "Âµm" is UTF-8 read as Latin-1."""
    return normalise_unit(text.replace("Â", "").replace("Î¼", "µ"))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
