"""Score the slices of a stack by how far their measures are from those around them.

A measure x_i of slice i is compared with what is usual there, u_i: z_i = (x_i - u_i) / s, where
s = max(1.4826 MAD, floor) and MAD is the median of |x_i - m_i| over the stack, m_i the median of
the slices around slice i. u_i is m_i, or the median of the slices before or of those after it if
that is nearer to x_i: slow changes, and a change for good, are no damage. The score of a slice is
the largest z of all of its measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_aeanet.repair.damage_measures import TILES, Likeness, Marks, SliceMeasures
from napari_aeanet.repair.damage_settings import DamageKind

#: Scores end here: a plot over the stack stays readable.
HIGHEST = 30.0
#: Slices on either side for the median around a slice, and for those before and after it; a side
#: with fewer than `FEWEST` measured slices is not used.
NEAR, SIDE, FEWEST = 3, 5, 3
#: The correlation of slices 1, 2, 3 and 4 apart, to these powers, is about that of neighbours.
RESEMBLANCE = (1.0, 0.7, 0.55, 0.45)
#: A slice with less than this share of the usual contrast, and a lower correlation than this with
#: its neighbours, is bare film.
BARE, NOTHING_ALIKE = 0.35, 0.25


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How a measure becomes a score.

    Attributes
    ----------
    floors
        Smallest standard deviation that is believed, of each column of the measure.
    one_side
        Marks of a slice with neighbours on one side only are stronger: they count for this share.
    low, high
        Kind of damage if the measure is too low or too high; None if that is no damage.
    """

    floors: tuple[float, ...]
    one_side: float = 1.0
    low: DamageKind | None = None
    high: DamageKind | None = None


RULES = {
    "mean": Rule(floors=(0.15,), low=DamageKind.DARK, high=DamageKind.BRIGHT),
    "spread": Rule(floors=(0.08,), low=DamageKind.LOW_CONTRAST, high=DamageKind.HIGH_CONTRAST),
    "detail": Rule(floors=(0.08,), low=DamageKind.BLURRED, high=DamageKind.NOISY),
    "dark spot": Rule(floors=(0.14, 0.16, 0.09, 0.055), one_side=0.65, high=DamageKind.DIRT),
    "bright spot": Rule(floors=(0.22, 0.22, 0.15, 0.1), one_side=0.55, high=DamageKind.HOLE),
    "dark line": Rule(floors=(0.095,), one_side=0.55, high=DamageKind.FOLD),
    "bright line": Rule(floors=(0.11,), one_side=0.55, high=DamageKind.CRACK),
    "dark band": Rule(floors=(0.06,), one_side=0.55, high=DamageKind.DARK),
    "likeness": Rule(floors=(0.05,), low=DamageKind.UNLIKE),
    "likeness of a part": Rule(floors=(0.16,), low=DamageKind.UNLIKE),
    "covered": Rule(floors=(0.03,), low=DamageKind.PART_LOST),
}


@dataclass(frozen=True, kw_only=True)
class UnusualMeasure:
    """The most unusual measure of a slice.

    Attributes
    ----------
    measure
        Key of `RULES`; "" if the slice shows nothing at all, "repeat" if it is the one before.
    value, usual
        The measure, and what is usual there.
    column
        Which size of spot, or which tile.
    """

    score: float
    measure: str
    kind: DamageKind | None
    value: float
    usual: float
    column: int = 0


