"""Bars of the most relevant abstract pixels at one position."""

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
# Score of a full bar, in standard deviations of the map.
FULL = 4.0
NAME_SHARE = 0.36


@dataclass(frozen=True)
class Score:
    """Signed relevance of one abstract pixel at a position, with its number and name."""

    number: int
    name: str
    value: float


class ScoreBars(QWidget):
    """The strongest scores at a position, one bar each; `picked` is emitted for a clicked bar."""

    picked = Signal(int)

    def __init__(self, name: str) -> None:
        super().__init__()
        named(self, name, "The most relevant abstract pixels at the cursor; click one to show it")
        self.scores: tuple[Score, ...] = ()
        self._line = self.fontMetrics().height() + 4
        self.setFixedHeight(LINES * self._line)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_scores(self, scores: Sequence[Score]) -> None:
        self.scores = tuple(scores[:LINES])
        self.update()

    def paintEvent(self, _event: Any) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left = self.width() * NAME_SHARE
        middle, longest = (left + self.width()) / 2, (self.width() - left) / 2 - 2
        for line, score in enumerate(self.scores):
            top = line * self._line
            painter.setPen(self.palette().text().color())
            box = QRectF(0, top, left - 8, self._line)
            text = self.fontMetrics().elidedText(
                score.name, Qt.TextElideMode.ElideRight, int(box.width())
            )
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, text)
            length = max(2.0, min(1.0, abs(score.value) / FULL) * longest)
            bar = QRectF(middle, top + 3, length, self._line - 6)
            if score.value < 0:
                bar.moveRight(middle)
            painter.fillRect(bar, QColor.fromRgbF(*(FOR if score.value > 0 else AGAINST)))
        if self.scores:
            painter.setPen(self.palette().mid().color())
            painter.drawLine(int(middle), 0, int(middle), len(self.scores) * self._line)
        painter.end()

    def mousePressEvent(self, event: Any) -> None:
        line = int(event.position().y() // self._line)
        if line < len(self.scores):
            self.picked.emit(self.scores[line].number)
