"""From evidence to a verdict with its reason in words."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.block_matching import Agreement
from napari_aeanet.registration.result import Verdict
from napari_aeanet.registration.search import Found

#: Local drift from here on (target pixels, RMS) is told to the user.
DRIFT_LIMIT = 0.5
#: Evidence (matches and confirming blocks) that spans less than this share of the overlap fixes
#: one corner only.
SMALLEST_SPREAD = 0.2
#: The correlation may be this much lower than before without being called lower.
CORRELATION_SLACK = 0.02


@dataclass(frozen=True, kw_only=True)
class Expectations:
    """What is known beforehand: see `RegistrationSettings`. The scale is None if unknown."""

    scale: float | None
    scale_tolerance: float
    rotation_tolerance: float


def judge(
    *,
    found: Found,
    matrix: np.ndarray,
    matches: np.ndarray,
    agreement: Agreement,
    overlap_area: float,
    expected: Expectations,
) -> tuple[Verdict, str]:
    """Verdict and reason of a transform that was found.

    `matrix`, `matches`, `agreement` and `overlap_area` are in pixels of the images.
    """
    if not agreement.holds and not agreement.hints:
        return Verdict.FAILED, (
            f"the images do not match: only {agreement.agreeing} of {agreement.blocks} blocks "
            "confirm the best transform found. Check that both show the same place, or give three "
            "landmarks"
        )
    doubts = []
    if not agreement.holds:
        doubts.append(f"only {agreement.agreeing} of {agreement.blocks} blocks confirm it")
    evidence = np.concatenate([matches[:, 1], agreement.points])
    if _spread(evidence) < SMALLEST_SPREAD * overlap_area:
        doubts.append("all that speaks for it lies in one place")
    doubts += _doubts_about_scale(transforms.scale_of(matrix), expected)
    rotation, limit = transforms.rotation_of(matrix), expected.rotation_tolerance
    if abs(rotation) > limit:
        doubts.append(f"the source is turned by {rotation:.1f} degrees, beyond {limit:g}")
    before, after = found.correlation_before, found.correlation_after
    if after < before - CORRELATION_SLACK:
        doubts.append(f"the correlation fell from {before:.2f} to {after:.2f}")
    if doubts:
        return Verdict.DOUBTFUL, "; ".join(doubts)
    facts = f"{agreement.agreeing} of {agreement.blocks} blocks confirm it"
    if found.inverted:
        facts += "; the contrast is inverted"
    if agreement.drift >= DRIFT_LIMIT:
        return Verdict.DRIFTS, f"{facts}; parts keep {agreement.drift:.1f} px of local drift"
    return Verdict.GOOD, facts


def _doubts_about_scale(scale: float, expected: Expectations) -> list[str]:
    if expected.scale is None:
        if scale < 0.9:
            return [f"the source is {1 / scale:.2g}x finer than the target: are they swapped?"]
        return []
    tolerance = np.log1p(expected.scale_tolerance)
    if abs(np.log(scale / expected.scale)) <= tolerance:
        return []
    doubt = f"the magnification is {scale:.3g} where {expected.scale:.3g} was expected"
    if abs(np.log(scale * expected.scale)) <= tolerance:
        doubt += ": are source and target swapped?"
    return [doubt]


def _spread(points: np.ndarray) -> float:
    """Area that points span (of their convex hull)."""
    hull = cv2.convexHull(np.ascontiguousarray(points, dtype=np.float32))
    return float(cv2.contourArea(hull))
