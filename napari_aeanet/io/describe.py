"""Description of an image in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import convert, shown_unit
from napari_aeanet.io.info_bar import find_text_band

_NOTABLE_SHARE = 0.001  # of the pixels at one end of the range; a smaller share is not mentioned

_AXIS_NAMES = {
    "T": ("time point", "time points"),
    "C": ("channel", "channels"),
    "Z": ("plane", "planes"),
}


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """Range of the values of an image and shares of pixels at its ends.

    Shares refer to the finite pixels, `not_finite` to all. Without finite pixels the range is NaN.
    """

    lowest: float
    highest: float
    share_lowest: float
    share_highest: float
    not_finite: float

    @property
    def is_constant(self) -> bool:
        return self.lowest == self.highest


def image_statistics(image: Image) -> PixelStatistics:
    """Return the statistics of an image in one pass, block by block."""
    lowest, highest = math.inf, -math.inf
    at_lowest = at_highest = finite = total = 0
    for block in image.read_blocks():
        total += block.size
        if block.dtype.kind == "f":
            block = block[np.isfinite(block)]
        finite += block.size
        if block.size == 0:
            continue
        low, high = block.min().item(), block.max().item()
        # A block that extends the range restarts the count.
        at_lowest = at_lowest if low >= lowest else 0
        at_highest = at_highest if high <= highest else 0
        lowest, highest = min(lowest, low), max(highest, high)
        at_lowest += int(np.count_nonzero(block == lowest))
        at_highest += int(np.count_nonzero(block == highest))
    if finite == 0:
        lowest = highest = math.nan
    return PixelStatistics(
        lowest=lowest,
        highest=highest,
        share_lowest=at_lowest / max(finite, 1),
        share_highest=at_highest / max(finite, 1),
        not_finite=1 - finite / total,
    )


def describe_image(image: Image) -> list[str]:
    """Return the name of an image and facts about it in words, one per line.

    Facts that matter before restoration or training, found in one pass and in bounded memory.
    """
    facts = [
        f"size: {_size(image)} (axes {image.axes}, {image.dtype})",
        f"pixel size: {_pixel_size(image)}",
        f"values: {_values(image_statistics(image))}",
    ]
    names = [channel.name or "(no name)" for channel in image.channels]
    if any(channel.name for channel in image.channels):
        facts.append(f"channels: {', '.join(names)}")
    if image.time_interval is not None:
        facts.append(f"time interval: {image.time_interval:.4g} s")
    text_band = find_text_band(image.array) if image.axes == "YX" else None
    if text_band is not None:
        facts.append(f"text band: from row {text_band} on")
    return [image.name, *(f"  {fact}" for fact in (*facts, *image.notices))]


def image_facts(image: Image) -> dict[str, Any]:
    """Return the facts of `describe_image` as plain values; None where unknown."""
    values = image_statistics(image)
    return {
        "name": image.name,
        "axes": image.axes,
        "shape": list(image.shape),
        "dtype": str(image.dtype),
        "pixel_size": dict(zip(image.spatial_axes, image.pixel_size, strict=True)),
        "unit": image.unit,
        "origin": dict(zip(image.spatial_axes, image.origin, strict=True)),
        "channels": [channel.name for channel in image.channels],
        "time_interval": image.time_interval,
        "lowest": values.lowest,
        "highest": values.highest,
        "share_lowest": values.share_lowest,
        "share_highest": values.share_highest,
        "not_finite": values.not_finite,
        "text_band": find_text_band(image.array) if image.axes == "YX" else None,
        "notices": list(image.notices),
    }


def _size(image: Image) -> str:
    text = f"{image.shape[-2]} x {image.shape[-1]} pixels"
    for axis, length in zip(image.axes[-3::-1], image.shape[-3::-1], strict=True):
        one, many = _AXIS_NAMES[axis]
        text = f"{length} {one if length == 1 else many} of {text}"
    return text


def _pixel_size(image: Image) -> str:
    if all(size is None for size in image.pixel_size):
        return "unknown"
    shown = shown_unit(image.pixel_size[-1], image.unit)

    def in_words(size: float) -> str:
        if image.unit is None or shown is None:
            return f"{size:.4g} (no unit)"
        return f"{convert(size, image.unit, shown):.4g} {shown}"

    sizes = ", ".join(
        f"{axis} unknown" if size is None else f"{axis} {in_words(size)}"
        for axis, size in zip(image.spatial_axes, image.pixel_size, strict=True)
    )
    field = [
        size * length
        for size, length in zip(image.pixel_size[-2:], image.plane_shape, strict=True)
        if size is not None
    ]
    if len(field) < 2 or image.unit is None:
        return sizes
    unit = shown_unit(max(field), image.unit) or image.unit
    height, width = (convert(length, image.unit, unit) for length in field)
    return f"{sizes} (field {height:.3g} x {width:.3g} {unit})"


def _values(found: PixelStatistics) -> str:
    if math.isnan(found.lowest):
        return "none is a finite number"
    text = f"{found.lowest:.6g} to {found.highest:.6g}"
    if found.is_constant:
        text = f"all {found.lowest:.6g}"
    else:
        for end, share in (("lowest", found.share_lowest), ("highest", found.share_highest)):
            if share >= _NOTABLE_SHARE:
                text += f", {100 * share:.2g} % at the {end}"
    if found.not_finite:
        text += f", {100 * found.not_finite:.2g} % not finite (NaN or inf)"
    return text
