"""AEANet: Relevance. What the abstract pixels of a model see, what they change, and how far to
trust the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer
from napari.utils.notifications import show_info

from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.files import open_images
from napari_aeanet.gui.common.image_list import is_input
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.layers import Frame, layer_to_image
from napari_aeanet.gui.common.model_chooser import MODEL_SUFFIXES
from napari_aeanet.gui.common.overlay import Overlay
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.relevance.facts import Callbacks, attentions_of, percent, why_unfit
from napari_aeanet.gui.relevance.files import RelevanceFiles
from napari_aeanet.gui.relevance.layers import LEAST_CHANGE, Mosaic, add_difference
from napari_aeanet.gui.relevance.trust import TrustView
from napari_aeanet.gui.relevance.view import RelevanceView
from napari_aeanet.gui.relevance.worker import (
    MapsReady,
    compare_relevance,
    judge,
    map_relevance,
    rank_influence,
    show_difference,
)
from napari_aeanet.io import READERS
from napari_aeanet.relevance import AttentionLayer

if TYPE_CHECKING:
    from napari import Viewer

COMPARED_COLUMNS = 4


@dataclass(frozen=True, eq=False)
class Shown:
    """What the gallery is about: maps, and the image, model and layer they were made from."""

    ready: MapsReady
    frame: Frame
    model: Path
    layer: int


class RelevanceDock(Dock):
    """Model and image, a gallery of maps, the chosen one as an overlay, and what follows."""

    tab = "Relevance"
    accepts = (*MODEL_SUFFIXES, *READERS)

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "relevance",
            step="step",
            run_tooltip="Find out where every abstract pixel of the model speaks in the image",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile; what was shown before stays",
        )
        super().__init__(napari_viewer, job_row)
        self._listed: list[Layer] = []
        self._layers: tuple[AttentionLayer, ...] = ()
        self._asked: tuple[Frame, Path, int] | None = None
        self._ending = ""
        self.shown: Shown | None = None
        self.influence: np.ndarray | None = None
        self.current: int | None = None  # the abstract pixel whose map is shown
        self.overlay = Overlay(self.viewer, "relevance")
        self.mosaic = Mosaic(self.viewer)
        self.files = RelevanceFiles(self)
        self.view = RelevanceView(self)
        self.gallery = self.view.gallery
        self.models = self.view.models
        self.trust = TrustView(self.viewer, self.view.trust, self.overlay)
        self.view.gallery.picked.connect(self.show_map)
        self.row.run_clicked.connect(self.compute)
        events = self.viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            self.listen(event, self._refill_layers)
        self.listen(self.session.models_changed, self._refill_attentions)
        self.view.compare.images.follow(self.listen)
        self.listen(Callbacks(self.viewer.mouse_move_callbacks), self._on_mouse_move)
        self.listen(Callbacks(self.viewer.mouse_drag_callbacks), self._on_mouse_press)
        self._refill_layers()
        self.models.start()

    # --- what can be chosen

    def _refill_layers(self, _event: Any = None) -> None:
        """Show the layers as they are now; the chosen one stays chosen.

        Else it is the active layer, or the topmost.
        """
        chosen = self._chosen() or self.viewer.layers.selection.active
        self._listed = [layer for layer in reversed(self.viewer.layers) if is_input(layer)]
        box = self.view.image
        box.blockSignals(True)
        box.clear()
        box.addItems([layer.name for layer in self._listed])
        box.setCurrentIndex(self._listed.index(chosen) if chosen in self._listed else 0)
        box.blockSignals(False)
        self.view.regions.refill(self.viewer.layers)
        self.view.compare.images.refill()
        self.refresh()

    def _refill_attentions(self, _event: Any = None) -> None:
        self._layers = attentions_of(self.session.card)
        self.view.show_attentions(self._layers)
        self.refresh()

    def _chosen(self) -> Layer | None:
        index = self.view.image.currentIndex()
        return self._listed[index] if 0 <= index < len(self._listed) else None

    def choose(self, layer: Layer) -> None:
        if layer in self._listed:
            self.view.image.setCurrentIndex(self._listed.index(layer))

    def refresh(self, _event: Any = None) -> None:
        reason = self._reason()
        self.row.set_ready("Compute", reason)
        self.view.set_ready(self.shown is not None, reason, self._reason_for_trust())

    def _reason(self) -> str:
        """Why no maps can be computed now; empty if they can."""
        card, chosen = self.session.card, self._chosen()
        if busy := self.busy_reason():
            return busy
        if card is not None and not attentions_of(card):
            return "This model has no abstract pixels: choose an AEANet model."
        return why_unfit(card, chosen)

    def _reason_for_trust(self) -> str:
        """Trust needs no abstract pixels."""
        return self.busy_reason() or why_unfit(self.session.card, self._chosen())

    def _order(self) -> tuple[Any, Path, int] | None:
        """Image, model and attention as they are chosen now; None while one is missing."""
        chosen, model = self._chosen(), self.session.model
        if chosen is None or model is None:
            return None
        image = layer_to_image(chosen)
        number = self.view.attention_number(self._layers)
        self._asked = (Frame.of(chosen, image), model, number)
        return image, model, number

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

    def compute(self) -> None:
        """Compute the maps in the background."""
        if order := self._order():
            title = f"computing relevance in {order[0].name}"
            self._ending = ""
            self.run_job(title, partial(map_relevance, *order, device()))

    def rank(self) -> None:
        """Find out how much each abstract pixel moves the result."""
        if self.shown is not None:
            image, model, layer = self.shown.frame.image, self.shown.model, self.shown.layer
            self.run_job("ranking", partial(rank_influence, image, model, layer, device()))

    def show_change(self) -> None:
        """Restore with and without the chosen abstract pixel."""
        if self.shown is not None and self.current is not None:
            pixels, shown = (self.current,), self.shown
            work = (shown.frame.image, shown.model, pixels, shown.layer, device())
            title = f"finding out what {pixels[0] + 1} changes"
            self.run_job(title, partial(show_difference, *work))

    def compare(self) -> None:
        """Maps of the ticked images, side by side."""
        images = [layer_to_image(layer) for layer in self.view.compare.images.ticked]
        if self.shown is not None and images:
            work = (images, self.shown.model, self.shown.layer, device())
            title = f"comparing {count(len(images), 'image')}"
            self.run_job(title, partial(compare_relevance, *work))
        else:
            show_info("Tick the images to be compared first.")

    def ask_for_trust(self) -> None:
        """Look for what speaks against the result."""
        if order := self._order():
            image, model, _ = order
            symmetries = self.view.trust.symmetries.isChecked()
            title = f"judging the result for {image.name}"
            self.run_job(title, partial(judge, image, model, symmetries, device()))

    # --- what comes back; events are told by name, since their classes live beside torch

    def on_event(self, event: Any) -> None:
        take = {
            "MapsReady": self._take_maps,
            "Ranking": self._take_ranking,
            "Difference": self._take_difference,
            "MapsCompared": self._take_compared,
            "TrustMaps": self._take_trust,
        }.get(type(event).__name__)
        if take is not None:
            take(event)

    def on_end(self, state: State) -> None:
        if state is State.DONE and self._ending:
            self.row.set_text(f"✓ {self._ending}", "plain")
        self.refresh()

    def _take_maps(self, event: MapsReady) -> None:
        assert self._asked is not None
        self.shown = Shown(event, *self._asked)
        self.influence = None
        self.view.show_maps(event)
        notices = " ".join(event.maps.notices)
        spoken = count(len([g for g in event.groups if not g.is_blank]), "kind")
        self._ending = f"{len(event.maps.maps)} maps of {spoken}. Click one to see it. {notices}"
        self.gallery.pick(0)

    def _take_ranking(self, event: Any) -> None:
        self.influence = event.influence
        first = ", ".join(str(pixel + 1) for pixel in event.order[:3])
        self._ending = "Sorted by influence."
        self.view.show_ranking(
            event.influence,
            f"Most influential: {first}. Without the first, the attention's output changes by "
            f"{percent(event.influence.max())}; without all of them by {percent(event.of_all)}.",
        )

    def _take_difference(self, event: Any) -> None:
        if self.shown is not None:
            add_difference(self.viewer, event.image, self.shown.frame)
            change = np.abs(event.image.array)
            pixel = ", ".join(str(number + 1) for number in event.pixels)
            low, high = self.shown.frame.contrast_limits
            self._ending = f"Without {pixel} the result is the same: next to nothing changes."
            if np.nanmax(change) > LEAST_CHANGE * (high - low):
                self._ending = (
                    f"Without {pixel} the result changes by up to {np.nanmax(change):.2g} grey "
                    f"levels, {np.nanmean(change):.2g} on average."
                )

    def _take_compared(self, event: Any) -> None:
        self.mosaic.show(event.shown, self.gallery.numbers[:COMPARED_COLUMNS])
        self._ending = (
            f"Rows: {', '.join(maps.image.name for maps in event.shown)}. Columns: abstract pixels "
            f"{', '.join(str(n + 1) for n in self.gallery.numbers[:COMPARED_COLUMNS])}."
        )

    def _take_trust(self, event: Any) -> None:
        assert self._asked is not None
        self.trust.take(event, self._asked[0])
        self._ending = "The traffic light lies over the image."

    # --- maps

    def show_map(self, number: int) -> None:
        """Lay the map of an abstract pixel over the image: one layer, its data swapped."""
        if self.shown is None:
            return
        maps = self.shown.ready.maps
        place = self.shown.frame.place_grid(maps.axes, maps.scale, maps.translate)
        name = f"relevance: {self.view.name_of(number)}"
        self.overlay.show(maps.maps[number], place, name, **self.view.looks(number))
        self.current = number
        self.view.show_chosen(number)

    def show_again(self) -> None:
        """The same map in other colours."""
        if self.current is not None:
            self.show_map(self.current)

    def set_opacity(self, percent: int) -> None:
        if self.overlay.layer is not None:
            self.overlay.layer.opacity = percent / 100

    def pin(self) -> None:
        """Keep the overlay as it is; the next map gets one of its own."""
        self.overlay.pin()

    # --- what speaks where

    def _on_mouse_move(self, _viewer: Any, event: Any) -> None:
        if self.is_in_front and (place := self._place(event.position)):
            self.view.show_voices(place)

    def _on_mouse_press(self, _viewer: Any, event: Any) -> Any:
        yield
        moved = False
        while event.type == "mouse_move":
            moved = True
            yield
        if not moved and self.is_in_front and (place := self._place(event.position)):
            self.view.sort_by(place)

    def _place(self, position: Sequence[float]) -> tuple[int, ...] | None:
        """The place of the maps under a world position; None beside them."""
        layer = self.overlay.layer
        if self.shown is None or layer is None or layer not in self.viewer.layers:
            return None
        at = np.rint(layer.world_to_data(position[-layer.ndim :])).astype(int)
        shape = self.shown.ready.maps.maps.shape[1:]
        return tuple(map(int, at)) if ((at >= 0) & (at < shape)).all() else None
