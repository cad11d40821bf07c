"""The live curve of a training: how much better than its input the model is, step by step."""

from __future__ import annotations

import pyqtgraph
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_aeanet.gui.look import Colours
from napari_aeanet.gui.parts import label

LINES = 9


class GainCurve(QWidget):
    """PSNR gain over steps; the line at zero is the input itself."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setToolTip("Gain on the kept-out region in decibels; 0 is the unrestored input")
        self._steps: list[int] = []
        self._gains: list[float] = []
        self._curve = pyqtgraph.PlotDataItem([], [], symbol="o", symbolSize=5)
        self._zero = pyqtgraph.InfiniteLine(
            0, angle=0, label="input", labelOpts={"position": 0.96, "anchors": [(1, 1), (1, 1)]}
        )
        # Put together from its parts: pyqtgraph's ready-made plot brings seven menus along, which
        # nobody needs here and which outlive the window.
        self._box = pyqtgraph.ViewBox(enableMenu=False, enableMouse=False)
        self._box.addItem(self._zero)
        self._box.addItem(self._curve)
        self._axes = [pyqtgraph.AxisItem(side) for side in ("left", "bottom")]
        self._view = pyqtgraph.GraphicsLayoutWidget()
        self._view.setFixedHeight(LINES * self.fontMetrics().height())
        self._view.ci.setContentsMargins(0, 2, 4, 0)
        self._view.addItem(self._axes[0], 0, 0)
        self._view.addItem(self._box, 0, 1)
        self._view.addItem(self._axes[1], 1, 1)
        for axis in self._axes:
            axis.linkToView(self._box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(label("Gain over the input in dB, step by step", "hint"))
        layout.addWidget(self._view)
        self.clear()

    @property
    def gains(self) -> tuple[float, ...]:
        return tuple(self._gains)

    def clear(self, steps: int = 0) -> None:
        """Begin anew, with room for so many steps."""
        self._steps, self._gains = [], []
        self._curve.setData([], [])
        self._box.setXRange(0, max(1, steps), padding=0.02)
        self._box.setYRange(-0.5, 1.0)

    def add(self, step: int, gain: float) -> None:
        self._steps.append(step)
        self._gains.append(gain)
        self._curve.setData(self._steps, self._gains)
        low, high = min(0.0, *self._gains), max(0.0, *self._gains)
        self._box.setYRange(low - 0.1, max(high, low + 1.0) + 0.1)

    def paint(self, colours: Colours) -> None:
        """In the colours of the theme."""
        self._view.setBackground(colours.background)
        self._curve.setPen(pyqtgraph.mkPen(colours.good, width=2))
        self._curve.setSymbolBrush(colours.good)
        self._curve.setSymbolPen(colours.good)
        self._zero.setPen(pyqtgraph.mkPen(colours.muted, style=Qt.PenStyle.DashLine))
        self._zero.label.setColor(colours.muted)
        for axis in self._axes:
            axis.setPen(colours.line)
            axis.setTextPen(colours.muted)
