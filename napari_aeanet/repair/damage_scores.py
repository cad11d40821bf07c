"""Score the slices of a stack by how far their measures are from those around them.

A measure of slice i is compared with its running median m_i over the slices around it (slow
changes, and a change for good, are no damage): z_i = (x_i - m_i) / max(1.4826 MAD, floor), where
MAD is the median of |x_i - m_i| over the stack. The score of a slice is the largest z of all of
its measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.repair.damage_measures import TILES, Likeness, SliceMeasures
from napari_aeanet.repair.damage_settings import DamageKind

#: Scores end here: a plot over the stack stays readable.
HIGHEST = 30.0
#: Half the width of the running median, in slices.
NEAR = 3


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a measure becomes a score.

    Attributes
    ----------
    floor
        Smallest standard deviation that is believed, in the unit of the measure.
    ease
        z is divided by this: above 1 for measures that vary irregularly in good stacks.
    low, high
        Kind of damage if the measure is too low or too high; None if that is no damage.
    """

    floor: float
    ease: float = 1.0
    low: DamageKind | None = None
    high: DamageKind | None = None


RULES = {
    "mean": Rule(floor=0.12, low=DamageKind.DARK, high=DamageKind.BRIGHT),
    "spread": Rule(floor=0.05, low=DamageKind.LOW_CONTRAST, high=DamageKind.HIGH_CONTRAST),
    "detail": Rule(floor=0.05, low=DamageKind.BLURRED, high=DamageKind.NOISY),
    "dark spot": Rule(floor=0.2, high=DamageKind.DIRT),
    "large dark spot": Rule(floor=0.15, high=DamageKind.DIRT),
    "bright spot": Rule(floor=0.2, high=DamageKind.HOLE),
    "large bright spot": Rule(floor=0.15, high=DamageKind.HOLE),
    "dark line": Rule(floor=0.1, high=DamageKind.FOLD),
    "bright line": Rule(floor=0.1, high=DamageKind.CRACK),
    "likeness": Rule(floor=0.05, low=DamageKind.UNLIKE),
    "likeness of a part": Rule(floor=0.1, low=DamageKind.UNLIKE),
    "covered": Rule(floor=0.03, low=DamageKind.PART_LOST),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The most unusual measure of a slice.

    Attributes
    ----------
    measure
        Key of `RULES`; "" if the slice shows nothing at all.
    value, usual
        The measure, and its running median.
    """

    score: float
    measure: str
    kind: DamageKind | None
    value: float
    usual: float


def find_unusual(
    measures: Sequence[SliceMeasures], likeness: Sequence[Sequence[Likeness]]
) -> list[Finding]:
    """Return the most unusual measure of every slice.

    Parameters
    ----------
    likeness
        For every slice its likeness to each neighbour that it was compared with.
    """
    columns = _columns(measures, likeness)
    found = [Finding(score=0.0, measure="", kind=None, value=0.0, usual=0.0) for _ in measures]
    for name, values in columns.items():
        rule = RULES[name]
        usual = _running_median(values)
        residual = values - usual
        spread = 1.4826 * np.nanmedian(np.abs(residual)) if np.isfinite(residual).any() else 0.0
        z = residual / (max(spread, rule.floor) * rule.ease)
        for index, own in enumerate(found):
            for kind, sign in ((rule.low, -1), (rule.high, 1)):
                # The worst of a measure's columns (tiles), of which most have one.
                signed = np.where(np.isfinite(z[index]), sign * z[index], -np.inf)
                worst = int(signed.argmax())
                if kind is not None and signed[worst] > own.score:
                    own = found[index] = Finding(
                        score=min(float(signed[worst]), HIGHEST),
                        measure=name,
                        kind=kind,
                        value=float(values[index, worst]),
                        usual=float(usual[index, worst]),
                    )
    for index, one in enumerate(measures):
        if one.spread == 0:
            found[index] = Finding(
                score=HIGHEST, measure="", kind=DamageKind.MISSING, value=0.0, usual=0.0
            )
    return found


def _columns(
    measures: Sequence[SliceMeasures], likeness: Sequence[Sequence[Likeness]]
) -> dict[str, np.ndarray]:
    """Return every measure, (slices, columns); NaN for slices that show nothing."""
    good = np.array([one.spread > 0 for one in measures])

    def column(values: list[float]) -> np.ndarray:
        return np.where(good, np.array(values, dtype=np.float64), np.nan)[:, None]

    spread = column([one.spread for one in measures])
    unit = _running_median(spread)
    tiny = 1e-6 * unit
    tiles = np.full((len(measures), TILES * TILES), np.nan)
    whole = np.full((len(measures), 1), np.nan)
    for index, others in enumerate(likeness):
        if good[index] and others:
            whole[index] = max(one.whole for one in others)
            tiles[index] = _highest([one.tiles.ravel() for one in others])
    return {
        "mean": column([one.mean for one in measures]) / unit,
        "spread": np.log(np.maximum(spread, tiny)),
        "detail": np.log(np.maximum(column([one.detail for one in measures]), tiny)),
        "dark spot": column([one.dark[0].value for one in measures]) / unit,
        "large dark spot": column([one.dark[1].value for one in measures]) / unit,
        "bright spot": column([one.bright[0].value for one in measures]) / unit,
        "large bright spot": column([one.bright[1].value for one in measures]) / unit,
        "dark line": column([one.dark_line.value for one in measures]) / unit,
        "bright line": column([one.bright_line.value for one in measures]) / unit,
        "likeness": whole,
        "likeness of a part": tiles,
        "covered": column([one.covered for one in measures]),
    }


def _highest(rows: list[np.ndarray]) -> np.ndarray:
    """Return the highest finite value of every column; NaN where there is none."""
    stacked = np.array(rows)
    known = np.isfinite(stacked)
    return np.where(known.any(0), np.where(known, stacked, -np.inf).max(0), np.nan)


def _running_median(values: np.ndarray) -> np.ndarray:
    """Return the median over the slices around each, (slices, columns), without NaN.

    Near the ends the window is shifted, not cut; a slice without measured slices around it takes
    the median of the stack.
    """
    count = len(values)
    width = min(2 * NEAR + 1, count)
    medians = np.full(values.shape, np.nan)
    for index in range(count):
        start = min(max(0, index - NEAR), count - width)
        medians[index] = _median(values[start : start + width])
    return np.where(np.isfinite(medians), medians, _median(values))


def _median(values: np.ndarray) -> np.ndarray:
    """Return the median of every column; NaN where nothing is known."""
    result = np.full(values.shape[1], np.nan)
    known = np.isfinite(values).any(0)
    result[known] = np.nanmedian(values[:, known], axis=0)
    return result
