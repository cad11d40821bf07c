"""Several images and several of their maps in one picture, to be looked at side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from napari_aeanet.engine.seeing.export import centred_planes, image_plane, limit

if TYPE_CHECKING:
    from napari_aeanet.engine.relevance import RelevanceMaps

GRID = 4  # pixels of the grey mosaic to one of the maps
GAP = 2  # map pixels between two panels


@dataclass(frozen=True, eq=False)
class MosaicOf:
    """Panels in rows (images) and columns (abstract pixels).

    Parameters
    ----------
    grey
        The images again and again, each between 0 and 1; between panels it is black.
    heat
        Their maps, `GRID` times coarser, each less its mean over all images.
    limit
        The value whose colour is full, the same for all.
    """

    grey: np.ndarray
    heat: np.ndarray
    limit: float


def mosaic(shown: Sequence[RelevanceMaps], pixels: Sequence[int]) -> MosaicOf:
    """Every image with every one of these abstract pixels."""
    planes = centred_planes(shown, pixels)
    height = max(plane.shape[1] for plane in planes)
    width = max(plane.shape[2] for plane in planes)
    cell = (height + GAP, width + GAP)
    shape = (len(shown) * cell[0] - GAP, len(pixels) * cell[1] - GAP)
    heat = np.zeros(shape, np.float32)
    grey = np.zeros((shape[0] * GRID, shape[1] * GRID), np.float32)
    for row, (maps, plane) in enumerate(zip(shown, planes, strict=True)):
        image = _fitted(image_plane(maps), plane.shape[1:])
        for column, values in enumerate(plane):
            top, left = row * cell[0], column * cell[1]
            bottom, right = top + values.shape[0], left + values.shape[1]
            heat[top:bottom, left:right] = values
            grey[GRID * top : GRID * bottom, GRID * left : GRID * right] = image
    return MosaicOf(grey, heat, limit(*planes))


def _fitted(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The image between 0 and 1, on a grid `GRID` times finer than that of its map."""
    values = np.nan_to_num(image.astype(np.float32))
    low, high = np.percentile(values, (0.5, 99.5))
    height, width = (n * GRID for n in shape)
    small = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    return np.clip((small - low) / max(high - low, 1e-9), 0, 1)
