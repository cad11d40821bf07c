"""An evaluation as a table, a CSV file and one page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.figures import write_figure
from napari_aeanet.core.schema import to_plain
from napari_aeanet.evaluation.scoring import METRICS, Metric
from napari_aeanet.evaluation.settings import Evaluation, Example
from napari_aeanet.evaluation.statistics import Mean, PairedTest

# Columns of the table; the CSV holds all figures.
SHOWN = ("psnr", "ssim", "nrmse", "pearson")
A4 = (8.27, 11.69)
MARGIN = 0.07
# Figures with a sentence for each test.
TESTED = ("psnr", "ssim")
GAIN = {"psnr": "gain", "ssim": "SSIM gain"}
SIGNIFICANT = 0.05
# Limits of the page.
MOST_EXAMPLES, MOST_METHODS, MOST_LINES = 6, 10, 12
LINE = 0.019
SMALLEST_P = 1e-4
# Above this many images the axis of a plot has no names.
NAMED_IMAGES = 24


def number(value: float, metric: Metric) -> str:
    return "–" if not np.isfinite(value) else f"{value:.{metric.digits}f}"


def mean_in_words(mean: Mean, metric: Metric) -> str:
    """Return a text such as "26.31 ± 0.42 dB"; a single image has no interval."""
    text = number(mean.value, metric)
    if np.isfinite(mean.half_width):
        text += f" ± {number(mean.half_width, metric)}"
    return f"{text} {metric.unit}".rstrip()


def gain_in_words(gain: Mean, metric: Metric) -> str:
    """Return a text such as "+3.31 dB"."""
    if not np.isfinite(gain.value):
        return "–"
    return f"{gain.value:+.{metric.digits}f} {metric.unit}".rstrip()


def table(evaluation: Evaluation, shown: Sequence[str] = SHOWN) -> list[list[str]]:
    """Return the means with their 68 % intervals, the best first, below a row of titles.

    With the input among the methods, the gains over it follow.
    """
    gained = [name for name in TESTED if evaluation.baseline]
    titles = [*(METRICS[name].title for name in shown), *(GAIN[name] for name in gained)]
    rows = [["method", *titles]]
    psnr = {name: evaluation.mean(name, "psnr").value for name in evaluation.methods}
    for method in sorted(psnr, key=lambda name: -np.nan_to_num(psnr[name], nan=-np.inf)):
        means = [mean_in_words(evaluation.mean(method, name), METRICS[name]) for name in shown]
        gains = [gain_in_words(evaluation.gain(method, name), METRICS[name]) for name in gained]
        if method == evaluation.baseline:
            gains = ["baseline", *[""] * (len(gained) - 1)]
        rows.append([method, *means, *gains])
    return rows


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of words as text with aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(w.ljust(n) for w, n in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def test_in_words(test: PairedTest, metric: Metric) -> str:
    """Return one sentence on a comparison, with the p-values of both tests."""
    ahead = (test.difference.value > 0) == metric.higher_is_better
    amount = f"{abs(test.difference.value):.{metric.digits}f} {metric.unit}".rstrip()
    who = f"{test.first} is {'ahead of' if ahead else 'behind'} {test.second}, by {amount}"
    if not np.isfinite(test.t_test):
        return f"{who} in {metric.title}; too few images for a test."
    found = f"t-test p {_p_value(test.t_test)}, Wilcoxon p {_p_value(test.wilcoxon)}"
    certain = max(test.t_test, test.wilcoxon) < SIGNIFICANT
    verdict = "" if certain else "; this may be chance"
    return f"{who} in {metric.title} ({found}, {test.difference.count} images{verdict})."


def tests_in_words(evaluation: Evaluation, shown: Sequence[str] = TESTED) -> list[str]:
    """Compare the best method with each of the others, by these figures."""
    first = evaluation.best()
    return [
        test_in_words(test, METRICS[metric])
        for metric in shown
        for test in evaluation.tests(metric, first)
    ]


def setting_in_words(evaluation: Evaluation) -> str:
    """Return sentences on the images, the matching, the data range, the baseline and statistics."""
    settings, count = evaluation.settings, len(evaluation.cases)
    border = f", {settings.border} pixels at every side left out" if settings.border else ""
    over = f" Gains are over the {evaluation.baseline}." if evaluation.baseline else ""
    return (
        f"{count} image{'s' if count != 1 else ''}; intensities matched: {settings.matching}"
        f"{border}; data range {evaluation.data_range}.{over} Means with 68 % intervals; tests are "
        "paired and one-tailed."
    )


def rows_of(evaluation: Evaluation) -> list[dict[str, str | float]]:
    """Return one row for every image and method: all figures, and the gains over the input."""
    gains = {
        (case, method, name): gain
        for method in evaluation.methods
        for name in TESTED
        for case, gain in zip(evaluation.cases, evaluation.gains(method, name), strict=True)
    }
    return [
        {"image": row.case, "method": row.method}
        | {name: row.scores.of(name) for name in METRICS}
        | {f"{name}_gain": gains[row.case, row.method, name] for name in TESTED}
        for row in evaluation.rows
    ]


def as_plain(evaluation: Evaluation) -> dict[str, Any]:
    """Return settings, means, gains and all figures as plain values for JSON (NaN included)."""

    def plain(mean: Mean) -> dict[str, float]:
        return {"mean": mean.value, "low": mean.low, "high": mean.high, "count": mean.count}

    return {
        "settings": to_plain(evaluation.settings),
        "data_range": evaluation.data_range,
        "images": list(evaluation.cases),
        "baseline": evaluation.baseline or None,
        "methods": {
            method: {
                "figures": {name: plain(evaluation.mean(method, name)) for name in METRICS},
                "gains": {
                    name: plain(evaluation.gain(method, name))
                    for name in TESTED
                    if evaluation.baseline
                },
            }
            for method in evaluation.methods
        },
        "rows": rows_of(evaluation),
        "notices": list(evaluation.notices),
        "missing": evaluation.missing,
    }


def save_csv(evaluation: Evaluation, path: Path) -> None:
    """Write one line for every image and method, then the means and their 68 % intervals."""
    names, gained = list(METRICS), list(TESTED)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "method", *names, *(f"{name}_gain" for name in gained)])
    for row in rows_of(evaluation):
        writer.writerow([one if isinstance(one, str) else _full(one) for one in row.values()])
    for method in evaluation.methods:
        means = [evaluation.mean(method, name) for name in names]
        means += [evaluation.gain(method, name) for name in gained]
        for what, values in (
            ("mean", [m.value for m in means]),
            ("68 % low", [m.low for m in means]),
            ("68 % high", [m.high for m in means]),
        ):
            writer.writerow([what, method, *map(_full, values)])
    write_bytes_atomically(path, out.getvalue().encode())


def save_page(evaluation: Evaluation, path: Path, title: str = "Evaluation") -> None:
    """Write one page with table, plots, tests and an example (PDF, or as matplotlib can write)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=A4, dpi=150)
    FigureCanvasAgg(figure)
    figure.text(MARGIN, 0.955, title, fontsize=15, weight="bold")
    _write_lines(figure, [setting_in_words(evaluation)], top=0.947)
    bottom = _draw_table(figure, table(evaluation), top=0.905)
    _draw_images(figure, evaluation, bottom - 0.03)
    _write_lines(figure, [*tests_in_words(evaluation), *evaluation.notices], top=0.515)
    if evaluation.example is not None:
        _draw_example(figure, evaluation.example)
    write_figure(figure, path)


