"""Bring two neighbouring sections onto one grid between them, or onto that of a third.

Serial sections are shifted and turned against each other. With M the transform from pixels of the
section before to those of the section after (`register_sections`), the grid at the position t
between them (0: before, 1: after) leads to the one by M^(-t) and to the other by M^(1 - t): shift
and turn are shared out, and no section in the stack has to be moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from scipy import linalg

from napari_aeanet.core.image import Image
from napari_aeanet.stacks import register_sections

#: Longest side of a section: OpenCV resamples no longer ones.
LONGEST_SIDE = 2**15 - 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """Two sections as they were recorded, and where they lie on a grid between them.

    Attributes
    ----------
    before, after
        Pixels (y, x), float32, finite.
    to_before, to_after
        3x3, float64: pixel (y, x, 1) of the grid to pixel of the section.
    at
        Position of the grid: 0 is that of `before`, 1 that of `after`.
    correlation
        Of the coarse structure of the two, or the weakest on the way through sections in between.
    """

    before: np.ndarray
    after: np.ndarray
    to_before: np.ndarray
    to_after: np.ndarray
    at: float = 0.5
    correlation: float

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.before.shape
        return height, width

    def warped(
        self,
        flow_before: np.ndarray | None = None,
        flow_after: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return both sections on the grid, resampled once, each moved by its flow if given.

        A flow (y, x, 2) is in pixels of the grid, in the order x, y: the value at p is that of
        the section at p + flow(p).
        """
        return (
            resampled(self.before, self.to_before, flow_before),
            resampled(self.after, self.to_after, flow_after),
        )

    def covered(
        self,
        flow_before: np.ndarray | None = None,
        flow_after: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where each of both sections has the pixels that `warped` shows, as booleans."""
        return (
            covered(self.before, self.to_before, flow_before),
            covered(self.after, self.to_after, flow_after),
        )


def neighbours_between(
    before: np.ndarray,
    after: np.ndarray,
    at: float = 0.5,
    between: Sequence[np.ndarray] = (),
) -> Neighbours | None:
    """Return two sections with the grid at `at` between them; None if they do not match.

    Sections two apart resemble each other little. Where the damaged ones `between` them, in their
    order, match their neighbours better, the way leads through them.
    """
    check_sections(before, *between, after)
    found = [way for way in (_way(before, after), _way(before, *between, after)) if way is not None]
    if not found:
        return None
    matrix, correlation = max(found, key=lambda way: way[1])
    return Neighbours(
        before=before,
        after=after,
        to_before=power(matrix, -at),
        to_after=power(matrix, 1 - at),
        at=at,
        correlation=correlation,
    )


def _way(*sections: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Return the transform from the first section to the last one, and its weakest correlation."""
    matrix, correlation = np.eye(3), 1.0
    for first, second in pairwise(sections):
        match = register_sections(Image(first, "YX"), Image(second, "YX"))
        if match.matrix is None:
            return None
        matrix, correlation = match.matrix @ matrix, min(correlation, match.correlation)
    return matrix, correlation


def neighbours_of(
    middle: np.ndarray, before: np.ndarray, after: np.ndarray, at: float = 0.5
) -> Neighbours | None:
    """Return two sections on the grid of the one between them; None if one does not match it.

    For training and for scores, where the section between is known.
    """
    check_sections(before, middle, after)
    matches = [register_sections(Image(middle, "YX"), Image(one, "YX")) for one in (before, after)]
    first, second = (match.matrix for match in matches)
    if first is None or second is None:
        return None
    return Neighbours(
        before=before,
        after=after,
        to_before=first,
        to_after=second,
        at=at,
        correlation=min(match.correlation for match in matches),
    )


def power(matrix: np.ndarray, share: float) -> np.ndarray:
    """Return `matrix` to the power `share`: half of a motion at 0.5, the way back at -1."""
    return np.real(linalg.expm(share * linalg.logm(matrix)))


def resampled(values: np.ndarray, matrix: np.ndarray, flow: np.ndarray | None = None) -> np.ndarray:
    """Return a section on the grid, its border repeated outwards."""
    x, y = _places(values.shape, matrix, flow)
    return cv2.remap(values, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def covered(values: np.ndarray, matrix: np.ndarray, flow: np.ndarray | None = None) -> np.ndarray:
    """Return True where a section has pixels on the grid."""
    x, y = _places(values.shape, matrix, flow)
    height, width = values.shape
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def _places(
    shape: tuple[int, ...], matrix: np.ndarray, flow: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y in the section for every pixel of the grid."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    if flow is not None:
        x, y = x + flow[..., 0], y + flow[..., 1]
    m = matrix.astype(np.float32)
    return m[1, 0] * y + m[1, 1] * x + m[1, 2], m[0, 0] * y + m[0, 1] * x + m[0, 2]


def check_sections(*sections: np.ndarray) -> None:
    """Raise a ValueError unless all sections have one size that can be resampled."""
    shapes = {section.shape for section in sections}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        found = ", ".join(" x ".join(map(str, shape)) for shape in sorted(shapes))
        raise ValueError(f"Neighbouring sections must be planes of one size, got {found} pixels.")
    if max(sections[0].shape) > LONGEST_SIDE:
        raise ValueError(f"Sections may have up to {LONGEST_SIDE} pixels a side.")
