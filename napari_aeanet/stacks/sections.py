"""Match neighbouring serial sections, which resemble each other in their coarse structure only.

Neighbours hold the same neurites at slightly other places, and everything fine differs. So the
correlation of strongly blurred sections is maximised (`cv2.findTransformECC`), from no motion and
from the shift found by phase correlation; the higher correlation is kept. Slow changes of
brightness are removed first.

Median error against applied shifts and turns on two stacks of neural tissue of 512 x 512 pixels:
0.2 and 0.3 px between neighbours, 0.7 and 0.9 px between sections two apart; 0.07 CPU s a pair. A
third level with half the blur took three times as long and was no better.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.registration import Plane, covered_share, read_plane, reduced, transforms

#: Blur (standard deviation) and reduction of each level in pixels of a section of `FULL_SIDE` or
#: more; both are smaller in smaller sections, so that as much structure is compared.
LEVELS = ((8.0, 4), (4.0, 2))
FULL_SIDE = 512
#: Slow changes of brightness: what a blur of this many pixels leaves.
SHADING = 64.0
#: Lowest correlation of a match. Of 24 mirrored or turned sections one reached 0.26, the others
#: at most 0.24; neighbours in two stacks of neural tissue had 0.39 to 0.8.
LOWEST_CORRELATION = 0.25
#: Smallest share of the fixed section that the moving one covers after a match, smallest side in
#: pixels, and largest change of area (of the affine).
SMALLEST_COVERAGE, SMALLEST_SIDE, LARGEST_STRETCH = 0.3, 32, 1.5
ITERATIONS, TOLERANCE = 60, 1e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class SectionMatch:
    """How one section lies on another.

    Attributes
    ----------
    matrix
        3x3, float64: pixel (y, x, 1) of the fixed section to pixel of the moving one, between
        pixel centres; None if no match was found.
    correlation
        Correlation of the blurred sections over their overlap, at the best transform tried; 0 if
        a section is blank.
    """

    matrix: np.ndarray | None
    correlation: float

    @property
    def is_found(self) -> bool:
        return self.matrix is not None

    def inverse(self) -> SectionMatch:
        """Return the match from the moving section to the fixed one."""
        matrix = None if self.matrix is None else np.linalg.inv(self.matrix)
        return SectionMatch(matrix=matrix, correlation=self.correlation)


def register_sections(
    fixed: ImageSource,
    moving: ImageSource,
    *,
    affine: bool = False,
    lowest: float = LOWEST_CORRELATION,
) -> SectionMatch:
    """Find shift and rotation (with `affine` also shear and scales) between two sections.

    Parameters
    ----------
    fixed, moving
        One plane (y, x) each: an image, an array or a file.
    lowest
        Nothing is found below this correlation. Sections that have nothing in common often reach
        0.15.
    """
    check_type("affine", affine, bool)
    first, second = _plane(fixed, "fixed"), _plane(moving, "moving")
    matrix, correlation = _match(first.values, second.values, affine)
    if matrix is None or correlation < lowest:
        return SectionMatch(matrix=None, correlation=correlation)
    matrix = second.to_image @ matrix @ np.linalg.inv(first.to_image)
    return SectionMatch(matrix=matrix, correlation=correlation)


def _plane(source: ImageSource, name: str) -> Plane:
    image = as_image(source, name)
    if image.axes != "YX":
        raise ValueError(f"{name} must be one plane (y, x), got the axes '{image.axes}'.")
    return read_plane(image, 0)


def _match(fixed: np.ndarray, moving: np.ndarray, affine: bool) -> tuple[np.ndarray | None, float]:
    """Return the best transform between two planes, None if there is none, and its correlation."""
    if min(*fixed.shape, *moving.shape) < SMALLEST_SIDE:
        return None, 0.0
    motion = cv2.MOTION_AFFINE if affine else cv2.MOTION_EUCLIDEAN
    size = min(1.0, min(*fixed.shape, *moving.shape) / FULL_SIDE)
    guesses: list[np.ndarray] = []
    best: np.ndarray | None = None
    highest = 0.0
    for blur, step in LEVELS:
        first, up_first = blurred(fixed, blur * size, step * size)
        second, up_second = blurred(moving, blur * size, step * size)
        if not first.any() or not second.any():
            return None, 0.0
        if best is None:
            shifted = up_second @ _phase_shift(first, second) @ np.linalg.inv(up_first)
            guesses = [np.eye(3), shifted]
        else:
            guesses = [best]
        best, highest = None, 0.0
        for guess in guesses:
            start = np.linalg.inv(up_second) @ guess @ up_first
            found, correlation = _maximise(first, second, start, motion)
            if found is not None and (best is None or correlation > highest):
                best, highest = up_second @ found @ np.linalg.inv(up_first), correlation
        if best is None or not _is_plausible(best, fixed, moving):
            return None, highest
    return best, highest


def blurred(plane: np.ndarray, blur: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the plane, averaged down, blurred and without shading, and the matrix back to it."""
    small, up = reduced(plane, step)
    factor = transforms.scale_of(up)
    if np.ptp(small) == 0:
        return np.zeros_like(small), up
    smooth = cv2.GaussianBlur(small, (0, 0), max(blur / factor, 0.5))
    return smooth - cv2.GaussianBlur(small, (0, 0), SHADING / factor), up


def _phase_shift(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the shift by phase correlation of the common upper left part."""
    rows, columns = np.minimum(first.shape, second.shape)
    window = cv2.createHanningWindow((int(columns), int(rows)), cv2.CV_32F)
    parts = (np.ascontiguousarray(one[:rows, :columns]) for one in (first, second))
    (dx, dy), _ = cv2.phaseCorrelate(*parts, window)
    return transforms.translation((dy, dx))


def _maximise(
    first: np.ndarray, second: np.ndarray, start: np.ndarray, motion: int
) -> tuple[np.ndarray | None, float]:
    """Maximise the correlation from `start`; None if that leads nowhere."""
    swap = [1, 0, 2]  # OpenCV has (x, y)
    matrix = start[np.ix_(swap, swap)][:2].astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, ITERATIONS, TOLERANCE)
    try:
        with np.errstate(all="ignore"):
            correlation, matrix = cv2.findTransformECC(
                first, second, matrix, motion, criteria, None, 1
            )
    except cv2.error:  # no overlap left, or a singular step
        return None, 0.0
    if not np.isfinite(matrix).all() or not np.isfinite(correlation):
        return None, 0.0
    found = np.vstack([matrix.astype(np.float64), [0, 0, 1]])[np.ix_(swap, swap)]
    return found, float(correlation)


def _is_plausible(matrix: np.ndarray, fixed: np.ndarray, moving: np.ndarray) -> bool:
    """Return True unless the sections hardly overlap, or one is stretched out of proportion."""
    area = float(np.linalg.det(matrix))
    if not 1 / LARGEST_STRETCH < area < LARGEST_STRETCH:
        return False
    covered = covered_share(np.linalg.inv(matrix), moving.shape, fixed.shape)
    return covered >= SMALLEST_COVERAGE
