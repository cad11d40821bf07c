"""What the Evaluate dock shows: a line of figures for every method, and a dot for every image."""

from __future__ import annotations

import numpy as np
import pyqtgraph
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_aeanet.evaluation import METRICS, Evaluation, mean_in_words, number
from napari_aeanet.gui.common.plot import Plot
from napari_aeanet.gui.common.widgets import named

SHOWN = ("psnr", "ssim")
# Colours that are told apart by all eyes, on dark and on light.
PALETTE = ("#0091d5", "#e69f00", "#00a878", "#d55e00", "#b07aa1", "#8c8c00", "#56b4e9", "#a0522d")
RIM = 4
SWATCH = 10


def colour_of(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


class ScoreTable(QTableWidget):
    """The means of every method, the best first."""

    def __init__(self, name: str) -> None:
        super().__init__(0, 1 + len(SHOWN))
        named(self, name, "Means over all images; a figure under the mouse shows its 68 % interval")
        self.setProperty("role", "list")
        self.setHorizontalHeaderLabels(["Method", *(_head(name) for name in SHOWN)])
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in range(1, 1 + len(SHOWN)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeaderItem(0).setTextAlignment(
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
                item = QTableWidgetItem(number(mean.value, metric))
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                item.setToolTip(f"{metric.title} {mean_in_words(mean, metric)}: {metric.meaning}")
                self.setItem(row, column, item)
        height = (len(order) + 1) * self.verticalHeader().defaultSectionSize()
        self.setFixedHeight(height + 2 * RIM + 4)


class ScorePlot(Plot):
    """PSNR of every image, a line for each method in the colour of the table."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            "PSNR in dB of every image, in the order of the list; higher is better",
            "PSNR in dB, image by image",
        )

    def fill(self, evaluation: Evaluation) -> None:
        for item in list(self.box.addedItems):
            self.box.removeItem(item)
        count = len(evaluation.cases)
        for index, method in enumerate(evaluation.methods):
            values = np.array(evaluation.values(method, "psnr"))
            known = np.isfinite(values)
            colour = colour_of(index)
            self.box.addItem(
                pyqtgraph.PlotDataItem(
                    np.arange(1, count + 1)[known],
                    values[known],
                    pen=pyqtgraph.mkPen(colour, width=1.5),
                    symbol="o",
                    symbolSize=6,
                    symbolBrush=colour,
                    symbolPen=None,
                )
            )
        self.axes[1].setTicks([[(i, str(i)) for i in range(1, count + 1, 1 + count // 12)]])
        self.box.setXRange(0.7, count + 0.3, padding=0)
        self.box.enableAutoRange(axis=pyqtgraph.ViewBox.YAxis)


def _head(name: str) -> str:
    metric = METRICS[name]
    return f"{metric.title} {metric.unit}".rstrip()


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
