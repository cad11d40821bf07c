"""Table of pairs: both images, and the state as symbol and word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QTableWidget,
    QTableWidgetItem,
)

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.session import PairEntry
from napari_aeanet.gui.common.text import pair_state, size_text
from napari_aeanet.gui.common.theme import Colours
from napari_aeanet.gui.common.widgets import Placeholder, named, present

RIM = 4
COLUMNS = ("Source", "Target", "State")
THUMBNAIL = 20  # pixels
BESIDE_NAME = THUMBNAIL + 14  # pixels of a cell, with the gaps
FILLED = 1.6  # of two lines, which end at a word
FEWEST_LINES = 5


class _Name(QStyledItemDelegate):
    """A name on two lines where one is too short, elided in the middle where two are."""

    def initStyleOption(self, option: Any, index: Any) -> None:
        super().initStyleOption(option, index)
        room = option.rect.width() - BESIDE_NAME
        if option.fontMetrics.horizontalAdvance(option.text) > room:
            middle = Qt.TextElideMode.ElideMiddle
            option.text = option.fontMetrics.elidedText(option.text, middle, int(FILLED * room))


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
        for column in (0, 1):
            self.setItemDelegateForColumn(column, _Name(self))
        rows = present(self.verticalHeader())
        rows.hide()
        rows.setDefaultSectionSize(self._height_of(1))
        header = present(self.horizontalHeader())
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        for column, name in enumerate(COLUMNS):
            modes = QHeaderView.ResizeMode
            is_image = name in ("Source", "Target")
            header.setSectionResizeMode(
                column, modes.Stretch if is_image else modes.ResizeToContents
            )
        self.setMinimumHeight((FEWEST_LINES + 1) * self._height_of(1) + 2 * RIM)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Pairs")
        self.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self._thumbnails: WeakKeyDictionary[Image, QIcon] = WeakKeyDictionary()
        self._is_selecting = self._is_chosen_by_user = False
        self.itemSelectionChanged.connect(self._on_selection)
        self.cellPressed.connect(self._on_pressed)

    def sizeHint(self) -> QSize:
        rows = self.rowCount() * present(self.verticalHeader()).defaultSectionSize()
        fewest = FEWEST_LINES * self._height_of(1)
        height = self._height_of(1) + max(fewest, rows) + 2 * RIM
        return QSize(super().sizeHint().width(), height)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit_rows()

    def _fit_rows(self) -> None:
        """Give the rows two lines if a name needs them."""
        names = [self.item(row, column) for row in range(self.rowCount()) for column in (0, 1)]
        widest = max((self._width_of(name.text()) for name in names if name), default=0)
        lines = 1 if widest <= self.columnWidth(0) - BESIDE_NAME else 2
        present(self.verticalHeader()).setDefaultSectionSize(self._height_of(lines))

    def _width_of(self, text: str) -> int:
        return self.fontMetrics().horizontalAdvance(text)

    def _height_of(self, lines: int) -> int:
        return lines * self.fontMetrics().height() + 8

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
        self._fit_rows()
        self.updateGeometry()

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

    def chosen_rows(self) -> set[int]:
        """Return the selected rows; none if the program has selected them."""
        return self.selected_rows() if self._is_chosen_by_user else set()

    def select(self, row: int) -> None:
        """Select a row without the user."""
        self._is_selecting = True
        self.selectRow(row)
        self._is_selecting = False

    def select_first(self) -> None:
        """Select the first row, unless one is selected."""
        if not self.selected_rows() and self.rowCount():
            self.select(0)

    def _on_selection(self) -> None:
        self._is_chosen_by_user = not self._is_selecting
        self.chosen.emit()

    def _on_pressed(self) -> None:
        if not self._is_chosen_by_user:
            self._on_selection()

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
