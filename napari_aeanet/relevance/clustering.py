"""In which order relevance maps are shown: alike ones together, blank ones last.

Two maps are alike when their correlation r over the image is high. They are clustered by the
distance 1 - r (average linkage), so that a map and its negative are far apart. A map is blank
when it varies far less than the others do: nothing in this image moves its abstract pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

# Maps that correlate more than this say the same.
ALIKE = 0.8
# A map that varies less than this share of the median map is blank.
BLANK = 0.02
# So many places of a map are enough to tell what it is like.
PLACES = 8192


@dataclass(frozen=True)
class MapGroup:
    """Abstract pixels (numbers from 0) whose maps are alike, the strongest first."""

    members: tuple[int, ...]
    is_blank: bool = False

    @property
    def leader(self) -> int:
        return self.members[0]


def group_maps(maps: np.ndarray) -> tuple[MapGroup, ...]:
    """Groups of maps of shape (abstract pixels, other axes...): the strongest first, blank last."""
    rows = _places(maps)
    strength = rows.std(axis=1)
    is_blank = strength <= BLANK * np.median(strength)
    spoken, silent = np.flatnonzero(~is_blank), np.flatnonzero(is_blank)
    groups = [_group(members, strength) for members in _clusters(rows[spoken], spoken)]
    groups.sort(key=lambda group: -strength[group.leader])
    if len(silent):
        groups.append(MapGroup(_group(silent, strength).members, is_blank=True))
    return tuple(groups)


@dataclass(frozen=True, eq=False)
class MapStatistics:
    """What every map says on average over the image, and how far it goes from that."""

    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, maps: np.ndarray) -> MapStatistics:
        rows = _places(maps)
        spread = rows.std(axis=1)
        return cls(rows.mean(axis=1), np.where(spread > 0, spread, 1.0))

    def scores_at(self, maps: np.ndarray, place: Sequence[int]) -> np.ndarray:
        """How much more than on average every map says at one place, in units of its spread.

        A map that is high everywhere, or loud, says nothing about this place.
        """
        return (np.array([one[tuple(place)] for one in maps]) - self.mean) / self.spread


def by_score(scores: np.ndarray) -> tuple[int, ...]:
    """Abstract pixels by how strongly they speak, for or against."""
    return tuple(int(i) for i in np.argsort(-np.abs(scores), kind="stable"))


def _clusters(rows: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    if len(rows) < 2:
        return [numbers] if len(rows) else []
    distance = np.clip(1 - np.corrcoef(rows), 0, 2)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    labels = fcluster(tree, 1 - ALIKE, "distance")
    return [numbers[labels == label] for label in np.unique(labels)]


def _group(members: np.ndarray, strength: np.ndarray) -> MapGroup:
    ordered = members[np.argsort(-strength[members], kind="stable")]
    return MapGroup(tuple(int(i) for i in ordered))


def _places(maps: np.ndarray) -> np.ndarray:
    """(abstract pixels, places), as many places as it takes, in float64."""
    rows = maps.reshape(len(maps), -1)
    # A step that shares no factor with the width visits all columns.
    step = max(1, rows.shape[1] // PLACES)
    while step > 1 and np.gcd(step, maps.shape[-1]) != 1:
        step += 1
    return rows[:, ::step].astype(np.float64)
