"""Dock AEANet: Relevance: where abstract pixels are relevant, what they change, and trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.utils.notifications import show_info

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.model_chooser import MODEL_SUFFIXES, ModelChooser
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import Collapsible, chooser, form
from napari_aeanet.gui.relevance.layers import Mosaic, add_difference
from napari_aeanet.gui.relevance.regions import RegionSection
from napari_aeanet.gui.relevance.sections import (
    ChangeSection,
    CompareSection,
    ask_path,
    set_reason,
)
from napari_aeanet.gui.relevance.trust import TrustSection
from napari_aeanet.gui.relevance.view import (
    Callbacks,
    RelevanceView,
    attentions_of,
    unfit_reason,
)
from napari_aeanet.gui.relevance.worker import (
    MapsCompared,
    MapsReady,
    compare_relevance,
    compute_difference,
    map_relevance,
    map_trust,
    rank_influence,
)
from napari_aeanet.gui.viewer.files import open_images
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.layers import Frame, layer_to_image
from napari_aeanet.gui.viewer.overlay import Overlay
from napari_aeanet.io import READERS
from napari_aeanet.models import ModelCard, rename_pixel
from napari_aeanet.networks import AttentionLayer
from napari_aeanet.relevance import (
    EXPORTS,
    MOST_COLUMNS,
    Difference,
    Ranking,
    export_maps,
)
from napari_aeanet.trust import TrustMaps

if TYPE_CHECKING:
    from napari import Viewer

COMPARED_COLUMNS = 4


@dataclass(frozen=True, eq=False)
class ShownMaps:
    """Maps in the gallery, with the image, model and attention layer they were computed from."""

    ready: MapsReady
    frame: Frame
    model: Path
    layer: int

    @property
    def request(self) -> tuple[Image, Path]:
        return self.frame.image, self.model


class RelevanceDock(Dock):
    """Model and image, a gallery of maps, the chosen one as an overlay, and sections below."""

    tab = "Relevance"
    accepts = (*MODEL_SUFFIXES, *READERS)

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "relevance",
            step="step",
            run_tooltip="Compute where every abstract pixel of the model is relevant in the image",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile; earlier results stay",
        )
        super().__init__(napari_viewer, job_row)
        self._attentions: tuple[AttentionLayer, ...] = ()
        self._requested: tuple[Frame, Path, int] | None = None
        self._result_text = ""
        self.shown: ShownMaps | None = None
        self.overlay = Overlay(self.viewer, "relevance")
        self.mosaic = Mosaic(self.viewer)
        self._fill_body()
        self.row.run_clicked.connect(self.compute)
        self.listen(self.session.models_changed, self._refill_attentions)
        self.listen(Callbacks(self.viewer.mouse_move_callbacks), self._on_mouse_move)
        self.listen(Callbacks(self.viewer.mouse_drag_callbacks), self._on_mouse_press)
        for list_of_layers in (self.image, self.regions.layer, self.comparison.images):
            list_of_layers.follow(self.listen)
        self.image.choose(self.viewer.layers.selection.active)
        self.comparison.images.refill()
        self.models.start()

    def _fill_body(self) -> None:
        self.models = ModelChooser(self, "relevance")
        self.image = LayerChooser(
            self.viewer.layers, "relevance_image", "The image to analyse", placeholder="open one"
        )
        self.image.changed.connect(self.refresh)
        self.attention = chooser("relevance_layer", "The attention layer of the network to analyse")
        self.choices = form(
            ("Model", self.models), ("Image", self.image), ("Attention", self.attention)
        )
        self.choices.setRowVisible(self.attention, False)
        self.view = RelevanceView(self.overlay.pin, self.export)
        self.view.picked.connect(self.show_map)
        self.view.name.editingFinished.connect(self.rename)
        self.view.opacity.valueChanged.connect(self._set_opacity)
        self.gallery = self.view.gallery
        self.change = ChangeSection(self.show_change, self.rank)
        self.regions = RegionSection(self.viewer.layers, self.overlay, self.in_background)
        self.regions.table.picked.connect(self.view.pick)
        self.comparison = CompareSection(self.viewer.layers, self.compare)
        self.trust = TrustSection(self.viewer, self.overlay, self.judge)
        self.body.addLayout(self.choices)
        self.body.addWidget(self.view, 1)
        for title, name, content in (
            ("What does it change?", "relevance_change_fold", self.change),
            ("Regions", "relevance_regions_fold", self.regions),
            ("Compare images", "relevance_compare_fold", self.comparison),
            ("Trust", "relevance_trust_fold", self.trust),
        ):
            self.body.addWidget(Collapsible(title, name, content))

    def on_activated(self) -> None:
        self.image.choose_once(self.session.restored_layer)

    # --- choices

    def _refill_attentions(self, _event: Any = None) -> None:
        """Offer the attention layers with abstract pixels; hide the choice if there is only one."""
        self._attentions = attentions_of(self.session.card)
        self.attention.clear()
        self.attention.addItems([layer.words for layer in self._attentions])
        self.choices.setRowVisible(self.attention, len(self._attentions) > 1)
        self.refresh()

    def refresh(self, _event: Any = None) -> None:
        reason, missing = self._reason(), "" if self.shown else "Compute relevance first."
        self.row.set_ready("Compute", reason)
        self.view.set_reason(missing)
        self.change.set_reason(missing or reason)
        set_reason(self.regions.measure_button, missing)
        set_reason(self.comparison.button, missing or reason)
        set_reason(self.trust.button, self._reason_for_trust())

    def _reason(self) -> str:
        """Return why no maps can be computed now; empty if they can."""
        card = self.session.card
        if card is not None and not self.busy_reason() and not attentions_of(card):
            return "This model has no abstract pixels: choose an AEANet model."
        return self._reason_for_trust()

    def _reason_for_trust(self) -> str:
        """Return why trust cannot be judged now: it needs no abstract pixels."""
        return self.busy_reason() or unfit_reason(self.session.card, self.image.chosen)

    def take_files(self, paths: Sequence[Path]) -> None:
        """Choose models; open images as calibrated layers and choose the first of them."""
        if opened := open_images(self.viewer, self.models.take_models(paths)):
            self.image.choose(opened[0])

    # --- jobs

    def _request(self) -> tuple[Image, Path, int] | None:
        """Return the chosen image, model and attention layer; None while one is missing."""
        layer, model = self.image.chosen, self.session.model
        if not isinstance(layer, ImageLayer) or model is None:
            return None
        image = layer_to_image(layer)
        chosen = max(0, self.attention.currentIndex())
        number = self._attentions[chosen].number if self._attentions else 1
        self._requested = (Frame.of(layer, image), model, number)
        return image, model, number

    def compute(self) -> None:
        """Compute the maps."""
        if request := self._request():
            self._result_text = ""
            work = partial(map_relevance, *request, device())
            self.run_job(f"computing relevance in {request[0].name}", work)

    def judge(self) -> None:
        """Restore the image and map the doubts about the result."""
        if request := self._request():
            image, model, _ = request
            work = partial(map_trust, image, model, self.trust.symmetries.isChecked(), device())
            self.run_job(f"judging the result for {image.name}", work)

    def rank(self) -> None:
        """Measure the influence of each abstract pixel on the result."""
        if shown := self.shown:
            work = partial(rank_influence, *shown.request, shown.layer, device())
            self.run_job("ranking", work)

    def show_change(self) -> None:
        """Restore with and without the chosen abstract pixel."""
        number = self.view.current
        if (shown := self.shown) and number is not None:
            work = partial(compute_difference, *shown.request, (number,), shown.layer, device())
            self.run_job(f"computing what {number + 1} changes", work)

    def compare(self) -> None:
        """Compute maps of the ticked images, to be shown side by side."""
        images = [layer_to_image(layer) for layer in self.comparison.images.ticked]
        if (shown := self.shown) and images:
            work = partial(compare_relevance, images, shown.model, shown.layer, device())
            self.run_job(f"comparing {count(len(images), 'image')}", work)
        else:
            show_info("Tick the images to be compared first.")

    def on_event(self, event: Any) -> None:
        match event:
            case MapsReady():
                self._show_maps(event)
            case Ranking():
                self.change.show_ranking(event)
                self.view.show_influence(event.influence)
                self._result_text = "Sorted by influence."
            case Difference() if self.shown is not None:
                self._result_text = add_difference(self.viewer, event, self.shown.frame)
            case MapsCompared():
                self._show_compared(event)
            case TrustMaps():
                assert self._requested is not None
                self.trust.set_maps(event, self._requested[0])
                self._result_text = "The traffic light lies over the image."

    def on_end(self, state: State) -> None:
        if state is State.DONE and self._result_text:
            self.row.set_text(f"✓ {self._result_text}", "plain")
        self.refresh()

    def _show_maps(self, event: MapsReady) -> None:
        assert self._requested is not None
        maps = event.maps
        self.shown = ShownMaps(event, *self._requested)
        self.regions.maps = maps
        self.view.show_maps(event)
        kinds = count(sum(not group.is_blank for group in event.groups), "kind")
        notices = " ".join(maps.notices)
        self._result_text = f"{len(maps.maps)} maps of {kinds}. Click one to see it. {notices}"

    def _show_compared(self, event: MapsCompared) -> None:
        pixels = self.gallery.numbers[:COMPARED_COLUMNS]
        self.mosaic.show(event.compared, pixels)
        names = ", ".join(maps.image.name for maps in event.compared)
        columns = ", ".join(str(number + 1) for number in pixels)
        self._result_text = f"Rows: {names}. Columns: abstract pixels {columns}."

    # --- chosen map

    def show_map(self, number: int) -> None:
        """Show the map of an abstract pixel over the image, in place of the one before."""
        if self.shown is None:
            return
        maps = self.shown.ready.maps
        place = self.shown.frame.place_grid(maps.axes, maps.scale, maps.translate)
        looks = self.view.show_chosen(number)
        self.overlay.show(maps.maps[number], place, self._layer_name(number), **looks)

    def _layer_name(self, number: int) -> str:
        return f"relevance: {self.view.name_of(number)}"

    def _set_opacity(self, percent: int) -> None:
        if self.overlay.layer is not None:
            self.overlay.layer.opacity = percent / 100

    def rename(self) -> None:
        """Save the name of the chosen abstract pixel in the model file, in the background."""
        number, shown = self.view.current, self.shown
        if shown is None or number is None:
            return
        name = self.view.name.text().strip()
        if name != shown.ready.maps.names.get(number, ""):
            then = partial(self._show_name, shown, number, name)
            title = f"naming {number + 1}"
            self.in_background(title, rename_pixel, shown.model, number, name, then=then)

    def _show_name(self, shown: ShownMaps, number: int, name: str, card: ModelCard) -> None:
        names = shown.ready.maps.names
        names.pop(number, None)
        if name:
            names[number] = name
        self.session.models[shown.model] = card
        self.session.models_changed.emit()
        self.view.fill()
        # Another map may have been chosen while the file was written.
        if self.overlay.layer is not None and number == self.view.current:
            self.overlay.layer.name = self._layer_name(number)

    def export(self) -> None:
        """Save a figure, a calibrated stack or a table of the maps."""
        if self.shown is None:
            return
        maps, patterns = self.shown.ready.maps, " ".join(f"*{ending}" for ending in EXPORTS)
        name = f"{maps.image.name}-relevance.png"
        if path := ask_path(self, "Export", name, f"Figure, stack or table ({patterns})"):
            chosen = [] if self.view.current is None else [self.view.current]
            pixels = chosen + [n for n in self.gallery.numbers if n not in chosen]
            work = ([maps], pixels[:MOST_COLUMNS], path, self.view.influence)
            done = partial(show_info, f"Saved {path}")
            self.in_background("exporting", export_maps, *work, then=lambda _: done())

    # --- cursor

    def _on_mouse_move(self, _viewer: Any, event: Any) -> None:
        if position := self._map_position(event.position):
            self.view.show_scores(position)

    def _on_mouse_press(self, _viewer: Any, event: Any) -> Any:
        yield
        is_drag = False
        while event.type == "mouse_move":
            is_drag = True
            yield
        if not is_drag and (position := self._map_position(event.position)):
            self.view.sort_by(position)

    def _map_position(self, world: Sequence[float]) -> tuple[int, ...] | None:
        """Return the map pixel at a world position; None outside the maps or behind other tabs."""
        layer = self.overlay.layer
        if not self.is_in_front or self.shown is None or not self.overlay.is_shown or layer is None:
            return None
        index = np.rint(layer.world_to_data(world[-layer.ndim :])).astype(int)
        shape = self.shown.ready.maps.maps.shape[1:]
        return tuple(map(int, index)) if ((index >= 0) & (index < shape)).all() else None
