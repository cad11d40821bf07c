"""A list of the viewer's image layers with a box to tick, kept in step with the viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from napari.layers import Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from napari_aeanet.gui.common.layers import unusable_because
from napari_aeanet.gui.common.widgets import Placeholder, fixed_height, named

# Metadata key of the layers that the plugin itself made: they are results, not inputs.
PLUGIN_METADATA_KEY = "napari-aeanet"
LINES = 6


def is_input(layer: Layer) -> bool:
    """Whether a layer is an image that somebody may want to restore."""
    return PLUGIN_METADATA_KEY not in layer.metadata and unusable_because(layer) is None


class ImageList(Placeholder, QListWidget):
    """Image layers to tick.

    Which layers are ticked is kept by layer, not by row: layers come, go and are renamed.

    Parameters
    ----------
    is_offered
        Which layers are listed.
    """

    changed = Signal()
    placeholder = "Drop images here, or open some in napari."

    def __init__(
        self,
        layers: Any,
        name: str,
        tooltip: str,
        is_offered: Callable[[Layer], bool] = is_input,
    ) -> None:
        super().__init__()
        self._is_offered = is_offered
        named(self, name, tooltip)
        self.setProperty("role", "list")
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        fixed_height(self, LINES + 1)
        self._layers = layers
        self._listed: list[Layer] = []
        self._ticked: WeakSet[Layer] = WeakSet()
        self.itemChanged.connect(self._on_item_changed)

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Follow the viewer; `listen` is that of the dock, which ends it."""
        events = self._layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            listen(event, self.refill)

    @property
    def ticked(self) -> list[Layer]:
        return [layer for layer in self._listed if layer in self._ticked]

    def why_empty(self) -> str:
        """Why no layer of the viewer is listed, if there are any; else empty."""
        reasons = [
            unusable_because(layer)
            for layer in self._layers
            if PLUGIN_METADATA_KEY not in layer.metadata
        ]
        return "" if self._listed else next((r for r in reasons if r), "")

    def tick_only(self, *layers: Layer) -> None:
        self._ticked = WeakSet(layers)
        self.refill()

    def refill(self, _event: Any = None) -> None:
        """Show the layers as they are now, the topmost first."""
        self._listed = [layer for layer in reversed(self._layers) if self._is_offered(layer)]
        self.blockSignals(True)
        self.clear()
        for layer in self._listed:
            item = QListWidgetItem(layer.name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            is_ticked = layer in self._ticked
            item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)
            self.addItem(item)
        self.blockSignals(False)
        self.changed.emit()

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        layer = self._listed[self.row(item)]
        if item.checkState() is Qt.CheckState.Checked:
            self._ticked.add(layer)
        else:
            self._ticked.discard(layer)
        self.changed.emit()
