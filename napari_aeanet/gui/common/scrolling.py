"""Scroll area of a dock: what was scrolled into view stays there until the user scrolls."""

from __future__ import annotations

from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QScrollBar, QWidget

RIM = 6  # below what is scrolled into view


class DockScroll(QScrollArea):
    """Vertical scroll area, which keeps all of one widget in view, or at least its top.

    A longer text below the area, or a scroll bar that wraps text again, would otherwise hide the
    end of what was just opened.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self._kept: QWidget | None = None
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab leads to what is in it
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(content)
        self._bar.rangeChanged.connect(self._schedule)
        self._bar.actionTriggered.connect(self._let_go)

    @property
    def _bar(self) -> QScrollBar:
        bar = self.verticalScrollBar()
        assert bar is not None
        return bar

    def keep_in_view(self, widget: QWidget) -> None:
        """Scroll to a widget of the content, now and when there is less room, or it has grown."""
        self._kept = widget
        self._schedule()

    def _let_go(self, _action: int) -> None:
        self._kept = None

    def _schedule(self) -> None:
        QTimer.singleShot(0, self._scroll)  # once the layout has made room

    def _scroll(self) -> None:
        content, viewport = self.widget(), self.viewport()
        if self._kept is None or content is None or viewport is None:
            return
        top = self._kept.mapTo(content, QPoint(0, 0)).y()
        lowest = top + self._kept.height() + RIM - viewport.height()
        self._bar.setValue(min(max(self._bar.value(), lowest), top))


def scroll_into_view(widget: QWidget) -> None:
    """Scroll the dock of a widget so far that all of it is seen, or at least its top."""
    area = widget.parentWidget()
    while area is not None and not isinstance(area, DockScroll):
        area = area.parentWidget()
    if area is not None:
        area.keep_in_view(widget)
