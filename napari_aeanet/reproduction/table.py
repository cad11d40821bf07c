"""A reproduced table in the layout of its paper, with the published figures in brackets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.progress import in_words
from napari_aeanet.evaluation import (
    METRICS,
    Scores,
    number,
    paired_test,
    test_in_words,
)
from napari_aeanet.reproduction.figures import (
    AVERAGE,
    TableColumn,
    TableFigure,
    figure_of,
    methods_of,
    short,
    values_of,
    views_of,
)
from napari_aeanet.reproduction.papers import AEANET, INPUT, LONG_TRAINING, PLAIN, Experiment
from napari_aeanet.reproduction.plots import save_plot
from napari_aeanet.reproduction.settings import Reproduced, ReproduceSettings, UnitResult

COSTS = ("parameters", "s/image")


def table_rows(experiment: Experiment, results: Sequence[UnitResult]) -> list[list[str]]:
    """Return the table as words, below a row of titles, with published figures in brackets."""
    views = views_of(results)
    if experiment.column_title:
        return _rows_by_column(experiment, results, views)
    titles = _titles(experiment)
    head = ["method", *(" ".join(filter(None, (v.title, t))) for v in views for t in titles)]
    rows = [[*head, *COSTS]]
    for method in methods_of(experiment, results):
        cells = [cell for view in views for cell in _cells(experiment, results, method, view)]
        own = [result for result in results if result.method == method]
        rows.append([_name(method, own), *cells, *_costs(own)])
    return rows


def _rows_by_column(
    experiment: Experiment, results: Sequence[UnitResult], views: Sequence[TableColumn]
) -> list[list[str]]:
    """Return a row for each method in each column: a patch size, or a transfer."""
    grouped = any(view.group for view in views)
    head = ["method", experiment.column_title, *(["condition"] if grouped else [])]
    rows = [[*head, *_titles(experiment), *COSTS]]
    for method in methods_of(experiment, results):
        for view in views:
            own = [r for r in results if (r.method, r.column) == (method, view.column)]
            if own:
                group = [short(view.group) or AVERAGE] if grouped else []
                cells = _cells(experiment, results, method, view)
                rows.append([_name(method, own), view.column, *group, *cells, *_costs(own)])
    return rows


def _titles(experiment: Experiment) -> list[str]:
    delta = "Δ" if experiment.relative else ""
    metrics = [METRICS[name] for name in experiment.metrics]
    return [f"{delta}{metric.title} {metric.unit}".rstrip() for metric in metrics]


def _name(method: str, own: Sequence[UnitResult]) -> str:
    return f"{method} (small)" if any(result.size for result in own) else method


def _costs(own: Sequence[UnitResult]) -> list[str]:
    """Return the parameters of a method, and its seconds for an image."""
    parameters = max((result.parameters for result in own), default=0)
    seconds = [result.per_image for result in own if result.per_image is not None]
    return [f"{parameters:,}" if parameters else "–", f"{np.mean(seconds):.2g}" if seconds else "–"]


def remarks(experiment: Experiment, found: Reproduced, settings: ReproduceSettings) -> list[str]:
    """Return remarks on the conditions: recipe, sources, sizes of networks, tests."""
    results = found.results
    steps = f"{settings.steps} step{'s' if settings.steps > 1 else ''}"
    budget = steps if settings.steps else f"{settings.budget:g} min"
    if settings.is_published:
        number = f"{steps} instead of all" if settings.steps else "all steps"
        budget = f"{number} of the papers' recipe"
    images = max((len(result.cases) for result in results), default=0)
    each = " a set" if experiment.sets == "each" else ""
    long = LONG_TRAINING[experiment.layout]
    lines = [
        f"Here every method was trained for {budget}, in the {settings.profile.value} profile, "
        f"seed {settings.seed}; {images} image{'s' if images != 1 else ''} tested{each}. ± is the "
        "68 % interval of the mean, SD the standard deviation over the images, which the papers "
        "print as their 68 % interval; s/image is the time to restore one.",
        *_sources(experiment, results, long),
    ]
    if experiment.layout == "care" and settings.scored_planes:
        planes = settings.scored_planes
        lines.append(f"Of each denoised volume the first {planes} planes are scored.")
    columns = {result.column for result in results}
    if any(unit.each and unit.column in columns for unit in experiment.units):
        lines.append("In self-training the models of the images share this time.")
    if small := sorted({result.method for result in results if result.size}):
        lines.append(
            f"{', '.join(small)}: smaller networks than published; --published-sizes trains the "
            "large ones."
        )
    lines += [*experiment.remarks, *_comparisons(experiment, results)]
    spent = sum(result.seconds for result in results)
    return [*lines, f"Computed in {in_words(spent)} in all.", *found.notices]


def _sources(experiment: Experiment, results: Sequence[UnitResult], long: str) -> list[str]:
    """Say where the published figures are from, and which are not at hand."""
    if not experiment.published:
        return [f"No published figure of this table is at hand; the papers trained for {long}."]
    lines = [f"In brackets: the published figure ({experiment.source}), after {long}."]
    missing = []
    for method in methods_of(experiment, results):
        own = dict.fromkeys(r.column for r in results if r.method == method)
        known = [column for column in own if (method, column) in experiment.published]
        if not known:
            missing.append(method)
        elif len(known) < len(own):
            rest = ", ".join(column for column in own if column not in known)
            missing.append(f"{method} ({rest})")
    if any(view.group for view in views_of(results)):
        missing.append("the conditions one by one")
    if missing:
        lines.append(f"No published figure is at hand for {'; '.join(missing)}.")
    return lines


def save_table(
    experiment: Experiment, found: Reproduced, settings: ReproduceSettings, folder: Path
) -> list[Path]:
    """Write the table with the remarks (NAME.md), all figures (NAME.csv) and a plot (NAME.png)."""
    rows = table_rows(experiment, found.results)
    lines = [f"# {experiment.title}", "", _markdown(rows), ""]
    lines += [f"- {remark}" for remark in remarks(experiment, found, settings)]
    paths = [folder / f"{experiment.name}.md", folder / f"{experiment.name}.csv"]
    write_bytes_atomically(paths[0], ("\n".join(lines) + "\n").encode())
    write_bytes_atomically(paths[1], _csv(found.results).encode())
    if experiment.plot:
        paths.append(folder / f"{experiment.name}.png")
        save_plot(experiment, found.results, paths[-1])
    return paths


def _cells(
    experiment: Experiment, results: Sequence[UnitResult], method: str, view: TableColumn
) -> list[str]:
    return [
        _cell(figure_of(experiment, results, method, view, name), name, experiment)
        for name in experiment.metrics
    ]


def _cell(figure: TableFigure, name: str, experiment: Experiment) -> str:
    digits = experiment.digits.get(name, METRICS[name].digits)
    metric = replace(METRICS[name], digits=digits)
    mean = figure.mean
    text = number(mean.value, metric)
    if np.isfinite(mean.value):
        sign = "+" if experiment.relative and mean.value >= 0 else ""
        text = sign + text
        if np.isfinite(mean.half_width):
            text += f" ± {number(mean.half_width, metric)}, SD {number(figure.deviation, metric)}"
    return text if figure.published is None else f"{text} ({number(figure.published, metric)})"


def _comparisons(experiment: Experiment, results: Sequence[UnitResult]) -> list[str]:
    """Test the methods of a column against each other: AEANet against all, if nothing is said."""
    name = experiment.metrics[0]
    sentences = []
    for column in dict.fromkeys(result.column for result in results):
        own = {result.method: result for result in results if result.column == column}
        others = [(AEANET, other) for other in own if other not in (AEANET, INPUT)]
        for first, second in experiment.compared or others:
            if first not in own or second not in own:
                continue
            a, b = (values_of(own[method], name) for method in (first, second))
            both = [case for case in a if case in b]
            test = paired_test(
                first,
                [a[case] for case in both],
                second,
                [b[case] for case in both],
                higher_is_better=METRICS[name].higher_is_better,
            )
            what = f"{experiment.column_title} " if experiment.plot == "curves" else ""
            where = "" if column == PLAIN else f"{what}{column}: "
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
