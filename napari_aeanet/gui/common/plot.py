"""Small plot with a caption, in the colours of the theme."""

from __future__ import annotations

import pyqtgraph
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_aeanet.gui.common.theme import Colours
from napari_aeanet.gui.common.widgets import label, named

TICKS = 8  # height of the ticks below the plot, px


class Plot(QWidget):
    """A view box with a left and a bottom axis; items are added to `box`.

    Composed of parts, because pyqtgraph's PlotItem has seven menus that outlive the window.
    """

    def __init__(self, name: str, tooltip: str, caption: str = "", lines: int = 8) -> None:
        super().__init__()
        named(self, name, tooltip)
        self.box = pyqtgraph.ViewBox(enableMenu=False, enableMouse=False)
        self.axes = [pyqtgraph.AxisItem(side) for side in ("left", "bottom")]
        self.caption: QLabel = label(caption, "hint", f"{name}_caption")
        self._view = pyqtgraph.GraphicsLayoutWidget()
        self._view.setFixedHeight(lines * self.fontMetrics().height())
        self._view.ci.setContentsMargins(0, 2, 4, 0)
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
