"""A combo box of the viewer's layers, kept in step with the viewer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from napari.layers import Layer
from qtpy.QtCore import Signal
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.labels import ElidedComboBox
from napari_aeanet.gui.common.text import is_as_trained
from napari_aeanet.gui.common.widgets import named
from napari_aeanet.gui.viewer.image_list import is_input
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.models import ModelCard


class LayerChooser(ElidedComboBox):
    """One layer to choose, the topmost first; a layer stays chosen when others come and go.

    Parameters
    ----------
    is_offered
        Condition for a layer to be listed.
    placeholder
        Text shown while no layer is chosen.
    is_usual
        Condition for a listed layer to be chosen by itself.
    """

    changed = Signal()

    def __init__(
        self,
        layers: Any,
        name: str,
        tooltip: str,
        is_offered: Callable[[Layer], bool] = is_input,
        placeholder: str = "none yet",
        is_usual: Callable[[Layer], bool] = lambda _layer: True,
    ) -> None:
        super().__init__()
        named(self, name, tooltip)
        self.setPlaceholderText(placeholder)
        self._layers, self._is_offered, self._is_usual = layers, is_offered, is_usual
        self._listed: list[Layer] = []
        self._offered: ref[Layer] | None = None
        self.currentIndexChanged.connect(lambda _index: self.changed.emit())

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Follow the viewer until the dock, whose method `listen` is, is closed."""
        events = self._layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            listen(event, self.refill)
        self.refill()

    @property
    def chosen(self) -> Layer | None:
        index = self.currentIndex()
        return self._listed[index] if 0 <= index < len(self._listed) else None

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer if it is listed."""
        if layer in self._listed:
            self.setCurrentIndex(self._listed.index(layer))

    def choose_none(self) -> None:
        self.setCurrentIndex(-1)

    def choose_once(self, layer: Layer | None, *, usual_of: ModelCard | None = None) -> None:
        """Choose a layer unless it was the last one that was offered so, or is not listed.

        Without one, the topmost image is chosen that has the pixel size of the sources on which the
        model `usual_of` was trained.
        """
        if layer is None and usual_of is not None:
            fitting = (o for o in self._listed if is_as_trained(usual_of, layer_to_image(o)))
            layer = next(fitting, None)
        offered = None if self._offered is None else self._offered()
        if layer is not None and layer is not offered:
            self._offered = ref(layer)
            self.choose(layer)

    def refill(self, _event: Any = None) -> None:
        chosen = self.chosen
        self._listed = [layer for layer in reversed(self._layers) if self._is_offered(layer)]
        with signals_blocked(self):
            self.clear()
            self.addItems([layer.name for layer in self._listed])
            if chosen not in self._listed:
                chosen = next(filter(self._is_usual, self._listed), None)
            self.setCurrentIndex(-1 if chosen is None else self._listed.index(chosen))
        self.changed.emit()
