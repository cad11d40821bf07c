"""Sub-pixel alignment: the transform that makes two images correlate most.

The criterion is the enhanced correlation coefficient: the correlation of the two images, each
less its mean, over their overlap, which is invariant to gain and offset. Both images are first
reduced to their detail (a fine less a coarse blur), which removes slow changes of brightness.
Steps stay within the given kind of transform: no freer transform is projected back.

`cv2.findTransformECC` is five times faster, but has no similarity and interpolates linearly: its
corner error is up to 2.6 times as large in clean images (0.0117 instead of 0.0045 px), and 13 to
26 % larger in noise, relative to the theoretical bound (docs/dependencies.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from napari_aeanet.registration import transforms, whitened_refinement
from napari_aeanet.registration.preprocessing import reduced
from napari_aeanet.registration.transforms import TransformKind

#: Detail = blur with the first less blur with the second, in pixels of the working planes.
FINE_BLUR, COARSE_BLUR = 0.7, 6.0
#: Margin left out along every border, where the coarse blurs of the two images cover different
#: areas: a sixteenth of the shorter side within these limits (pixels).
NARROWEST_MARGIN, WIDEST_MARGIN = 4, 10
#: Fewest pixels of an overlap that counts.
SMALLEST_OVERLAP = 400
#: Shortest side of a pyramid level.
SMALLEST_LEVEL = 48
#: Largest change of a parameter in one step, in units of half the image: beyond it the linear
#: approximation is invalid.
LONGEST_STEP = 0.1
#: Iterations of the last, whitened refinement, and the largest corner shift that it may add.
WHITENED_STEPS, LARGEST_WHITENED_SHIFT = 6, 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """Matrix from source to target plane, correlation of their detail over the overlap, details.

    The correlation is -inf where the planes do not overlap.
    """

    matrix: np.ndarray
    correlation: float
    details: tuple[np.ndarray, np.ndarray]


def detail(plane: np.ndarray) -> np.ndarray:
    """Remove pixel noise and slow changes of brightness (difference of Gaussians)."""
    fine = cv2.GaussianBlur(plane, (0, 0), FINE_BLUR)
    return fine - cv2.GaussianBlur(plane, (0, 0), COARSE_BLUR)


def align(
    source: np.ndarray,
    target: np.ndarray,
    matrix: np.ndarray,
    kind: TransformKind,
    *,
    levels: int = 3,
    iterations: int = 12,
) -> Alignment:
    """Refine `matrix` (source plane to target plane), coarse to fine over `levels` halvings."""
    for level in range(levels - 1, -1, -1):
        small_source, up_source = reduced(source, 2**level)
        small_target, up_target = reduced(target, 2**level)
        if level and min(*small_source.shape, *small_target.shape) < SMALLEST_LEVEL:
            continue
        start = np.linalg.inv(up_target) @ matrix @ up_source
        details = detail(small_source), detail(small_target)
        found, highest = _maximise(*details, start, kind, iterations, finest=level == 0)
        matrix = up_target @ found @ np.linalg.inv(up_source)
    matrix = _refine_whitened(source, target, matrix, kind)
    return Alignment(matrix=matrix / matrix[2, 2], correlation=highest, details=details)


def _refine_whitened(
    source: np.ndarray, target: np.ndarray, matrix: np.ndarray, kind: TransformKind
) -> np.ndarray:
    """Refine the matrix on optimally weighted planes; return it unchanged where that fails."""
    margin = whitened_refinement.MARGIN
    warped, inside = warp(source, np.linalg.inv(matrix), target.shape, margin=margin)
    if inside.sum() < SMALLEST_OVERLAP:
        return matrix
    weight = whitened_refinement.weights(target, warped, inside)
    if weight is None:
        return matrix
    source, target = (whitened_refinement.weighted(plane, weight) for plane in (source, target))
    found, _ = _maximise(source, target, matrix, kind, WHITENED_STEPS, finest=True, margin=margin)
    moved = transforms.corner_distance(found @ np.linalg.inv(matrix), np.eye(3), target.shape)
    return found if moved < LARGEST_WHITENED_SHIFT else matrix


def correlation(details: tuple[np.ndarray, np.ndarray], matrix: np.ndarray) -> float:
    """Correlate the detail of two planes over their overlap; 0 if that is too small."""
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
    """Warp the plane by `matrix` (grid to plane) to a grid of `shape`; return it with a mask.

    The mask is True inside both the grid and the plane, except for a margin along their borders
    (by default as wide as the coarse blur requires).
    The fast cubic interpolation is good to some hundredths of a pixel; the `exact` one, a cubic
    B-spline of the plane whose coefficients are given, to some thousandths.
    """
    height, width = plane.shape
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    # Points beyond the horizon of a homography have ones <= 0.
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


def _maximise(
    source: np.ndarray,
    target: np.ndarray,
    matrix: np.ndarray,
    kind: TransformKind,
    iterations: int,
    *,
    finest: bool,
    margin: int | None = None,
) -> tuple[np.ndarray, float]:
    """Maximise the correlation by Gauss-Newton steps, inverse compositional.

    `_step` finds the motion of the target that explains its difference from the warped source;
    the inverse motion is composed with the warp until the corners move by less than a tolerance.
    Returns the refined matrix and the highest correlation.
    """
    shape, tolerance = target.shape, 0.002 if finest else 0.02
    if finest:
        source = ndimage.spline_filter(source, order=3, output=np.float32, mode="nearest")
    to_unit = np.diag([2 / max(shape)] * 2 + [1.0]) @ transforms.translation(
        -transforms.centre(shape)
    )
    from_unit = np.linalg.inv(to_unit)
    derivatives = _derivatives(target, kind, to_unit)
    inverse = np.linalg.inv(matrix)  # target grid -> source
    best, best_correlation = inverse, -np.inf
    for _ in range(iterations):
        values, inside = warp(source, inverse, shape, exact=finest, margin=margin)
        if inside.sum() < SMALLEST_OVERLAP:
            break
        parameters, correlation = _step(target[inside], derivatives[:, inside], values[inside])
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
    target: np.ndarray, derivatives: np.ndarray, warped: np.ndarray
) -> tuple[np.ndarray | None, float]:
    """Find the motion of the target towards the warped source; return it with the correlation.

    With t the target, w the warped source and J the change of t per parameter, all less their
    mean, w = a t + J b is solved by least squares, and b / a is the motion. Where it is zero, w
    and J are uncorrelated given t: the correlation of t and w has its maximum. The motion is
    None where w and t are not positively correlated (a <= 0).
    """
    columns = np.vstack([target[None], derivatives])
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


def _derivatives(target: np.ndarray, kind: TransformKind, unit: np.ndarray) -> np.ndarray:
    """Return the derivative of the target per parameter, shape (parameters, height, width)."""
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
