"""Shifts of the blocks of two nearly aligned planes, each with its certainty.

With t the target and w the warped source, both filtered by their information (see
`whitened_refinement`), r = t - w their difference and a = (t + w) / 2 their mean, the shift e of a
block that makes w(x + e) equal t(x) follows from the sums over its pixels

    H e = sum of r grad(a),   H = A - R,   A = sum of grad(a) grad(a)ᵀ,   R = sum of
    grad(r) grad(r)ᵀ / 4.

Noise adds to A, but not to H, which is the sum of grad(t) grad(w)ᵀ: the noise of two images is
independent. The right side varies as A times the variance of r, so the information about e, the
inverse of its covariance, is H A⁻¹ H / variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from napari_aeanet.registration import whitened_refinement
from napari_aeanet.registration.deformation import spline_basis

#: Share of a block that both planes must cover.
COVERED = 0.5
#: Directions whose share of signal in A is smaller tell nothing.
SMALLEST_SIGNAL = 0.05
#: Pixels along every border of the common field that are left out.
MARGIN = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class LocalShifts:
    """Shifts of blocks, in pixels of the target plane.

    Attributes
    ----------
    points
        Middles of the blocks, (n, 2).
    shifts
        Displacement u at each, (n, 2).
    information
        Inverse of their covariance, up to a factor for all, (n, 2, 2); zero where a block tells
        nothing.
    places
        Row and column of each block among all, (n, 2).
    """

    points: np.ndarray
    shifts: np.ndarray
    information: np.ndarray
    places: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """B-spline coefficients (rows, columns, 2) over a field of `extent`, all in plane pixels.

    The field may end between pixels of the plane, which is a reduced one.
    """

    coefficients: np.ndarray
    extent: tuple[float, float]

    def design(self, points: np.ndarray) -> np.ndarray:
        """Return the weight of every coefficient at (n, 2) points, shape (n, rows x columns)."""
        return design(points, self.coefficients.shape[:2], self.extent)

    def over(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the displacement of all pixels, shape (2, height, width)."""
        down, along = (
            spline_basis((np.arange(n) + 0.5) / length, count)
            for n, length, count in zip(
                shape, self.extent, self.coefficients.shape[:2], strict=True
            )
        )
        return np.stack([down @ self.coefficients[..., axis] @ along.T for axis in range(2)])

    def reduced(self, factor: int) -> Grid:
        """Return the same in pixels that are `factor` times larger."""
        height, width = self.extent
        return Grid(
            coefficients=self.coefficients / factor, extent=(height / factor, width / factor)
        )


def design(points: np.ndarray, counts: tuple[int, int], extent: tuple[float, float]) -> np.ndarray:
    """Return the weights of counts[0] x counts[1] coefficients at (n, 2) points, one row each."""
    down, along = (
        spline_basis((points[:, axis] + 0.5) / extent[axis], counts[axis]) for axis in range(2)
    )
    return (down[:, :, None] * along[:, None, :]).reshape(len(points), -1)


def measure_shifts(
    source: np.ndarray,
    target: np.ndarray,
    inverse: np.ndarray,
    grid: Grid,
    side: int,
    *,
    exact: bool = False,
) -> LocalShifts | None:
    """Measure the blocks of `side` pixels under the present displacement.

    `inverse` leads from target pixels, displaced by `grid`, to source pixels. None if the planes
    are uncorrelated or hardly overlap.
    """
    warped, inside = _warped(source, inverse, grid.over(target.shape), exact=exact)
    weight = whitened_refinement.weights(target, warped, inside) if inside.any() else None
    if weight is None:
        return None
    first, second = (whitened_refinement.weighted(plane, weight) for plane in (target, warped))
    sums = _BlockSums(inside, side)
    mean, rest = (first + second) / 2, first - second
    rest = rest - rest[inside].mean()
    (ay, ax), (ry, rx) = np.gradient(mean), np.gradient(rest)
    total = sums.matrices(ay, ax)
    signal = total - sums.matrices(ry, rx) / 4
    right = np.stack([sums.of(rest * ay), sums.of(rest * ax)], axis=-1)
    variance = sums.of(rest * rest) / sums.counts
    if not len(variance):
        return None
    signal, inverse_signal = _sound(signal, total)
    variance = np.maximum(variance, np.median(variance))
    largest = np.trace(total, axis1=1, axis2=2).max()
    spread = np.linalg.inv(total + 1e-9 * (largest or 1.0) * np.eye(2))
    here = grid.design(sums.points) @ grid.coefficients.reshape(-1, 2)
    return LocalShifts(
        points=sums.points,
        shifts=here + np.einsum("nij,nj->ni", inverse_signal, right),
        information=signal @ spread @ signal / np.maximum(variance, 1e-30)[:, None, None],
        places=sums.places,
    )


