"""Results of an evaluation: a table of methods, a plot of images, tests and error maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_aeanet.evaluation import (
    METRICS,
    Evaluation,
    gain_in_words,
    mean_in_words,
    number,
    setting_in_words,
    tests_in_words,
)
from napari_aeanet.gui.common.plot import Plot
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import label, make_column, named, present, set_text
from napari_aeanet.gui.evaluate.error_maps import ErrorMaps

if TYPE_CHECKING:
    from napari import Viewer

SHOWN = ("psnr", "ssim")
GAIN = "Gain"
# Distinguishable with a colour vision deficiency, on dark and on light backgrounds.
PALETTE = ("#0091d5", "#e69f00", "#00a878", "#d55e00", "#b07aa1", "#8c8c00", "#56b4e9", "#a0522d")
MARGIN = 4  # px above and below the rows of the table
SWATCH = 10  # px


def colour_of(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


class ScoreTable(QTableWidget):
    """Means of every method, the best first."""

    def __init__(self, name: str) -> None:
        super().__init__(0, 2 + len(SHOWN))
        named(self, name, "Means over all images; point at a figure for its 68 % interval")
        self.setProperty("role", "list")
        titles = [METRICS[name].title for name in SHOWN]
        self.setHorizontalHeaderLabels(["Method", *titles, GAIN])
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        present(self.verticalHeader()).hide()
        present(self.verticalHeader()).setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = present(self.horizontalHeader())
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in range(1, 2 + len(SHOWN)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        present(self.horizontalHeaderItem(0)).setTextAlignment(
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        )

    def fill(self, evaluation: Evaluation) -> None:
        methods = evaluation.methods
        means = {m: evaluation.mean(m, "psnr").value for m in methods}
        order = sorted(methods, key=lambda m: -np.nan_to_num(means[m], nan=-np.inf))
        self.setRowCount(len(order))
        for row, method in enumerate(order):
            first = QTableWidgetItem(method)
            first.setIcon(_swatch(colour_of(methods.index(method))))
            first.setToolTip(_all_figures(evaluation, method))
            self.setItem(row, 0, first)
            for column, name in enumerate(SHOWN, start=1):
                mean, metric = evaluation.mean(method, name), METRICS[name]
                tip = f"{metric.title} {mean_in_words(mean, metric)}: {metric.meaning}"
                self.setItem(row, column, _figure(number(mean.value, metric), tip))
            self.setItem(row, 1 + len(SHOWN), _gain(evaluation, method))
        self.setColumnHidden(1 + len(SHOWN), not evaluation.baseline)
        height = (len(order) + 1) * present(self.verticalHeader()).defaultSectionSize()
        self.setFixedHeight(height + 2 * MARGIN + 4)


class ScorePlot(Plot):
    """PSNR of every image, with a line for each method in its colour of the table."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            "PSNR in dB of every image, in the order of the list; higher is better",
            "PSNR in dB, image by image",
        )

    def fill(self, evaluation: Evaluation) -> None:
        for item in list(self.box.addedItems):
            self.box.removeItem(item)
        images = len(evaluation.cases)
        for index, method in enumerate(evaluation.methods):
            values = np.array(evaluation.values(method, "psnr"))
            known = np.isfinite(values)
            colour = colour_of(index)
            self.box.addItem(
                pyqtgraph.PlotDataItem(
                    np.arange(1, images + 1)[known],
                    values[known],
                    pen=pyqtgraph.mkPen(colour, width=1.5),
                    symbol="o",
                    symbolSize=6,
                    symbolBrush=colour,
                    symbolPen=None,
                )
            )
        self.axes[1].setTicks([[(i, str(i)) for i in range(1, images + 1, 1 + images // 12)]])
        self.box.setXRange(0.7, images + 0.3, padding=0)
        self.box.enableAutoRange(axis=pyqtgraph.ViewBox.YAxis)


class ResultPanel(QWidget):
    """Table, plot, tests, notices and error maps of an evaluation."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.about = label(role="hint", name="evaluate_about")
        self.table = ScoreTable("evaluate_table")
        self.plot = ScorePlot("evaluate_plot")
        self.verdict = label(name="evaluate_verdict")
        self.notices = label(role="hint", name="evaluate_notices")
        self.errors = ErrorMaps(viewer)
        make_column(
            self,
            label("Result", "heading"),
            self.table,
            self.about,
            self.plot,
            self.verdict,
            self.notices,
            self.errors,
        )
        self.hide()

    def fill(self, evaluation: Evaluation) -> None:
        self.table.fill(evaluation)
        self.plot.fill(evaluation)
        self.plot.setVisible(len(evaluation.cases) > 1)
        cases = count(len(evaluation.cases), "image")
        how = f"intensities matched: {evaluation.settings.matching}"
        set_text(self.about, f"{cases}; {how}; data range {evaluation.data_range}.")
        self.about.setToolTip(setting_in_words(evaluation))
        verdict = (f"• {sentence}" for sentence in tests_in_words(evaluation, ["psnr"]))
        set_text(self.verdict, "\n".join(verdict), "plain")
        set_text(self.notices, "\n".join(evaluation.notices))
        self.show()


def summary(evaluation: Evaluation) -> tuple[str, str]:
    """Return one line on the result, and its role."""
    if evaluation.missing:
        return f"! {evaluation.missing}", "caution"
    if evaluation.is_unrelated:
        return "! No image resembles the truth: check that all show one field.", "caution"
    best, cases = evaluation.best(), count(len(evaluation.cases), "image")
    gain = ""
    if evaluation.baseline not in ("", best):
        over = gain_in_words(evaluation.gain(best, "psnr"), METRICS["psnr"])
        gain = f", {over} over the {evaluation.baseline}"
    return f"✓ {cases} evaluated; nearest to the truth: {best}{gain}.", "plain"


def _figure(text: str, tip: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    item.setToolTip(tip)
    return item


def _gain(evaluation: Evaluation, method: str) -> QTableWidgetItem:
    """Return the cell with the gain over the input in dB."""
    if method == evaluation.baseline:
        return _figure("–", "The baseline: the input itself, brought to the grid of the truth")
    gains = [gain_in_words(evaluation.gain(method, name), METRICS[name]) for name in SHOWN]
    return _figure(
        gains[0].removesuffix(f" {METRICS['psnr'].unit}"),
        f"Over the {evaluation.baseline}: {gains[0]}, SSIM {gains[1]}",
    )


def _all_figures(evaluation: Evaluation, method: str) -> str:
    figures = (
        f"{metric.title} {mean_in_words(evaluation.mean(method, name), metric)}"
        for name, metric in METRICS.items()
    )
    return "\n".join([method, *figures])


def _swatch(colour: str) -> QIcon:
    square = QPixmap(SWATCH, SWATCH)
    square.fill(QColor(colour))
    return QIcon(square)
