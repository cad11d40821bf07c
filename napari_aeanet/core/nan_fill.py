"""Mark missing pixels (NaN, infinite) and fill them, so that they do not spread."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from napari_aeanet.core.image import Image

# Radius in pixels of the local mean that replaces a missing pixel.
REACH = 4


def missing(values: np.ndarray) -> np.ndarray:
    """Return a mask of the pixels that are not finite."""
    if values.dtype.kind != "f":
        return np.zeros(values.shape, bool)
    return ~np.isfinite(values)


def filled(values: np.ndarray, fallback: float) -> np.ndarray:
    """Return `values` with missing pixels replaced by local means.

    A pixel without finite pixels within `REACH` takes the value `fallback`.
    """
    mask = missing(values)
    if not mask.any():
        return values
    width = 2 * REACH + 1
    known = np.where(mask, 0.0, values).astype(np.float64)
    total = uniform_filter(known, width, mode="constant")
    weight = uniform_filter((~mask).astype(np.float64), width, mode="constant")
    # A weight below half a pixel is a rounding error of the running sums.
    near = weight * width**values.ndim > 0.5
    mean = np.divide(total, weight, out=np.full(values.shape, float(fallback)), where=near)
    return np.where(mask, mean, values).astype(values.dtype)


def count_missing(image: Image) -> int:
    """Return the number of missing pixels, reading block by block."""
    if image.dtype.kind != "f":
        return 0
    return sum(int(missing(block).sum()) for block in image.read_blocks())