class _BlockSums:
    """Sums over the blocks that both planes cover."""

    def __init__(self, inside: np.ndarray, side: int) -> None:
        counts = [max(1, n // side) for n in inside.shape]
        self._edges = [
            np.linspace(0, n, count + 1).round().astype(int)
            for n, count in zip(inside.shape, counts, strict=True)
        ]
        self._mask = inside
        pixels = self._over_all(np.ones(inside.shape, np.float32))
        sizes = np.multiply.outer(*(np.diff(edges) for edges in self._edges))
        self._kept = pixels > COVERED * sizes
        middles = [(edges[1:] + edges[:-1] - 1) / 2 for edges in self._edges]
        self.points = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1)[self._kept]
        self.places = np.argwhere(self._kept)
        self.counts = pixels[self._kept]

    def _over_all(self, values: np.ndarray) -> np.ndarray:
        rows, columns = (edges[:-1] for edges in self._edges)
        along = np.add.reduceat(values * self._mask, columns, axis=1, dtype=np.float64)
        return np.add.reduceat(along, rows, axis=0)

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over every block."""
        return self._over_all(values)[self._kept]

    def matrices(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the sums of (y, x) (y, x)ᵀ, shape (n, 2, 2)."""
        yy, yx, xx = (self.of(product) for product in (y * y, y * x, x * x))
        return np.stack([yy, yx, yx, xx], axis=-1).reshape(-1, 2, 2)


def _sound(signal: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return H and its pseudo-inverse without the directions in which noise exceeds the signal."""
    values, axes = np.linalg.eigh(signal)
    least = SMALLEST_SIGNAL * np.trace(total, axis1=1, axis2=2)[:, None] / 2
    is_sound = values > np.maximum(least, np.finfo(np.float32).tiny)
    inverse = np.where(is_sound, 1 / np.where(is_sound, values, 1), 0)
    values = np.where(is_sound, values, 0)

    def composed(along: np.ndarray) -> np.ndarray:
        return (axes * along[:, None, :]) @ axes.transpose(0, 2, 1)

    return composed(values), composed(inverse)


def _warped(
    plane: np.ndarray, inverse: np.ndarray, shift: np.ndarray, *, exact: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the source on the displaced target grid, and the mask of the common field."""
    y, x = np.mgrid[: shift.shape[1], : shift.shape[2]] + shift
    ones = np.maximum(inverse[2, 0] * y + inverse[2, 1] * x + inverse[2, 2], 1e-6)
    sy = (inverse[0, 0] * y + inverse[0, 1] * x + inverse[0, 2]) / ones
    sx = (inverse[1, 0] * y + inverse[1, 1] * x + inverse[1, 2]) / ones
    height, width = plane.shape
    inside = (sy >= MARGIN) & (sy <= height - 1 - MARGIN)
    inside &= (sx >= MARGIN) & (sx <= width - 1 - MARGIN)
    inside[:MARGIN] = inside[-MARGIN:] = False
    inside[:, :MARGIN] = inside[:, -MARGIN:] = False
    if exact:
        values = ndimage.map_coordinates(
            plane, [sy, sx], order=3, mode="nearest", output=np.float32
        )
    else:
        maps = (sx.astype(np.float32), sy.astype(np.float32))
        values = cv2.remap(plane, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return values, inside
