"""Choice of the axes of a stack."""

from __future__ import annotations

from collections.abc import Sequence

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.widgets import chooser, form, make_column
from napari_aeanet.gui.restore.text import axes_choices
from napari_aeanet.gui.viewer.layers import layer_to_image


class AxesChooser(QWidget):
    """One choice for all stacks of the same number of axes, kept in their axis labels."""

    chosen = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()
        self._stacks: list[Layer] = []
        self.box = chooser(name, "Meaning of the first axes: planes, times or channels")
        self.box.activated.connect(self._on_activated)
        make_column(self, form(("Axes", self.box)))
        self.hide()

    def show_for(self, layers: Sequence[Layer]) -> None:
        """Offer the axes of the stacks among `layers`, with the most likely chosen."""
        stacks = [layer for layer in layers if layer.ndim > 2]
        self._stacks = [layer for layer in stacks if layer.ndim == stacks[0].ndim]
        self.setVisible(bool(stacks))
        if not stacks:
            return
        image = layer_to_image(stacks[0])
        self.box.clear()
        for axes, words in axes_choices(image.shape):
            self.box.addItem(words, axes)
        self.box.setCurrentIndex(max(0, self.box.findData(image.axes)))

    def _on_activated(self, _index: int) -> None:
        axes = self.box.currentData()
        for layer in self._stacks:
            layer.axis_labels = tuple(axes.lower())
        self.chosen.emit()
