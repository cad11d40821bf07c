"""Follow local drift: a smooth displacement after the global transform, if the images prove it.

Coarse to fine, the shifts of blocks are measured (`local_shifts`), and a smooth displacement is
fitted (`spline_fit`) under which they are measured again. It is used only if blocks that took no
part in the fit agree better with it than without, by far more than their noise explains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.deformation import (
    EXTRA,
    LARGEST_STRAIN,
    Deformation,
    largest_strain,
)
from napari_aeanet.registration.local_shifts import Grid, LocalShifts, measure_shifts
from napari_aeanet.registration.preprocessing import reduced
from napari_aeanet.registration.spline_fit import (
    ROW_STRENGTHS,
    STRENGTHS,
    SplineFit,
    fit_spline,
)

#: Cells of the grid: sides of about so many pixels of the finest plane, at most so many.
CELL, MOST_CELLS = 40, 16
#: Rows of the grid of the model by rows, likewise.
CELL_ROWS, MOST_CELL_ROWS = 16, 60
#: Sides of the blocks on the finest plane and on the others (pixels).
BLOCK, COARSE_BLOCK = 20, 8
#: Planes are halved so often, down to this shortest side.
LEVELS, SMALLEST_LEVEL = 3, 40
#: Measurements on a plane, at most, and the RMS change of the displacement that ends them.
ROUNDS, SMALL_CHANGE = 4, 0.03
#: Fewest blocks for a displacement.
FEWEST_BLOCKS = 24
#: Least improvement of the held-out blocks, in standard errors, and least RMS displacement, in
#: target pixels: line jitter, or what the global transform lacks, is smaller.
LEAST_EVIDENCE, LEAST_DISPLACEMENT = 4.0, 0.1
#: Largest RMS displacement, relative to the drift that blocks show by their correlation peaks, and
#: in target pixels on top: steps on very noisy images may lead far away from the truth.
LARGEST_RATIO, LARGEST_EXCESS = 3.0, 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class FollowedDrift:
    """A displacement that the images prove, with its evidence, in target pixels.

    Attributes
    ----------
    deformation
        The displacement.
    vectors
        Target point and remaining displacement of every block that tells something, when it takes
        no part in the fit: (n, 2, 2).
    expected_error
        RMS standard error of the displacement.
    """

    deformation: Deformation
    vectors: np.ndarray
    expected_error: float


def follow_drift(
    planes: tuple[np.ndarray, np.ndarray],
    matrix: np.ndarray,
    to_target: np.ndarray,
    target_shape: tuple[int, int],
    drift: float,
) -> FollowedDrift | None:
    """Return the displacement that follows the local drift; None if the images prove none.

    Parameters
    ----------
    planes
        Source and target plane, of about one pixel size and like contrast.
    matrix
        The global transform from source to target plane.
    to_target
        Matrix from the target plane to the pixels of the target, an enlargement.
    target_shape
        Height and width of the target.
    drift
        RMS drift of blocks, found by their correlation peaks and without noise, in target pixels.
    """
    factor = transforms.scale_of(to_target)
    extent = (target_shape[0] / factor, target_shape[1] / factor)
    found = _coarse_to_fine(planes, matrix, extent)
    if found is None:
        return None
    shifts, fit = found
    coefficients = fit.grid.coefficients / np.array(extent)
    size = np.sqrt((fit.grid.over(planes[1].shape) ** 2).sum(axis=0).mean()) * factor
    tells = np.isfinite(fit.errors)
    rest = (shifts.shifts - fit.predicted)[tells] * factor
    certainty = fit.errors[tells] ** -2
    before, after = (
        float(np.sqrt(np.average((v**2).sum(axis=1), weights=certainty)))
        for v in (shifts.shifts[tells] * factor, rest)
    )
    if (
        fit.evidence < LEAST_EVIDENCE
        or size < LEAST_DISPLACEMENT
        or not size <= LARGEST_RATIO * drift + LARGEST_EXCESS
        or after >= before
        or largest_strain(coefficients) > LARGEST_STRAIN
    ):
        return None
    points = transforms.apply(to_target, shifts.points[tells])
    return FollowedDrift(
        deformation=Deformation(coefficients=coefficients, before=before, after=after),
        # A block shows at p what the target shows at p - rest.
        vectors=np.stack([points, -rest], axis=1),
        expected_error=fit.expected_error * factor,
    )


def _coarse_to_fine(
    planes: tuple[np.ndarray, np.ndarray], matrix: np.ndarray, extent: tuple[float, float]
) -> tuple[LocalShifts, SplineFit] | None:
    """Return the last shifts and the displacement fitted to them; None with too few blocks."""
    height, width = (int(np.clip(round(n / CELL), 2, MOST_CELLS)) for n in extent)
    smooth = (height, width)
    rows = int(np.clip(round(extent[0] / CELL_ROWS), 4, MOST_CELL_ROWS))
    grid = Grid(coefficients=np.zeros((smooth[0] + EXTRA, smooth[1] + EXTRA, 2)), extent=extent)
    found = None
    strengths: dict[bool, tuple[float, ...]] = {False: STRENGTHS, True: ROW_STRENGTHS}
    for level in range(LEVELS - 1, -1, -1):
        (source, up_source), (target, up_target) = (reduced(p, 2**level) for p in planes)
        if level and min(*source.shape, *target.shape) < SMALLEST_LEVEL:
            continue
        inverse = np.linalg.inv(up_source) @ np.linalg.inv(matrix) @ up_target
        grid = grid.reduced(2**level)
        for _ in range(ROUNDS):
            side = COARSE_BLOCK if level else BLOCK
            shifts = measure_shifts(source, target, inverse, grid, side, exact=level == 0)
            if shifts is None or len(shifts.points) < FEWEST_BLOCKS:
                found = None
                break
            fits = [_fit(shifts, smooth, grid.extent, strengths[False])]
            if level == 0:
                fits.append(_fit(shifts, (rows, 1), grid.extent, strengths[True], by_rows=True))
            strengths |= {one.is_by_rows: _near(one) for one in fits}
            fit = min(fits, key=lambda one: one.loss)
            found = shifts, fit
            change = fit.grid.over(target.shape) - grid.over(target.shape)
            grid = fit.grid
            if np.sqrt((change**2).sum(axis=0).mean()) < SMALL_CHANGE:
                break
        grid = grid.reduced(1 / 2**level)
    return found


def _fit(
    shifts: LocalShifts,
    cells: tuple[int, int],
    extent: tuple[float, float],
    strengths: tuple[float, ...],
    *,
    by_rows: bool = False,
) -> SplineFit:
    """Return the displacement of one model, stronger than chosen where it would fold."""
    fit = fit_spline(shifts, cells, extent, strengths=strengths, by_rows=by_rows)
    for stronger in range(1, 6):
        if largest_strain(fit.grid.coefficients / np.array(extent)) <= LARGEST_STRAIN:
            break
        forced = (fit.strength * 10**stronger,)
        fit = fit_spline(shifts, cells, extent, strengths=forced, by_rows=by_rows)
    return fit


def _near(fit: SplineFit) -> tuple[float, ...]:
    """Return the strengths to try in the next round."""
    return tuple(s for s in (*ROW_STRENGTHS, *STRENGTHS[-3:]) if 0.05 < s / fit.strength < 20)
