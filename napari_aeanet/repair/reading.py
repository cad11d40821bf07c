"""Read the slices of a stack as finite numbers."""

from __future__ import annotations

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.nan_fill import filled, missing


def section(image: Image, index: int) -> np.ndarray:
    """Return a slice as finite float32 values."""
    pixels = image.read((index,))
    mask = missing(pixels)
    if mask.any():
        pixels = filled(pixels, 0.0 if mask.all() else float(np.median(pixels[~mask])))
    return pixels.astype(np.float32)
