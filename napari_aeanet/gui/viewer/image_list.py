"""A list of the viewer's image layers to tick, kept in step with the viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, ref

from napari.layers import Image as ImageLayer
from napari.layers import Layer
from qtpy.QtWidgets import QListWidgetItem

from napari_aeanet.gui.common.tick_list import TickList
from napari_aeanet.gui.viewer.layers import unusable_because

# Metadata key of the layers that the plugin itself made: they are results, not inputs.
PLUGIN_METADATA_KEY = "napari-aeanet"
# Metadata key of results: the unique id of the layer that they were made from.
SOURCE_METADATA_KEY = "napari-aeanet source"
LINES = 6


def is_input(layer: Layer) -> bool:
    """Return True if a layer is an image that may be restored."""
    return PLUGIN_METADATA_KEY not in layer.metadata and unusable_because(layer) is None


class ImageList(TickList):
    """Image layers to tick, the topmost first.

    Parameters
    ----------
    is_offered
        Condition for a layer to be listed.
    """

    placeholder = "Drop images here, or open some in napari."

    def __init__(
        self,
        layers: Any,
        name: str,
        tooltip: str,
        is_offered: Callable[[Layer], bool] = is_input,
    ) -> None:
        super().__init__(name, tooltip, LINES, WeakSet())
        self._layers, self._is_offered = layers, is_offered
        self._suggested: ref[Layer] | None = None
        self._revisions: WeakKeyDictionary[Layer, int] = WeakKeyDictionary()

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Follow the viewer until the dock, whose method `listen` is, is closed."""
        events = self._layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            listen(event, self.refill)

    def why_empty(self) -> str:
        """Return why no layer of the viewer is listed; empty if there are none."""
        reasons = [
            unusable_because(layer)
            for layer in self._layers
            if PLUGIN_METADATA_KEY not in layer.metadata
        ]
        return "" if self._listed else next((r for r in reasons if r), "")

    def left_out(self) -> list[str]:
        """Return why images of the viewer are not listed, one sentence for each."""
        images = [layer for layer in self._layers if isinstance(layer, ImageLayer)]
        return [reason for layer in images if (reason := unusable_because(layer))]

    def suggest(self, layer: Layer | None) -> None:
        """Tick only this layer, or else the first image of the viewer, until others are added."""
        self.refill()
        first = next(reversed(self._listed), None)
        suggested = layer if layer in self._listed else first
        self.tick_only(*([] if suggested is None else [suggested]))
        self._suggested = None if suggested is None else ref(suggested)

    def add(self, *layers: Layer) -> None:
        """Tick layers besides those that the user ticked."""
        suggested = None if self._suggested is None else self._suggested()
        kept = [layer for layer in self._ticked if layer is not suggested]
        self.tick_only(*kept, *layers)

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        self._suggested = None  # the user decides
        super()._on_item_changed(item)

    def tick_only(self, *layers: Layer) -> None:
        self._ticked, self._suggested = WeakSet(layers), None
        self.refill()

    def revision(self, layer: Layer) -> tuple[str, int]:
        """Return what is another one after the pixels of a layer were replaced."""
        return str(layer.unique_id), self._revisions.get(layer, 0)

    def _on_data(self, event: Any) -> None:
        """Tell that the pixels of a ticked layer were replaced."""
        layer = event.source
        self._revisions[layer] = self._revisions.get(layer, 0) + 1
        if layer in self._ticked:
            self.changed.emit()

    def refill(self, _event: Any = None) -> None:
        """List the layers as they are now."""
        offered = list(filter(self._is_offered, reversed(self._layers)))
        for layer in offered:
            if layer not in self._revisions:
                self._revisions[layer] = 0
                layer.events.data.connect(self._on_data)
        self.fill((layer, layer.name, layer.name) for layer in offered)
