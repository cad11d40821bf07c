"""Verify a transform block by block, with a control.

The registered source is cut into blocks, and each is searched for in the target near its place;
as a control the same block is searched for at a wrong place. A block is *significant* when its
correlation exceeds those of the controls, and *consistent* when it also lies where the transform
puts it. The displacements of the blocks are the local drift that the transform cannot follow.
Blocks with little structure are located less precisely, and weigh less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.refinement import warp
from napari_aeanet.registration.transforms import TransformKind

#: Search radius around the place of a block, at most and at least (pixels).
LARGEST_RADIUS, SMALLEST_RADIUS = 8, 4
#: Sides of a block, likewise; an eighth of the field in between.
LARGEST_BLOCK, SMALLEST_BLOCK = 64, 16
#: Largest displacement of a consistent block (pixels).
LARGEST_DISPLACEMENT = 4.0
#: Pixels of detail with common noise, since it is blurred.
NOISE_AREA = 8.0
#: Lower limit of the standard error of a block, however low the noise (pixels).
BEST_PRECISION = 0.1
#: Share of the control correlations that a significant block exceeds.
CONTROL_QUANTILE = 0.95
#: Standard errors by which the common displacement of neighbours must exceed chance to be drift.
DRIFT_EVIDENCE = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockMatches:
    """Result of matching blocks. Points and displacements are (y, x) in target-plane pixels.

    `displacements` lead from `points` to the same detail in the target: zero is perfect.
    `precisions` are their standard errors, per coordinate. Only consistent blocks are listed.
    """

    blocks: int
    significant: int
    points: np.ndarray
    displacements: np.ndarray
    precisions: np.ndarray

    @property
    def consistent(self) -> int:
        return len(self.points)

    @property
    def is_convincing(self) -> bool:
        """True if far more blocks are consistent than by chance (1 % of those of a wrong pair)."""
        return self.consistent >= max(5, 0.15 * self.blocks, 0.6 * self.significant)

    @property
    def is_suggestive(self) -> bool:
        """True if more blocks are consistent than chance explains, but not convincingly."""
        return self.consistent >= max(3, 0.08 * self.blocks, 0.4 * self.significant)

    @property
    def drift(self) -> float:
        """Root mean square length of the displacements, without their noise.

        Neighbours share the drift, but not the noise: the mean product of their displacements is
        the mean square of the drift. Drift may change fast along one axis, so the larger of the
        means along both counts.
        """
        if self.consistent < 2:
            return float("nan")
        return float(np.sqrt(max(0.0, *(mean for mean, _ in self._neighbour_products()))))

    @property
    def drift_is_significant(self) -> bool:
        """True if neighbours agree better than blocks without common drift do by chance."""
        return self.consistent >= 2 and any(
            mean > DRIFT_EVIDENCE * error for mean, error in self._neighbour_products()
        )

    def _neighbour_products(self) -> list[tuple[float, float]]:
        """Return the mean product of neighbours along each axis, and its error without drift.

        Displacements of independent directions have products of mean 0 and mean square
        |d|² |d'|² / 2.
        """
        apart = np.abs(self.points[:, None] - self.points)
        squares = (apart**2).sum(axis=2)
        np.fill_diagonal(squares, np.inf)
        spacing = np.sqrt(np.median(squares.min(axis=1)))
        products = self.displacements @ self.displacements.T
        lengths = (self.displacements**2).sum(axis=1)
        weights = np.multiply.outer(self.precisions, self.precisions) ** -2
        found = []
        for axis in range(2):
            near = (apart[..., axis] < 1.5 * spacing) & (apart[..., 1 - axis] < 0.5 * spacing)
            near = np.triu(near, 1)  # each pair once
            share = weights[near] / max(weights[near].sum(), 1e-30)
            variance = (share**2 * np.multiply.outer(lengths, lengths)[near] / 2).sum()
            found.append((float((share * products[near]).sum()), float(np.sqrt(variance))))
        return found

    def scaled(self, matrix: np.ndarray) -> BlockMatches:
        """Return the same in the pixels that `matrix` (an enlargement) leads to."""
        return replace(
            self,
            points=transforms.apply(matrix, self.points),
            displacements=self.displacements @ matrix[:2, :2].T,
            precisions=self.precisions * transforms.scale_of(matrix),
        )

    def expected_corner_error(self, kind: TransformKind, shape: tuple[int, int]) -> float:
        """Return the standard error of the transform, as RMS over the corners of `shape`.

        Taken from the scatter of the blocks around the transform, by the usual formula for a
        least-squares fit: covariance = s^2 (A^T W A)^-1, A the motion of the blocks per
        parameter, W their weights, s^2 the weighted scatter.
        """
        if self.consistent < 2:
            return float("nan")
        mean = self.points.mean(axis=0)
        size = np.abs(self.points - mean).max() or 1.0
        design = _design(kind, (self.points - mean) / size)
        freedom = design.shape[0] - design.shape[1]
        if freedom <= 0:
            return float("nan")
        weights = np.repeat(self.precisions**-2, 2)
        variance = (weights * self.displacements.ravel() ** 2).sum() / freedom
        covariance = variance * np.linalg.pinv(design.T @ (weights[:, None] * design))
        at_corners = _design(kind, (transforms.corners(shape) - mean) / size).reshape(4, 2, -1)
        squares = np.einsum("cap,pq,caq->c", at_corners, covariance, at_corners)
        return float(np.sqrt(squares.mean()))


def match_blocks(details: tuple[np.ndarray, np.ndarray], matrix: np.ndarray) -> BlockMatches:
    """Verify `matrix` on the details of source and target plane."""
    source, fixed = details
    moved, inside = warp(source, np.linalg.inv(matrix), fixed.shape)
    corners, size, radius = _blocks(inside)
    if len(corners) < 3:
        none = np.empty((0, 2))
        return BlockMatches(
            blocks=len(corners),
            significant=0,
            points=none,
            displacements=none,
            precisions=none[:, 0],
        )
    templates = [moved[y : y + size, x : x + size] for y, x in corners]
    fields = [
        fixed[y - radius : y + size + radius, x - radius : x + size + radius] for y, x in corners
    ]
    control = [
        _correlations(template, fields[i]).max()
        for template, i in zip(
            templates, np.roll(np.arange(len(corners)), len(corners) // 2), strict=True
        )
    ]
    found = [_locate(template, field) for template, field in zip(templates, fields, strict=True)]
    peaks, displacements, residuals, slopes = (np.array(v) for v in zip(*found, strict=True))
    # Drift within a block adds to its residual: the median over all blocks is the noise.
    noise = NOISE_AREA * np.median(residuals)
    precisions = np.sqrt(noise / np.maximum(slopes, 1e-30) + BEST_PRECISION**2)
    significant = peaks > np.quantile(control, CONTROL_QUANTILE)
    consistent = significant & (np.linalg.norm(displacements, axis=1) <= LARGEST_DISPLACEMENT)
    points = np.asarray(corners, dtype=np.float64) + (size - 1) / 2
    return BlockMatches(
        blocks=len(corners),
        significant=int(significant.sum()),
        points=points[consistent],
        displacements=displacements[consistent],
        precisions=precisions[consistent],
    )


def _blocks(inside: np.ndarray) -> tuple[list[tuple[int, int]], int, int]:
    """Return the corners of blocks that lie with their margin in the overlap; size and radius."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return [], 0, 0
    (top, bottom), (left, right) = (rows[[0, -1]], columns[[0, -1]])
    shorter = int(min(bottom - top, right - left))
    size = int(np.clip(shorter // 8, SMALLEST_BLOCK, LARGEST_BLOCK))
    radius = int(np.clip(shorter // 16, SMALLEST_RADIUS, LARGEST_RADIUS))
    corners = [
        (int(y), int(x))
        for y in range(top + radius, bottom - size - radius + 2, size)
        for x in range(left + radius, right - size - radius + 2, size)
        if inside[y - radius : y + size + radius, x - radius : x + size + radius].all()
    ]
    return corners, size, radius


def _correlations(template: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Correlate a block with every place of a larger field."""
    return cv2.matchTemplate(field, template, cv2.TM_CCOEFF_NORMED)


def _locate(
    template: np.ndarray, field: np.ndarray
) -> tuple[float, tuple[float, float], float, float]:
    """Locate a block in the field around it.

    Returns the highest correlation r, the displacement d there, the residual variance of the
    field, and the sum of the squared slopes of its explained part: for a field
    g t(x - d) + noise the standard error of d is, by the Cramér-Rao bound,
    sqrt(noise variance / sum of squared slopes of g t), and g^2 = r^2 var(field) / var(t).
    """
    surface = _correlations(template, field)
    y, x = (int(i) for i in np.unravel_index(int(np.argmax(surface)), surface.shape))
    radius = (surface.shape[0] - 1) // 2
    peak = float(np.clip(surface[y, x], 0.0, 1.0))
    displacement = (
        y + _peak_offset(surface[:, x], y) - radius,
        x + _peak_offset(surface[y], x) - radius,
    )
    variance = float(field[radius:-radius, radius:-radius].var())
    slopes = sum(float((slope**2).sum()) for slope in np.gradient(template)) / 2
    explained = peak**2 * variance / max(float(template.var()), 1e-30) * slopes
    return peak, displacement, (1 - peak**2) * variance, explained


def _peak_offset(line: np.ndarray, at: int) -> float:
    """Return the sub-sample maximum of a Gaussian through the three values around `at`."""
    if not 0 < at < len(line) - 1:
        return 0.0
    below, top, above = line[at - 1 : at + 2]
    if min(below, above) > 0:
        below, top, above = np.log([below, top, above])
    curvature = below - 2 * top + above
    return float(0.5 * (below - above) / curvature) if curvature < 0 else 0.0


def _design(kind: TransformKind, points: np.ndarray) -> np.ndarray:
    """Return the motion of every coordinate per parameter, shape (2 n, parameters)."""
    return transforms.motions(kind, points).transpose(1, 2, 0).reshape(2 * len(points), -1)
