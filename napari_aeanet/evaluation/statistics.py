"""Means with confidence intervals, and paired tests of two methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Probability within one standard error of a normal distribution.
CONFIDENCE = 0.6827


@dataclass(frozen=True)
class Mean:
    """A mean with its 68 % confidence interval.

    The interval is mean ± t · s / √n, with Student's t for n - 1 degrees of freedom; NaN where
    there is only one value.
    """

    value: float
    low: float
    high: float
    count: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of the finite values, with its 68 % interval."""
    finite = np.asarray([value for value in values if np.isfinite(value)], float)
    if finite.size == 0:
        return Mean(np.nan, np.nan, np.nan, 0)
    value = float(finite.mean())
    if finite.size == 1:
        return Mean(value, np.nan, np.nan, 1)
    from scipy import stats  # takes a second to import

    error = float(finite.std(ddof=1) / np.sqrt(finite.size))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, finite.size - 1)) * error
    return Mean(value, value - half, value + half, int(finite.size))


@dataclass(frozen=True)
class PairedTest:
    """One-tailed tests of `first` being better than `second` on the same images.

    Parameters
    ----------
    difference
        Mean of first - second over the images.
    t_test, wilcoxon
        p-values: the probability of a difference this large under the null hypothesis; NaN for
        fewer than two images, or if all differences are equal.
    """

    first: str
    second: str
    difference: Mean
    t_test: float
    wilcoxon: float


def paired_test(
    first: str,
    first_values: Sequence[float],
    second: str,
    second_values: Sequence[float],
    *,
    higher_is_better: bool = True,
) -> PairedTest:
    """Compare two methods image by image; images without a figure of both are left out."""
    a, b = np.asarray(first_values, float), np.asarray(second_values, float)
    if a.shape != b.shape:
        msg = f"Both methods need a figure for every image, got {len(a)} and {len(b)}."
        raise ValueError(msg)
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    t_test = wilcoxon = float("nan")
    if a.size > 1 and np.ptp(a - b) > 0:
        from scipy import stats

        tail = "greater" if higher_is_better else "less"
        t_test = float(stats.ttest_rel(a, b, alternative=tail).pvalue)
        wilcoxon = float(stats.wilcoxon(a, b, alternative=tail).pvalue)
    return PairedTest(first, second, mean_of(list(a - b)), t_test, wilcoxon)
