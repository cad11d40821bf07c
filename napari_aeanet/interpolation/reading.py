"""Read a section of a stack as finite numbers."""

from __future__ import annotations

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.nan_fill import filled, missing

#: Side of the field in the middle of large sections that is learnt from or compared, in pixels.
LARGEST_FIELD = 1024


def read_section(image: Image, index: int, largest: int | None = None) -> np.ndarray:
    """Return a section, or its middle of at most `largest` pixels a side, as finite float32."""
    edges = [0 if largest is None else max(0, (n - largest) // 2) for n in image.plane_shape]
    rows, columns = (slice(e, n - e) for e, n in zip(edges, image.plane_shape, strict=True))
    pixels = image.read((index, rows, columns))
    mask = missing(pixels)
    if mask.any():
        pixels = filled(pixels, 0.0 if mask.all() else float(np.median(pixels[~mask])))
    return np.ascontiguousarray(pixels, dtype=np.float32)
