"""Teach a model one more kind of structure: from a marked region to a map for all images.

At every place stand the features a(x) that structures are read from, standardised as for the kinds.
Of the marked places and of the others come the means μ₁, μ₀ and the common covariance C, and

    map(x) = wᵀ (a(x) - (μ₁ + μ₀) / 2),   w = (C + ridge)⁻¹ (μ₁ - μ₀)

is Fisher's discriminant: above zero, a place is more like the marked ones than like the others.
Means and covariances come from sums over places, which are added up for halves and images.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy.stats import rankdata

from napari_aeanet.core.progress import Progressed, StepCounter

# Added to every variance, as a share of the mean one.
RIDGE = 0.1
FEWEST = 20  # places, of the marked and of the others
STEPS_PER_IMAGE = 3  # of `taught_from`


@dataclass(frozen=True, eq=False)
class Marked:
    """Standardised features of one image, (features, y, x), and the marked places, (y, x)."""

    features: np.ndarray
    inside: np.ndarray

    def halves(self) -> tuple[Marked, Marked]:
        """Return the left and the right half."""
        middle = self.inside.shape[1] // 2
        left, right = slice(None, middle), slice(middle, None)
        return (
            Marked(self.features[..., left], self.inside[..., left]),
            Marked(self.features[..., right], self.inside[..., right]),
        )

    def mirrored(self) -> Marked:
        """Return the image with marks mirrored in both directions, which mean nothing."""
        return Marked(self.features, self.inside[::-1, ::-1])


@dataclass(frozen=True, eq=False)
class Moments:
    """Number of places, and sums of their features (features,) and of products of these."""

    count: int
    total: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Moments:
        """Return the moments of features (features, places)."""
        features = features.astype(np.float64)
        return cls(features.shape[1], features.sum(axis=1), features @ features.T)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count, self.total + other.total, self.products + other.products
        )

    @property
    def mean(self) -> np.ndarray:
        return self.total / self.count

    @property
    def covariance(self) -> np.ndarray:
        centred = self.products - self.count * np.outer(self.mean, self.mean)
        return centred / (self.count - 1)


@dataclass(frozen=True, eq=False)
class Classes:
    """Moments of the marked places and of the others."""

    part: Moments
    rest: Moments

    @classmethod
    def of(cls, marked: Marked) -> Classes:
        inside = marked.inside
        return cls(*(Moments.of(marked.features[:, one]) for one in (inside, ~inside)))

    def __add__(self, other: Classes) -> Classes:
        return Classes(self.part + other.part, self.rest + other.rest)


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


def check_marks(inside: Iterable[np.ndarray]) -> None:
    """Raise a ValueError if too few places are marked in all images, or too few are not."""
    inside = list(inside)
    part = sum(int(one.sum()) for one in inside)
    rest = sum(one.size for one in inside) - part
    if min(part, rest) < FEWEST:
        msg = (
            f"The marks cover {part} places of the map and leave {rest} others; "
            f"at least {FEWEST} of each are needed. Mark a larger region, or a smaller one."
        )
        raise ValueError(msg)


def fisher(classes: Classes) -> tuple[np.ndarray, float]:
    """Return weights and offset of the map: weights · features + offset."""
    common = (classes.part.covariance + classes.rest.covariance) / 2
    ridge = RIDGE * np.trace(common) / len(common) + 1e-9
    mean, others = classes.part.mean, classes.rest.mean
    weights = np.linalg.solve(common + ridge * np.eye(len(common)), mean - others)
    return weights, float(-weights @ (mean + others) / 2)


def taught_from(
    marked: Sequence[Marked], counter: StepCounter
) -> Generator[Progressed, None, tuple[np.ndarray, float, TaughtScores]]:
    """Return weights and offset of the map, and how well it finds what it was not taught on.

    Counts `STEPS_PER_IMAGE` steps for every image.
    """
    halves = [one.halves() for one in marked]
    null_halves = [one.mirrored().halves() for one in marked]
    classes, null_classes = [], []
    for real, null in zip(halves, null_halves, strict=True):
        classes.append([Classes.of(half) for half in real])
        yield Progressed(counter.step())
        null_classes.append([Classes.of(half) for half in null])
        yield Progressed(counter.step())
    of_images = [left + right for left, right in classes]
    other_images = []
    for number, one in enumerate(marked):
        if len(marked) > 1:
            others = [*of_images[:number], *of_images[number + 1 :]]
            other_images.append(_judged(others, [one]))
        yield Progressed(counter.step())
    scores = TaughtScores(
        _over_halves(classes, halves), _mean(other_images), _over_halves(null_classes, null_halves)
    )
    return *fisher(_sum(of_images)), scores


def taught_map(features: np.ndarray, weights: np.ndarray, offset: float) -> np.ndarray:
    """Return the map (y, x) of standardised features (features, y, x)."""
    return np.tensordot(weights.astype(features.dtype), features, 1) + features.dtype.type(offset)


def _over_halves(classes: Sequence[Sequence[Classes]], halves: Sequence[Sequence[Marked]]) -> float:
    """Return the mean score of left taught and right judged, and of the other way round."""
    scores = []
    for taught, judged in ((0, 1), (1, 0)):
        of = [one[taught] for one in classes]
        scores.append(_judged(of, [one[judged] for one in halves]))
    return _mean(scores)


def _sum(classes: Sequence[Classes]) -> Classes:
    return reduce(Classes.__add__, classes)


def _judged(taught: Sequence[Classes], judged: Sequence[Marked]) -> float:
    """Return the AUC over all judged places; NaN if there is too little of either class."""
    classes = _sum(taught)
    if min(classes.part.count, classes.rest.count) < FEWEST:
        return float("nan")
    weights, offset = fisher(classes)
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
