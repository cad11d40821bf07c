"""Order of relevance maps in the gallery: similar ones side by side, blank ones last.

Maps are clustered by the distance 1 - r (average linkage), r their correlation over the image, so
that a map and its negative are far apart. A map is blank when it varies far less than the others:
its abstract pixel does not depend on this image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fclusterdata

# Maps with a higher correlation belong to one group.
SIMILAR = 0.8
# A map with less than this share of the median standard deviation is blank.
BLANK = 0.02
# Number of map pixels from which maps are compared.
SAMPLES = 8192


@dataclass(frozen=True)
class MapGroup:
    """Abstract pixels (numbers from 0) with similar maps, the strongest first."""

    members: tuple[int, ...]
    is_blank: bool = False

    @property
    def leader(self) -> int:
        return self.members[0]


def group_maps(maps: np.ndarray) -> tuple[MapGroup, ...]:
    """Group maps of shape (abstract pixels, other axes...): the strongest first, blank last."""
    rows = _sampled(maps)
    strength = rows.std(axis=1)
    is_blank = strength <= BLANK * np.median(strength)
    numbers = np.argsort(-strength, kind="stable")
    varied, blank = numbers[~is_blank[numbers]], numbers[is_blank[numbers]]
    labels = _clusters(rows[varied])
    # In the order of their strongest members, because `varied` is sorted by strength.
    groups = [varied[labels == label] for label in dict.fromkeys(labels.tolist())]
    found = [MapGroup(tuple(group.tolist())) for group in groups]
    return (*found, MapGroup(tuple(blank.tolist()), True)) if len(blank) else tuple(found)


@dataclass(frozen=True, eq=False)
class MapStatistics:
    """Mean and standard deviation of every map over the image."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, maps: np.ndarray) -> MapStatistics:
        rows = _sampled(maps)
        spread = rows.std(axis=1)
        return cls(rows.mean(axis=1), np.where(spread > 0, spread, 1.0))

    def scores_at(self, maps: np.ndarray, place: Sequence[int]) -> np.ndarray:
        """Return the z-score of every map at one place: (value - mean) / standard deviation.

        So a map that is high everywhere, or varies strongly, has no high score at any place.
        """
        return (np.array([one[tuple(place)] for one in maps]) - self.mean) / self.spread


def by_score(scores: np.ndarray) -> tuple[int, ...]:
    """Return the abstract pixels in the order of decreasing absolute score."""
    return tuple(np.argsort(-np.abs(scores), kind="stable").tolist())


def _clusters(rows: np.ndarray) -> np.ndarray:
    """Return the cluster label of each row."""
    if len(rows) < 2:
        return np.zeros(len(rows), int)
    return fclusterdata(rows, 1 - SIMILAR, "distance", metric="correlation", method="average")


def _sampled(maps: np.ndarray) -> np.ndarray:
    """Return (abstract pixels, samples) in float64."""
    rows = maps.reshape(len(maps), -1)
    # A step that shares no factor with the width visits all columns.
    step = max(1, rows.shape[1] // SAMPLES)
    while step > 1 and np.gcd(step, maps.shape[-1]) != 1:
        step += 1
    return rows[:, ::step].astype(np.float64)
