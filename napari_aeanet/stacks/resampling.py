"""Resample a section to its place: once, by cubic splines, with zero where it shows nothing."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import Image
from napari_aeanet.core.number_types import in_type
from napari_aeanet.registration import Deformation
from napari_aeanet.stacks.settings import SectionPlace

#: A section that moves by less than this many pixels anywhere is not resampled.
UNMOVED = 1e-3
#: Pixels of a deformed section that are computed at a time.
PIXELS_AT_ONCE = 2**18


def placed_section(image: Image, piece: tuple[int, SectionPlace]) -> np.ndarray:
    """Return a section of a stack on the grid of the aligned stack, from its number and place."""
    index, place = piece
    return resampled_section(image.read((index,)), place.array(), place.deformation)


def resampled_section(
    pixels: np.ndarray, matrix: np.ndarray, deformation: Deformation | None = None
) -> np.ndarray:
    """Return the section on the grid of the aligned stack, in its own type of numbers.

    Integers are rounded and clipped to their range. Pixels that are not finite stay NaN.

    Parameters
    ----------
    matrix
        Pixel of the aligned stack to pixel of the section.
    deformation
        Displacement of the pixels of the aligned stack, before the matrix.
    """
    unmoved = np.abs(matrix - np.eye(3)).max() * max(pixels.shape) < UNMOVED
    if unmoved and deformation is None:
        return pixels
    if np.issubdtype(pixels.dtype, np.integer):
        return in_type(_warped(pixels, matrix, deformation, 3), pixels.dtype)
    bad = ~np.isfinite(pixels)
    if not bad.any():
        return _warped(pixels, matrix, deformation, 3).astype(pixels.dtype)
    filled = np.where(bad, np.median(pixels[~bad]) if not bad.all() else 0, pixels)
    values = _warped(filled, matrix, deformation, 3)
    values[_warped(bad.astype(np.float32), matrix, deformation, 1) > 0] = np.nan
    return values.astype(pixels.dtype)


def _warped(
    values: np.ndarray, matrix: np.ndarray, deformation: Deformation | None, order: int
) -> np.ndarray:
    kind = np.float64 if values.dtype.itemsize > 2 else np.float32
    if deformation is None:
        return ndimage.affine_transform(
            values, matrix[:2, :2], matrix[:2, 2], order=order, mode="constant", output=kind
        )
    if order > 1:
        values = ndimage.spline_filter(values, order, output=np.float64)
    result = np.empty(values.shape, kind)
    height, width = values.shape
    strip = max(1, PIXELS_AT_ONCE // max(1, width))
    columns = np.arange(width)
    for top in range(0, height, strip):
        rows = np.arange(top, min(top + strip, height))
        y, x = deformation.on_grid(rows, columns, values.shape)
        y, x = y + rows[:, None], x + columns
        at = [row[0] * y + row[1] * x + row[2] for row in matrix[:2]]
        result[rows] = ndimage.map_coordinates(
            values, at, order=order, mode="constant", output=kind, prefilter=False
        )
    return result
