"""Does a transform hold all over the image? Asked block by block, with a control.

The registered source is cut into blocks, and each is looked for in the target near its place.
As a control the same block is looked for at a wrong place. A block *speaks* when it is found
with a higher correlation than the controls are, and *agrees* when it also lies where the
transform says. What the blocks are off by is the local drift that the transform cannot follow.
Blocks with little in them are found less exactly, and count less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.refinement import warp
from napari_aeanet.registration.transforms import Kind

#: How far around its place a block is looked for, at most and at least (pixels).
LONGEST_REACH, SHORTEST_REACH = 8, 4
#: Sides of a block, likewise; an eighth of the field in between.
LARGEST_BLOCK, SMALLEST_BLOCK = 64, 16
#: A block that is found further off than this does not agree (pixels).
AGREES_WITHIN = 4.0
#: Pixels of detail that share one piece of noise, since it is blurred.
NOISE_AREA = 8.0
#: What no block can be found better than, for all the noise counted (pixels).
BEST_PRECISION = 0.1
#: Share of the control correlations that a block must beat to speak.
CONTROL_QUANTILE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """What the blocks say. Points and displacements are (y, x) in pixels of the target plane.

    `displacements` say where the target has what the transform puts at `points`: zero is perfect.
    `precisions` are their standard errors, per coordinate. Only agreeing blocks are listed.
    """

    blocks: int
    speaking: int
    points: np.ndarray
    displacements: np.ndarray
    precisions: np.ndarray

    @property
    def agreeing(self) -> int:
        return len(self.points)

    @property
    def holds(self) -> bool:
        """Far more blocks agree than chance allows (about 1 % of the blocks of a wrong pair)."""
        return self.agreeing >= max(5, 0.15 * self.blocks, 0.6 * self.speaking)

    @property
    def hints(self) -> bool:
        """More blocks agree than chance explains, but not convincingly."""
        return self.agreeing >= max(3, 0.08 * self.blocks, 0.4 * self.speaking)

    @property
    def drift(self) -> float:
        """Root mean square length of the displacements (what noise adds to them included)."""
        if not self.agreeing:
            return float("nan")
        squares = (self.displacements**2).sum(axis=1)
        return float(np.sqrt(np.average(squares, weights=self.precisions**-2)))

    def scaled(self, matrix: np.ndarray) -> Agreement:
        """The same in the pixels to which `matrix` (an enlargement) takes those of the plane."""
        return replace(
            self,
            points=transforms.apply(matrix, self.points),
            displacements=self.displacements @ matrix[:2, :2].T,
            precisions=self.precisions * transforms.scale_of(matrix),
        )

    def expected_corner_error(self, kind: Kind, shape: tuple[int, int]) -> float:
        """Standard error of the transform, as RMS over the corners of a field of `shape`.

        Taken from the scatter of the blocks around the transform, by the usual formula for a
        least-squares fit: covariance = s^2 (A^T W A)^-1, A the motion of the blocks per
        parameter, W their weights, s^2 the weighted scatter.
        """
        if self.agreeing < 2:
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


def measure(details: tuple[np.ndarray, np.ndarray], matrix: np.ndarray) -> Agreement:
    """Ask the blocks whether `matrix` holds; `details` are those of source and target plane."""
    source, fixed = details
    moved, inside = warp(source, np.linalg.inv(matrix), fixed.shape)
    corners, size, reach = _blocks(inside)
    if len(corners) < 3:
        none = np.empty((0, 2))
        return Agreement(
            blocks=len(corners), speaking=0, points=none, displacements=none, precisions=none[:, 0]
        )
    templates = [moved[y : y + size, x : x + size] for y, x in corners]
    fields = [fixed[y - reach : y + size + reach, x - reach : x + size + reach] for y, x in corners]
    wrong_fields = np.roll(np.arange(len(corners)), len(corners) // 2)
    control = [
        _correlations(template, fields[i]).max()
        for template, i in zip(templates, wrong_fields, strict=True)
    ]
    found = [_find(template, field) for template, field in zip(templates, fields, strict=True)]
    peaks, displacements, residuals, slopes = (np.array(v) for v in zip(*found, strict=True))
    # Where there is drift within a block, its residual is not noise: hence the median of all.
    noise = NOISE_AREA * np.median(residuals)
    precisions = np.sqrt(noise / np.maximum(slopes, 1e-30) + BEST_PRECISION**2)
    speaking = peaks > np.quantile(control, CONTROL_QUANTILE)
    agreeing = speaking & (np.linalg.norm(displacements, axis=1) <= AGREES_WITHIN)
    points = np.asarray(corners, dtype=np.float64) + (size - 1) / 2
    return Agreement(
        blocks=len(corners),
        speaking=int(speaking.sum()),
        points=points[agreeing],
        displacements=displacements[agreeing],
        precisions=precisions[agreeing],
    )


def _blocks(inside: np.ndarray) -> tuple[list[tuple[int, int]], int, int]:
    """Corners of the blocks that lie, reach included, where both images exist; size and reach."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return [], 0, 0
    (top, bottom), (left, right) = (rows[[0, -1]], columns[[0, -1]])
    shorter = int(min(bottom - top, right - left))
    size = int(np.clip(shorter // 8, SMALLEST_BLOCK, LARGEST_BLOCK))
    reach = int(np.clip(shorter // 16, SHORTEST_REACH, LONGEST_REACH))
    corners = [
        (int(y), int(x))
        for y in range(top + reach, bottom - size - reach + 2, size)
        for x in range(left + reach, right - size - reach + 2, size)
        if inside[y - reach : y + size + reach, x - reach : x + size + reach].all()
    ]
    return corners, size, reach


def _correlations(template: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Correlation of a block with every place of a larger field."""
    return cv2.matchTemplate(field, template, cv2.TM_CCOEFF_NORMED)


def _find(
    template: np.ndarray, field: np.ndarray
) -> tuple[float, tuple[float, float], float, float]:
    """Look for a block in the field around it.

    Gives the highest correlation r, the displacement d there, the variance of what the block
    does not explain of the field, and the sum of the squared slopes of what it does explain: for
    a field g t(x - d) + noise the standard error of d is, by the Cramér-Rao bound,
    sqrt(noise variance / sum of squared slopes of g t), and g^2 = r^2 var(field) / var(t).
    """
    surface = _correlations(template, field)
    y, x = (int(i) for i in np.unravel_index(int(np.argmax(surface)), surface.shape))
    reach = (surface.shape[0] - 1) // 2
    peak = float(np.clip(surface[y, x], 0.0, 1.0))
    displacement = (
        y + _peak_offset(surface[:, x], y) - reach,
        x + _peak_offset(surface[y], x) - reach,
    )
    variance = float(field[reach:-reach, reach:-reach].var())
    slopes = sum(float((slope**2).sum()) for slope in np.gradient(template)) / 2
    explained = peak**2 * variance / max(float(template.var()), 1e-30) * slopes
    return peak, displacement, (1 - peak**2) * variance, explained


def _peak_offset(line: np.ndarray, at: int) -> float:
    """Where between the samples a Gaussian through the three values around `at` has its top."""
    if not 0 < at < len(line) - 1:
        return 0.0
    below, top, above = line[at - 1 : at + 2]
    if min(below, above) > 0:
        below, top, above = np.log([below, top, above])
    curvature = below - 2 * top + above
    return float(0.5 * (below - above) / curvature) if curvature < 0 else 0.0


def _design(kind: Kind, points: np.ndarray) -> np.ndarray:
    """Motion of every coordinate per parameter, shape (2 n, parameters)."""
    return transforms.motions(kind, points).transpose(1, 2, 0).reshape(2 * len(points), -1)
