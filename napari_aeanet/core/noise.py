"""Estimate of the noise of an image from the image alone."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve

# Difference of two Laplacians: blind to edges and slopes, not to noise.
_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def noise_level(plane: np.ndarray) -> float:
    """Estimate the standard deviation of white noise as sqrt(π/2) · mean |plane * N| / 6.

    N is the difference of two Laplacians (Immerkær 1996). Interpolated images underestimate their
    noise.
    """
    return float(np.sqrt(np.pi / 2) * np.abs(convolve(plane, _MASK)).mean() / 6)