def find_unusual(
    measures: Sequence[SliceMeasures],
    likeness: Sequence[Mapping[int, Likeness]],
    marks: Sequence[Marks | None],
    repeats: Sequence[bool],
) -> list[UnusualMeasure]:
    """Return the most unusual measure of every slice.

    Parameters
    ----------
    likeness
        For every slice its likeness to each neighbour that it was compared with, by their
        numbers.
    marks
        Of every slice; None without a neighbour.
    repeats
        For every slice, True if it is the same as the one before.
    """
    columns = _columns(measures, likeness, marks)
    found = [
        UnusualMeasure(score=0.0, measure="", kind=None, value=0.0, usual=0.0) for _ in measures
    ]
    for name, values in columns.items():
        rule = RULES[name]
        around = _running_median(values)
        spread = 1.4826 * _median(np.abs(values - around))
        usual = _nearest(values, around)
        residual = values - usual
        z = residual / np.maximum(np.nan_to_num(spread), rule.floors)
        for index, own in enumerate(found):
            for kind, sign in ((rule.low, -1), (rule.high, 1)):
                # The worst of a measure's columns (tiles), of which most have one.
                signed = np.where(np.isfinite(z[index]), sign * z[index], -np.inf)
                worst = int(signed.argmax())
                if kind is not None and signed[worst] > own.score:
                    own = found[index] = UnusualMeasure(
                        score=min(float(signed[worst]), HIGHEST),
                        measure=name,
                        kind=kind,
                        value=float(values[index, worst]),
                        usual=float(usual[index, worst]),
                        column=worst,
                    )
    contrast = columns["spread"] - _running_median(columns["spread"])
    for index, one in enumerate(measures):
        if one.spread == 0:
            found[index] = UnusualMeasure(
                score=HIGHEST, measure="", kind=DamageKind.MISSING, value=0.0, usual=0.0
            )
        elif repeats[index]:
            found[index] = UnusualMeasure(
                score=HIGHEST, measure="repeat", kind=DamageKind.REPEATED, value=0.0, usual=0.0
            )
        elif contrast[index, 0] < np.log(BARE) and all(
            other.whole < NOTHING_ALIKE for other in likeness[index].values()
        ):
            found[index] = replace(
                found[index],
                measure="spread",
                kind=DamageKind.MISSING,
                value=float(contrast[index, 0]),
                usual=0.0,
            )
    return found


def _columns(
    measures: Sequence[SliceMeasures],
    likeness: Sequence[Mapping[int, Likeness]],
    marks: Sequence[Marks | None],
) -> dict[str, np.ndarray]:
    """Return every measure, (slices, columns); NaN for slices that show nothing."""
    good = np.array([one.spread > 0 for one in measures])

    def column(values: list[float]) -> np.ndarray:
        return np.where(good, np.array(values, dtype=np.float64), np.nan)[:, None]

    def marked(name: str, values: Callable[[Marks], list[float]]) -> np.ndarray:
        known = {i: values(one) for i, one in enumerate(marks) if one is not None}
        unknown = [np.nan] * len(RULES[name].floors)
        factors = [RULES[name].one_side if one and one.one_side else 1.0 for one in marks]
        values_of_all = np.array([known.get(i, unknown) for i in range(len(marks))])
        return values_of_all * np.array(factors)[:, None]

    spread = column([one.spread for one in measures])
    unit = _running_median(spread)
    tiny = 1e-6 * unit
    tiles = np.full((len(measures), TILES * TILES), np.nan)
    whole = np.full((len(measures), 1), np.nan)
    for index, others in enumerate(likeness):
        if good[index] and others:
            powers = {other: RESEMBLANCE[abs(other - index) - 1] for other in others}
            near = {o: _power(one.whole, powers[o]) for o, one in others.items()}
            whole[index] = max(near.values())
            tiles[index] = _highest(
                [_power(one.tiles, powers[o]).ravel() for o, one in others.items()]
            )
    return {
        "mean": column([one.mean for one in measures]) / unit,
        "spread": np.log(np.maximum(spread, tiny)),
        "detail": np.log(np.maximum(column([one.detail for one in measures]), tiny)),
        "dark spot": marked("dark spot", lambda one: [spot.value for spot in one.dark]),
        "bright spot": marked("bright spot", lambda one: [spot.value for spot in one.bright]),
        "dark line": marked("dark line", lambda one: [one.dark_line.value]),
        "bright line": marked("bright line", lambda one: [one.bright_line.value]),
        "dark band": marked("dark band", lambda one: [one.dark_band.value]),
        "likeness": whole,
        "likeness of a part": tiles,
        "covered": column([one.covered for one in measures]),
    }


def _power(correlation: Any, power: float) -> Any:
    return np.sign(correlation) * np.abs(correlation) ** power


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


def _nearest(values: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Return which of the medians around, before and after a slice is nearest to its value."""
    usual = around.copy()
    for index, own in enumerate(values):
        for side in (values[max(0, index - SIDE) : index], values[index + 1 : index + 1 + SIDE]):
            median = _median(side)
            enough = np.isfinite(side).sum(0) >= FEWEST
            nearer = enough & (np.abs(own - median) < np.abs(own - usual[index]))
            usual[index] = np.where(nearer, median, usual[index])
    return usual


def _median(values: np.ndarray) -> np.ndarray:
    """Return the median of every column; NaN where nothing is known."""
    result = np.full(values.shape[1], np.nan)
    known = np.isfinite(values).any(0)
    result[known] = np.nanmedian(values[:, known], axis=0)
    return result