def _draw_table(figure: Any, rows: Sequence[Sequence[str]], top: float) -> float:
    """Draw the table of at most `MOST_METHODS`, and return its lower edge."""
    shown = rows[: MOST_METHODS + 1]
    last = 0.80 if len(rows[0]) == 5 else 0.86
    columns = [MARGIN, *np.linspace(0.26, last, len(rows[0]) - 1)]
    for line, row in enumerate(shown):
        weight = "bold" if line == 0 else "normal"
        for x, word in zip(columns, row, strict=True):
            y = top - line * LINE
            figure.text(x, y, _short(word, 26), fontsize=8, weight=weight, va="top")
    return top - len(shown) * LINE


def _draw_images(figure: Any, evaluation: Evaluation, top: float) -> None:
    """Plot PSNR and SSIM of every image, a line for each method."""
    bottom = 0.60
    named = len(evaluation.cases) <= NAMED_IMAGES
    for column, name in enumerate(TESTED):
        axes = figure.add_axes((0.1 + 0.45 * column, bottom, 0.37, top - bottom))
        for method in evaluation.methods[:MOST_METHODS]:
            values = evaluation.values(method, name)
            axes.plot(range(len(values)), values, "o-", ms=3, lw=0.8, label=_short(method, 24))
        metric = METRICS[name]
        title = f"{metric.title} in {metric.unit}" if metric.unit else metric.title
        axes.set_title(title, fontsize=9)
        axes.set_xticks(range(len(evaluation.cases)) if named else [])
        if named:
            cases = [_short(case, 16) for case in evaluation.cases]
            axes.set_xticklabels(cases, rotation=90, fontsize=6)
        axes.tick_params(axis="y", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", lw=0.3)
        axes.margins(y=0.1)
        if column == 0:
            axes.legend(fontsize=6.5, framealpha=0.8, edgecolor="none")


def _write_lines(figure: Any, lines: Sequence[str], top: float) -> None:
    import textwrap

    text = [part for line in lines for part in textwrap.wrap(line, 124, subsequent_indent="   ")]
    if len(text) > MOST_LINES:
        text = [*text[: MOST_LINES - 1], f"… and {len(text) - MOST_LINES + 1} more lines"]
    figure.text(MARGIN, top, "\n".join(text), fontsize=8, va="top", linespacing=1.35)


def _draw_example(figure: Any, example: Example) -> None:
    """Draw the truth and the image of each method, with the grey levels of the truth."""
    shown = [*example.images[: MOST_EXAMPLES - 1], ("truth", example.truth)]
    low, high = np.percentile(example.truth, [0.5, 99.5])
    width, columns = 0.27, 3
    height = width * A4[0] / A4[1] * 0.8
    figure.text(MARGIN, 0.365, f"Example: {example.case}", fontsize=9, weight="bold")
    for i, (name, image) in enumerate(shown):
        row, column = divmod(i, columns)
        corner = (MARGIN + 0.3 * column, 0.355 - (row + 1) * (height + 0.02))
        axes = figure.add_axes((*corner, width, height), anchor="NW")
        axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-9))
        axes.set_title(_short(name, 30), fontsize=8, loc="left", pad=2)
        axes.set_axis_off()


def _p_value(value: float) -> str:
    return f"< {SMALLEST_P:g}" if value < SMALLEST_P else f"= {value:.2g}"


def _full(value: float) -> str:
    return "" if not np.isfinite(value) else f"{value:.6g}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-most // 2 :]}"
