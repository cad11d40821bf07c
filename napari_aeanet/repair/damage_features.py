"""Find the most unusual spot and line of a slice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy import ndimage

from napari_aeanet.registration import reduced

#: Length of the line that is looked for, as share of the shorter side, and its directions.
LINE_LENGTH, DIRECTIONS = 0.375, 36
LONGEST_LINE = 0.8
#: Longest side of the plane in which lines are looked for.
LONGEST_LINE_PLANE = 256
#: Lines are measured with deviations up to this, over at least this share of their length.
LINE_CLIP, SMALLEST_LINE = 2.0, 0.85


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The most unusual line or spot of a slice.

    Attributes
    ----------
    value
        How far it is from the median of the slice, in grey levels.
    size
        Length of the line, or diameter of the spot, in pixels of the slice.
    """

    value: float
    size: float


def averaged(plane: np.ndarray, step: int) -> np.ndarray:
    return reduced(plane, step)[0]


def blurred(plane: np.ndarray, blur: float, known: np.ndarray) -> np.ndarray:
    """Blur a plane that is 0 where nothing is known, with the known pixels alone."""
    smooth = cv2.GaussianBlur(plane, (0, 0), blur)
    if known.all():
        return smooth
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), blur)
    return np.where(known, smooth / np.maximum(weight, 0.1), 0)


def spot(smooth: np.ndarray, known: np.ndarray, scale: float) -> Extent:
    """Return the highest value and the diameter of the spot around it, at half its height."""
    smooth = np.where(known, smooth, -np.inf)
    at = np.unravel_index(int(smooth.argmax()), smooth.shape)
    value = float(smooth[at])
    labels, _ = ndimage.label(smooth >= value / 2)
    area = int((labels == labels[at]).sum())
    return Extent(value=value, size=2 * float(np.sqrt(area / np.pi)) * scale)


def line(height: np.ndarray, full_side: float, scale: float) -> Extent:
    """Return the straight line with the highest mean.

    As in a Radon transform, but over lines of `LINE_LENGTH` of the shorter side (of `full_side`
    pixels, if it is shorter than that). `height` is 0 where nothing is known.
    """
    step = max(1, -(-max(height.shape) // LONGEST_LINE_PLANE))
    height = np.minimum(averaged(height, step), LINE_CLIP)  # so that one strong spot is no line
    side = min(height.shape)
    length = LINE_LENGTH * max(side, full_side / (scale * step))
    length = max(3, round(min(length, LONGEST_LINE * side)))
    best = Extent(value=0.0, size=0.0)
    for turn in range(DIRECTIONS):
        rotated = _rotated(height, turn)
        weight = _line_weights(height.shape, turn, length)
        mean = cv2.blur(rotated, (length, 1), borderType=cv2.BORDER_CONSTANT) * weight
        if (value := float(mean.max())) > best.value:
            row, column = np.unravel_index(int(mean.argmax()), mean.shape)
            pixels = _run(rotated[row], int(column), value / 2)
            best = Extent(value=value, size=pixels * scale * step)
    return best


def _run(profile: np.ndarray, at: int, limit: float) -> int:
    """Return how many pixels of a smoothed profile around `at` lie above a limit."""
    smooth = ndimage.uniform_filter1d(profile, 9, mode="constant")
    labels, _ = ndimage.label(smooth > limit)
    return int((labels == labels[at]).sum()) if labels[at] else 0


@lru_cache(maxsize=2 * DIRECTIONS)
def _line_weights(shape: tuple[int, int], turn: int, length: int) -> np.ndarray:
    """Return the inverse of the share of a line in the slice; 0 where that is small."""
    inside = _rotated(np.ones(shape, np.float32), turn)
    share = cv2.blur(inside, (length, 1), borderType=cv2.BORDER_CONSTANT)
    return np.where(share > SMALLEST_LINE, 1 / np.maximum(share, SMALLEST_LINE), 0)


def _rotated(plane: np.ndarray, turn: int) -> np.ndarray:
    """Turn a plane by `turn` of the directions, on a square that holds all of it."""
    height, width = plane.shape
    side = int(np.ceil(np.hypot(height, width)))
    matrix = cv2.getRotationMatrix2D(
        ((width - 1) / 2, (height - 1) / 2), 180 * turn / DIRECTIONS, 1
    )
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(plane, matrix, (side, side))
