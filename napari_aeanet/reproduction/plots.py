"""Drawings beside the tables: curves over patch sizes, boxes of structures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_aeanet.core.figures import write_figure
from napari_aeanet.evaluation import METRICS
from napari_aeanet.reproduction.figures import (
    AVERAGE,
    TableColumn,
    figure_of,
    methods_of,
    short,
    values_of,
    views_of,
)
from napari_aeanet.reproduction.papers import INPUT, Experiment
from napari_aeanet.reproduction.settings import UnitResult

# Share of a structure's width that its boxes take.
BOXES = 0.8


def save_plot(experiment: Experiment, results: Sequence[UnitResult], path: Path) -> None:
    """Draw the curves or boxes of a table."""
    figure = curves(experiment, results) if experiment.plot == "curves" else None
    write_figure(figure or boxes(experiment, results), path)


def curves(experiment: Experiment, results: Sequence[UnitResult]) -> Any:
    """Return curves with 68 % intervals; published figures are dashed.

    Each figure of the table has a row, each condition a column.
    """
    methods = methods_of(experiment, results)
    views = [v for v in views_of(results) if any(_has(results, m, v.column) for m in methods)]
    sizes = list(dict.fromkeys(view.column for view in views))
    groups = list(dict.fromkeys(view.group for view in views))
    rows, columns = len(experiment.metrics), len(groups)
    figure = _figure(5.2 * columns, 3.2 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for row, name in enumerate(experiment.metrics):
        axes[row, 0].set_ylabel(_title(experiment, name))
        for column, group in enumerate(groups):
            axis = axes[row, column]
            for number, method in enumerate(methods):
                found = [
                    figure_of(experiment, results, method, TableColumn("", size, group), name)
                    for size in sizes
                ]
                values = [one.mean.value for one in found]
                widths = [one.mean.half_width for one in found]
                colour = f"C{number}"
                axis.errorbar(
                    range(len(sizes)),
                    values,
                    widths,
                    fmt="o-",
                    capsize=3,
                    color=colour,
                    label=method,
                )
                known = [(i, f.published) for i, f in enumerate(found) if f.published is not None]
                if known:
                    label = f"{method}, published"
                    axis.plot(*zip(*known, strict=True), "--", color=colour, label=label)
            axis.set_xticks(range(len(sizes)), sizes)
            axis.grid(alpha=0.3)
            if row == 0:
                axis.set_title(short(group) or (AVERAGE if columns > 1 else ""))
    axes[-1, 0].set_xlabel(f"{experiment.column_title} (pixels)")
    axes[0, 0].legend(fontsize=7)
    return figure


def boxes(experiment: Experiment, results: Sequence[UnitResult]) -> Any:
    """Return box plots of the first figure: quartiles and median, whiskers to the extremes."""
    name = experiment.metrics[0]
    methods = [method for method in methods_of(experiment, results) if method != INPUT]
    columns = list(dict.fromkeys(result.column for result in results))
    figure = _figure(max(4.8, 0.9 * len(columns) + 2), 3.8)
    axis = figure.subplots()
    width = BOXES / len(methods)
    for number, method in enumerate(methods):
        own = [r for r in results if r.method == method]
        places = [columns.index(r.column) + (number + 0.5) * width - BOXES / 2 for r in own]
        values = [list(values_of(result, name).values()) for result in own]
        colour = f"C{number}"
        drawn = axis.boxplot(
            values,
            positions=places,
            widths=0.8 * width,
            whis=(0, 100),
            patch_artist=True,
            medianprops={"color": "black"},
        )
        for box in drawn["boxes"]:
            box.set_facecolor(colour)
        drawn["boxes"][0].set_label(method)
    axis.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    axis.set_xlim(-0.6, len(columns) - 0.4)
    axis.set_ylabel(_title(experiment, name))
    axis.grid(alpha=0.3, axis="y")
    axis.legend(fontsize=7)
    return figure


def _has(results: Sequence[UnitResult], method: str, column: str) -> bool:
    return any((result.method, result.column) == (method, column) for result in results)


def _title(experiment: Experiment, name: str) -> str:
    metric = METRICS[name]
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"gain in {metric.title}{unit}" if experiment.relative else f"{metric.title}{unit}"


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
