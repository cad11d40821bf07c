"""Table of pairs: name, size, and state as symbol and word."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_aeanet.gui.common.session import PairEntry
from napari_aeanet.gui.common.text import ARROW, pair_sizes, pair_state, size_text
from napari_aeanet.gui.common.theme import Colours
from napari_aeanet.gui.common.widgets import Placeholder, named, present

RIM = 4
COLUMNS = ("Pair", "Width", "State")
FEWEST_LINES, MOST_LINES = 7, 14


class PairTable(Placeholder, QTableWidget):
    """One row for each pair of the session."""

    chosen = Signal()
    removal_requested = Signal()
    placeholder = (
        "Drop two folders here: sources and targets.\n"
        "Or open images in napari and press From layers.\n"
        "To try: File > Open Sample > napari-aeanet."
    )

    def __init__(self, name: str) -> None:
        super().__init__(0, len(COLUMNS))
        named(self, name, "Select a pair to see its evidence; Delete removes it")
        self.setProperty("role", "list")
        self.setHorizontalHeaderLabels(list(COLUMNS))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setShowGrid(False)
        self.setWordWrap(False)
        rows = present(self.verticalHeader())
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = present(self.horizontalHeader())
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self.itemSelectionChanged.connect(self.chosen.emit)

    def fill(self, entries: Sequence[PairEntry], colours: Colours) -> None:
        """Show the pairs and keep the selection."""
        self.blockSignals(True)
        present(self.horizontalHeader()).setVisible(bool(entries))
        self.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            pair = entry.pair
            state = pair_state(pair, entry.decision)
            sizes = f"{size_text(pair.source)} {ARROW} {size_text(pair.target)} pixels"
            self._set(row, 0, pair.name, f"{pair.source.name} {ARROW} {pair.target.name}")
            self._set(row, 1, pair_sizes(pair), sizes)
            item = self._set(row, 2, state.text, state.reason)
            item.setForeground(QColor(_colour(state.role, colours)))
        self.blockSignals(False)
        lines = min(max(len(entries), FEWEST_LINES), MOST_LINES) + 1
        line = present(self.verticalHeader()).defaultSectionSize()
        self.setFixedHeight(lines * line + 2 * RIM)

    def selected_rows(self) -> set[int]:
        return {index.row() for index in present(self.selectionModel()).selectedRows()}

    def selected(self, entries: Sequence[PairEntry]) -> PairEntry | None:
        """Return the entry of the selected row, or None unless exactly one is selected."""
        rows = self.selected_rows()
        if len(rows) != 1 or max(rows) >= len(entries):
            return None
        return entries[rows.pop()]

    def select_first(self) -> None:
        """Select the first row, unless one is selected."""
        if not self.selected_rows() and self.rowCount():
            self.selectRow(0)

    def keyPressEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.selected_rows():
            self.removal_requested.emit()
        else:
            super().keyPressEvent(event)

    def _set(self, row: int, column: int, text: str, tooltip: str) -> QTableWidgetItem:
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.setItem(row, column, item)
        item.setText(text)
        item.setToolTip(tooltip)
        return item


def _colour(role: str, colours: Colours) -> str:
    by_role = {"good": colours.good, "caution": colours.caution, "bad": colours.bad}
    return by_role.get(role, colours.muted)
