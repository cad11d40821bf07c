"""Averages of maps over neighbouring places."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

WIDEST = 15  # places


def averaged_over(maps: np.ndarray, places: int) -> np.ndarray:
    """Return the mean of every map over a square of places, of as many as the image has there.

    Parameters
    ----------
    maps
        Shape (..., y, x).
    places
        Edge of the square, an odd number; 1 changes nothing.
    """
    if places == 1:
        return maps
    size = (1,) * (maps.ndim - 2) + (places, places)
    sums = uniform_filter(maps.astype(np.float64), size, mode="constant")
    share = uniform_filter(np.ones(maps.shape[-2:]), places, mode="constant")
    return (sums / share).astype(maps.dtype)
