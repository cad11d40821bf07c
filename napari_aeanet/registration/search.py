"""Find the transform between two planes: guess, refine, verify; if it does not hold, try harder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.block_matching import Agreement, measure
from napari_aeanet.registration.features import (
    Features,
    Guess,
    Method,
    PhaseGuess,
    consensus,
    describe,
    match,
    phase_correlation,
)
from napari_aeanet.registration.preprocessing import reduced
from napari_aeanet.registration.refinement import align, correlation
from napari_aeanet.registration.result import nominal_matrix
from napari_aeanet.registration.transforms import Kind

#: Scales (target pixels per source pixel) tried when nothing is known; matching bridges the gaps.
SCALES = (2.0, 1.0, 4.0, 0.5, 0.25)
#: A guess may differ from the scale it was looked for at by this factor.
SCALE_FACTOR = 1.6
#: Fewer inliers than this are not worth refining: chance alone gives some.
FEWEST_INLIERS = 8
#: Planes reduced to fewer pixels along a side are not looked at.
SMALLEST_VIEW = 32
FEATURE_METHODS = (Method.ORB, Method.MORE_ORB, Method.EQUALISED_ORB, Method.SIFT)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A refined transform between two planes, with what speaks for it (in target-plane pixels)."""

    matrix: np.ndarray
    guess: Guess
    correlation_before: float
    correlation_after: float
    agreement: Agreement
    inverted: bool

    @property
    def rank(self) -> tuple[bool, int]:
        return self.agreement.holds, self.agreement.agreeing


class _Views:
    """One plane at the sizes at which it is looked at, with its features; each is made once."""

    def __init__(self, plane: np.ndarray) -> None:
        self.shape = plane.shape
        at = cache(lambda factor: reduced(plane, factor))

        def features(factor: float, method: Method, inverted: bool) -> Features:
            seen, _ = at(factor)
            return describe(-seen if inverted else seen, method)

        # Of functions that do not know this object: planes are large, and in a circle they would
        # wait for the garbage collector.
        self.at, self.features = at, cache(features)


def search(
    source: np.ndarray, target: np.ndarray, *, kind: Kind, scale: float | None, seed: int
) -> Found | None:
    """The first transform that the blocks confirm, else the best one that they do not rule out.

    `scale` is the expected one (target pixels per source pixel), None if nothing is known.
    """
    best = None
    for guess, inverted in _guesses(_Views(source), _Views(target), kind, scale, seed):
        found = refine(source, target, guess, kind, inverted)
        if found is None:
            continue
        if best is None or found.rank > best.rank:
            best = found
        if found.agreement.holds:
            break
    return best


def _guesses(
    source: _Views, target: _Views, kind: Kind, scale: float | None, seed: int
) -> Iterator[tuple[Guess, bool]]:
    """Guesses in the order of trying: transform, and whether the contrast is inverted.

    With a known scale, others are tried at the end, so that images that were swapped, or whose
    pixel size is wrong, are recognised as such.
    """
    scales = _likely_scales(source.shape, target.shape) if scale is None else (scale,)
    for method, inverted in product(FEATURE_METHODS, (False, True)):
        for expected in scales:
            guess = _feature_guess(source, target, method, inverted, expected, kind, seed)
            if guess is not None:
                yield guess, inverted
    by_phase = [g for g in (_phase_guess(source, target, s) for s in scales) if g is not None]
    if by_phase:
        best = max(by_phase, key=lambda g: g.prominence)
        yield best.guess, best.inverted
    if scale is not None:
        for expected in (1 / scale, *SCALES):
            guess = _feature_guess(source, target, Method.MORE_ORB, False, expected, kind, seed)
            if guess is not None:
                yield guess, False


def refine(
    source: np.ndarray, target: np.ndarray, guess: Guess, kind: Kind, inverted: bool
) -> Found | None:
    """Refine a guess and ask the blocks; None if the planes hardly overlap under it."""
    scale = transforms.scale_of(guess.matrix)
    sides = min(source.shape) * min(1.0, scale), min(target.shape) / max(1.0, scale)
    if not min(sides) >= SMALLEST_VIEW:  # nor if the scale is not a number
        return None
    moving, up_source = reduced(source, max(1.0, 1 / scale))
    fixed, up_target = reduced(target, max(1.0, scale))
    moving = -moving if inverted else moving
    start = np.linalg.inv(up_target) @ guess.matrix @ up_source
    aligned = align(moving, fixed, start, kind)
    if not np.isfinite(aligned.correlation):
        return None
    nominal = nominal_matrix(moving.shape, fixed.shape, transforms.scale_of(aligned.matrix))
    agreement = measure(aligned.details, aligned.matrix)
    return Found(
        matrix=up_target @ aligned.matrix @ np.linalg.inv(up_source),
        guess=guess,
        correlation_before=correlation(aligned.details, nominal),
        correlation_after=aligned.correlation,
        agreement=agreement.scaled(up_target),
        inverted=inverted,
    )


def likely_scale(source_shape: tuple[int, ...], target_shape: tuple[int, ...]) -> float | None:
    """The ratio of the image sizes, where it is the same along both axes."""
    ratios = [t / s for s, t in zip(source_shape, target_shape, strict=True)]
    return float(np.mean(ratios)) if abs(np.log(ratios[0] / ratios[1])) < 0.08 else None


def _likely_scales(
    source_shape: tuple[int, ...], target_shape: tuple[int, ...]
) -> tuple[float, ...]:
    """Scales to try when none is known: that of the image sizes first, if it is one."""
    first = likely_scale(source_shape, target_shape)
    if first is None:
        return SCALES
    return (first, *(s for s in SCALES if abs(np.log(s / first)) > np.log(1.25)))


def _feature_guess(
    source: _Views,
    target: _Views,
    method: Method,
    inverted: bool,
    scale: float,
    kind: Kind,
    seed: int,
) -> Guess | None:
    """Bring both planes to about one pixel size and match their features."""
    shrink_source, shrink_target = max(1.0, 1 / scale), max(1.0, scale)
    (first, up_source), (second, up_target) = source.at(shrink_source), target.at(shrink_target)
    if min(*first.shape, *second.shape) < SMALLEST_VIEW:
        return None
    matches = match(
        source.features(shrink_source, method, inverted),
        target.features(shrink_target, method, False),
    )
    guess = consensus(
        matches,
        kind=kind,
        scale=scale * transforms.scale_of(up_source) / transforms.scale_of(up_target),
        scale_factor=SCALE_FACTOR,
        seed=seed,
        method=method,
    )
    if guess is None or len(guess.matches) < FEWEST_INLIERS:
        return None
    return guess.between(up_source, up_target)


def _phase_guess(source: _Views, target: _Views, scale: float) -> PhaseGuess | None:
    (first, up_source) = source.at(max(1.0, 1 / scale))
    (second, up_target) = target.at(max(1.0, scale))
    if min(*first.shape, *second.shape) < SMALLEST_VIEW:
        return None
    at_view = scale * transforms.scale_of(up_source) / transforms.scale_of(up_target)
    found = phase_correlation(first, second, scale=at_view)
    return replace(found, guess=found.guess.between(up_source, up_target))
