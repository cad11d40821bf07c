"""List of the slices to repair."""

from __future__ import annotations

from collections.abc import Iterable, MutableSet
from typing import Any

from qtpy.QtCore import QRect, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QStyledItemDelegate
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.tick_list import TickList
from napari_aeanet.gui.common.widgets import QWIDGETSIZE_MAX, present

LINES = 5
BESIDE_TEXT = 40  # px of an entry: the box to tick, and margins
PADDING = 3  # px above and below the text of an entry


class _Wrapped(QStyledItemDelegate):
    """Entries as wide as the list, as high as their wrapped text."""

    def sizeHint(self, option: Any, index: Any) -> QSize:
        view = self.parent()
        assert isinstance(view, QAbstractItemView)
        # With room for the scroll bar, so that the heights do not depend on it.
        width = view.width() - present(view.verticalScrollBar()).sizeHint().width() - BESIDE_TEXT
        room = QRect(0, 0, max(width, 1), QWIDGETSIZE_MAX)
        wrapped = view.fontMetrics().boundingRect(room, Qt.TextFlag.TextWordWrap, index.data())
        return QSize(1, wrapped.height() + 2 * PADDING)


class SliceList(TickList):
    """Slices to tick, by number; `picked` is emitted with the one that is chosen."""

    picked = Signal(int)
    placeholder = "Slices to repair are listed here."

    def __init__(self, name: str, ticked: MutableSet[Any]) -> None:
        super().__init__(
            name, "Tick the slices to repair; choose one to see it in the viewer", LINES, ticked
        )
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setWordWrap(True)
        self.setItemDelegate(_Wrapped(self))
        self.currentRowChanged.connect(self._on_row)
        self.itemClicked.connect(lambda _item: self._on_row(self.currentRow()))

    @property
    def chosen(self) -> int | None:
        """Number of the chosen slice."""
        row = self.currentRow()
        return self._listed[row] if 0 <= row < len(self._listed) else None

    def fill(self, entries: Iterable[tuple[Any, str, str]]) -> None:
        """List entries; the chosen one stays chosen."""
        chosen = self.chosen
        with signals_blocked(self):
            super().fill(entries)
            for row, key in enumerate(self._listed):
                item = present(self.item(row))
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsSelectable)
                if key == chosen:
                    self.setCurrentRow(row)
        self.changed.emit()

    def choose(self, key: int) -> None:
        if key in self._listed:
            self.setCurrentRow(self._listed.index(key))

    def set_texts(self, texts: dict[int, str]) -> None:
        """Change the texts of entries."""
        is_changed = False
        with signals_blocked(self):
            for row, key in enumerate(self._listed):
                item = present(self.item(row))
                if item.text() != texts[key]:
                    item.setText(texts[key])
                    item.setToolTip(texts[key])
                    is_changed = True
        if is_changed:
            self.scheduleDelayedItemsLayout()
            self.updateGeometry()

    def sizeHint(self) -> QSize:
        heights = sum(self.sizeHintForRow(row) for row in range(self.count()))
        return QSize(super().sizeHint().width(), max(self._lowest, heights + 8))

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.scheduleDelayedItemsLayout()  # wraps anew
            self.updateGeometry()

    def _on_row(self, row: int) -> None:
        if 0 <= row < len(self._listed):
            self.picked.emit(self._listed[row])
