"""A reproduced table in the layout of its paper, with the published figures in brackets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.progress import in_words
from napari_aeanet.evaluation import (
    METRICS,
    Mean,
    Scores,
    mean_of,
    number,
    paired_test,
    test_in_words,
)
from napari_aeanet.reproduction.papers import LONG_TRAINING, PLAIN, Experiment
from napari_aeanet.reproduction.settings import Reproduced, ReproduceSettings, UnitResult

AVERAGE = "average"
INPUT, OURS = "input", "AEANet"


@dataclass(frozen=True)
class _View:
    """A column of the table: all cases of a column of units, or one group of them."""

    title: str
    column: str
    group: str = ""


def table_rows(experiment: Experiment, results: Sequence[UnitResult]) -> list[list[str]]:
    """Return the table as words, below a row of titles, with published figures in brackets."""
    views = _views(results)
    head = ["method"]
    for view in views:
        for name in experiment.metrics:
            metric = METRICS[name]
            what = ("Δ" if experiment.relative else "") + metric.title
            words = [view.title, what, metric.unit]
            head.append(" ".join(word for word in words if word))
    rows = [head]
    for method in dict.fromkeys(result.method for result in results):
        if experiment.relative and method == INPUT:
            continue
        small = any(r.size for r in results if r.method == method)
        row = [f"{method} (small)" if small else method]
        for view in views:
            result = _find(results, method, view.column)
            base = _find(results, INPUT, view.column)
            published = experiment.published.get((method, view.column), {})
            for name in experiment.metrics:
                mean = _mean(result, base if experiment.relative else None, name, view.group)
                figure = None if view.group else published.get(name)
                row.append(_cell(mean, name, figure, experiment))
        rows.append(row)
    return rows


def remarks(experiment: Experiment, found: Reproduced, settings: ReproduceSettings) -> list[str]:
    """Return remarks on the conditions: budget, sizes of networks, tests."""
    results = found.results
    budget = f"{settings.steps} steps" if settings.steps else f"{settings.budget:g} min"
    images = len({case.case for result in results for case in result.cases})
    lines = [
        f"In brackets: the published figure, after {LONG_TRAINING[experiment.layout]}. Here every "
        f"method was trained for {budget}, in the quick profile, seed {settings.seed}; "
        f"{images} image{'s' if images != 1 else ''} tested, means with 68 % intervals.",
    ]
    columns = {result.column for result in results}
    if any(unit.each and unit.column in columns for unit in experiment.units):
        lines.append("In self-training the models of the images share this time.")
    if small := sorted({result.method for result in results if result.size}):
        lines.append(
            f"{', '.join(small)}: smaller networks than published; --published-sizes trains the "
            "large ones."
        )
    lines += _comparisons(experiment, results)
    spent = sum(result.seconds for result in results)
    return [*lines, f"Computed in {in_words(spent)} in all.", *found.notices]


def save_table(
    experiment: Experiment, found: Reproduced, settings: ReproduceSettings, folder: Path
) -> list[Path]:
    """Write the table and the remarks to NAME.md, the figures of every image to NAME.csv."""
    rows = table_rows(experiment, found.results)
    lines = [f"# {experiment.title}", "", _markdown(rows), ""]
    lines += [f"- {remark}" for remark in remarks(experiment, found, settings)]
    paths = [folder / f"{experiment.name}.md", folder / f"{experiment.name}.csv"]
    write_bytes_atomically(paths[0], ("\n".join(lines) + "\n").encode())
    write_bytes_atomically(paths[1], _csv(found.results).encode())
    return paths


def _views(results: Sequence[UnitResult]) -> list[_View]:
    views = []
    columns = list(dict.fromkeys(result.column for result in results))
    for column in columns:
        groups = dict.fromkeys(c.group for r in results if r.column == column for c in r.cases)
        title = "" if column == PLAIN else column
        if len(groups) > 1:
            views += [_View(group, column, group) for group in groups]
            title = AVERAGE
        views.append(_View(title, column))
    return views


def _find(results: Sequence[UnitResult], method: str, column: str) -> UnitResult | None:
    return next((r for r in results if (r.method, r.column) == (method, column)), None)


def _values(result: UnitResult, name: str, group: str) -> dict[str, float]:
    return {c.case: c.scores.of(name) for c in result.cases if not group or c.group == group}


def _mean(result: UnitResult | None, base: UnitResult | None, name: str, group: str) -> Mean:
    """Return the mean over the cases, or of the differences from the base if there is one."""
    if result is None:
        return mean_of([])
    values = _values(result, name, group)
    if base is None:
        return mean_of(list(values.values()))
    before = _values(base, name, group)
    return mean_of([value - before[case] for case, value in values.items() if case in before])


def _cell(mean: Mean, name: str, published: float | None, experiment: Experiment) -> str:
    metric = METRICS[name]
    if not np.isfinite(mean.value):
        return "–"
    sign = "+" if experiment.relative and mean.value >= 0 else ""
    text = sign + number(mean.value, metric)
    if np.isfinite(mean.half_width):
        text += f" ± {number(mean.half_width, metric)}"
    return text if published is None else f"{text} ({number(published, metric)})"


def _comparisons(experiment: Experiment, results: Sequence[UnitResult]) -> list[str]:
    """Test AEANet against every other method of its column."""
    name = experiment.metrics[0]
    sentences = []
    for ours in (result for result in results if result.method == OURS):
        for other in results:
            if other.column != ours.column or other.method in (OURS, INPUT):
                continue
            a, b = (_values(result, name, "") for result in (ours, other))
            both = [case for case in a if case in b]
            test = paired_test(
                OURS,
                [a[case] for case in both],
                other.method,
                [b[case] for case in both],
                higher_is_better=METRICS[name].higher_is_better,
            )
            where = "" if ours.column == PLAIN else f"{ours.column}: "
            sentences.append(where + test_in_words(test, METRICS[name]))
    return sentences


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def _csv(results: Sequence[UnitResult]) -> str:
    names = [f.name for f in fields(Scores)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", "size", "column", "group", "image", *names])
    for result in results:
        for case in result.cases:
            figures = [f"{case.scores.of(name):.6g}" for name in names]
            words = (result.method, result.size, result.column, case.group, case.case)
            writer.writerow([*words, *figures])
    return out.getvalue()
