"""Join several images and several of their maps to one picture, to compare them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import cv2
import numpy as np

from napari_aeanet.relevance.export import centred_planes, contrast_limit, image_plane

if TYPE_CHECKING:
    from napari_aeanet.relevance.settings import RelevanceMaps

GRID = 4  # pixels of the grey mosaic to one of the maps
GAP = 2  # map pixels between two panels
# Height of a caption as a share of a panel's; its line height, and the width of a letter, both in
# heights.
CAPTION, LINE, LETTER = 0.12, 1.5, 0.6


@dataclass(frozen=True, eq=False)
class MosaicOf:
    """Panels in rows (images) and columns (abstract pixels).

    Parameters
    ----------
    grey
        The image of each panel, between 0 and 1; black between panels.
    heat
        Their maps, `GRID` times coarser, each minus its mean over all images.
    limit
        The absolute value with the full colour, the same for all.
    captions, places, letters
        Title of each panel, the centre of this text (above the panel) and its height, in pixels
        of `heat`.
    """

    grey: np.ndarray
    heat: np.ndarray
    limit: float
    captions: tuple[str, ...]
    places: np.ndarray
    letters: float


def make_mosaic(shown: Sequence[RelevanceMaps], pixels: Sequence[int]) -> MosaicOf:
    """Return a mosaic of all images (rows) and all of these abstract pixels (columns)."""
    planes = centred_planes(shown, pixels)
    height = max(plane.shape[1] for plane in planes)
    width = max(plane.shape[2] for plane in planes)
    captions = [f"{pixel + 1} in {maps.image.name}" for maps in shown for pixel in pixels]
    letters = min(CAPTION * height, width / (LETTER * max(map(len, captions))))
    line = ceil(LINE * letters)
    cell = (height + line, width + GAP)
    shape = (len(shown) * cell[0] - line, len(pixels) * cell[1] - GAP)
    heat = np.zeros(shape, np.float32)
    grey = np.zeros((shape[0] * GRID, shape[1] * GRID), np.float32)
    for row, (maps, plane) in enumerate(zip(shown, planes, strict=True)):
        image = _fitted(image_plane(maps), plane.shape[1:])
        for column, values in enumerate(plane):
            top, left = row * cell[0], column * cell[1]
            bottom, right = top + values.shape[0], left + values.shape[1]
            heat[top:bottom, left:right] = values
            grey[GRID * top : GRID * bottom, GRID * left : GRID * right] = image
    places = [
        (row * cell[0] - line / 2, column * cell[1] + (width - 1) / 2)
        for row in range(len(shown))
        for column in range(len(pixels))
    ]
    return MosaicOf(grey, heat, contrast_limit(*planes), tuple(captions), np.array(places), letters)


def _fitted(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the image between 0 and 1, on a grid `GRID` times finer than that of its map."""
    values = np.nan_to_num(image.astype(np.float32))
    low, high = np.percentile(values, (0.5, 99.5))
    height, width = (n * GRID for n in shape)
    small = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    return np.clip((small - low) / max(high - low, 1e-9), 0, 1)
