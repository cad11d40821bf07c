"""Invertible intensity normalisation, measured block by block and deterministically."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite, prod

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity_range import (
    IntensityRange,
    extremes,
    finite,
    finite_blocks,
    image_range,
)

# Percentiles of images up to this size are computed by sorting, of larger ones by a histogram.
SORTED_BYTES = 64 * 2**20
# Bins of the histogram of a large image of floats.
FLOAT_BINS = 1 << 16
# Beyond this offset float32 cannot hold the grey levels of an image; nor with other scales.
LARGEST_OFFSET = 2**16
LEAST_SCALE, LARGEST_SCALE = 1e-30, 1e30


class NormalisationKind(StrEnum):
    """Ways to scale intensities to the input range of a network."""

    FULL_SCALE = "full scale"  # a range of intensities maps to 0 and 1 (0 to 255 for 8 bit)
    PERCENTILE = "percentile"  # two percentiles of the image map to 0 and 1
    Z_SCORE = "z-score"  # mean 0 and standard deviation 1, per image
    NONE = "none"  # as they are: normalised already


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """A rule of normalisation; `measure` computes its `Scaling` for one image.

    Parameters
    ----------
    kind
        Full scale, percentile, z-score or none.
    low, high
        Percentiles mapped to 0 and 1 (percentile rule only).
    """

    kind: NormalisationKind = NormalisationKind.FULL_SCALE
    low: float = 2.0
    high: float = 99.8

    def measure(self, image: Image, full: IntensityRange | None = None) -> Scaling:
        """Return the scaling of `image`; NaN and infinite pixels are left out.

        `full` is the range of the full-scale rule, by default that of the image by itself.
        """
        if self.kind == NormalisationKind.NONE:
            found = Scaling(0.0, 1.0)
        elif self.kind == NormalisationKind.FULL_SCALE:
            span = full or image_range(image)
            found = Scaling(span.low, _nonzero(span.high - span.low))
        elif self.kind == NormalisationKind.PERCENTILE:
            low, high = percentiles(image, (self.low, self.high))
            found = Scaling(low, _nonzero(high - low))
        else:
            mean, deviation = _moments(image)
            found = Scaling(mean, _nonzero(deviation))
        if not isfinite(found.scale):
            msg = (
                f"{image.name}: its intensities span a wider range than can be computed with. "
                "Divide them by a number before."
            )
            raise ValueError(msg)
        return found


AS_THEY_ARE = Normalisation(kind=NormalisationKind.NONE)


@dataclass(frozen=True)
class Scaling:
    """The linear map normalised = (value - offset) / scale and its inverse."""

    offset: float
    scale: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return normalised values in float32."""
        is_wide = values.dtype.kind in "iu" and values.dtype.itemsize > 2
        if is_wide or self._needs_double:
            exact = (values.astype(np.float64) - self.offset) / self.scale
            with np.errstate(over="ignore"):  # infinite, as a pixel far beyond the range may be
                return exact.astype(np.float32)
        with np.errstate(over="ignore"):
            normalised = np.subtract(values, self.offset, dtype=np.float32)
        normalised /= np.float32(self.scale)
        return normalised

    def undo(self, values: np.ndarray) -> np.ndarray:
        """Return intensities in float32, or in float64 where float32 cannot hold them."""
        if self._needs_double:
            return values.astype(np.float64) * self.scale + self.offset
        return values * np.float32(self.scale) + np.float32(self.offset)

    @property
    def _needs_double(self) -> bool:
        is_usual = LEAST_SCALE < self.scale < LARGEST_SCALE
        return abs(self.offset) > LARGEST_OFFSET or not is_usual


def percentiles(image: Image, which: tuple[float, ...]) -> tuple[float, ...]:
    """Return percentiles of the finite pixels.

    Exact for small images and for integers up to 16 bit, else to 1/65,535 of the range.
    """
    if prod(image.shape) * image.dtype.itemsize <= SORTED_BYTES:
        values = finite(image.read())
        if values.dtype.kind == "f":  # smaller ones cannot hold differences of their extremes
            values = values.astype(np.float64)
        return tuple(np.percentile(values, which).tolist()) if values.size else (0.0,) * len(which)
    if image.dtype.kind in "iu" and image.dtype.itemsize <= 2:
        low, bins = float(np.iinfo(image.dtype).min), 1 << (8 * image.dtype.itemsize)
        width = 1.0
    else:
        low, high = extremes(image)
        bins = FLOAT_BINS
        width = _nonzero(high - low) / (bins - 1)
    counts = np.zeros(bins, np.int64)
    for values in finite_blocks(image):
        index = np.rint((values.astype(np.float64) - low) / width).astype(np.int64)
        counts += np.bincount(index, minlength=bins)
    cumulated = np.cumsum(counts)
    ranks = np.asarray(which) / 100 * max(cumulated[-1] - 1, 0)
    found = np.searchsorted(cumulated, ranks, side="right")
    return tuple(float(low + width * i) for i in found)


def _moments(image: Image) -> tuple[float, float]:
    """Return mean and standard deviation of the finite pixels."""
    count, total, squares, first, unit = 0, 0.0, 0.0, 0.0, 1.0
    if image.dtype.kind == "f" and image.dtype.itemsize > 4:  # squares might be infinite, or zero
        first, last = extremes(image)
        unit = _nonzero(last - first)
    for values in finite_blocks(image):
        block = (values.astype(np.float64) - first) / unit
        count += block.size
        total += block.sum()
        squares += np.square(block).sum()
    if not count:
        return 0.0, 0.0
    mean = total / count
    return first + unit * mean, unit * float(np.sqrt(max(squares / count - mean**2, 0.0)))


def _nonzero(width: float) -> float:
    """Return `width`, or 1 for a constant image, which is then only shifted."""
    return width if width > 0 else 1.0
