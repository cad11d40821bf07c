"""Give neighbouring sections the same distribution of intensities.

Sections differ in brightness and contrast. Each gets the quantiles half way between those of both
(or at another position), so that neither is taken for the right one.
"""

from __future__ import annotations

import numpy as np

#: Quantiles compared, and pixels looked at in large sections.
QUANTILES, PIXELS = 256, 2**20


def matched_intensities(
    before: np.ndarray, after: np.ndarray, at: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Return both sections with the quantiles (1 - at)·before + at·after."""
    first, second = quantiles(before), quantiles(after)
    common = (1 - at) * first + at * second
    return with_quantiles(before, first, common), with_quantiles(after, second, common)


def quantiles(values: np.ndarray) -> np.ndarray:
    """Return the quantiles of a section, the extremes included."""
    step = max(1, int(np.sqrt(values.size / PIXELS)))
    return np.quantile(values[::step, ::step], np.linspace(0, 1, QUANTILES)).astype(np.float64)


def with_quantiles(values: np.ndarray, own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Map the quantiles `own` of a section to those that are `wanted`, linearly in between."""
    places, first = np.unique(own, return_index=True)
    if len(places) == 1:
        return np.full_like(values, wanted.mean())
    last = np.append(first[1:], len(own)) - 1
    levels = (wanted[first] + wanted[last]) / 2  # of equal quantiles, the middle
    return np.interp(values, places, levels).astype(np.float32)
