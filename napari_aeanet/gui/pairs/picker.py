"""Choose source and target where the names do not tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QWidget
from superqt.utils import signals_blocked

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.widgets import Collapsible, button, chooser, form, make_column
from napari_aeanet.gui.viewer.image_list import is_input
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.pairs import ImagePair


class PairPicker(Collapsible):
    """Two choosers: of the open images, and of those from files that have no partner yet."""

    picked = Signal(object)  # an ImagePair

    def __init__(self, layers: Any) -> None:
        self._layers = layers
        self._from_files: list[Image] = []
        self._listed: list[Layer | Image] = []
        self.source = chooser("pairs_pick_source", "Source: the poorer image")
        self.target = chooser("pairs_pick_target", "Target: the better image of the same field")
        self.add = button("Add pair", "pairs_pick", "Add these two images as a pair", self._on_add)
        content = QWidget()
        make_column(content, form(("Source", self.source), ("Target", self.target)), self.add)
        super().__init__("Choose source and target", "pairs_choose", content)
        for box in (self.source, self.target):
            box.currentIndexChanged.connect(lambda _index: self._refresh())
        self.refill()

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Follow the viewer until the dock, whose method `listen` is, is closed."""
        events = self._layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            listen(event, self.refill)

    def add_images(self, images: Iterable[Image]) -> None:
        """List images from files, the latest first."""
        self._from_files = [*images, *self._from_files]
        self.refill()

    def refill(self, _event: Any = None) -> None:
        """List the images as they are now."""
        before = [self._chosen(box) for box in (self.source, self.target)]
        self._listed = [*self._from_files, *filter(is_input, reversed(self._layers))]
        for number, (box, chosen) in enumerate(
            zip((self.source, self.target), before, strict=True)
        ):
            with signals_blocked(box):
                box.clear()
                box.addItems([one.name for one in self._listed])
                left = [i for i, one in enumerate(self._listed) if one is chosen]
                box.setCurrentIndex(left[0] if left else min(number, box.count() - 1))
        if self._chosen(self.source) is self._chosen(self.target) and len(self._listed) > 1:
            with signals_blocked(self.target):
                self.target.setCurrentIndex(int(self.source.currentIndex() == 0))
        self._refresh()

    def _chosen(self, box: QComboBox) -> Layer | Image | None:
        index = box.currentIndex()
        return self._listed[index] if 0 <= index < len(self._listed) else None

    def _refresh(self) -> None:
        source, target = self._chosen(self.source), self._chosen(self.target)
        reason = ""
        if len(self._listed) < 2:
            reason = "Open two images first, or drop their files here."
        elif source is target:
            reason = "Source and target are the same image: choose two."
        self.add.setEnabled(not reason)
        self.add.setToolTip(reason or "Add these two images as a pair")

    def _on_add(self) -> None:
        source, target = self._chosen(self.source), self._chosen(self.target)
        if source is not None and target is not None:
            self.picked.emit(ImagePair(_image(source), _image(target)))


def _image(one: Layer | Image) -> Image:
    return one if isinstance(one, Image) else layer_to_image(one)
