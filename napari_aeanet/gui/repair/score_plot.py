"""Plot of the score of every slice; a click chooses a slice."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyqtgraph
from qtpy.QtCore import Qt, Signal

from napari_aeanet.gui.common.plot import Plot
from napari_aeanet.gui.common.theme import Colours

LINES = 7
# Scores further above the limit than this are drawn at the upper edge.
HIGHEST = 4.0


class DamagePlot(Plot):
    """Scores over slices, the limit as a line, and the slice in view."""

    picked = Signal(int)

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            "How unusual each slice is; slices above the line are proposed. Click one to see it",
            "Damage score of each slice; click to see it",
            lines=LINES,
        )
        self.scores = np.zeros(0)
        self._steps = pyqtgraph.PlotDataItem([0, 1], [0], stepMode="center", fillLevel=0)
        self._dots = pyqtgraph.ScatterPlotItem([], [], size=8)
        self._hollow = pyqtgraph.ScatterPlotItem([], [], size=8)
        self.limit = pyqtgraph.InfiniteLine(
            0, angle=0, label="limit", labelOpts={"position": 0.98, "anchors": [(1, 1), (1, 1)]}
        )
        self.shown = pyqtgraph.InfiniteLine(0, angle=90)
        for item in (self._steps, self.shown, self.limit, self._hollow, self._dots):
            self.box.addItem(item)
        self._view.scene().sigMouseClicked.connect(self._on_clicked)
        self._view.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_scores(self, scores: Sequence[float], limit: float) -> None:
        top = HIGHEST * limit
        self.scores = np.minimum(np.asarray(scores, float), top)
        self._steps.setData(np.arange(len(self.scores) + 1) - 0.5, self.scores)
        self.limit.setPos(limit)
        self.box.setXRange(-0.5, len(self.scores) - 0.5, padding=0.01)
        self.box.setYRange(
            0, 1.08 * min(top, max(float(self.scores.max()), 1.6 * limit)), padding=0
        )

    def mark(self, ticked: Collection[int], listed: Collection[int]) -> None:
        """Draw a dot at each ticked slice, and a circle at those that are only listed."""
        for item, indices in (
            (self._dots, sorted(ticked)),
            (self._hollow, sorted(set(listed) - set(ticked))),
        ):
            known = [index for index in indices if index < len(self.scores)]
            item.setData(known, self.scores[known])

    def show_slice(self, index: int) -> None:
        """Draw a line at the slice in view."""
        self.shown.setPos(index)

    def paint(self, colours: Colours) -> None:
        super().paint(colours)
        self._steps.setPen(pyqtgraph.mkPen(colours.muted))
        fill = pyqtgraph.mkColor(colours.muted)
        fill.setAlphaF(0.35)
        self._steps.setBrush(fill)
        for item, brush in ((self._dots, colours.caution), (self._hollow, None)):
            item.setPen(pyqtgraph.mkPen(colours.caution, width=1.5))
            item.setBrush(brush)
        self.limit.setPen(pyqtgraph.mkPen(colours.muted, style=Qt.PenStyle.DashLine))
        self.limit.label.setColor(colours.muted)
        self.shown.setPen(pyqtgraph.mkPen(colours.accent, width=2))

    def _on_clicked(self, event: Any) -> None:
        if len(self.scores):
            place = self.box.mapSceneToView(event.scenePos()).x()
            self.picked.emit(int(np.clip(round(place), 0, len(self.scores) - 1)))
