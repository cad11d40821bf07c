"""A list with a check box for every entry."""

from __future__ import annotations

from collections.abc import Iterable, MutableSet
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QStyledItemDelegate,
)
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.widgets import Placeholder, named


class _Narrow(QStyledItemDelegate):
    """Entries as wide as the list, whatever their text."""

    def sizeHint(self, option: Any, index: Any) -> QSize:
        return QSize(1, super().sizeHint(option, index).height())


class TickList(Placeholder, QListWidget):
    """Entries to tick, by key: a tick outlives the renaming and the removal of an entry.

    Parameters
    ----------
    lines
        Lowest height of the list in lines of text; it grows with its entries as the dock allows.
    ticked
        Set that holds the ticked keys.
    """

    changed = Signal()

    def __init__(self, name: str, tooltip: str, lines: int, ticked: MutableSet[Any]) -> None:
        super().__init__()
        named(self, name, tooltip)
        self.setProperty("role", "list")
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # elide instead
        self.setItemDelegate(_Narrow(self))
        self._lowest = self.fontMetrics().height() * (lines + 1)
        self.setMinimumHeight(self._lowest)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._listed: list[Any] = []
        self._ticked = ticked
        self.itemChanged.connect(self._on_item_changed)

    def sizeHint(self) -> QSize:
        entries = self.sizeHintForRow(0) * (self.count() + 1)
        return QSize(super().sizeHint().width(), max(self._lowest, entries))

    @property
    def ticked(self) -> list[Any]:
        return [key for key in self._listed if key in self._ticked]

    @property
    def unticked(self) -> list[Any]:
        return [key for key in self._listed if key not in self._ticked]

    def tick(self, key: Any) -> None:
        """Tick an entry, now or when it is listed."""
        self._ticked.add(key)

    def fill(self, entries: Iterable[tuple[Any, str, str]]) -> None:
        """List entries, each a key, a text and a tooltip."""
        self._listed = []
        with signals_blocked(self):
            self.clear()
            for key, text, tooltip in entries:
                item = QListWidgetItem(text)
                item.setToolTip(tooltip)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                is_ticked = key in self._ticked
                item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)
                self.addItem(item)
                self._listed.append(key)
        self.updateGeometry()
        self.changed.emit()

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        is_ticked = item.checkState() is Qt.CheckState.Checked
        act = self._ticked.add if is_ticked else self._ticked.discard
        act(self._listed[self.row(item)])
        self.changed.emit()
