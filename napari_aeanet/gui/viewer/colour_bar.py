"""Colour bar of signed maps."""

from __future__ import annotations

from math import floor, log10
from typing import Any

from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_aeanet.gui.common.text import signed
from napari_aeanet.gui.common.widgets import named
from napari_aeanet.relevance import AGAINST, FOR

BAR = 8  # px


class ColourBar(QWidget):
    """The colours from one end to the other, with words and values below.

    Parameters
    ----------
    low, high
        Words for the ends of the scale.
    """

    def __init__(self, name: str, low: str, high: str) -> None:
        super().__init__()
        named(self, name, f"Blue: {low}. Orange: {high}. Without colour between them")
        self._words = (low, high)
        self._values: tuple[float, float, float] | None = None
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(BAR + 2 + 2 * self.fontMetrics().height())

    def set_values(self, middle: float, most: float, words: tuple[str, str] | None = None) -> None:
        """Show the values at the low end, in the middle and at the high end."""
        self._words = words or self._words
        self._values = (middle - most, middle, middle + most)
        self.update()

    def texts(self) -> tuple[str, str, str]:
        """Return the text below the low end, the middle and the high end."""
        if self._values is None:
            return self._words[0], "", self._words[1]
        decimals = max(0, 1 - floor(log10(self._values[2] - self._values[1] or 1.0)))
        low, middle, high = (signed(value, decimals) for value in self._values)
        middle = "0" if self._values[1] == 0 else middle
        return f"{self._words[0]}\n{low}", f"\n{middle}", f"{self._words[1]}\n{high}"

    def paintEvent(self, _event: Any) -> None:
        painter = QPainter(self)
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for place, colour, opacity in ((0, AGAINST, 1), (0.5, AGAINST, 0), (1, FOR, 1)):
            gradient.setColorAt(place, QColor.fromRgbF(*colour, opacity))
        painter.fillRect(QRectF(0, 0, self.width(), BAR), gradient)
        painter.setPen(self.palette().color(self.foregroundRole()))
        box = QRectF(0, BAR + 2, self.width(), self.height() - BAR - 2)
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter)
        for text, side in zip(self.texts(), (*sides, Qt.AlignmentFlag.AlignRight), strict=True):
            painter.drawText(box, side, text)
        painter.end()
