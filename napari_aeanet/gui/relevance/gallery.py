"""Thumbnails of relevance maps: one for every abstract pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from napari_aeanet.gui.common.widgets import Placeholder, named
from napari_aeanet.gui.relevance.worker import EDGE

CAPTION = 28  # below a thumbnail, with some air


class Order(StrEnum):
    """In which order the thumbnails stand."""

    ALIKE = "alike ones together"
    HERE = "at the clicked place"
    INFLUENCE = "most influential first"
    NUMBER = "by number"


@dataclass(frozen=True)
class Thumbnail:
    """One thumbnail: the abstract pixel it stands for, and the words below and about it."""

    number: int
    caption: str
    tooltip: str


class Gallery(Placeholder, QListWidget):
    """Thumbnails to click; `picked` names the abstract pixel."""

    picked = Signal(int)
    placeholder = "Compute to see what the model's abstract pixels look at."

    def __init__(self, name: str) -> None:
        super().__init__()
        named(self, name, "Click a map to lay it over the image")
        self.setProperty("role", "list")
        self.setViewMode(QListWidget.ViewMode.IconMode)
        self.setMovement(QListWidget.Movement.Static)
        self.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(EDGE, EDGE))
        self._icons: list[QIcon] = []
        self._is_new = False
        self.currentItemChanged.connect(self._on_changed)
        self.itemClicked.connect(self._on_clicked)

    def take(self, thumbnails: np.ndarray) -> None:
        """Colours of shape (abstract pixels, y, x, 3), by number."""
        height, width = thumbnails.shape[1:3]
        shown = round(EDGE * min(1.0, height / width))
        self.setGridSize(QSize(EDGE + 9, shown + CAPTION))
        # Two rows are seen at least, and half of a third, which says that there are more.
        self.setMinimumHeight(round(2.5 * (shown + CAPTION)))
        self._icons = [QIcon(_pixmap(colours)) for colours in thumbnails]

    def fill(self, tiles: Sequence[Thumbnail]) -> None:
        """Show these, in this order; the one that was chosen stays chosen."""
        chosen = self.chosen
        self.blockSignals(True)
        self.clear()
        for tile in tiles:
            item = QListWidgetItem(self._icons[tile.number], tile.caption)
            item.setData(Qt.ItemDataRole.UserRole, tile.number)
            item.setToolTip(tile.tooltip)
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            self.addItem(item)
            if tile.number == chosen:
                self.setCurrentItem(item)
        self.blockSignals(False)

    @property
    def chosen(self) -> int | None:
        """The number of the abstract pixel that is chosen."""
        item = self.currentItem()
        return None if item is None else item.data(Qt.ItemDataRole.UserRole)

    @property
    def numbers(self) -> list[int]:
        """As they stand."""
        return [self.item(row).data(Qt.ItemDataRole.UserRole) for row in range(self.count())]

    def pick(self, row: int) -> None:
        """As if the thumbnail at this place had been clicked."""
        self.setCurrentRow(row)
        self._on_clicked(self.item(row))

    def _on_changed(self, item: QListWidgetItem | None, _before: object = None) -> None:
        if item is not None:
            self._is_new = True
            self.picked.emit(item.data(Qt.ItemDataRole.UserRole))

    def _on_clicked(self, item: QListWidgetItem) -> None:
        """Clicked again: its layer may have been deleted since."""
        if not self._is_new:
            self.picked.emit(item.data(Qt.ItemDataRole.UserRole))
        self._is_new = False


def _pixmap(colours: np.ndarray) -> QPixmap:
    """A thumbnail of colours (y, x, 3)."""
    pixels = np.ascontiguousarray(colours)
    height, width, _ = pixels.shape
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image).scaled(
        EDGE, EDGE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
