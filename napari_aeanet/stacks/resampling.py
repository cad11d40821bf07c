"""Resample a section to its place: once, by cubic splines, with zero where it shows nothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.core.number_types import in_type

#: A section that moves by less than this many pixels anywhere is not resampled.
UNMOVED = 1e-3


def placed_section(image: Image, piece: tuple[int, np.ndarray]) -> np.ndarray:
    """Return a section of a stack on the grid of the aligned stack, from its number and matrix."""
    index, matrix = piece
    return resampled_section(image.read((index,)), matrix)


def resampled_section(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the section on the grid of the aligned stack, in its own type of numbers.

    Integers are rounded and clipped to their range. Pixels that are not finite stay NaN.

    Parameters
    ----------
    matrix
        Pixel of the aligned stack to pixel of the section.
    """
    if np.abs(matrix - np.eye(3)).max() * max(pixels.shape) < UNMOVED:
        return pixels
    if np.issubdtype(pixels.dtype, np.integer):
        return in_type(_warped(pixels, matrix, 3), pixels.dtype)
    bad = ~np.isfinite(pixels)
    if not bad.any():
        return _warped(pixels, matrix, 3).astype(pixels.dtype)
    filled = np.where(bad, np.median(pixels[~bad]) if not bad.all() else 0, pixels)
    values = _warped(filled, matrix, 3)
    values[_warped(bad.astype(np.float32), matrix, 1) > 0] = np.nan
    return values.astype(pixels.dtype)


def _warped(values: np.ndarray, matrix: np.ndarray, order: int) -> np.ndarray:
    kind = np.float64 if values.dtype.itemsize > 2 else np.float32
    return ndimage.affine_transform(
        values, matrix[:2, :2], matrix[:2, 2], order=order, mode="constant", output=kind
    )
