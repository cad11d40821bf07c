"""Table of pairs: both images, and the state as symbol and word."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.session import PairEntry
from napari_aeanet.gui.common.text import pair_state, size_text
from napari_aeanet.gui.common.theme import Colours
from napari_aeanet.gui.common.widgets import Placeholder, named, present

RIM = 4
COLUMNS = ("Source", "Target", "State")
THUMBNAIL = 20  # pixels
FEWEST_LINES = 5


class PairTable(Placeholder, QTableWidget):
    """One row for each pair of the session."""

    chosen = Signal()
    removal_requested = Signal()
    placeholder = (
        "Drop two folders here: sources and targets.\n"
        "Or open images in napari and press Layers.\n"
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
        for column, name in enumerate(COLUMNS):
            modes = QHeaderView.ResizeMode
            is_image = name in ("Source", "Target")
            header.setSectionResizeMode(
                column, modes.Stretch if is_image else modes.ResizeToContents
            )
        self.setMinimumHeight((FEWEST_LINES + 1) * rows.defaultSectionSize() + 2 * RIM)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Pairs")
        self.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self._thumbnails: WeakKeyDictionary[Image, QIcon] = WeakKeyDictionary()
        self.itemSelectionChanged.connect(self.chosen.emit)

    def fill(self, entries: Sequence[PairEntry], colours: Colours) -> None:
        """Show the pairs and keep the selection."""
        self.blockSignals(True)
        present(self.horizontalHeader()).setVisible(bool(entries))
        self.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            pair = entry.pair
            state = pair_state(pair, entry.decision)
            for column, (role, image) in enumerate(
                (("source", pair.source), ("target", pair.target))
            ):
                guessed = ", guessed from the images" if pair.is_guess else ""
                text = f"{image.name}: {size_text(image)} pixels, {role} of {pair.name}{guessed}"
                item = self._set(row, column, image.name, text)
                item.setIcon(self._thumbnail(image))
                font = item.font()
                font.setItalic(pair.is_guess)
                item.setFont(font)
            item = self._set(row, 2, state.text, state.reason)
            item.setForeground(QColor(_colour(state.role, colours)))
        self.blockSignals(False)

    def _thumbnail(self, image: Image) -> QIcon:
        """Return a small picture of an image in memory; an empty one of an image on disk."""
        if image not in self._thumbnails:
            self._thumbnails[image] = _icon(image)
        return self._thumbnails[image]

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


def _icon(image: Image) -> QIcon:
    if not isinstance(image.array, np.ndarray):
        return QIcon()
    step = max(1, max(image.plane_shape) // (2 * THUMBNAIL))
    middle: list[slice | int] = [n // 2 for n in image.shape[:-2]]
    plane = image.read((*middle, slice(None, None, step), slice(None, None, step)))
    plane = np.nan_to_num(plane.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = np.percentile(plane, (1, 99))
    grey = np.clip((plane - low) / (high - low or 1.0) * 255, 0, 255).astype(np.uint8)
    height, width = grey.shape
    picture = QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8)
    return QIcon(QPixmap.fromImage(picture))


def _colour(role: str, colours: Colours) -> str:
    by_role = {"good": colours.good, "caution": colours.caution, "bad": colours.bad}
    return by_role.get(role, colours.muted)
