"""Figures of a table: means over the images of a method in a column, beside published ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.evaluation import Mean, mean_of
from napari_aeanet.reproduction.papers import INPUT, PLAIN, Experiment
from napari_aeanet.reproduction.settings import UnitResult

AVERAGE = "average"


@dataclass(frozen=True)
class TableColumn:
    """A column of units: all of its cases, or one group of them."""

    title: str
    column: str
    group: str = ""


@dataclass(frozen=True)
class TableFigure:
    """A computed figure beside the published one; NaN and None where there is none.

    `deviation` is the standard deviation over the images.
    """

    mean: Mean
    deviation: float
    published: float | None


def methods_of(experiment: Experiment, results: Sequence[UnitResult]) -> list[str]:
    """Return the methods of the table; gains have no row for the input."""
    methods = dict.fromkeys(result.method for result in results)
    return [name for name in methods if not (experiment.relative and name == INPUT)]


def views_of(results: Sequence[UnitResult]) -> list[TableColumn]:
    """Return the columns, each with its groups before its average."""
    views = []
    columns = list(dict.fromkeys(result.column for result in results))
    for column in columns:
        groups = dict.fromkeys(c.group for r in results if r.column == column for c in r.cases)
        title = "" if column == PLAIN else column
        if len(groups) > 1:
            views += [TableColumn(short(group), column, group) for group in groups]
            title = AVERAGE
        views.append(TableColumn(title, column))
    return views


def short(group: str) -> str:
    """Return the papers' name of a condition."""
    return re.sub(r"^condition_?(\d+)$", r"C\1", group)


def figure_of(
    experiment: Experiment, results: Sequence[UnitResult], method: str, view: TableColumn, name: str
) -> TableFigure:
    """Return a figure of a method: the mean over the images, or over their gains."""
    result, base = _find(results, method, view.column), None
    if experiment.relative:
        base = _find(results, INPUT, view.column) or _input_of(results)
    values = [] if result is None else _gains(result, base, name, view.group)
    finite = [value for value in values if np.isfinite(value)]
    deviation = float(np.std(finite, ddof=1)) if len(finite) > 1 else float("nan")
    published = experiment.published.get((method, view.column), {})
    return TableFigure(mean_of(values), deviation, None if view.group else published.get(name))


def values_of(result: UnitResult, name: str, group: str = "") -> dict[str, float]:
    """Return a figure of every image."""
    return {c.case: c.scores.of(name) for c in result.cases if not group or c.group == group}


def _find(results: Sequence[UnitResult], method: str, column: str) -> UnitResult | None:
    return next((r for r in results if (r.method, r.column) == (method, column)), None)


def _input_of(results: Sequence[UnitResult]) -> UnitResult | None:
    """Return the input where all columns test the same images."""
    found = [result for result in results if result.method == INPUT]
    return found[0] if len(found) == 1 else None


def _gains(result: UnitResult, base: UnitResult | None, name: str, group: str) -> list[float]:
    """Return the values, or the differences from the base if there is one."""
    values = values_of(result, name, group)
    if base is None:
        return list(values.values())
    before = values_of(base, name, group)
    return [value - before[case] for case, value in values.items() if case in before]
