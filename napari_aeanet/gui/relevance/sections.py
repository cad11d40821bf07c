"""The folded sections of the Relevance dock: widgets and what they ask for, no work."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from napari.layers import Labels, Layer, Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from skimage.draw import polygon2mask

from napari_aeanet.gui.common.image_list import ImageList
from napari_aeanet.gui.common.widgets import (
    GAP,
    Placeholder,
    button,
    chooser,
    fixed_height,
    label,
    named,
    row,
    set_text,
)
from napari_aeanet.relevance import RegionRow
from napari_aeanet.trust import DISCLAIMER, MEANING, Light

TABLE_LINES = 9
MOST_ROWS = 200
# How a point on the rim of an ellipse is found from its corners: so many points.
ELLIPSE_POINTS = 64


class Section(QWidget):
    """Widgets one below the other."""

    def __init__(self) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(GAP)


class ChangeSection(Section):
    """What does it change? For the chosen abstract pixel, and a ranking of all."""

    def __init__(self, show: Callable[[], None], rank: Callable[[], None]) -> None:
        super().__init__()
        self.show_button = button(
            "Show what it changes",
            "relevance_change",
            "Restore the image with and without this abstract pixel and show the difference",
            show,
        )
        self.rank_button = button(
            "Rank all",
            "relevance_rank",
            "Find out how much each abstract pixel moves the result, and sort by it",
            rank,
        )
        self.line = label(role="hint", name="relevance_change_line")
        self.column.addLayout(row(self.show_button, self.rank_button, stretch=0))
        self.column.addWidget(self.line)
        set_text(
            self.line,
            "Relevant is not influential: a map shows where an abstract pixel agrees with the "
            "image, this shows what the result would lack without it.",
        )


class RegionTable(Placeholder, QTableWidget):
    """Statistics of abstract pixels inside regions; a click on a line picks its pixel."""

    picked = Signal(int)
    placeholder = "Draw regions in a Labels or Shapes layer, choose it above, and measure."
    COLUMNS = ("Region", "Pixel", "Mean", "±", "Above 0")

    def __init__(self, name: str) -> None:
        super().__init__(0, len(self.COLUMNS))
        named(self, name, "What the abstract pixels say inside each region, the most telling first")
        self.setProperty("role", "list")
        self.setHorizontalHeaderLabels(self.COLUMNS)
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setMinimumSectionSize(20)
        self.setMinimumWidth(0)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        fixed_height(self, TABLE_LINES)
        self.rows: list[RegionRow] = []
        self.itemSelectionChanged.connect(self._on_selected)

    def fill(self, rows: Sequence[RegionRow]) -> None:
        """The first rows; all are kept for the file."""
        self.rows = list(rows)
        shown = self.rows[:MOST_ROWS]
        self.blockSignals(True)
        self.setRowCount(len(shown))
        for line, found in enumerate(shown):
            pixel = f"{found.pixel + 1} {found.name}".strip()
            texts = (
                str(found.region),
                pixel,
                f"{found.mean:+.2f}",
                f"{found.deviation:.2f}",
                f"{found.share_for * 100:.0f} %",
            )
            for column, text in enumerate(texts):
                self.setItem(line, column, QTableWidgetItem(text))
        self.blockSignals(False)

    def _on_selected(self) -> None:
        if 0 <= self.currentRow() < len(self.rows):
            self.picked.emit(self.rows[self.currentRow()].pixel)


class RegionSection(Section):
    """Statistics inside the regions of a layer."""

    def __init__(self, measure: Callable[[], None], save: Callable[[], None]) -> None:
        super().__init__()
        self.layer = chooser("relevance_regions", "A Labels or Shapes layer with the regions")
        self.layer.setPlaceholderText("no Labels or Shapes layer")
        self.measure_button = button(
            "Measure", "relevance_measure", "Statistics of all maps inside each region", measure
        )
        self.save_button = button(
            "Save…", "relevance_save_regions", "Save the whole table as a CSV file", save
        )
        self.table = RegionTable("relevance_region_table")
        self.column.addWidget(self.layer)
        self.column.addLayout(row(self.measure_button, self.save_button, stretch=0))
        self.column.addWidget(self.table)
        self._layers: list[Layer] = []

    def refill(self, layers: Sequence[Layer]) -> None:
        """Offer the layers that can hold regions; the chosen one stays chosen."""
        chosen = self.chosen
        self._layers = [one for one in reversed(layers) if isinstance(one, Labels | Shapes)]
        self.layer.clear()
        self.layer.addItems([one.name for one in self._layers])
        if self._layers:
            self.layer.setCurrentIndex(self._layers.index(chosen) if chosen in self._layers else 0)

    @property
    def chosen(self) -> Layer | None:
        index = self.layer.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None


class CompareSection(Section):
    """Several images, the same abstract pixels, one scale."""

    def __init__(self, layers: object, compare: Callable[[], None]) -> None:
        super().__init__()
        self.images = ImageList(layers, "relevance_compared", "The images to be compared")
        self.button = button(
            "Compare",
            "relevance_compare",
            "Rows are images, columns the first abstract pixels of the gallery, one scale for all",
            compare,
        )
        self.column.addWidget(self.images)
        self.column.addWidget(self.button)


class TrustSection(Section):
    """How far to trust the result: a button, a sentence, what to show, and what it means."""

    def __init__(self, judge: Callable[[], None]) -> None:
        super().__init__()
        self.button = button(
            "How far can I trust the result?",
            "relevance_trust",
            "Restore the image and look for what speaks against the result, pixel by pixel",
            judge,
        )
        self.symmetries = QCheckBox("try all eight flips and turns (8 × the time)")
        named(self.symmetries, "relevance_symmetries", "See where they disagree")
        self.symmetries.setChecked(True)
        self.sentence = label(name="relevance_trust_sentence")
        self.shown = chooser("relevance_trust_map", "Which of the maps is shown")
        self.legend = label(name="relevance_trust_legend")
        colours = {Light.GREEN: "#33bf66", Light.AMBER: "#ffbf1a", Light.RED: "#e62633"}
        parts = [
            f"<span style='color:{colour}'>■</span>&nbsp;{MEANING[light].replace(' ', '&nbsp;')}"
            for light, colour in colours.items()
        ]
        self.legend.setText(" &nbsp; ".join(parts))
        self.meaning = label(DISCLAIMER, "hint", "relevance_trust_meaning")
        for widget in (self.button, self.symmetries, self.sentence, self.shown, self.legend):
            self.column.addWidget(widget)
        self.column.addWidget(self.meaning)
        for widget in (self.sentence, self.shown, self.legend):
            widget.hide()


def regions_on(layer: Layer, overlay: Layer, shape: Sequence[int]) -> np.ndarray:
    """Regions of a Labels or Shapes layer at the places of a map: 0 for none.

    Parameters
    ----------
    overlay
        A layer that shows the map: it tells where its places lie in the world.
    shape
        Of the map.
    """
    height, width = shape[-2:]
    rows, columns = np.mgrid[:height, :width]
    matrix = np.array([overlay.data_to_world(c)[-2:] for c in _corners(overlay.ndim)])
    origin, down, right = matrix[0], matrix[1] - matrix[0], matrix[2] - matrix[0]
    world = origin + rows[..., None] * down + columns[..., None] * right
    if isinstance(layer, Labels):
        plane = _labels_at(layer, world)
    else:
        plane = _shapes_at(layer, np.stack([down, right], axis=1), origin, (height, width))
    return np.broadcast_to(plane, tuple(shape))


def _corners(ndim: int) -> np.ndarray:
    corners = np.zeros((3, ndim))
    corners[1, -2] = corners[2, -1] = 1
    return corners


def _labels_at(layer: Labels, world: np.ndarray) -> np.ndarray:
    """The label under each world position (y, x), of the plane that is shown."""
    first = np.array([layer.data_to_world(c)[-2:] for c in _corners(layer.ndim)])
    way = np.linalg.inv(np.stack([first[1] - first[0], first[2] - first[0]], axis=1))
    index = np.rint((world - first[0]) @ way.T).astype(int)
    data = np.asarray(layer.data)
    data = data.reshape(-1, *data.shape[-2:])[0] if data.ndim > 2 else data
    inside = ((index >= 0) & (index < data.shape)).all(axis=-1)
    found = np.zeros(world.shape[:2], int)
    found[inside] = data[tuple(index[inside].T)]
    return found


def _shapes_at(
    layer: Shapes, matrix: np.ndarray, origin: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Shapes numbered from 1, later ones on top; lines and paths enclose nothing."""
    found = np.zeros(shape, int)
    for number, (corners, kind) in enumerate(
        zip(layer.data, layer.shape_type, strict=True), start=1
    ):
        if kind in ("line", "path"):
            continue
        outline = _ellipse(corners) if kind == "ellipse" else corners
        world = np.array([layer.data_to_world(corner)[-2:] for corner in outline])
        found[polygon2mask(shape, (world - origin) @ np.linalg.inv(matrix).T)] = number
    return found


def _ellipse(corners: np.ndarray) -> np.ndarray:
    """Points on the ellipse that touches the middles of a rectangle's sides."""
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)[:, None]
    return centre + np.cos(angle) * first + np.sin(angle) * second
