"""Give an interpolated section the strength of fine structure that its neighbours have.

A blend of two sections is smoother than either of them, and the output of a network more so: what
the two do not share is averaged away. With G a blur of `SCALE` pixels and b the blend of the
neighbours, the fine structure b - G b is amplified, place by place, to the strength that it has in
the neighbours, and replaces that of the section s:

    G s + (b - G b) · clip(strength in the neighbours / strength in b, 1, `LARGEST_GAIN`).

The grain is plausible, but it is that of the neighbours, not the lost one.
"""

from __future__ import annotations

import cv2
import numpy as np

from napari_aeanet.interpolation.flow import WarpedNeighbours

#: Standard deviations in pixels: what counts as fine, and the field in which strength is measured.
SCALE, FIELD = 3.0, 8.0
#: Two sections without common fine structure need the square root of 2.
LARGEST_GAIN = 2.0


def with_texture(section: np.ndarray, neighbours: WarpedNeighbours) -> np.ndarray:
    """Return the section with its fine structure as strong as in its neighbours."""
    fine = _fine(neighbours.blended())
    wanted = (_power(_fine(neighbours.before)) + _power(_fine(neighbours.after))) / 2
    smallest = np.finfo(np.float32).tiny
    gain = np.sqrt(wanted / np.maximum(_power(fine), smallest))
    return _blurred(section, SCALE) + fine * np.clip(gain, 1, LARGEST_GAIN)


def _fine(values: np.ndarray) -> np.ndarray:
    return values - _blurred(values, SCALE)


def _power(values: np.ndarray) -> np.ndarray:
    return _blurred(values * values, FIELD)


def _blurred(values: np.ndarray, scale: float) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), scale)
