"""Smooth displacement through the shifts of blocks; its strength is chosen by held-out blocks.

The coefficients c minimise, with u the B-spline of c,

    sum over blocks of (s - u)ᵀ Λ (s - u)  +  strength · bending energy of u,

with s the shift of a block and Λ its information. Two models compete: any smooth displacement, and
one of the rows alone with a linear trend along them, as slow scans drift. The blocks are divided
into four parts; each part is predicted from the others, and the model and strength that predict
best are taken. Blocks that contradict their neighbours count less (Student's t).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from napari_aeanet.registration.deformation import EXTRA
from napari_aeanet.registration.local_shifts import Grid, LocalShifts, design

#: Strengths that are tried, with the bending energy per 100 x 100 pixels.
STRENGTHS = tuple(10.0**power for power in range(-2, 6))
ROW_STRENGTHS = tuple(10.0**power for power in range(-5, 3))
PARTS = 4
#: Degrees of freedom of Student's t.
FREEDOM = 4.0
#: Median of the squared length of a normal 2-vector with unit variances.
MEDIAN_SQUARE = 2 * np.log(2)
#: Weight of the trend along rows in the model of rows, relative to the bending energy.
TREND_WEIGHT = 1e-2


@dataclass(frozen=True, kw_only=True, eq=False)
class SplineFit:
    """A fitted displacement.

    Attributes
    ----------
    grid
        Its coefficients.
    predicted
        Displacement of each block as predicted without it, (n, 2).
    errors
        Standard error of each block's shift, in pixels; infinite where it tells nothing.
    weights
        Weight of each block, from 0 for an outlier to 1.
    loss
        Misfit of the predictions: their mean negative log-likelihood.
    strength, is_by_rows
        The chosen strength and model.
    evidence
        Improvement of the held-out blocks over no displacement, in units of its noise.
    """

    grid: Grid
    predicted: np.ndarray
    errors: np.ndarray
    weights: np.ndarray
    loss: float
    strength: float
    is_by_rows: bool
    evidence: float
    _model: _Model
    _factor: Any

    @property
    def expected_error(self) -> float:
        """Return the RMS standard error of the displacement at the blocks, in pixels."""
        return self._model.expected_error(self._factor)


def fit_spline(
    shifts: LocalShifts,
    cells: tuple[int, int],
    extent: tuple[float, float],
    *,
    strengths: Sequence[float] = STRENGTHS,
    by_rows: bool = False,
) -> SplineFit:
    """Fit a displacement on `cells` of a field of `extent` pixels to the shifts of blocks."""
    counts = (cells[0] + EXTRA, cells[1] + EXTRA)
    weights_of_all, energy = design(shifts.points, counts, extent), spline_bending(cells, extent)
    free = _rows_with_trend(counts) if by_rows else np.eye(counts[0] * counts[1])
    model = _Model(shifts, weights_of_all @ free, _energy_of(free, energy, by_rows))
    spread, weights, strength = 1.0, np.ones(len(shifts.points)), 0.0
    for _ in range(2):
        near = [s for s in strengths if not strength or 0.05 < s / strength < 20]
        scaled = weights / spread
        tried = [(model.predict(s, scaled), s) for s in near]
        losses = [model.loss(predicted, spread) for predicted, _ in tried]
        best = int(np.argmin(losses))
        predicted, strength = tried[best]
        coefficients, factor = model.solve(strength, scaled)
        squares = model.squares(predicted, spread)[model.tells]
        spread *= max(float(np.median(squares)) / MEDIAN_SQUARE, 1e-6) if len(squares) else 1.0
        weights = 1 / (1 + model.squares(predicted, spread) / (FREEDOM + 2))
    traces = np.trace(shifts.information, axis1=1, axis2=2) / spread
    return SplineFit(
        grid=Grid(
            coefficients=(free @ coefficients).reshape(*counts, 2),
            extent=extent,
        ),
        predicted=predicted,
        errors=np.where(traces > 0, np.sqrt(2 / np.maximum(traces, 1e-30)), np.inf),
        weights=weights,
        loss=model.loss(predicted, spread),
        strength=strength,
        is_by_rows=by_rows,
        evidence=model.evidence(predicted, spread),
        _model=model,
        _factor=factor,
    )


class _Model:
    """The least-squares problem of one model, divided into parts."""

    def __init__(self, shifts: LocalShifts, weights: np.ndarray, energy: np.ndarray) -> None:
        self._shifts, self._weights = shifts, weights
        self._energy = linalg.block_diag(energy, energy)
        self._part = (shifts.places[:, 0] % 2) * 2 + shifts.places[:, 1] % 2
        self._normal: tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]] | None = None
        self.tells = np.trace(shifts.information, axis1=1, axis2=2) > 0

    def predict(self, strength: float, weights: np.ndarray) -> np.ndarray:
        """Return the displacement of every block as predicted by the other parts."""
        parts = self._parts(weights)
        normal, right = (np.sum(values, axis=0) for values in zip(*parts, strict=True))
        predicted = np.empty_like(self._shifts.shifts)
        for number, (own_normal, own_right) in enumerate(parts):
            held = self._part == number
            found, _ = self._solved(normal - own_normal, right - own_right, strength)
            predicted[held] = self._weights[held] @ found
        return predicted

    def solve(self, strength: float, weights: np.ndarray) -> tuple[np.ndarray, Any]:
        """Return the coefficients (parameters, 2) from all parts, and the factor of the matrix."""
        parts = self._parts(weights)
        normal, right = (np.sum(values, axis=0) for values in zip(*parts, strict=True))
        return self._solved(normal, right, strength)

    def _parts(self, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        if self._normal is None or self._normal[0] is not weights:
            parts = [self._equations(self._part == k, weights) for k in range(PARTS)]
            self._normal = weights, parts
        return self._normal[1]

    def _equations(self, some: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrix and the right side of the normal equations of some blocks."""
        columns = self._weights[some]
        information = self._shifts.information[some] * weights[some][:, None, None]
        right = np.einsum("nij,nj->ni", information, self._shifts.shifts[some])
        yy, yx, xx = (
            columns.T @ (information[:, i, j, None] * columns) for i, j in ((0, 0), (0, 1), (1, 1))
        )
        return np.block([[yy, yx], [yx.T, xx]]), (columns.T @ right).T.ravel()

    def _solved(
        self, normal: np.ndarray, right: np.ndarray, strength: float
    ) -> tuple[np.ndarray, Any]:
        matrix = normal + strength * self._energy
        matrix[np.diag_indices_from(matrix)] += 1e-6 * np.trace(normal) / len(right) + 1e-12
        factor = linalg.cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        return linalg.cho_solve(factor, right, check_finite=False).reshape(2, -1).T, factor

    def squares(self, predicted: np.ndarray, spread: float) -> np.ndarray:
        """Return the squared distances of the shifts from a prediction, in standard errors."""
        apart = self._shifts.shifts - predicted
        return np.einsum("ni,nij,nj->n", apart, self._shifts.information, apart) / spread

    def loss(self, predicted: np.ndarray, spread: float) -> float:
        """Return the mean negative log-likelihood of Student's t, up to a constant."""
        if not self.tells.any():
            return np.inf
        misfit = np.log1p(self.squares(predicted, spread)[self.tells] / FREEDOM)
        return float((FREEDOM / 2 + 1) * misfit.mean() + np.log(spread))

    def evidence(self, predicted: np.ndarray, spread: float) -> float:
        """Return the summed gain in loss over no displacement, by its standard error."""
        gains = np.log1p(self.squares(np.zeros_like(predicted), spread) / FREEDOM)
        gains = (gains - np.log1p(self.squares(predicted, spread) / FREEDOM))[self.tells]
        return float(gains.sum() / np.sqrt((gains**2).sum() + 1e-30))

    def expected_error(self, factor: Any) -> float:
        """Return the RMS over the blocks of the standard error, from the inverse of the matrix."""
        lower, _ = factor
        count = self._weights.shape[1]
        squares = np.zeros(len(self._weights))
        for axis in range(2):
            right = np.zeros((2 * count, len(self._weights)))
            right[axis * count : (axis + 1) * count] = self._weights.T
            half = linalg.solve_triangular(lower, right, lower=True, check_finite=False)
            squares += (half**2).sum(axis=0)
        return float(np.sqrt(squares.mean()))


