"""Verdict on a transform, with its reason, from the evidence."""

from __future__ import annotations

import cv2
import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.block_matching import BlockMatches
from napari_aeanet.registration.deformation import Deformation
from napari_aeanet.registration.result import Verdict
from napari_aeanet.registration.search import SearchResult
from napari_aeanet.registration.settings import RegistrationSettings

#: Smallest local drift that is reported (target pixels, RMS).
DRIFT_LIMIT = 0.5
#: Smallest share of the overlap that the evidence (matches and consistent blocks) must span.
SMALLEST_SPREAD = 0.2
#: Decrease of the correlation that counts as unchanged.
CORRELATION_SLACK = 0.02


def judge(
    *,
    found: SearchResult,
    matrix: np.ndarray,
    matches: np.ndarray,
    blocks: BlockMatches,
    deformation: Deformation | None,
    overlap_area: float,
    expected_scale: float | None,
    settings: RegistrationSettings,
) -> tuple[Verdict, str]:
    """Return verdict and reason of a transform.

    `matrix`, `matches`, `blocks` and `overlap_area` are in pixels of the images; the scale is None
    if unknown.
    """
    facts = f"{blocks.consistent} of {blocks.blocks} blocks confirm it"
    if not blocks.is_convincing and not blocks.is_suggestive:
        return Verdict.FAILED, (
            f"the images do not match: only {blocks.consistent} of {blocks.blocks} blocks confirm "
            "the best transform found. Check that both show the same place, or give three "
            "landmarks"
        )
    doubts = [] if blocks.is_convincing else [f"only {facts}"]
    evidence = np.concatenate([matches[:, 1], blocks.points]).astype(np.float32)
    if cv2.contourArea(cv2.convexHull(evidence)) < SMALLEST_SPREAD * overlap_area:
        doubts.append("all of its evidence lies in one place")
    doubts += _doubts_about_scale(transforms.scale_of(matrix), expected_scale, settings)
    rotation, limit = transforms.rotation_of(matrix), settings.rotation_tolerance
    if abs(rotation) > limit:
        doubts.append(f"the source is turned by {rotation:.1f} degrees, beyond {limit:g}")
    before, after = found.correlation_before, found.correlation_after
    if after < before - CORRELATION_SLACK:
        doubts.append(f"the correlation fell from {before:.2f} to {after:.2f}")
    if doubts:
        return Verdict.DOUBTFUL, "; ".join(doubts)
    if found.guess.inverted:
        facts += "; the contrast is inverted"
    if deformation is not None:
        before, after = deformation.before, deformation.after
        return Verdict.GOOD, f"{facts}; follows local drift: {before:.1f} px -> {after:.1f} px"
    if blocks.drift >= DRIFT_LIMIT and blocks.drift_is_significant:
        return Verdict.DRIFTS, f"{facts}; parts keep {blocks.drift:.1f} px of local drift"
    return Verdict.GOOD, facts


def _doubts_about_scale(
    scale: float, expected: float | None, settings: RegistrationSettings
) -> list[str]:
    if expected is None:
        if scale < 0.9:
            return [f"the source is {1 / scale:.2g}x finer than the target: are they swapped?"]
        return []
    tolerance = np.log1p(settings.scale_tolerance)
    if abs(np.log(scale / expected)) <= tolerance:
        return []
    doubt = f"the magnification is {scale:.3g} where {expected:.3g} was expected"
    if abs(np.log(scale * expected)) <= tolerance:
        doubt += ": are source and target swapped?"
    return [doubt]
