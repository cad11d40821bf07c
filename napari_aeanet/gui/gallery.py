"""Thumbnails of relevance maps: one for every abstract pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np
from napari.utils.colormaps import Colormap
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from napari_aeanet.gui.parts import Placeholder, named

EDGE = 68  # of a thumbnail: four in a row
CAPTION = 28  # below it, with some air
# What says nothing is clear, so that the image below stays visible.
SIGNED = Colormap(
    [[0.13, 0.44, 1.0, 1.0], [0.13, 0.44, 1.0, 0.0], [1.0, 0.5, 0.0, 0.0], [1.0, 0.5, 0.0, 1.0]],
    controls=[0, 0.499, 0.501, 1],
    name="relevance",
    display_name="relevance: blue against, orange for",
)


class Order(StrEnum):
    """In which order the thumbnails stand."""

    STRONGEST = "strongest first"
    NUMBER = "by number"


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
        self.setUniformItemSizes(True)
        self.setIconSize(QSize(EDGE, EDGE))
        self.setMinimumHeight(3 * (EDGE + CAPTION))
        self.currentItemChanged.connect(self._on_changed)

    def fill(self, maps: np.ndarray, order: Order, names: Mapping[int, str]) -> None:
        """Show maps of shape (abstract pixels, y, x)."""
        self.blockSignals(True)
        self.clear()
        height, width = maps.shape[-2:]
        thumbnail_height = round(EDGE * min(1.0, height / width))
        self.setGridSize(QSize(EDGE + 10, thumbnail_height + CAPTION))
        for number in ordered(maps, order):
            title = names.get(number, "")
            item = QListWidgetItem(QIcon(_thumbnail(maps[number])), title or str(number + 1))
            item.setData(Qt.ItemDataRole.UserRole, int(number))
            item.setToolTip(f"abstract pixel {number + 1}{': ' + title if title else ''}")
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            self.addItem(item)
        self.blockSignals(False)

    def pick(self, row: int) -> None:
        """As if the thumbnail at this place had been clicked."""
        self.setCurrentRow(row)

    def _on_changed(self, item: QListWidgetItem | None, _before: object = None) -> None:
        if item is not None:
            self.picked.emit(item.data(Qt.ItemDataRole.UserRole))


def ordered(maps: np.ndarray, order: Order) -> Sequence[int]:
    """Numbers of the abstract pixels; "strongest" are those that vary most over the image."""
    if order is Order.NUMBER:
        return range(len(maps))
    return [int(i) for i in np.argsort(-maps.std(axis=(1, 2)), kind="stable")]


def limit(values: np.ndarray) -> float:
    """The value whose colour is full, on either side; a few outliers are cut off."""
    return float(np.percentile(np.abs(values), 99.5)) or 1.0


def _thumbnail(values: np.ndarray) -> QPixmap:
    """The map on black, at most EDGE pixels wide and high."""
    step = max(1, max(values.shape) // EDGE)
    height, width = (n // step for n in values.shape)
    blocks = values[: height * step, : width * step].reshape(height, step, width, step)
    small = blocks.mean(axis=(1, 3))
    shares = np.clip(small / limit(small), -1, 1) / 2 + 0.5
    colours = SIGNED.map(shares.ravel()).reshape(*small.shape, 4)
    pixels = np.ascontiguousarray(colours[..., :3] * colours[..., 3:] * 255, dtype=np.uint8)
    height, width, _ = pixels.shape
    image = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image).scaled(
        EDGE, EDGE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
