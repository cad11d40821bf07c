"""What the Relevance dock keeps: names in the model file, tables of regions, exported files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog

from napari_aeanet.gui.relevance.sections import regions_on
from napari_aeanet.models import ModelCard, rename_pixel
from napari_aeanet.relevance import (
    EXPORTS,
    MOST_COLUMNS,
    RegionRow,
    export_maps,
    region_rows,
    save_rows,
)

if TYPE_CHECKING:
    from napari_aeanet.gui.relevance.dock import RelevanceDock


class RelevanceFiles:
    """Names, regions and files of what a dock shows."""

    def __init__(self, dock: RelevanceDock) -> None:
        self._dock = dock

    def name_it(self) -> None:
        """Keep the name in the model file, in the background."""
        number = self._dock.current
        if self._dock.shown is None or number is None:
            return
        name, model = self._dock.view.name.text().strip(), self._dock.shown.model
        if name == self._dock.shown.ready.maps.names.get(number, ""):
            return
        keep = partial(self._keep_name, model, number, name)
        self._dock.in_background(
            f"naming {number + 1}", rename_pixel, model, number, name, then=keep
        )

    def _keep_name(self, model: Path, number: int, name: str, card: ModelCard) -> None:
        if self._dock.shown is not None:
            self._dock.shown.ready.maps.names.pop(number, None)
            if name:
                self._dock.shown.ready.maps.names[number] = name
        self._dock.session.models[model] = card
        self._dock.session.models_changed.emit()
        self._dock.view.fill()
        if self._dock.overlay.layer is not None:
            self._dock.overlay.layer.name = f"relevance: {self._dock.view.name_of(number)}"

    def measure_regions(self) -> None:
        layer, overlay = self._dock.view.regions.chosen, self._dock.overlay.layer
        if self._dock.shown is None or layer is None or overlay is None:
            return
        maps = self._dock.shown.ready.maps
        labels = regions_on(layer, overlay, maps.maps.shape[1:])
        if not labels.any():
            show_info(f"No region of {layer.name} lies on the maps.")
            return
        rows = partial(region_rows, maps.maps, labels, dict(maps.names))
        self._dock.in_background("measuring regions", rows, then=self._take_rows)

    def _take_rows(self, rows: list[RegionRow]) -> None:
        self._dock.view.regions.table.fill(rows)
        self._dock.refresh()

    def save_regions(self) -> None:
        if path := self.ask_where("Save the table", "regions.csv", "Table (*.csv)"):
            rows = [found.cells() for found in self._dock.view.regions.table.rows]
            save_rows(RegionRow.HEADER, rows, path)

    def export(self) -> None:
        """Figure, calibrated stack or table of what the gallery shows."""
        if self._dock.shown is None:
            return
        patterns = " ".join(f"*{ending}" for ending in EXPORTS)
        first = f"{self._dock.shown.ready.maps.image.name}-relevance.png"
        path = self.ask_where("Export", first, f"Figure, stack or table ({patterns})")
        if path is not None:
            chosen = self._dock.current
            others = [n for n in self._dock.gallery.numbers if n != chosen]
            pixels = [*([] if chosen is None else [chosen]), *others][:MOST_COLUMNS]
            work = ([self._dock.shown.ready.maps], pixels, path, self._dock.influence)
            said = partial(show_info, f"Saved {path}")
            self._dock.in_background("exporting", export_maps, *work, then=lambda _path: said())

    def ask_where(self, title: str, name: str, kinds: str) -> Path | None:
        chosen, _ = QFileDialog.getSaveFileName(self._dock, title, name, kinds)
        return Path(chosen) if chosen else None
