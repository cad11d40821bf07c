"""Smooth displacement over the field of a target, to follow drift that no global transform can.

With M the matrix of the registration, source pixel to target pixel, the target pixel p shows the
source at M⁻¹ (p + u(p)). u is a cubic B-spline on a small grid over the field of the target,

    u(y, x) = sum over j, k of B(v - j) B(w - k) c[j, k],   v, w = position in cells of the grid,

with its coefficients in heights and widths of the field: it does not depend on the pixels of an
image. Outside of the field, u is that of the nearest point of its border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import PlainSerializer, PlainValidator
from scipy import ndimage

#: Largest sum |du/dy| + |du/dx| for either part of u. The Jacobian determinant of p + u(p) then
#: lies between (1 - 0.3)² = 0.49 and (1 + 0.3)² = 1.69, so that nothing folds.
LARGEST_STRAIN = 0.3
#: Coefficients along an axis beyond its cells: a cubic B-spline spans four cells.
EXTRA = 3
#: Steps of the inversion, each of which leaves at most LARGEST_STRAIN of its error.
INVERSION_STEPS = 12


def _coefficients(values: Any) -> np.ndarray:
    grid = np.asarray(values, dtype=np.float64)
    if grid.ndim != 3 or grid.shape[2] != 2 or min(grid.shape[:2]) <= EXTRA:
        msg = f"a deformation needs at least 4 x 4 x 2 coefficients, got {grid.shape}"
        raise ValueError(msg)
    if not np.isfinite(grid).all():
        raise ValueError("the coefficients of a deformation must be finite")
    return grid


Coefficients = Annotated[
    np.ndarray, PlainValidator(_coefficients), PlainSerializer(np.ndarray.tolist)
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Deformation:
    """Displacement u(p) over the field of a target; see the module.

    Attributes
    ----------
    coefficients
        Coefficients c, shape (rows + 3, columns + 3, 2), for a grid of rows x columns cells:
        displacements along y in heights, along x in widths of the field.
    before, after
        RMS displacement of blocks that took no part in the fit, in target pixels: under the
        global transform alone, and with the displacement. Measurement noise is included.

    Raises
    ------
    ValueError
        If the coefficients have a wrong shape or are not finite, or the displacement may fold.
    """

    coefficients: Coefficients
    before: float
    after: float

    def __post_init__(self) -> None:
        strain = largest_strain(_coefficients(self.coefficients))
        if strain > LARGEST_STRAIN:
            msg = f"a deformation with strains up to {strain:.2g} may fold the image"
            raise ValueError(msg)

    def on_grid(
        self, rows: np.ndarray, columns: np.ndarray, shape: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the displacement in y and in x at the crossings of rows and columns, in pixels.

        `shape` is the number of pixels of the field.
        """
        down = spline_basis((np.asarray(rows) + 0.5) / shape[0], self.coefficients.shape[0])
        along = spline_basis((np.asarray(columns) + 0.5) / shape[1], self.coefficients.shape[1])
        y, x = (
            down @ self.coefficients[..., axis] @ along.T * size for axis, size in enumerate(shape)
        )
        return y, x

    def at(self, points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return the displacement at (n, 2) points (y, x) of the field, in pixels."""
        cells = np.array(self.coefficients.shape[:2]) - EXTRA
        size = np.asarray(shape, dtype=np.float64)
        places = np.clip((np.asarray(points) + 0.5) / size, 0, 1) * cells + 1
        found = [
            ndimage.map_coordinates(
                self.coefficients[..., axis], places.T, order=3, prefilter=False
            )
            for axis in range(2)
        ]
        return np.stack(found, axis=1) * size

    def undo(self, points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """Return the points p with p + u(p) = `points`, by fixed-point iteration."""
        found = np.asarray(points, dtype=np.float64)
        for _ in range(INVERSION_STEPS):
            found = points - self.at(found, shape)
        return found


def spline_basis(positions: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` cubic B-splines at positions from 0 to 1, shape (n, count)."""
    cells = count - EXTRA
    places = np.clip(positions, 0, 1) * cells
    first = np.minimum(places.astype(int), cells - 1)
    t = places - first
    pieces = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    values = np.zeros((len(places), count))
    for k, piece in enumerate(pieces):
        values[np.arange(len(places)), first + k] = piece
    return values


def largest_strain(coefficients: np.ndarray) -> float:
    """Return a bound of |du/dy| + |du/dx| over the field, for the larger part of u.

    The derivative of a B-spline is a B-spline of the differences of its coefficients, which it
    cannot exceed. In heights and widths, the Jacobian determinant is that in pixels.
    """
    cells = np.array(coefficients.shape[:2]) - EXTRA
    down, along = (
        np.abs(np.diff(coefficients, axis=axis)).max(axis=(0, 1)) * cells[axis] for axis in range(2)
    )
    return float((down + along).max())
