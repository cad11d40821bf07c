"""Search the transform between two planes: guess, refine, verify; repeat with the next method."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product

import numpy as np

from napari_aeanet.registration import transforms
from napari_aeanet.registration.block_matching import BlockMatches, match_blocks
from napari_aeanet.registration.features import (
    Features,
    InitialGuess,
    RegistrationMethod,
    consensus,
    detect_features,
    match_features,
    phase_correlation,
)
from napari_aeanet.registration.preprocessing import reduced
from napari_aeanet.registration.refinement import align, correlation
from napari_aeanet.registration.transforms import TransformKind

#: Scales (target pixels per source pixel) tried when none is known; matching bridges the gaps.
SCALES = (2.0, 1.0, 4.0, 0.5, 0.25)
#: Largest ratio of a guess to the scale of its search.
SCALE_FACTOR = 1.6
#: Fewest inliers of a guess: chance alone gives some.
FEWEST_INLIERS = 8
#: Shortest side of a reduced plane.
SMALLEST_SIDE = 32
FEATURE_METHODS = (
    RegistrationMethod.ORB,
    RegistrationMethod.MORE_ORB,
    RegistrationMethod.EQUALISED_ORB,
    RegistrationMethod.SIFT,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class SearchResult:
    """A refined transform between two planes, with its evidence (in target-plane pixels)."""

    matrix: np.ndarray
    guess: InitialGuess
    correlation_before: float
    correlation_after: float
    blocks: BlockMatches

    @property
    def rank(self) -> tuple[bool, int]:
        return self.blocks.is_convincing, self.blocks.consistent


class _ReducedPlanes:
    """One plane at the sizes of the search, with its features; each is computed once."""

    def __init__(self, plane: np.ndarray) -> None:
        self.shape = plane.shape
        at = cache(lambda factor: reduced(plane, factor))

        def features(factor: float, method: RegistrationMethod, inverted: bool) -> Features:
            values, _ = at(factor)
            return detect_features(-values if inverted else values, method)

        # The cached functions hold no reference to this object: a reference cycle would keep the
        # large planes until the garbage collector runs.
        self.at, self.features = at, cache(features)


def search(
    source: np.ndarray, target: np.ndarray, *, kind: TransformKind, scale: float | None, seed: int
) -> SearchResult | None:
    """Return the first transform that the blocks confirm, else the best one.

    `scale` is the expected one (target pixels per source pixel), None if unknown.
    """
    best = None
    for guess in _guesses(_ReducedPlanes(source), _ReducedPlanes(target), kind, scale, seed):
        found = refine(source, target, guess, kind)
        if found is None:
            continue
        if best is None or found.rank > best.rank:
            best = found
        if found.blocks.is_convincing:
            break
    return best


def _guesses(
    source: _ReducedPlanes,
    target: _ReducedPlanes,
    kind: TransformKind,
    scale: float | None,
    seed: int,
) -> Iterator[InitialGuess]:
    """Yield guesses by method and scale.

    With a known scale, others are tried at the end, so that images that were swapped, or whose
    pixel size is wrong, are recognised as such.
    """
    scales = _likely_scales(source.shape, target.shape) if scale is None else (scale,)
    by_features = partial(_feature_guess, source, target, kind=kind, seed=seed)
    for method, inverted, expected in product(FEATURE_METHODS, (False, True), scales):
        yield from by_features(method, inverted, expected)
    by_phase = [found for s in scales if (found := _phase_guess(source, target, s)) is not None]
    if by_phase:
        yield max(by_phase, key=lambda found: found[1])[0]
    if scale is not None:
        for expected in (1 / scale, *SCALES):
            yield from by_features(RegistrationMethod.MORE_ORB, False, expected)


def refine(
    source: np.ndarray, target: np.ndarray, guess: InitialGuess, kind: TransformKind
) -> SearchResult | None:
    """Refine a guess and match blocks; None if the planes hardly overlap under it."""
    scale = transforms.scale_of(guess.matrix)
    sides = min(source.shape) * min(1.0, scale), min(target.shape) / max(1.0, scale)
    if not min(sides) >= SMALLEST_SIDE:  # also if the scale is not a number
        return None
    moving, up_source = reduced(source, max(1.0, 1 / scale))
    fixed, up_target = reduced(target, max(1.0, scale))
    moving = -moving if guess.inverted else moving
    start = np.linalg.inv(up_target) @ guess.matrix @ up_source
    aligned = align(moving, fixed, start, kind)
    if not np.isfinite(aligned.correlation):
        return None
    nominal = transforms.nominal(moving.shape, fixed.shape, transforms.scale_of(aligned.matrix))
    return SearchResult(
        matrix=up_target @ aligned.matrix @ np.linalg.inv(up_source),
        guess=guess,
        correlation_before=correlation(aligned.details, nominal),
        correlation_after=aligned.correlation,
        blocks=match_blocks(aligned.details, aligned.matrix).scaled(up_target),
    )


def likely_scale(source_shape: Sequence[int], target_shape: Sequence[int]) -> float | None:
    """Return the ratio of the image sizes, if it is the same along both axes."""
    ratios = [t / s for s, t in zip(source_shape, target_shape, strict=True)]
    return float(np.mean(ratios)) if abs(np.log(ratios[0] / ratios[1])) < 0.08 else None


def _likely_scales(source_shape: Sequence[int], target_shape: Sequence[int]) -> tuple[float, ...]:
    """Return the scales to try when none is known, that of the image sizes first."""
    first = likely_scale(source_shape, target_shape)
    if first is None:
        return SCALES
    return (first, *(s for s in SCALES if abs(np.log(s / first)) > np.log(1.25)))


def _feature_guess(
    source: _ReducedPlanes,
    target: _ReducedPlanes,
    method: RegistrationMethod,
    inverted: bool,
    scale: float,
    *,
    kind: TransformKind,
    seed: int,
) -> Iterator[InitialGuess]:
    """Reduce both planes to about one pixel size and match their features; yield at most one."""
    shrink_source, shrink_target = max(1.0, 1 / scale), max(1.0, scale)
    (first, up_source), (second, up_target) = source.at(shrink_source), target.at(shrink_target)
    if min(*first.shape, *second.shape) < SMALLEST_SIDE:
        return
    matches = match_features(
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
    if guess is not None and len(guess.matches) >= FEWEST_INLIERS:
        yield replace(guess.mapped(up_source, up_target), inverted=inverted)


def _phase_guess(
    source: _ReducedPlanes, target: _ReducedPlanes, scale: float
) -> tuple[InitialGuess, float] | None:
    """Return a guess by phase correlation with its prominence; None if a plane is too small."""
    (first, up_source) = source.at(max(1.0, 1 / scale))
    (second, up_target) = target.at(max(1.0, scale))
    if min(*first.shape, *second.shape) < SMALLEST_SIDE:
        return None
    at_view = scale * transforms.scale_of(up_source) / transforms.scale_of(up_target)
    guess, prominence = phase_correlation(first, second, scale=at_view)
    return guess.mapped(up_source, up_target), prominence
