"""Section of the Relevance dock about regions: statistics of the maps inside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Labels, Layer, Shapes
from napari.utils.notifications import show_info
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.widgets import (
    Placeholder,
    button,
    fixed_height,
    make_column,
    named,
    present,
    row,
)
from napari_aeanet.gui.relevance.sections import ask_path
from napari_aeanet.gui.viewer.drawn_layers import drawn_in, grid_of
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.overlay import Overlay
from napari_aeanet.relevance import RegionRow, RelevanceMaps, region_rows, save_rows

TABLE_LINES = 9
MOST_ROWS = 200


class RegionTable(Placeholder, QTableWidget):
    """Statistics of abstract pixels inside regions; `picked` is emitted for a clicked row."""

    picked = Signal(int)
    placeholder = "Draw regions in a Labels or Shapes layer, choose it above, and measure."
    COLUMNS = ("Region", "Pixel", "Mean", "±", "Above 0")

    def __init__(self, name: str) -> None:
        super().__init__(0, len(self.COLUMNS))
        named(self, name, "Relevance inside each region, the most distinctive pixel first")
        self.setProperty("role", "list")
        self.setHorizontalHeaderLabels(self.COLUMNS)
        present(self.verticalHeader()).hide()
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = present(self.horizontalHeader())
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(self.COLUMNS.index("Pixel"), QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(20)
        self.setMinimumWidth(0)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        fixed_height(self, TABLE_LINES)
        self.rows: list[RegionRow] = []
        self.itemSelectionChanged.connect(self._on_selected)

    def fill(self, rows: Sequence[RegionRow]) -> None:
        """Show the first rows; all of them are kept for saving."""
        self.rows = list(rows)
        shown = self.rows[:MOST_ROWS]
        with signals_blocked(self):
            self.setRowCount(len(shown))
            for line, found in enumerate(shown):
                texts = (
                    str(found.region),
                    f"{found.pixel + 1} {found.name}".strip(),
                    f"{found.mean:+.1f}",
                    f"{found.deviation:.1f}",
                    f"{found.share_for * 100:.0f} %",
                )
                for column, text in enumerate(texts):
                    self.setItem(line, column, QTableWidgetItem(text))

    def _on_selected(self) -> None:
        if 0 <= self.currentRow() < len(self.rows):
            self.picked.emit(self.rows[self.currentRow()].pixel)


class RegionSection(QWidget):
    """Statistics of the maps inside the regions of a layer.

    Parameters
    ----------
    overlay
        Layer of the chosen map: it defines where the maps lie in the viewer.
    in_background
        Method of the dock that runs a function in a worker thread.
    """

    def __init__(self, layers: Any, overlay: Overlay, in_background: Callable[..., None]) -> None:
        super().__init__()
        self.maps: RelevanceMaps | None = None
        self._overlay, self._in_background = overlay, in_background
        self.layer = LayerChooser(
            layers,
            "relevance_regions",
            "Labels or Shapes layer with the regions",
            lambda layer: isinstance(layer, Labels | Shapes),
            "no Labels or Shapes layer",
        )
        self.measure_button = button(
            "Measure",
            "relevance_measure",
            "Compute statistics of all maps inside each region",
            self.measure,
        )
        self.save_button = button(
            "Save…", "relevance_save_regions", "Save the whole table as a CSV file", self.save
        )
        self.save_button.setEnabled(False)
        self.table = RegionTable("relevance_region_table")
        buttons = row(self.measure_button, self.save_button, stretch=0)
        make_column(self, self.layer, buttons, self.table)

    def measure(self) -> None:
        """Measure the regions of the chosen layer in the background."""
        maps, layer, overlay = self.maps, self.layer.chosen, self._overlay.layer
        if maps is None or layer is None or overlay is None:
            return
        labels = regions_on(layer, overlay, maps.maps.shape[1:])
        if not labels.any():
            show_info(f"No region of {layer.name} lies on the maps.")
            return
        rows = partial(region_rows, maps.maps, labels, dict(maps.names))
        self._in_background("measuring regions", rows, then=self._show_rows)

    def save(self) -> None:
        """Save the whole table."""
        if path := ask_path(self, "Save the table", "regions.csv", "Table (*.csv)"):
            save_rows(RegionRow.HEADER, [row.cells() for row in self.table.rows], path)

    def _show_rows(self, rows: list[RegionRow]) -> None:
        self.table.fill(rows)
        self.save_button.setEnabled(bool(rows))


def regions_on(layer: Layer, overlay: Layer, shape: Sequence[int]) -> np.ndarray:
    """Return the regions of a Labels or Shapes layer on the grid of a map; 0 is background.

    Parameters
    ----------
    overlay
        Layer of the map: its transform gives the world positions of the map's pixels.
    shape
        Shape of the map.
    """
    return np.broadcast_to(drawn_in(layer).on(grid_of(overlay, shape)), tuple(shape))
