"""Description of an image in numbers and in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import convert
from napari_aeanet.io.info_bar import find_text_band

_NOTABLE_SHARE = 0.001  # of the pixels at one end of the range; a smaller share is not mentioned

_AXIS_NAMES = {
    "T": ("time point", "time points"),
    "C": ("channel", "channels"),
    "Z": ("plane", "planes"),
}


@dataclass(frozen=True, kw_only=True)
class Statistics:
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


def image_statistics(image: Image) -> Statistics:
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
    return Statistics(
        lowest=lowest,
        highest=highest,
        share_lowest=at_lowest / max(finite, 1),
        share_highest=at_highest / max(finite, 1),
        not_finite=1 - finite / total,
    )


@dataclass(frozen=True, kw_only=True)
class Description:
    """Facts about an image that matter before restoration or training."""

    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    spatial_axes: str
    pixel_size: tuple[float | None, ...]
    unit: str | None
    statistics: Statistics
    text_band: int | None
    notices: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the name and the facts in words, one per line."""
        facts = [
            f"size: {self._size()} (axes {self.axes}, {self.dtype})",
            f"pixel size: {self._pixel_size()}",
            f"values: {self._values()}",
        ]
        if self.text_band is not None:
            facts.append(f"text band: from row {self.text_band} on")
        facts += self.notices
        return [self.name, *(f"  {fact}" for fact in facts)]

    def _size(self) -> str:
        parts = []
        for axis, length in zip(self.axes[:-2], self.shape[:-2], strict=True):
            one, many = _AXIS_NAMES[axis]
            parts.append(f"{length} {one if length == 1 else many} of ")
        return "".join(parts) + f"{self.shape[-2]} x {self.shape[-1]} pixels"

    def _pixel_size(self) -> str:
        if all(size is None for size in self.pixel_size):
            return "unknown"
        sizes = ", ".join(
            f"{axis} unknown" if size is None else f"{axis} {size:.4g} {self.unit or '(no unit)'}"
            for axis, size in zip(self.spatial_axes, self.pixel_size, strict=True)
        )
        field = [
            size * length
            for size, length in zip(self.pixel_size[-2:], self.shape[-2:], strict=True)
            if size is not None
        ]
        if len(field) < 2 or self.unit is None:
            return sizes
        unit = "µm" if self.unit == "nm" and max(field) >= 1000 else self.unit
        height, width = (convert(length, self.unit, unit) for length in field)
        return f"{sizes} (field {height:.3g} x {width:.3g} {unit})"

    def _values(self) -> str:
        facts = self.statistics
        if math.isnan(facts.lowest):
            return "none is a finite number"
        text = f"{facts.lowest:.6g} to {facts.highest:.6g}"
        if facts.is_constant:
            text = f"all {facts.lowest:.6g}"
        else:
            ends = (("lowest", facts.share_lowest), ("highest", facts.share_highest))
            for end, share in ends:
                if share >= _NOTABLE_SHARE:
                    text += f", {100 * share:.2g} % at the {end}"
        if facts.not_finite:
            text += f", {100 * facts.not_finite:.2g} % not finite (NaN or inf)"
        return text


def describe_image(image: Image) -> Description:
    """Describe an image in one pass over its pixels, in bounded memory."""
    return Description(
        name=image.name,
        axes=image.axes,
        shape=image.shape,
        dtype=str(image.dtype),
        spatial_axes=image.spatial_axes,
        pixel_size=image.pixel_size,
        unit=image.unit,
        statistics=image_statistics(image),
        text_band=find_text_band(image.array) if image.axes == "YX" else None,
        notices=image.notices,
    )
