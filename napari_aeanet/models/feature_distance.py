"""Distance of an image from the training data of a model, in feature space; without torch.

Features are the input maps of the first attention. They are averaged over a window, large enough
for a texture, and compared with those of the training by the Mahalanobis distance,

    d(x)² = (f(x) - m)ᵀ · C⁻¹ · (f(x) - m),

with the mean m and the covariance C of averaged training features. The unit of distance is the
0.99 quantile over other training pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import uniform_filter

# Side of the averaging window, in pixels of the features. A larger one detects foreign textures
# better, and localises them less well.
WINDOW = 21
# Window of model files that do not state one.
FORMER_WINDOW = 9
# Added to every variance, as a share of the mean variance. Otherwise channels that are constant in
# training would dominate.
FLOOR = 0.001
# Share of training pixels at a distance of more than 1.
BEYOND = 0.01

# Names of the arrays in a model file.
MEAN, COVARIANCE, EDGE = "feature_mean", "feature_covariance", "feature_edge"
AVERAGED_OVER = "feature_window"


@dataclass(frozen=True, eq=False)
class FeatureDistance:
    """Statistics of averaged training features, and the distance to them.

    Parameters
    ----------
    mean, covariance
        Moments of the features: (c,) and (c, c).
    edge
        Mahalanobis distance that is the unit.
    window
        Side of the averaging window, in pixels in the plane.
    """

    mean: np.ndarray
    covariance: np.ndarray
    edge: float = 1.0
    window: int = WINDOW

    @classmethod
    def of(cls, statistics: Mapping[str, np.ndarray]) -> FeatureDistance | None:
        """Return the statistics stored in a model file, or None if there are none."""
        if not {MEAN, COVARIANCE, EDGE} <= set(statistics):
            return None
        window = int(statistics.get(AVERAGED_OVER, np.array(FORMER_WINDOW)).item())
        edge = statistics[EDGE].item()
        return cls(statistics[MEAN], statistics[COVARIANCE], edge, window)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to be stored in a model file."""
        return {
            MEAN: self.mean,
            COVARIANCE: self.covariance,
            EDGE: np.array(self.edge),
            AVERAGED_OVER: np.array(self.window),
        }

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return the distance of each pixel of features (c, pixels...): (pixels...)."""
        mean = np.expand_dims(self.mean, tuple(range(1, features.ndim)))
        centred = averaged(features, self.window) - mean
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
    """Return features (c, pixels...) averaged over a window, plane by plane."""
    size = (1,) * (features.ndim - 2) + (window, window)
    return uniform_filter(features, size)


class FeatureMoments:
    """Accumulator for the mean and covariance of averaged features."""

    def __init__(self) -> None:
        self._count, self._total, self._squares = 0, np.zeros(()), np.zeros(())

    def add(self, features: np.ndarray) -> None:
        """Add the features (c, pixels...) of an image."""
        rows = averaged(features).reshape(len(features), -1).astype(np.float64)
        self._count += rows.shape[1]
        self._total = self._total + rows.sum(axis=1)
        self._squares = self._squares + rows @ rows.T

    def finish(self) -> FeatureDistance:
        """Return the distance to the features added so far, with a unit of 1."""
        mean = self._total / self._count
        return FeatureDistance(mean, self._squares / self._count - np.outer(mean, mean))


def with_edge(statistics: FeatureDistance, distances: np.ndarray) -> FeatureDistance:
    """Return the statistics with the unit set by distances of training pixels not in them."""
    edge = float(np.quantile(distances, 1 - BEYOND)) * statistics.edge
    return replace(statistics, edge=edge or 1.0)
