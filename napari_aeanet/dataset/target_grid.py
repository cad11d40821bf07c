"""Calibration of the grid that the targets of all pairs have in common."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from napari_aeanet.pairs import ImagePair

# Ratios this near to a round number are rounded.
NEARLY = 0.02


@dataclass(frozen=True)
class TargetGrid:
    """Calibration of the target grid.

    Parameters
    ----------
    ratio
        Target pixels per source pixel, per axis of the source.
    pixel_size, unit
        Pixel size of the target grid; None where unknown or different between pairs.
    """

    ratio: tuple[float, ...]
    pixel_size: tuple[float | None, ...]
    unit: str | None


def target_grid_of(pairs: Collection[ImagePair]) -> TargetGrid:
    """Return the ratio and the pixel size that the pairs have in common."""
    ratios = np.array([_ratio(pair) for pair in pairs])
    ratio = tuple(_rounded(float(value)) for value in np.median(ratios, axis=0))
    units = {pair.target.unit for pair in pairs}
    sizes = {pair.target.pixel_size for pair in pairs}
    if len(units) == 1 and len(sizes) == 1:
        return TargetGrid(ratio, sizes.pop(), units.pop())
    return TargetGrid(ratio, (None,) * len(next(iter(sizes))), None)


def _ratio(pair: ImagePair) -> tuple[float, ...]:
    if pair.registration is None:
        return pair.factors
    planes = len(pair.source.spatial_axes) - 2
    return (1.0,) * planes + (pair.registration.scale,) * 2


def _rounded(ratio: float) -> float:
    """Round a magnification to a whole number or its inverse, within the registration's error."""
    near = round(ratio) if ratio >= 1 else 1 / round(1 / ratio)
    return float(near) if abs(ratio / near - 1) < NEARLY else round(ratio, 3)
