"""Large images as several levels of resolution, of which napari draws only what is in view."""

from __future__ import annotations

from typing import Any

import numpy as np

# Longest side of a plane that is drawn as a whole.
LARGEST_PLANE = 4096
COARSEST_PLANE = 512
# Pixels that are looked at for the range to show, and the share of them that it leaves out, in %.
MOST_SEEN, OUTLIERS = 2**17, 0.1


def is_large(shape: tuple[int, ...]) -> bool:
    """Return True if planes of this shape need levels."""
    return max(shape[-2:]) > LARGEST_PLANE


def in_views(pixels: np.ndarray) -> Any:
    """Return levels of an array that share its memory; the array itself if it is not large.

    Coarser levels take every second, fourth ... pixel, so that what is written is seen at once.
    """
    if not is_large(pixels.shape):
        return pixels
    levels = [pixels]
    while max(levels[-1].shape[-2:]) > COARSEST_PLANE:
        levels.append(levels[-1][..., ::2, ::2])
    return levels


def in_means(pixels: np.ndarray) -> Any:
    """Return levels of an array with means of 2 × 2 pixels; the array itself if not large.

    It takes about a second for 10,000 × 10,000 pixels: call it in a worker.
    """
    if not is_large(pixels.shape):
        return pixels
    levels = [pixels]
    while max(levels[-1].shape[-2:]) > COARSEST_PLANE:
        levels.append(_halved(levels[-1]))
    return levels


def shown_range(pixels: Any) -> tuple[float, float] | None:
    """Return the range of pixels in memory without a few outliers; None where there is none.

    Only some of the pixels are looked at, which takes a few milliseconds.
    """
    if type(pixels) is not np.ndarray or pixels.dtype.kind not in "uif" or not pixels.size:
        return None
    step = int(np.ceil((pixels.size / MOST_SEEN) ** (1 / pixels.ndim)))
    seen = pixels[(slice(None, None, step),) * pixels.ndim]
    seen = seen[np.isfinite(seen)] if seen.dtype.kind == "f" else seen
    if not seen.size:
        return None
    low, high = np.percentile(seen, (OUTLIERS, 100 - OUTLIERS))
    if low == high:  # little in it
        low, high = seen.min(), seen.max()
    return (float(low), float(high)) if low < high else None


def _halved(pixels: np.ndarray) -> np.ndarray:
    height, width = (n // 2 * 2 for n in pixels.shape[-2:])
    total = np.zeros((*pixels.shape[:-2], height // 2, width // 2), np.result_type(pixels, "f4"))
    for y in range(2):
        for x in range(2):
            total += pixels[..., y:height:2, x:width:2]
    return (total / 4).astype(pixels.dtype)
