"""AEANet: Relevance. Where in an image each abstract pixel of the model speaks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSlider

from napari_aeanet.data.files import READERS
from napari_aeanet.gui.dock import Dock
from napari_aeanet.gui.files import open_images
from napari_aeanet.gui.gallery import SIGNED, Gallery, Order, limit
from napari_aeanet.gui.image_list import MADE_HERE, is_input
from napari_aeanet.gui.job import State
from napari_aeanet.gui.job_row import JobRow
from napari_aeanet.gui.layers import Frame, layer_to_image
from napari_aeanet.gui.model_chooser import MODEL_SUFFIXES, ModelChooser
from napari_aeanet.gui.parts import chooser, form, label, named, row
from napari_aeanet.gui.preferences import device
from napari_aeanet.gui.words import abstract_pixels, size_fit
from napari_aeanet.gui.work import map_relevance

if TYPE_CHECKING:
    from napari import Viewer

    from napari_aeanet.engine.relevance import RelevanceMaps

OPACITY = 70  # percent


class RelevanceDock(Dock):
    """Model and image, a gallery of maps, and the chosen one as an overlay."""

    tab = "Relevance"
    accepts = (*MODEL_SUFFIXES, *READERS)

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "relevance",
            step="tile",
            run_tooltip="Find out where every abstract pixel of the model speaks in the image",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile; there are no maps then",
        )
        super().__init__(napari_viewer, job_row)
        self._listed: list[Layer] = []
        self._frame: Frame | None = None
        self._maps: RelevanceMaps | None = None
        self._overlay: ImageLayer | None = None
        self._fill_body()
        self.row.run_clicked.connect(self.compute)
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            self.listen(event, self._refill_images)
        self.listen(self.session.models_changed, self.refresh)
        self._refill_images()
        self.models.start()

    # --- what is seen

    def _fill_body(self) -> None:
        self.models = ModelChooser(self, "relevance")
        self.image = chooser("relevance_image", "The image to look at")
        self.image.setPlaceholderText("open or drop one")
        self.image.currentIndexChanged.connect(self.refresh)
        self.order = chooser("relevance_order", "In which order the maps stand")
        self.order.addItems([str(order) for order in Order])
        self.order.setMinimumContentsLength(len(Order.STRONGEST))
        self.order.currentIndexChanged.connect(lambda _: self._fill_gallery())
        self.gallery = Gallery("relevance_gallery")
        self.gallery.picked.connect(self.show_map)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        named(self.opacity, "relevance_opacity", "How strongly the map covers the image")
        self.opacity.setRange(0, 100)
        self.opacity.setValue(OPACITY)
        self.opacity.valueChanged.connect(self._set_opacity)
        self.legend = label(name="relevance_legend")
        self.legend.setText(
            "<span style='color:#ff8000'>■</span> speaks here &nbsp; "
            "<span style='color:#2170ff'>■</span> the opposite &nbsp; clear: neither"
        )
        self.body.addLayout(form(("Model", self.models), ("Image", self.image)))
        self.body.addLayout(row(label("Abstract pixels", "heading"), self.order, stretch=0))
        self.body.addWidget(self.gallery, 1)
        self.body.addLayout(form(("Opacity", self.opacity)))
        self.body.addWidget(self.legend)

    def _refill_images(self, _event: Any = None) -> None:
        """Show the layers as they are now; the chosen one stays chosen.

        Else it is the active layer, or the topmost.
        """
        chosen = self._chosen() or self.viewer.layers.selection.active
        self._listed = [layer for layer in reversed(self.viewer.layers) if is_input(layer)]
        self.image.blockSignals(True)
        self.image.clear()
        self.image.addItems([layer.name for layer in self._listed])
        self.image.setCurrentIndex(self._listed.index(chosen) if chosen in self._listed else 0)
        self.image.blockSignals(False)
        self.refresh()

    def _chosen(self) -> Layer | None:
        index = self.image.currentIndex()
        return self._listed[index] if 0 <= index < len(self._listed) else None

    def refresh(self, _event: Any = None) -> None:
        self.row.set_ready("Compute", self._reason())
        self.opacity.setEnabled(self._overlay is not None)

    def _reason(self) -> str:
        """Why no maps can be computed now; empty if they can."""
        card, chosen = self.session.card, self._chosen()
        if busy := self.busy_reason():
            return busy
        if card is None:
            return "Choose a model first."
        if not abstract_pixels(card):
            return "This model has no abstract pixels: choose an AEANet model."
        if chosen is None:
            return "Choose an image, or drop one on this dock."
        fit = size_fit(card, layer_to_image(chosen))
        return "" if fit.is_fitting else f"{fit.text} Choose another image or model."

    # --- what is done

    def take_files(self, paths: Sequence[Path]) -> None:
        """Models are chosen; images become calibrated layers, the first of them chosen."""
        for path in paths:
            if path.name.endswith(MODEL_SUFFIXES):
                self.models.take(path)
        images = [p for p in paths if not p.name.endswith(MODEL_SUFFIXES)]
        opened = open_images(self.viewer, images)
        if opened:
            self.choose(opened[0])

    def choose(self, layer: Layer) -> None:
        if layer in self._listed:
            self.image.setCurrentIndex(self._listed.index(layer))

    def compute(self) -> None:
        """Compute the maps in the background."""
        chosen, model = self._chosen(), self.session.model
        if chosen is None or model is None:
            return
        image = layer_to_image(chosen)
        self._frame = Frame.of(chosen, image)
        title = f"computing relevance in {image.name}"
        self.run_job(title, partial(map_relevance, image, model, device()))

    def on_event(self, event: Any) -> None:
        # By name: the class lives beside torch, which the main thread must not wait for.
        if type(event).__name__ == "RelevanceMaps":
            self._maps = event
            self._fill_gallery()

    def on_end(self, state: State) -> None:
        if state is State.DONE and self._maps is not None:
            count = len(self._maps.maps)
            notices = " ".join(self._maps.notices)
            self.row.say(f"✓ {count} maps. Click one to lay it over the image. {notices}", "plain")
            self.gallery.pick(0)

    def _fill_gallery(self) -> None:
        if self._maps is not None:
            planes = _planes(self._maps)
            self.gallery.fill(planes, Order(self.order.currentText()), self._maps.names)

    def show_map(self, number: int) -> None:
        """Lay the map of an abstract pixel over the image: one layer, its data swapped."""
        if self._maps is None or self._frame is None:
            return
        values, most = self._maps.maps[number], limit(self._maps.maps[number])
        place = self._frame.place_grid(self._maps.axes, self._maps.scale, self._maps.translate)
        name = f"relevance: {self._maps.names.get(number, str(number + 1))}"
        overlay = self._overlay if self._overlay in self.viewer.layers else None
        if overlay is None or overlay.ndim != values.ndim:
            overlay = ImageLayer(
                values,
                colormap=SIGNED,
                opacity=self.opacity.value() / 100,
                interpolation2d="linear",
                metadata={MADE_HERE: "relevance"},
                **place,
            )
            active = self.viewer.layers.selection.active
            self.viewer.add_layer(overlay)
            self.viewer.layers.selection.active = active or overlay
            self._overlay = overlay
        else:
            overlay.data = values
            overlay.scale, overlay.translate = place["scale"], place["translate"]
        overlay.contrast_limits_range = (-2 * most, 2 * most)
        overlay.contrast_limits = (-most, most)
        overlay.name = name
        overlay.visible = True
        self.opacity.setEnabled(True)

    def _set_opacity(self, percent: int) -> None:
        if self._overlay is not None:
            self._overlay.opacity = percent / 100


def _planes(maps: RelevanceMaps) -> np.ndarray:
    """One plane of every map for its thumbnail: the middle one of stacks, the first of series."""
    values = maps.maps
    for axis in maps.axes[:-2]:
        values = values[:, values.shape[1] // 2 if axis == "Z" else 0]
    return values
