"""One line that offers to pair the open images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.session import Session, is_same
from napari_aeanet.gui.common.text import ARROW, count
from napari_aeanet.gui.common.widgets import button, label, row
from napari_aeanet.gui.viewer.image_list import SOURCE_METADATA_KEY, is_input
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.pairs import ImagePair, PairList, guess_pairs

# A sample opens several layers: they are looked at together.
LOOK_AFTER_MS = 100
TO_REPAIR = "Damaged sections are not a pair: repair them in AEANet: Repair."
TIPS = {
    "Pair": "Add these images as pairs",
    "Choose …": "Choose which images belong together",
    "Repair →": "Replace the damaged sections, in AEANet: Repair",
}


def needs_repair(layer: Layer) -> bool:
    """Return True for a layer of the sample with damaged sections."""
    return bool(layer.metadata.get("sample", {}).get("damaged"))


def open_images(layers: Any) -> list[Image]:
    """Return the open images that may belong to pairs."""
    return [
        layer_to_image(one)
        for one in layers
        if is_input(one) and not needs_repair(one) and SOURCE_METADATA_KEY not in one.metadata
    ]


class LayerOffer(QWidget):
    """Offers the pairs among the open images that are not in the list.

    Parameters
    ----------
    in_background
        Function that calls another one in a thread.
    """

    accepted = Signal(object)  # a PairList
    choice_requested = Signal()
    repair_requested = Signal()

    def __init__(self, layers: Any, session: Session, in_background: Callable[..., None]) -> None:
        super().__init__()
        self._layers, self._session, self._in_background = layers, session, in_background
        self._offered: tuple[ImagePair, ...] = ()
        self._seen: list[Layer] = []
        self.line = label(role="caution", name="pairs_offer_line")
        self.button = button("Pair", "pairs_offer", TIPS["Pair"], self._on_click)
        self.setLayout(row(self.line, self.button, stretch=0))
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(LOOK_AFTER_MS)
        self._timer.timeout.connect(self._look)
        self.hide()

    def follow(self, listen: Callable[[Any, Callable], None]) -> None:
        """Follow the viewer and the list of pairs until the dock is closed."""
        for event in (self._layers.events.inserted, self._layers.events.removed):
            listen(event, self._on_layers)
        listen(self._session.pairs_changed, self._look_soon)
        self._look_soon()

    def _look_soon(self) -> None:
        self._timer.start()

    def _on_layers(self, _event: Any) -> None:
        if [one for one in self._layers if is_input(one)] != self._seen:
            self._look_soon()

    def _look(self) -> None:
        self._seen = [one for one in self._layers if is_input(one)]
        images = open_images(self._layers)
        if len(images) < 2:
            self._show([], PairList())
        else:
            show = partial(self._show, images)
            self._in_background("looking at the open images", guess_pairs, images, then=show)

    def _show(self, images: list[Image], found: PairList) -> None:
        known = [entry.pair for entry in self._session.pairs]
        self._offered = tuple(pair for pair in found if not _is_known(pair, known))
        paired = {id(i) for pair in self._offered for i in (pair.source, pair.target)}
        text = ""
        if self._offered:
            text = f"{count(len(paired), 'image')} found"
        elif not known and len(images) > 1:
            text = f"{count(len(images), 'image')} found: which belong together?"
        elif not known and any(map(needs_repair, self._layers)):
            text = TO_REPAIR
        self.line.setText(text)
        names = [f"{pair.source.name} {ARROW} {pair.target.name}" for pair in self._offered]
        self.line.setToolTip("\n".join([text, *names]))
        self.button.setText("Pair" if self._offered else "Choose …")
        if text == TO_REPAIR:
            self.button.setText("Repair →")
        self.button.setToolTip(TIPS[self.button.text()])
        self.setVisible(bool(text))

    def _on_click(self) -> None:
        if self._offered:
            self.accepted.emit(PairList(self._offered))
        elif self.line.text() == TO_REPAIR:
            self.repair_requested.emit()
        else:
            self.choice_requested.emit()


def _is_known(pair: ImagePair, known: list[ImagePair]) -> bool:
    return any(is_same(one, other) for other in known for one in (pair, pair.swapped()))
