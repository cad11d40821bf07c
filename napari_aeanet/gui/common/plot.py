"""Small plot with a caption, in the colours of the theme."""

from __future__ import annotations

from math import ceil, log10

import pyqtgraph
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_aeanet.gui.common.theme import Colours
from napari_aeanet.gui.common.widgets import label, named

TICKS = 8  # height of the ticks below the plot, px


class Axis(pyqtgraph.AxisItem):
    """An axis whose numbers have equal decimals, and a minus as wide as a plus."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self._finest = 1.0
        self.setStyle(maxTextLevel=1)

    def tickValues(self, low: float, high: float, size: float) -> list:
        levels = super().tickValues(low, high, size)
        self._finest = min((spacing for spacing, _ in levels[:2]), default=1.0)
        return levels

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        decimals = max(0, ceil(-log10(self._finest * scale)))
        return [f"{value * scale:.{decimals}f}".replace("-", "−") for value in values]


class Plot(QWidget):
    """A view box with a left and a bottom axis; items are added to `box`.

    Composed of parts, because pyqtgraph's PlotItem has seven menus that outlive the window.
    """

    def __init__(self, name: str, tooltip: str, caption: str = "", lines: int = 8) -> None:
        super().__init__()
        named(self, name, tooltip)
        self.box = pyqtgraph.ViewBox(enableMenu=False, enableMouse=False)
        self.axes = [Axis(side) for side in ("left", "bottom")]
        self.caption: QLabel = label(caption, "hint", f"{name}_caption")
        self._view = pyqtgraph.GraphicsLayoutWidget()
        self._view.setFixedHeight(lines * self.fontMetrics().height())
        self._view.ci.setContentsMargins(0, 8, 4, 0)  # half a number above the plot
        self._view.addItem(self.axes[0], 0, 0)
        self._view.addItem(self.box, 0, 1)
        self._view.addItem(self.axes[1], 1, 1)
        for axis in self.axes:
            axis.linkToView(self.box)
        self.axes[1].setHeight(self.fontMetrics().height() + TICKS)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.caption)
        layout.addWidget(self._view)

    def paint(self, colours: Colours) -> None:
        """Set the colours of the theme."""
        self._view.setBackground(colours.background)
        for axis in self.axes:
            axis.setPen(colours.line)
            axis.setTextPen(colours.muted)
