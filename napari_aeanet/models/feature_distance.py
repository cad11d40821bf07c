"""How far an image is from what a model has learnt from: numbers only, no torch.

Features are the maps that enter the first attention. They are averaged over a window, in which a
texture shows, and measured by the Mahalanobis distance to those of the training,

    d(x)² = (f(x) - m)ᵀ · C⁻¹ · (f(x) - m),

m and C the mean and the covariance of averaged training features. A distance is given in units of
the one that only 1 % of other training pixels exceed: 1 is at the edge of the familiar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import uniform_filter

# Features are averaged over so many of their pixels in the plane. What is foreign shows the better
# the larger the window, and the less exactly its place.
WINDOW = 21
# Of model files that do not say it.
FORMER_WINDOW = 9
# Added to every variance, as a share of the mean one: channels that were silent in training
# would else decide everything.
FLOOR = 0.001
# This share of training pixels is farther than a distance of 1.
BEYOND = 0.01

MEAN, COVARIANCE, EDGE = "feature_mean", "feature_covariance", "feature_edge"
AVERAGED_OVER = "feature_window"


@dataclass(frozen=True, eq=False)
class FeatureDistance:
    """What averaged training features look like.

    Parameters
    ----------
    mean, covariance
        Of the features: (c,) and (c, c).
    edge
        The distance d that counts as 1.
    window
        Pixels over which features are averaged, in each direction of the plane.
    """

    mean: np.ndarray
    covariance: np.ndarray
    edge: float = 1.0
    window: int = WINDOW

    @classmethod
    def of(cls, statistics: Mapping[str, np.ndarray]) -> FeatureDistance | None:
        """As a model file holds it; None if it holds none (or none for a window)."""
        if not {MEAN, COVARIANCE, EDGE} <= set(statistics):
            return None
        window = int(statistics.get(AVERAGED_OVER, np.array(FORMER_WINDOW)).item())
        edge = statistics[EDGE].item()
        return cls(statistics[MEAN], statistics[COVARIANCE], edge, window)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {
            MEAN: self.mean,
            COVARIANCE: self.covariance,
            EDGE: np.array(self.edge),
            AVERAGED_OVER: np.array(self.window),
        }

    def distance(self, features: np.ndarray) -> np.ndarray:
        """How far the surroundings of each pixel of features (c, pixels...) are: (pixels...)."""
        centred = averaged(features, self.window) - self.mean.reshape(
            -1, *[1] * (features.ndim - 1)
        )
        whitened = np.tensordot(self._whitening, centred, 1)
        return np.sqrt(np.square(whitened).sum(axis=0)) / self.edge

    @cached_property
    def _whitening(self) -> np.ndarray:
        """The matrix W with WᵀW = C⁻¹."""
        size = len(self.mean)
        floor = FLOOR * max(np.trace(self.covariance) / size, 1e-12)
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors / np.sqrt(np.maximum(values, 0) + floor)).T


def averaged(features: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Features (c, pixels...) averaged over a window, plane by plane."""
    size = (1,) * (features.ndim - 2) + (window, window)
    return uniform_filter(features, size)


class Gathering:
    """Mean and covariance of averaged features, gathered piece by piece."""

    def __init__(self) -> None:
        self._count, self._total, self._squares = 0, np.zeros(()), np.zeros(())

    def add(self, features: np.ndarray) -> None:
        """Features (c, pixels...) as they come."""
        rows = averaged(features).reshape(len(features), -1).astype(np.float64)
        self._count += rows.shape[1]
        self._total = self._total + rows.sum(axis=1)
        self._squares = self._squares + rows @ rows.T

    def finish(self) -> FeatureDistance:
        mean = self._total / self._count
        return FeatureDistance(mean, self._squares / self._count - np.outer(mean, mean))


def with_edge(known: FeatureDistance, distances: np.ndarray) -> FeatureDistance:
    """With the unit of distance taken from other training pixels than made the statistics."""
    edge = float(np.quantile(distances, 1 - BEYOND)) * known.edge
    return replace(known, edge=edge or 1.0)
