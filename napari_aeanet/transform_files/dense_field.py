"""A smooth deformation that follows any displacement of the pixels of a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_aeanet.registration import (
    EXTRA,
    LARGEST_STRAIN,
    largest_strain,
    spline_basis,
    transforms,
)

#: Largest deviation of the deformation from the displacement at any pixel, in pixels.
TOLERANCE = 0.015
#: Shares of it that each axis may take at the samples, tried in turn.
SHARES = (0.4, 0.2, 0.1)
#: Cells of the grid along an axis that are tried in turn.
CELLS = (*range(1, 65), 80, 96, 128, 192)
#: Samples along an axis from which coefficients are fitted.
SAMPLES = 512
#: Pixels that are compared at a time.
AT_ONCE = 2**20

ToSource = Callable[[np.ndarray], np.ndarray]


def fitted(
    to_source: ToSource, matrix: np.ndarray, shape: tuple[int, int], path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix and coefficients of a registration that follows `to_source`.

    Parameters
    ----------
    to_source
        Takes (n, 2) pixels of the target to places in the source.
    matrix
        The affine part of it, from source to target.
    shape
        Height and width of the target.
    path
        File to be named in errors.

    Raises
    ------
    ValueError
        If no grid follows the displacement, or it may fold.
    """
    rows, columns = (np.unique(np.linspace(0, n - 1, min(n, SAMPLES)).round()) for n in shape)
    points = _points(rows, columns)
    coefficients = _coefficients(to_source, matrix, shape, (rows, columns), path)
    if largest_strain(coefficients) > LARGEST_STRAIN:
        # A rotation or scale within the displacement belongs to the matrix.
        matrix = transforms.fit(to_source(points), points, transforms.TransformKind.AFFINE)
        coefficients = _coefficients(to_source, matrix, shape, (rows, columns), path)
    strain = largest_strain(coefficients)
    if strain > LARGEST_STRAIN:
        msg = (
            f"{path}: displacements with strains up to {strain:.2g} may fold the image: smooth "
            "them, or export an affine."
        )
        raise ValueError(msg)
    return matrix, coefficients


def _coefficients(
    to_source: ToSource,
    matrix: np.ndarray,
    shape: tuple[int, int],
    samples: tuple[np.ndarray, np.ndarray],
    path: Path,
) -> np.ndarray:
    """Return the coefficients of a coarse grid that follows u = M(to_source(p)) - p."""

    def displacement(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        points = _points(rows, columns)
        moved = transforms.apply(matrix, to_source(points)) - points
        return moved.T.reshape(2, len(rows), len(columns))

    wanted = displacement(*samples)
    for share in SHARES:
        counts = [_count(wanted, axis, samples[axis], shape[axis], share) for axis in range(2)]
        down, along = (np.linalg.pinv(basis) for basis in _bases(samples, shape, counts))
        grid = down @ wanted @ along.T
        blocks = (samples, *_blocks(shape))
        if all(_deviation(displacement(*b), grid, b, shape) <= TOLERANCE for b in blocks):
            return np.moveaxis(grid / np.array(shape)[:, None, None], 0, -1)
    msg = (
        f"{path}: no deformation follows the displacements to {TOLERANCE:g} pixels: smooth them, "
        "or export an affine."
    )
    raise ValueError(msg)


def _count(wanted: np.ndarray, axis: int, places: np.ndarray, length: int, share: float) -> int:
    """Return the fewest B-splines along an axis that follow the displacement along it."""
    lines = np.moveaxis(wanted, 1 + axis, 1)
    count = 1 + EXTRA
    for cells in CELLS:
        if 2 * (cells + EXTRA) > len(places):
            break
        count = cells + EXTRA
        basis = spline_basis((places + 0.5) / length, count)
        rest = lines - basis @ (np.linalg.pinv(basis) @ lines)
        if np.linalg.norm(rest, axis=0).max() <= share * TOLERANCE:
            break
    return count


def _points(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _bases(
    places: tuple[np.ndarray, np.ndarray], shape: Sequence[int], counts: Sequence[int]
) -> list[np.ndarray]:
    """Return the B-splines along both axes at places in pixels."""
    return [
        spline_basis((some + 0.5) / n, count)
        for some, n, count in zip(places, shape, counts, strict=True)
    ]


def _deviation(
    wanted: np.ndarray,
    grid: np.ndarray,
    places: tuple[np.ndarray, np.ndarray],
    shape: Sequence[int],
) -> float:
    """Return the largest distance of the spline from the displacement at some places."""
    down, along = _bases(places, shape, grid.shape[1:])
    return float(np.linalg.norm(down @ grid @ along.T - wanted, axis=0).max())


def _blocks(shape: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and columns of all pixels, a number of rows at a time."""
    step = max(1, AT_ONCE // shape[1])
    for first in range(0, shape[0], step):
        yield np.arange(first, min(first + step, shape[0])), np.arange(shape[1])
