"""Intervals that hold the stated share of errors: locally weighted conformal calibration.

The model's own measure of doubt, sigma (or the disagreement over flips and turns), is the score s.
On data that the training has not seen, |error| / s is sorted by level of the score and by
brightness b, and of every class the quantiles are taken:

    half-width(x) = factor(s(x), b(x)) · s(x),   factor = quantile of |error| / s at 68 % or 90 %

Factors are interpolated between the medians of the classes, so that rounding changes nothing, and
scaled so that the shares hold over all pixels.
All numbers are on the scale of the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.ndimage import map_coordinates

SHARES = (0.68, 0.90)
# Classes of score and of brightness, and fewest pixels of one.
CLASSES, FEWEST = (5, 4), 300
# Added to every score: a four-thousandth of the range, far below any noise.
FLOOR = 2.5e-4
PREFIX = "trust_"
SIGMA, DISAGREEMENT = "sigma", "disagreement"


@dataclass(frozen=True, eq=False)
class IntervalCalibration:
    """Factors from a score to the half-widths of intervals.

    Parameters
    ----------
    is_sigma
        One: the score is the model's sigma. Zero: it is the disagreement over flips and turns.
    levels, brightness
        Median log score and brightness of the classes, both rising: (levels,), (shades,).
    factors
        Of the intervals with `SHARES` of the errors: (shares, levels, shades).
    """

    is_sigma: np.ndarray
    levels: np.ndarray
    brightness: np.ndarray
    factors: np.ndarray

    @property
    def score(self) -> str:
        return SIGMA if self.is_sigma.item() else DISAGREEMENT

    def half_widths(self, score: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the half-widths of the intervals of every pixel: (shares, pixels...)."""
        score = score + FLOOR
        where = (
            np.interp(np.log(score), self.levels, np.arange(len(self.levels))),
            np.interp(prediction, self.brightness, np.arange(len(self.brightness))),
        )
        found = [map_coordinates(one, where, order=1, mode="nearest") for one in self.factors]
        return np.stack(found) * score

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays to be stored in a model file."""
        return {PREFIX + one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of(cls, statistics: Mapping[str, np.ndarray], where: str) -> IntervalCalibration | None:
        """Return the calibration stored in a model file, or None if there is none.

        Raises
        ------
        ValueError
            If its arrays do not fit together.
        """
        names = [one.name for one in fields(cls)]
        held = {name: statistics[PREFIX + name] for name in names if PREFIX + name in statistics}
        if not held:
            return None
        if set(held) != set(names) or not _fit(**held):
            raise ValueError(f"{where}: its calibrated intervals are damaged. Calibrate it again.")
        return cls(**held)


def calibrated(
    scores: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    is_sigma: bool,
) -> IntervalCalibration | None:
    """Return the calibration from pixels of several images; None if they are too few."""
    score, bright, truth = (
        np.concatenate([np.ravel(one).astype(np.float64) for one in of])
        for of in (scores, predictions, targets)
    )
    if len(score) < FEWEST:
        return None
    score = score + FLOOR
    ratio = np.abs(bright - truth) / score
    level, levels = _classes(np.log(score), CLASSES[0])
    shade, shades = _classes(bright, CLASSES[1])
    factors = np.empty((len(SHARES), len(levels), len(shades)))
    for i in range(len(levels)):
        for j in range(len(shades)):
            inside = ratio[(level == i) & (shade == j)]
            if len(inside) < FEWEST:  # hardly occurs: all of this level, or all there are
                inside = ratio[level == i]
            if len(inside) < FEWEST:
                inside = ratio
            exact = [min(1.0, share * (1 + 1 / len(inside))) for share in SHARES]
            # Never zero: a perfect result has a width too, by which one can divide.
            found = np.quantile(inside, exact, method="higher")
            factors[:, i, j] = np.maximum(found, 1e-6)
    made = IntervalCalibration(np.array([float(is_sigma)]), levels, shades, factors)
    # Interpolation changes the shares a little; over all pixels they are made exact again.
    missed = np.abs(bright - truth) / made.half_widths(score - FLOOR, bright)
    exact = [min(1.0, share * (1 + 1 / len(score))) for share in SHARES]
    scale = [np.quantile(one, p, method="higher") for one, p in zip(missed, exact, strict=True)]
    return replace(made, factors=factors * np.reshape(scale, (-1, 1, 1)))


def _classes(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of every value, equally frequent as far as possible, and their medians."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]))
    numbers = np.unique(np.searchsorted(edges, values, side="right"), return_inverse=True)[1]
    medians = np.array([np.median(values[numbers == i]) for i in range(numbers.max() + 1)])
    return numbers, medians


def _fit(
    is_sigma: np.ndarray, levels: np.ndarray, brightness: np.ndarray, factors: np.ndarray
) -> bool:
    """Return True if the arrays fit together and hold possible values."""
    arrays = (is_sigma, levels, brightness, factors)
    return (
        all(a.dtype.kind == "f" and a.size > 0 and np.isfinite(a).all() for a in arrays)
        and is_sigma.shape == (1,)
        and levels.ndim == brightness.ndim == 1
        and factors.shape == (len(SHARES), len(levels), len(brightness))
        and bool((factors >= 0).all())
        and bool((np.diff(levels) > 0).all() and (np.diff(brightness) > 0).all())
    )
