"""Sub-pixel alignment: the transform that makes two images correlate most.

The criterion is the enhanced correlation coefficient: the correlation of the two images, each
less its mean, over their overlap, which neither gain nor offset changes. Both images are first
reduced to their detail (a fine less a coarse blur), so that slow changes of brightness do not
matter either. The step is taken within the wanted kind of transform: a similarity stays one, so
nothing is lost by projecting a freer transform back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from napari_aeanet.registration import transforms, whitened_refinement
from napari_aeanet.registration.preprocessing import reduced
from napari_aeanet.registration.transforms import Kind

#: Detail = blur with the first less blur with the second, in pixels of the working planes.
FINE_BLUR, COARSE_BLUR = 0.7, 6.0
#: Left out along every border, where the coarse blur of the two images saw different things: a
#: sixteenth of the shorter side within these limits (pixels).
NARROWEST_MARGIN, WIDEST_MARGIN = 4, 10
#: Overlaps smaller than this many pixels decide nothing.
SMALLEST_OVERLAP = 400
#: Planes halved to fewer pixels along a side are left out.
SMALLEST_LEVEL = 48
#: Of a parameter, in units of half the image: a longer step has left the range it was taken from.
LONGEST_STEP = 0.1
#: Steps of the last refinement, which begins near its end, and how far it may move the corners.
POLISHING_STEPS, LONGEST_POLISHING = 6, 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Aligned:
    """Source onto target plane, the correlation of their detail over the overlap, and both details.

    The correlation is -inf where the planes do not overlap.
    """

    matrix: np.ndarray
    correlation: float
    details: tuple[np.ndarray, np.ndarray]


def detail(plane: np.ndarray) -> np.ndarray:
    """What is neither pixel noise nor slow brightness."""
    fine = cv2.GaussianBlur(plane, (0, 0), FINE_BLUR)
    return fine - cv2.GaussianBlur(plane, (0, 0), COARSE_BLUR)


def align(
    source: np.ndarray,
    target: np.ndarray,
    matrix: np.ndarray,
    kind: Kind,
    *,
    levels: int = 3,
    iterations: int = 12,
) -> Aligned:
    """Refine `matrix` (source plane to target plane), coarse to fine over `levels` halvings."""
    for level in range(levels - 1, -1, -1):
        small_source, up_source = reduced(source, 2**level)
        small_target, up_target = reduced(target, 2**level)
        if level and min(*small_source.shape, *small_target.shape) < SMALLEST_LEVEL:
            continue
        start = np.linalg.inv(up_target) @ matrix @ up_source
        details = detail(small_source), detail(small_target)
        found, highest = _climb(*details, start, kind, iterations, finest=level == 0)
        matrix = up_target @ found @ np.linalg.inv(up_source)
    matrix = _polished(source, target, matrix, kind)
    return Aligned(matrix=matrix / matrix[2, 2], correlation=highest, details=details)


def _polished(source: np.ndarray, target: np.ndarray, matrix: np.ndarray, kind: Kind) -> np.ndarray:
    """The matrix refined once more on optimally weighted planes; as it was where that fails."""
    seen, inside = warp(
        source, np.linalg.inv(matrix), target.shape, margin=whitened_refinement.MARGIN
    )
    if inside.sum() < SMALLEST_OVERLAP:
        return matrix
    weight = whitened_refinement.weights(target, seen, inside)
    if weight is None:
        return matrix
    source, target = (whitened_refinement.weighted(plane, weight) for plane in (source, target))
    found, _ = _climb(
        source,
        target,
        matrix,
        kind,
        POLISHING_STEPS,
        finest=True,
        margin=whitened_refinement.MARGIN,
    )
    moved = transforms.corner_distance(found @ np.linalg.inv(matrix), np.eye(3), target.shape)
    return found if moved < LONGEST_POLISHING else matrix


def correlation(details: tuple[np.ndarray, np.ndarray], matrix: np.ndarray) -> float:
    """Correlation of the detail of two planes over their overlap; 0 if that is too small."""
    source, target = details
    values, inside = warp(source, np.linalg.inv(matrix), target.shape)
    if inside.sum() < SMALLEST_OVERLAP:
        return 0.0
    first, second = values[inside], target[inside]
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / norm if norm else 0.0


def warp(
    plane: np.ndarray,
    matrix: np.ndarray,
    shape: tuple[int, int],
    *,
    exact: bool = False,
    margin: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The plane seen through `matrix` (grid to plane) on a grid of `shape`, and where to trust it.

    Trusted is what lies inside both the grid and the plane, a margin along their borders apart
    (by default as wide as the coarse blur asks for).
    The quick cubic interpolation is good to some hundredths of a pixel; the `exact` one, a cubic
    B-spline of the plane whose coefficients are given, to some thousandths.
    """
    height, width = plane.shape
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    # A homography has a horizon; beyond it (ones <= 0) there is nothing to be seen.
    ones = np.maximum(matrix[2, 0] * y + matrix[2, 1] * x + matrix[2, 2], 1e-6)
    sy = (matrix[0, 0] * y + matrix[0, 1] * x + matrix[0, 2]) / ones
    sx = (matrix[1, 0] * y + matrix[1, 1] * x + matrix[1, 2]) / ones
    if margin is None:
        margin = int(np.clip(min(*shape, height, width) // 16, NARROWEST_MARGIN, WIDEST_MARGIN))
    inside = (y >= margin) & (y < shape[0] - margin) & (x >= margin) & (x < shape[1] - margin)
    inside &= (sy >= margin) & (sy <= height - 1 - margin)
    inside &= (sx >= margin) & (sx <= width - 1 - margin)
    if exact:
        values = ndimage.map_coordinates(
            plane, [sy, sx], order=3, mode="nearest", prefilter=False, output=np.float32
        )
    else:
        maps = (sx.astype(np.float32), sy.astype(np.float32))
        values = cv2.remap(plane, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return values, inside


def _climb(
    source: np.ndarray,
    target: np.ndarray,
    matrix: np.ndarray,
    kind: Kind,
    iterations: int,
    *,
    finest: bool,
    margin: int | None = None,
) -> tuple[np.ndarray, float]:
    """Gauss-Newton on the correlation, inverse compositional.

    The step found by `_step` is the motion of the target that explains how it differs from the
    warped source; its inverse is applied to the warp, until it moves the corners by next to
    nothing. Gives the refined matrix and the highest correlation on the way.
    """
    shape, tolerance = target.shape, 0.002 if finest else 0.02
    if finest:
        source = ndimage.spline_filter(source, order=3, output=np.float32, mode="nearest")
    to_unit = np.diag([2 / max(shape)] * 2 + [1.0]) @ transforms.translation(
        -transforms.centre(shape)
    )
    from_unit = np.linalg.inv(to_unit)
    steepest = _steepest(target, kind, to_unit)
    inverse = np.linalg.inv(matrix)  # target grid -> source
    best, best_correlation = inverse, -np.inf
    for _ in range(iterations):
        values, inside = warp(source, inverse, shape, exact=finest, margin=margin)
        if inside.sum() < SMALLEST_OVERLAP:
            break
        parameters, correlation = _step(target[inside], steepest[:, inside], values[inside])
        if correlation > best_correlation:
            best, best_correlation = inverse, correlation
        if parameters is None:
            break
        step = np.eye(3) + np.einsum("p,pij->ij", parameters, transforms.generators(kind))
        motion = from_unit @ step @ to_unit
        inverse = inverse @ np.linalg.inv(motion)
        inverse = inverse / inverse[2, 2]
        if transforms.corner_distance(motion, np.eye(3), shape) < tolerance:
            best = inverse
            break
    return np.linalg.inv(best), float(best_correlation)


def _step(
    target: np.ndarray, steepest: np.ndarray, warped: np.ndarray
) -> tuple[np.ndarray | None, float]:
    """The motion of the target that makes it most like the warped source, and their correlation.

    With t the target, w the warped source and J the change of t per parameter, all less their
    mean, w = a t + J b is solved by least squares, and b / a is the motion. Where it is zero, w
    and J are uncorrelated given t: the correlation of t and w has its maximum. None is returned
    instead of a motion where w does not resemble t at all (a <= 0).
    """
    columns = np.vstack([target[None], steepest])
    columns -= columns.mean(axis=1, keepdims=True)
    w = warped - warped.mean()
    normal = (columns @ columns.T).astype(np.float64)
    right = (columns @ w).astype(np.float64)
    energy = normal[0, 0] * float(w @ w)
    if energy <= 0:
        return None, 0.0
    gain, *motion = np.linalg.lstsq(normal, right, rcond=None)[0]
    correlation = right[0] / np.sqrt(energy)
    if gain <= 0:
        return None, correlation
    return np.clip(np.array(motion) / gain, -LONGEST_STEP, LONGEST_STEP), correlation


def _steepest(target: np.ndarray, kind: Kind, unit: np.ndarray) -> np.ndarray:
    """How each parameter of the motion changes the target, shape (parameters, height, width)."""
    dy, dx = (g / np.float32(unit[0, 0]) for g in np.gradient(target))
    y, x = np.ogrid[: target.shape[0], : target.shape[1]]
    y = (unit[0, 0] * y + unit[0, 2]).astype(np.float32)
    x = (unit[1, 1] * x + unit[1, 2]).astype(np.float32)
    along = dy * y + dx * x
    columns = []
    for g in transforms.generators(kind).astype(np.float32):
        # motion = (G q)[:2] - q (G q)[2] with q = (y, x, 1), as in transforms.motions
        ones = g[2, 0] * y + g[2, 1] * x
        columns.append(
            dy * (g[0, 0] * y + g[0, 1] * x + g[0, 2])
            + dx * (g[1, 0] * y + g[1, 1] * x + g[1, 2])
            - along * ones
        )
    return np.stack(columns)
