"""Missing pixels (NaN, infinite): filled so that they do not spread, and marked."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from napari_aeanet.core.image import Image

# A missing pixel is replaced by the mean of what is known this many pixels around it.
REACH = 4
# Counting reads about this many pixels at a time.
SLAB_PIXELS = 16 * 2**20


def missing(values: np.ndarray) -> np.ndarray:
    """Where there is no number."""
    if values.dtype.kind != "f":
        return np.zeros(values.shape, bool)
    return ~np.isfinite(values)


def filled(values: np.ndarray, fallback: float) -> np.ndarray:
    """`values` with local means in place of missing pixels, `fallback` where none are near."""
    gone = missing(values)
    if not gone.any():
        return values
    width = 2 * REACH + 1
    known = np.where(gone, 0.0, values).astype(np.float64)
    total = uniform_filter(known, width, mode="constant")
    weight = uniform_filter((~gone).astype(np.float64), width, mode="constant")
    # Less than half a pixel's weight is rounding of the running sums.
    near = weight * width**values.ndim > 0.5
    mean = np.divide(total, weight, out=np.full(values.shape, float(fallback)), where=near)
    return np.where(gone, mean, values).astype(values.dtype)


def count_missing(image: Image) -> int:
    """How many pixels of `image` have no number, read a slab of the first axis at a time."""
    if image.dtype.kind != "f":
        return 0
    rest = (slice(None),) * (len(image.shape) - 1)
    rows = max(1, SLAB_PIXELS * image.shape[0] // max(1, image.array.size))
    slabs = (slice(i, i + rows) for i in range(0, image.shape[0], rows))
    return sum(int(missing(image.read((slab, *rest))).sum()) for slab in slabs)
