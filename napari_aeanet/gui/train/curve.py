"""Live curve of a training: gain over the input, step by step."""

from __future__ import annotations

import pyqtgraph
from qtpy.QtCore import Qt

from napari_aeanet.gui.common.plot import Plot
from napari_aeanet.gui.common.theme import Colours

LABEL_SHARE = 0.3  # of the height of the plot


class GainCurve(Plot):
    """PSNR gain over steps; the line at zero is the input."""

    def __init__(self, name: str) -> None:
        super().__init__(
            name,
            "Gain on the kept-out region in decibels; 0 is the unrestored input",
            "Gain over the input in dB, step by step",
            lines=9,
        )
        self._steps: list[int] = []
        self._gains: list[float] = []
        self._curve = pyqtgraph.PlotDataItem([], [], symbol="o", symbolSize=5)
        self._zero = pyqtgraph.InfiniteLine(
            0, angle=0, label="input", labelOpts={"position": 0.96, "anchors": [(1, 1), (1, 1)]}
        )
        self.box.addItem(self._zero)
        self.box.addItem(self._curve)
        self.clear()

    @property
    def gains(self) -> tuple[float, ...]:
        return tuple(self._gains)

    def clear(self, steps: int = 0) -> None:
        """Remove the points; the axis spans this number of steps."""
        self._steps, self._gains = [], []
        self._curve.setData([], [])
        self._span(max(1, steps))
        self.box.setYRange(-0.5, 1.0)

    def _span(self, steps: int) -> None:
        self.box.setXRange(0, steps, padding=0.02)

    def add(self, step: int, gain: float, planned: int) -> None:
        """Add a point; another one at the same step, of averaged weights, replaces it.

        The axis spans the number of steps that are planned now.
        """
        if self._steps and self._steps[-1] == step:
            self._steps.pop()
            self._gains.pop()
        self._steps.append(step)
        self._gains.append(gain)
        self._curve.setData(self._steps, self._gains)
        self._span(max(step, planned))
        low, high = min(0.0, *self._gains), max(0.0, *self._gains)
        high = max(high, low + 1.0)
        # Above the line of the input there is room for its label.
        self.box.setYRange(low - 0.1, max(high + 0.1, LABEL_SHARE * (high - low)))

    def paint(self, colours: Colours) -> None:
        super().paint(colours)
        self._curve.setPen(pyqtgraph.mkPen(colours.good, width=2))
        self._curve.setSymbolBrush(colours.good)
        self._curve.setSymbolPen(colours.good)
        self._zero.setPen(pyqtgraph.mkPen(colours.muted, style=Qt.PenStyle.DashLine))
        self._zero.label.setColor(colours.muted)
