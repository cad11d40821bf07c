"""Convert computed values to the number type of an image."""

from __future__ import annotations

import numpy as np


def in_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return values in the number type; integers are rounded and clipped to their range."""
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    if dtype.itemsize > 2:  # float32 cannot hold the largest whole numbers
        values = values.astype(np.float64)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
