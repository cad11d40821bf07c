"""Teach a model one more kind of structure: from a marked region to a map for all images.

At every place stand the features a(x) that structures are read from, standardised as for the kinds.
Of the marked places and of the others come the means μ₁, μ₀ and the common covariance C, and

    map(x) = wᵀ (a(x) - (μ₁ + μ₀) / 2),   w = (C + ridge)⁻¹ (μ₁ - μ₀)

is Fisher's discriminant: above zero, a place is more like the marked ones than like the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

# Added to every variance, as a share of the mean one.
RIDGE = 0.1
FEWEST = 20  # places, of the marked and of the others


@dataclass(frozen=True, eq=False)
class Marked:
    """Standardised features of one image, (features, y, x), and the marked places, (y, x)."""

    features: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True)
class TaughtScores:
    """How well a taught kind finds marked places that it was not taught on (AUC, 0.5: by chance).

    Parameters
    ----------
    other_half
        Taught on one half of every image, judged on the other, both ways; NaN if the marks lie in
        one half only.
    other_images
        Taught on all images but one, judged on that; NaN with one image.
    null
        As `other_half`, with marks mirrored in both directions: what chance and smooth maps give.
    """

    other_half: float
    other_images: float
    null: float


def fisher(marked: Sequence[Marked]) -> tuple[np.ndarray, float]:
    """Return weights and offset of the map: weights · features + offset.

    Raises
    ------
    ValueError
        If there are too few marked places, or too few others.
    """
    part = np.concatenate([one.features[:, one.inside] for one in marked], axis=1)
    rest = np.concatenate([one.features[:, ~one.inside] for one in marked], axis=1)
    if min(part.shape[1], rest.shape[1]) < FEWEST:
        msg = (
            f"The marks cover {part.shape[1]} places of the map and leave {rest.shape[1]} others; "
            f"at least {FEWEST} of each are needed. Mark a larger region, or a smaller one."
        )
        raise ValueError(msg)
    part, rest = part.astype(np.float64), rest.astype(np.float64)
    common = (np.cov(part) + np.cov(rest)) / 2
    ridge = RIDGE * np.trace(common) / len(common) + 1e-9
    mean, others = part.mean(axis=1), rest.mean(axis=1)
    weights = np.linalg.solve(common + ridge * np.eye(len(common)), mean - others)
    return weights, float(-weights @ (mean + others) / 2)


def taught_map(features: np.ndarray, weights: np.ndarray, offset: float) -> np.ndarray:
    """Return the map (y, x) of standardised features (features, y, x)."""
    return np.tensordot(weights.astype(features.dtype), features, 1) + features.dtype.type(offset)


def scores_of(marked: Sequence[Marked]) -> TaughtScores:
    """Return how well the marked places are found where they were not taught."""
    mirrored = [Marked(one.features, one.inside[::-1, ::-1]) for one in marked]
    images = []
    if len(marked) > 1:
        for number, image in enumerate(marked):
            images.append(_judged([*marked[:number], *marked[number + 1 :]], [image]))
    return TaughtScores(_over_halves(marked), _mean(images), _over_halves(mirrored))


def _over_halves(marked: Sequence[Marked]) -> float:
    """Return the mean score of left taught and right judged, and of the other way round."""
    halves = [[_half(one, right) for one in marked] for right in (False, True)]
    return _mean([_judged(halves[0], halves[1]), _judged(halves[1], halves[0])])


def _half(one: Marked, right: bool) -> Marked:
    middle = one.inside.shape[1] // 2
    columns = slice(middle, None) if right else slice(0, middle)
    return Marked(one.features[:, :, columns], one.inside[:, columns])


def _judged(taught: Sequence[Marked], judged: Sequence[Marked]) -> float:
    """Return the AUC over all judged places; NaN if there is too little of either class."""
    try:
        weights, offset = fisher(taught)
    except ValueError:
        return float("nan")
    values = np.concatenate([taught_map(one.features, weights, offset).ravel() for one in judged])
    return auc(values, np.concatenate([one.inside.ravel() for one in judged]))


def auc(values: np.ndarray, inside: np.ndarray) -> float:
    """Return the share of pairs of an inner and an outer place that the values order right."""
    part, rest = int(inside.sum()), int((~inside).sum())
    if not part or not rest:
        return float("nan")
    ranks = rankdata(values)[inside].sum()
    return float((ranks - part * (part + 1) / 2) / (part * rest))


def _mean(values: Sequence[float]) -> float:
    known = [one for one in values if np.isfinite(one)]
    return float(np.mean(known)) if known else float("nan")
