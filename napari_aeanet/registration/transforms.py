"""Plane transforms as 3x3 matrices on homogeneous (y, x, 1) coordinates of pixel centres.

Every matrix here is float64 and maps a point p of one image to M p of another. A similarity has
four parameters, an affine six, a homography eight; `generators` gives the direction in which
each parameter moves a point, which is all that fitting and refinement need of a kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np


class TransformKind(StrEnum):
    """Degrees of freedom of a transform."""

    SIMILARITY = "similarity"  # shift, rotation, scale
    AFFINE = "affine"  # also shear, and a scale for each axis
    HOMOGRAPHY = "homography"  # also tilt


#: Fewest point pairs that determine a transform of each kind.
POINTS_NEEDED = {
    TransformKind.SIMILARITY: 2,
    TransformKind.AFFINE: 3,
    TransformKind.HOMOGRAPHY: 4,
}


def generators(kind: TransformKind) -> np.ndarray:
    """Return the derivatives of a transform at the identity, shape (parameters, 3, 3).

    A small transform is I + sum_i p_i G_i. For the similarity: shift in y, shift in x, scaling,
    rotation; the affine splits the latter two into the four entries of its matrix.
    """
    unit = np.eye(9).reshape(3, 3, 3, 3)
    shifts = [unit[0, 2], unit[1, 2]]
    if kind is TransformKind.SIMILARITY:
        return np.stack([*shifts, unit[0, 0] + unit[1, 1], unit[0, 1] - unit[1, 0]])
    linear = [unit[0, 0], unit[0, 1], unit[1, 0], unit[1, 1]]
    tilts = [unit[2, 0], unit[2, 1]] if kind is TransformKind.HOMOGRAPHY else []
    return np.stack([*shifts, *linear, *tilts])


def motions(kind: TransformKind, points: np.ndarray) -> np.ndarray:
    """Return the displacement of each point per parameter: (n, 2) -> (parameters, n, 2).

    With q = (y, x, 1) and g = G q, the derivative of the projected point is g[:2] - q[:2] g[2].
    """
    homogeneous = np.column_stack([points, np.ones(len(points))])
    moved = np.stack([homogeneous @ generator.T for generator in generators(kind)])
    return moved[..., :2] - points * moved[..., 2:]


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Transform (n, 2) points given as (y, x)."""
    points = np.asarray(points, dtype=np.float64)
    moved = points @ matrix[:2, :2].T + matrix[:2, 2]
    if matrix[2, 0] or matrix[2, 1]:
        moved = moved / (points @ matrix[2, :2] + matrix[2, 2])[:, None]
    return moved


def translation(shift: Sequence[float] | np.ndarray) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, 2] = shift
    return matrix


def enlargement(factors: float | Sequence[float]) -> np.ndarray:
    """Map pixels of a grid to those of a grid `factors` times finer over the same field.

    The fields share their edges, not their first pixel centres: y' = f (y + 1/2) - 1/2.
    """
    fy, fx = np.broadcast_to(factors, 2)
    return np.array([[fy, 0, (fy - 1) / 2], [0, fx, (fx - 1) / 2], [0, 0, 1]], dtype=np.float64)


def similarity(
    scale: float = 1.0, rotation: float = 0.0, shift: Sequence[float] = (0, 0)
) -> np.ndarray:
    """Scale, then rotate by `rotation` degrees (the x axis turns towards y), then shift."""
    c, s = scale * np.cos(np.deg2rad(rotation)), scale * np.sin(np.deg2rad(rotation))
    return np.array([[c, s, shift[0]], [-s, c, shift[1]], [0, 0, 1]], dtype=np.float64)


def nominal(source_shape: Sequence[int], target_shape: Sequence[int], scale: float) -> np.ndarray:
    """Place the source centre on the target centre, enlarged by `scale`, without rotation."""
    return (
        translation(centre(target_shape)) @ similarity(scale) @ translation(-centre(source_shape))
    )


def scale_of(matrix: np.ndarray) -> float:
    """Return the linear magnification (the square root of the change of area)."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def rotation_of(matrix: np.ndarray) -> float:
    """Return the rotation in degrees of the similarity nearest to the linear part."""
    m = matrix[:2, :2]
    return float(np.rad2deg(np.arctan2(m[0, 1] - m[1, 0], m[0, 0] + m[1, 1])))


def centre(shape: Sequence[int]) -> np.ndarray:
    return (np.asarray(shape, dtype=np.float64) - 1) / 2


def corners(shape: Sequence[int]) -> np.ndarray:
    """Return the centres of the corner pixels in order around the image, shape (4, 2)."""
    y, x = shape[0] - 1.0, shape[1] - 1.0
    return np.array([[0, 0], [0, x], [y, x], [y, 0]])


def corner_distance(first: np.ndarray, second: np.ndarray, shape: Sequence[int]) -> float:
    """Return the mean distance, over the image corners, between the images of two transforms."""
    points = corners(shape)
    return float(np.linalg.norm(apply(first, points) - apply(second, points), axis=1).mean())


def fit(source: np.ndarray, target: np.ndarray, kind: TransformKind) -> np.ndarray:
    """Fit the transform of `kind` from `source` to `target` points by least squares.

    Points are first centred and scaled to unit size (both sides), which keeps the equations well
    conditioned; for a homography the algebraic distance is minimised.
    """
    to_unit, target_to_unit = _normalising(source), _normalising(target)
    p, q = apply(to_unit, source), apply(target_to_unit, target)
    design = motions(kind, p).transpose(1, 2, 0)  # (n, 2, parameters)
    if kind is TransformKind.HOMOGRAPHY:
        # q = (A p + t) / (1 + h p)  is linear as  q = A p + t - q (h p)
        design[..., 6:] = -q[:, :, None] * p[:, None, :]
    parameters, *_ = np.linalg.lstsq(design.reshape(-1, design.shape[-1]), q.ravel(), rcond=None)
    step = np.diag([0.0, 0.0, 1.0]) + np.einsum("p,pij->ij", parameters, generators(kind))
    matrix = np.linalg.inv(target_to_unit) @ step @ to_unit
    return matrix / matrix[2, 2]


def _normalising(points: np.ndarray) -> np.ndarray:
    mean = points.mean(axis=0)
    size = np.sqrt(((points - mean) ** 2).sum(axis=1).mean()) or 1.0
    return np.diag([1 / size, 1 / size, 1.0]) @ translation(-mean)
