"""Table of pairs: both images, and the state as symbol and word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QFontMetrics, QIcon, QImage, QPixmap
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
BESIDE_NAME = THUMBNAIL + 16  # pixels of a cell, with the gaps
MOST_LINES = 2  # of a name
BREAKABLE = "\u200b"  # a space without width
CUT = "…\u2060"  # which is not broken off
BREAK = re.compile(r"[_.-]")  # after which a name may be broken
WORD = re.compile(f"[^ {BREAKABLE}]+[ {BREAKABLE}]?")
FILLED = 1.6  # of two lines, which end at a word
FEWEST_LINES = 5


class _Name(QStyledItemDelegate):
    """A name on two lines where one is too short; if two are, without what all names share."""

    def __init__(self, table: PairTable) -> None:
        super().__init__(table)
        self._table = table

    def initStyleOption(self, option: Any, index: Any) -> None:
        super().initStyleOption(option, index)
        option.text = self._table.shown_name(option.text, index.column())[0]


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
        header.sectionResized.connect(lambda *_: self._fit_rows())
        self.setMinimumHeight((FEWEST_LINES + 1) * self._height_of(1) + 2 * RIM)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Pairs")
        self.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self._shared = [(0, 0), (0, 0)]  # letters that all names of a column share
        self._thumbnails: WeakKeyDictionary[Image, QIcon] = WeakKeyDictionary()
        self._is_selecting = self._is_chosen_by_user = False
        self.itemSelectionChanged.connect(self._on_selection)
        self.cellPressed.connect(self._on_pressed)

    def sizeHint(self) -> QSize:
        rows = self.rowCount() * present(self.verticalHeader()).defaultSectionSize()
        fewest = FEWEST_LINES * self._height_of(1)
        height = self._height_of(1) + max(fewest, rows) + 2 * RIM
        return QSize(super().sizeHint().width(), height)

    def _fit_rows(self) -> None:
        """Give the rows as many lines as a name needs."""
        states = (self.item(row, 2) for row in range(self.rowCount()))
        lines = max((state.text().count("\n") + 1 for state in states if state), default=1)
        for column in (0, 1):
            for name in self._names(column):
                if lines < MOST_LINES:
                    lines = max(lines, self.shown_name(name, column)[1])
        present(self.verticalHeader()).setDefaultSectionSize(self._height_of(lines))

    def _names(self, column: int) -> list[str]:
        items = (self.item(row, column) for row in range(self.rowCount()))
        return [item.text() for item in items if item is not None]

    def shown_name(self, name: str, column: int) -> tuple[str, int]:
        """Return a name as it is shown in a column, and its number of lines.

        Too long a name loses the beginning that all names of the column share, then the end too. A
        name alone shares nothing, and is elided in its middle.
        """
        font = self.font()
        font.setItalic(True)  # as guesses are
        metrics, room = QFontMetrics(font), self.columnWidth(column) - BESIDE_NAME
        if metrics.horizontalAdvance(name) <= room:
            return name, 1
        begin, end = self._shared[column]
        core = name[begin : len(name) - end]
        first, last = CUT if begin else "", "…" if end else ""
        for text in (name, first + name[begin:], first + core + last, core):
            broken = BREAK.sub(f"\\g<0>{BREAKABLE}", text)
            lines = _lines_of(broken, room, metrics)
            if lines <= MOST_LINES:
                return broken, lines
        middle = Qt.TextElideMode.ElideMiddle
        return metrics.elidedText(core, middle, int(FILLED * room)), MOST_LINES

    def _height_of(self, lines: int) -> int:
        # Lines are up to a pixel higher than the height of the font, a whole number.
        return lines * self.fontMetrics().height() + lines + 7

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
            # On two lines, so that the names have room.
            item = self._set(row, 2, state.text.replace(", ", ",\n"), state.reason)
            item.setForeground(QColor(_colour(state.role, colours)))
        self.blockSignals(False)
        self._shared = [_shared_ends(self._names(column)) for column in (0, 1)]
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


def _lines_of(text: str, room: int, metrics: QFontMetrics) -> int:
    """Return the lines of a text in so much room; more than there are if a word is too long."""
    lines, left = 1, room
    for word in WORD.findall(text):
        width = metrics.horizontalAdvance(word)
        if width > room:
            return MOST_LINES + 1
        if width > left:
            lines, left = lines + 1, room
        left -= width
    return lines


def _shared_ends(names: Sequence[str]) -> tuple[int, int]:
    """Return how many letters all names share at their beginning, and at their end.

    Numbers are not cut.
    """
    different = sorted(set(names))
    if len(different) < 2:
        return 0, 0
    begin = _common(different)
    while begin and different[0][begin - 1].isdigit():
        begin -= 1
    rest = [name[begin:][::-1] for name in different]
    end = _common(rest)
    while end and rest[0][end - 1].isdigit():
        end -= 1
    return begin, end


def _common(names: Sequence[str]) -> int:
    """Return how many letters names share at their beginning."""
    columns = enumerate(zip(*names, strict=False))
    return next((i for i, letters in columns if len(set(letters)) > 1), min(map(len, names)))


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
