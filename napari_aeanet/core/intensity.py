"""Invertible intensity normalisation, measured in one deterministic pass over an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from napari_aeanet.core.image import Image

# Images above this are measured slab by slab instead of at once.
SLAB_BYTES = 64 * 2**20
# Resolution of the histogram that stands in for sorting a large float image.
FLOAT_BINS = 1 << 16


class NormalisationKind(StrEnum):
    """How intensities are brought to the range that a network sees."""

    FULL_SCALE = "full scale"  # divided by the largest value of the file's type (255 for 8 bit)
    PERCENTILE = "percentile"  # two percentiles of the image become 0 and 1
    Z_SCORE = "z-score"  # mean 0 and standard deviation 1, per image


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """A rule; `measure` turns it into the numbers of one image.

    Parameters
    ----------
    kind
        Full scale, percentile or z-score.
    low, high
        The percentiles that become 0 and 1 (used by the percentile rule only).
    """

    kind: NormalisationKind = NormalisationKind.FULL_SCALE
    low: float = 2.0
    high: float = 99.8

    def measure(self, image: Image) -> Scaling:
        """The scaling of `image` under this rule. NaN and infinite pixels do not count."""
        if self.kind == NormalisationKind.FULL_SCALE:
            if image.dtype.kind == "u":
                return Scaling(0.0, float(np.iinfo(image.dtype).max))
            low, high = _extremes(image)
            return Scaling(min(low, 0.0), _nonzero(high - min(low, 0.0)))
        if self.kind == NormalisationKind.PERCENTILE:
            low, high = percentiles(image, (self.low, self.high))
            return Scaling(low, _nonzero(high - low))
        mean, deviation = _moments(image)
        return Scaling(mean, _nonzero(deviation))


@dataclass(frozen=True)
class Scaling:
    """normalised = (value - offset) / scale, and back."""

    offset: float
    scale: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        normalised = np.subtract(values, self.offset, dtype=np.float32)
        normalised /= np.float32(self.scale)
        return normalised

    def undo(self, values: np.ndarray) -> np.ndarray:
        return values * np.float32(self.scale) + np.float32(self.offset)


def percentiles(image: Image, which: tuple[float, ...]) -> tuple[float, ...]:
    """Percentiles of the finite pixels: exact for small images and for integers up to 16 bit."""
    if image.array.size * image.dtype.itemsize <= SLAB_BYTES:
        values = _finite(image.read())
        return (
            tuple(float(p) for p in np.percentile(values, which))
            if values.size
            else (0.0,) * len(which)
        )
    if image.dtype.kind in "iu" and image.dtype.itemsize <= 2:
        low, bins = float(np.iinfo(image.dtype).min), 1 << (8 * image.dtype.itemsize)
        width = 1.0
    else:
        low, high = _extremes(image)
        bins = FLOAT_BINS
        width = _nonzero(high - low) / (bins - 1)
    counts = np.zeros(bins, np.int64)
    for values in _slabs(image):
        index = np.rint((values.astype(np.float64) - low) / width).astype(np.int64)
        counts += np.bincount(index, minlength=bins)
    cumulated = np.cumsum(counts)
    ranks = np.asarray(which) / 100 * max(cumulated[-1] - 1, 0)
    found = np.searchsorted(cumulated, ranks, side="right")
    return tuple(float(low + width * i) for i in found)


def _extremes(image: Image) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for values in _slabs(image):
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _moments(image: Image) -> tuple[float, float]:
    count, total, squares = 0, 0.0, 0.0
    for values in _slabs(image):
        block = values.astype(np.float64)
        count += block.size
        total += block.sum()
        squares += np.square(block).sum()
    if not count:
        return 0.0, 0.0
    mean = total / count
    return mean, float(np.sqrt(max(squares / count - mean**2, 0.0)))


def _slabs(image: Image) -> Iterator[np.ndarray]:
    """The finite pixels, a bounded number of rows of the first axis at a time."""
    row_bytes = max(1, image.array.size // max(1, image.shape[0]) * image.dtype.itemsize)
    step = max(1, SLAB_BYTES // row_bytes)
    rest = (slice(None),) * (image.array.ndim - 1)
    for start in range(0, image.shape[0], step):
        values = _finite(image.read((slice(start, start + step), *rest)))
        if values.size:
            yield values


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()


def _nonzero(width: float) -> float:
    """A constant image is left in place instead of being divided by nothing."""
    return width if width > 0 else 1.0
