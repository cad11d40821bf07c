"""Thumbnails of relevance maps, one for every abstract pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.widgets import Placeholder, named, present
from napari_aeanet.gui.relevance.worker import THUMBNAIL_EDGE

CAPTION = 28  # px below a thumbnail, with its margin


class Order(StrEnum):
    """Order of the thumbnails."""

    ALIKE = "grouped by kind"
    HERE = "at the clicked point"
    INFLUENCE = "most influential first"
    NUMBER = "by number"


@dataclass(frozen=True)
class Thumbnail:
    """Caption and tooltip of the map of one abstract pixel."""

    number: int
    caption: str
    tooltip: str


class Gallery(Placeholder, QListWidget):
    """Thumbnails to click; `picked` is emitted with the number of the abstract pixel."""

    picked = Signal(int)
    placeholder = "Click Compute to see where the abstract pixels of the model are relevant."

    def __init__(self, name: str) -> None:
        super().__init__()
        named(self, name, "Click a map to show it over the image")
        self.setProperty("role", "list")
        self.setViewMode(QListWidget.ViewMode.IconMode)
        self.setMovement(QListWidget.Movement.Static)
        self.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(THUMBNAIL_EDGE, THUMBNAIL_EDGE))
        self._icons: list[QIcon] = []
        self._is_new = False
        self.currentItemChanged.connect(self._on_changed)
        self.itemClicked.connect(self._on_clicked)

    def set_images(self, images: np.ndarray) -> None:
        """Set the pictures of all abstract pixels, RGB of shape (abstract pixels, y, x, 3)."""
        height, width = images.shape[1:3]
        shown = round(THUMBNAIL_EDGE * min(1.0, height / width))
        self.setGridSize(QSize(THUMBNAIL_EDGE + 9, shown + CAPTION))
        # At least two and a half rows are visible: the half one shows that there are more.
        self.setMinimumHeight(round(2.5 * (shown + CAPTION)))
        self._icons = [QIcon(_pixmap(image)) for image in images]

    def fill(self, thumbnails: Sequence[Thumbnail]) -> None:
        """Show thumbnails in the given order; the chosen one stays chosen."""
        chosen = self.chosen
        with signals_blocked(self):
            self.clear()
            for thumbnail in thumbnails:
                item = QListWidgetItem(self._icons[thumbnail.number], thumbnail.caption)
                item.setData(Qt.ItemDataRole.UserRole, thumbnail.number)
                item.setToolTip(thumbnail.tooltip)
                item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
                self.addItem(item)
                if thumbnail.number == chosen:
                    self.setCurrentItem(item)

    @property
    def chosen(self) -> int | None:
        """Number of the chosen abstract pixel."""
        item = self.currentItem()
        return None if item is None else item.data(Qt.ItemDataRole.UserRole)

    @property
    def numbers(self) -> list[int]:
        """Numbers of the abstract pixels in the order of their thumbnails."""
        items = [present(self.item(row)) for row in range(self.count())]
        return [item.data(Qt.ItemDataRole.UserRole) for item in items]

    def pick(self, row: int) -> None:
        """Act as if the thumbnail at `row` had been clicked."""
        self.setCurrentRow(row)
        self._on_clicked(present(self.item(row)))

    def _on_changed(self, item: QListWidgetItem | None, _before: object = None) -> None:
        if item is not None:
            self._is_new = True
            self.picked.emit(item.data(Qt.ItemDataRole.UserRole))

    def _on_clicked(self, item: QListWidgetItem) -> None:
        # The layer of the chosen map may have been deleted: a second click shows it again.
        if not self._is_new:
            self.picked.emit(item.data(Qt.ItemDataRole.UserRole))
        self._is_new = False


def _pixmap(image: np.ndarray) -> QPixmap:
    """Return the pixmap of an RGB image of shape (y, x, 3)."""
    height, width, _ = image.shape
    pixels = image.tobytes()  # named: QImage does not copy it
    qimage = QImage(pixels, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(qimage).scaled(
        THUMBNAIL_EDGE,
        THUMBNAIL_EDGE,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
