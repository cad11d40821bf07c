"""Bars that say which abstract pixels speak at a place, and how strongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.widgets import named
from napari_aeanet.relevance import AGAINST, FOR

LINES = 5
# A bar is full at so many times what the map goes from zero on average.
FULL = 4.0
NAME_SHARE = 0.36


@dataclass(frozen=True)
class Score:
    """What one abstract pixel says: its number, what it is called, and its signed score."""

    number: int
    name: str
    score: float


class ScoreBars(QWidget):
    """The strongest voices at a place, one line each; a click on one picks it."""

    picked = Signal(int)

    def __init__(self, name: str) -> None:
        super().__init__()
        named(self, name, "The abstract pixels that speak most at the cursor; click one to see it")
        self.voices: tuple[Score, ...] = ()
        self._line = self.fontMetrics().height() + 4
        self.setFixedHeight(LINES * self._line)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_voices(self, voices: Sequence[Score]) -> None:
        self.voices = tuple(voices[:LINES])
        self.update()

    def paintEvent(self, _event: Any) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left = self.width() * NAME_SHARE
        middle, reach = (left + self.width()) / 2, (self.width() - left) / 2 - 2
        for line, voice in enumerate(self.voices):
            top = line * self._line
            painter.setPen(self.palette().text().color())
            words = QRectF(0, top, left - 8, self._line)
            text = self.fontMetrics().elidedText(
                voice.name, Qt.TextElideMode.ElideRight, int(words.width())
            )
            painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, text)
            length = max(2.0, min(1.0, abs(voice.score) / FULL) * reach)
            bar = QRectF(middle, top + 3, length, self._line - 6)
            if voice.score < 0:
                bar.moveRight(middle)
            painter.fillRect(bar, QColor.fromRgbF(*(FOR if voice.score > 0 else AGAINST)))
        if self.voices:
            painter.setPen(self.palette().mid().color())
            painter.drawLine(int(middle), 0, int(middle), len(self.voices) * self._line)
        painter.end()

    def mousePressEvent(self, event: Any) -> None:
        line = int(event.position().y() // self._line)
        if line < len(self.voices):
            self.picked.emit(self.voices[line].number)