def spline_bending(cells: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """Return the bending energy: the integral of u_yy² + 2 u_yx² + u_xx², from differences."""
    counts = [n + EXTRA for n in cells]
    lengths = [length / n for length, n in zip(extent, cells, strict=True)]

    def squared(axis: int, order: int) -> np.ndarray:
        differences = np.diff(np.eye(counts[axis]), order, axis=0) / lengths[axis] ** order
        return differences.T @ differences

    energy = (
        np.kron(squared(0, 2), np.eye(counts[1]))
        + 2 * np.kron(squared(0, 1), squared(1, 1))
        + np.kron(np.eye(counts[0]), squared(1, 2))
    )
    return energy * np.prod(lengths) * 100.0**2


def _rows_with_trend(counts: tuple[int, int]) -> np.ndarray:
    """Return the coefficients as functions of a value and a trend for every row."""
    along = np.linspace(-1, 1, counts[1])
    return np.kron(np.eye(counts[0]), np.stack([np.ones_like(along), along], axis=1))


def _energy_of(free: np.ndarray, energy: np.ndarray, by_rows: bool) -> np.ndarray:
    """Return the bending energy in the free parameters; trends cost a little more."""
    energy = free.T @ energy @ free
    if by_rows:
        values = np.arange(0, len(energy), 2)
        energy[values + 1, values + 1] += TREND_WEIGHT * energy[values, values].mean()
    return energy
