"""Keep names of abstract pixels in the model file, and maps in files."""

from __future__ import annotations

from functools import partial

from napari.utils.notifications import show_info

from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.relevance.sections import ask_path
from napari_aeanet.gui.relevance.shown import ShownMaps
from napari_aeanet.gui.relevance.view import RelevanceView
from napari_aeanet.gui.viewer.overlay import Overlay
from napari_aeanet.models import ModelCard, rename_pixel
from napari_aeanet.relevance import EXPORTS, MOST_COLUMNS, export_maps


class MapKeeper:
    """Names abstract pixels and exports their maps, in the background of a dock."""

    def __init__(self, dock: Dock, view: RelevanceView, overlay: Overlay) -> None:
        self._dock, self._view, self._overlay = dock, view, overlay
        self.shown: ShownMaps | None = None

    def layer_name(self, number: int) -> str:
        return f"relevance: {self._view.name_of(number)}"

    def rename(self) -> None:
        """Save the name of the chosen abstract pixel in the model file."""
        number, shown = self._view.current, self.shown
        if shown is None or number is None:
            return
        name = self._view.name.text().strip()
        if name != shown.ready.maps.names.get(number, ""):
            then = partial(self._show_name, shown, number, name)
            title = f"naming {number + 1}"
            self._dock.in_background(title, rename_pixel, shown.model, number, name, then=then)

    def _show_name(self, shown: ShownMaps, number: int, name: str, card: ModelCard) -> None:
        names = shown.ready.maps.names
        names.pop(number, None)
        if name:
            names[number] = name
        self._dock.session.models[shown.model] = card
        self._dock.session.models_changed.emit()
        self._view.fill()
        # Another map may have been chosen while the file was written.
        if self._overlay.layer is not None and number == self._view.current:
            self._overlay.layer.name = self.layer_name(number)

    def export(self) -> None:
        """Save a figure, a calibrated stack or a table of the maps."""
        if self.shown is None:
            return
        maps, patterns = self.shown.ready.maps, " ".join(f"*{ending}" for ending in EXPORTS)
        name = f"{maps.image.name}-relevance.png"
        if path := ask_path(self._dock, "Export", name, f"Figure, stack or table ({patterns})"):
            chosen = [] if self._view.current is None else [self._view.current]
            pixels = chosen + [n for n in self._view.gallery.numbers if n not in chosen]
            work = ([maps], pixels[:MOST_COLUMNS], path, self._view.influence)
            self._dock.in_background(
                "exporting", export_maps, *work, then=lambda path: show_info(f"Saved {path}")
            )
