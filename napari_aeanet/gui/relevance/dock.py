"""Dock AEANet: Relevance: where abstract pixels are relevant, what they change, and trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image as ImageLayer
from napari.utils.notifications import show_info
from superqt.utils import signals_blocked

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.model_chooser import MODEL_SUFFIXES, ModelChooser
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import Collapsible, chooser, form
from napari_aeanet.gui.relevance import worker
from napari_aeanet.gui.relevance.average_slider import AverageSlider
from napari_aeanet.gui.relevance.keeping import MapKeeper
from napari_aeanet.gui.relevance.mosaic import Mosaic
from napari_aeanet.gui.relevance.places import PlaceSection
from napari_aeanet.gui.relevance.reasons import no_attention_reason, no_maps_reason, unfit_reason
from napari_aeanet.gui.relevance.regions import RegionSection
from napari_aeanet.gui.relevance.sections import ChangeSection, CompareSection, set_reason
from napari_aeanet.gui.relevance.shown import Origins, ShownMaps
from napari_aeanet.gui.relevance.structures import StructureSection
from napari_aeanet.gui.relevance.teaching import TeachSection
from napari_aeanet.gui.relevance.trust import TrustSection
from napari_aeanet.gui.relevance.view import RelevanceView
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.layers import Frame, layer_to_image
from napari_aeanet.gui.viewer.mouse import Mouse
from napari_aeanet.gui.viewer.opening import open_in_dock
from napari_aeanet.gui.viewer.overlay import Overlay
from napari_aeanet.io import READERS
from napari_aeanet.networks import AttentionLayer
from napari_aeanet.relevance import Difference, Ranking, averaged_over
from napari_aeanet.structures import StructureMaps, StructuresFitted
from napari_aeanet.trust import TrustMaps

if TYPE_CHECKING:
    from napari import Viewer

SUBJECTS = ("structures", "what the network computes")


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
        self._asked: tuple[Any, ...] = ()  # what is being computed
        self._computed: tuple[Any, ...] = ()
        self._result_text = ""
        self.shown: ShownMaps | None = None
        self.overlay = Overlay(self.viewer, "relevance")
        self.mosaic = Mosaic(self.viewer)
        self._fill_body()
        self.row.run_clicked.connect(self.compute)
        self.listen(self.session.models_changed, self._refill_attentions)
        self.listen(self.session.pairs_changed, self.refresh)
        Mouse(self.viewer, self._on_mouse_move, self._on_click).follow(self.listen)
        for one in (self.image, self.regions.layer, self.comparison.images, self.teaching.marks):
            one.follow(self.listen)
        self.image.choose(self.viewer.layers.selection.active)
        self.comparison.images.refill()
        self.models.start()

    def _fill_body(self) -> None:
        self.models = ModelChooser(self, "relevance")
        self.image = LayerChooser(
            self.viewer.layers, "relevance_image", "The image to analyse", placeholder="open one"
        )
        self.image.changed.connect(self.refresh)
        self._origins = Origins(self.image, self.session)
        self.attention = chooser("relevance_layer", "The attention layer of the network to analyse")
        self.subject = chooser("relevance_subject", "What is shown of the network")
        self.subject.addItems(SUBJECTS)
        self.subject.currentIndexChanged.connect(self.refresh)
        self.averages = AverageSlider("relevance_average")
        self.averages.changed.connect(self._set_places)
        self.choices = form(
            ("Model", self.models),
            ("Image", self.image),
            ("Show", self.subject),
            ("Attention", self.attention),
            ("Average", self.averages),
        )
        self.choices.setRowVisible(self.attention, False)
        self.view = RelevanceView(self.overlay.pin, lambda: self.keeper.export())
        self.keeper = MapKeeper(self, self.view, self.overlay)
        self.view.picked.connect(self.show_map)
        self.view.name.editingFinished.connect(self.keeper.rename)
        self.view.opacity.valueChanged.connect(self.overlay.set_opacity)
        self.gallery = self.view.gallery
        self.regions = RegionSection(self.viewer.layers, self.overlay, self.in_background)
        self.regions.table.picked.connect(self.view.pick)
        self.comparison = CompareSection(self.viewer.layers, self.compare)
        self.trust = TrustSection(self.viewer, self.overlay, self.judge, self.in_background)
        self.structures = StructureSection(self, self.viewer, self.overlay, self.trust.overlay)
        self.teaching = TeachSection(self, self.image, self.structures)
        overlays = [self.overlay, self.trust.overlay, self.structures.overlay]
        self.places = PlaceSection(self.viewer, overlays, self.attend, self.in_background)
        overlays.append(self.places.overlay)
        self.change = ChangeSection(self.viewer, overlays, self.show_change, self.rank)
        self.body.addLayout(self.choices)
        self.body.addWidget(self.structures)
        self.body.addWidget(self.view, 1)
        self.folds = {
            content: Collapsible(title, f"relevance_{name}_fold", content)
            for title, name, content in (
                ("Teach a structure", "teach", self.teaching),
                ("What does a place attend to?", "places", self.places),
                ("What does it change?", "change", self.change),
                ("Regions", "regions", self.regions),
                ("Compare images", "compare", self.comparison),
                ("Trust", "trust", self.trust),
            )
        }
        for fold in self.folds.values():
            self.body.addWidget(fold)
        self.folds[self.places].toggled.connect(self.places.on_toggled)
        self.attention.currentIndexChanged.connect(lambda _index: self._on_attention_chosen())

    def on_activated(self) -> None:
        self.image.choose_once(self.session.restored_layer, usual_of=self.session.card)

    def open_trust(self, layer: ImageLayer, model: Path) -> None:
        """Show how far the result of a model for an image can be trusted; called by other docks."""
        self.image.choose(layer)
        self.session.choose_model(model)
        self.folds[self.trust].expand()
        if not self._reason_for_trust():
            self.judge()

    # --- choices

    def _refill_attentions(self, _event: Any = None) -> None:
        """Offer the attention layers of the model; hide the choice if there is only one."""
        card = self.session.card
        self._attentions = card.config.attention_layers() if card else ()
        with signals_blocked(self.attention):
            self.attention.clear()
            self.attention.addItems([layer.words for layer in self._attentions])
        self.choices.setRowVisible(self.attention, len(self._attentions) > 1)
        self._on_attention_chosen()

    def _on_attention_chosen(self) -> None:
        self.places.set_model((self.session.model, self.attention.currentIndex()))
        self.refresh()

    @property
    def shows_structures(self) -> bool:
        """True if the kinds of structure of the model are asked for, and it has some."""
        return self.structures.has_some and self.subject.currentIndex() == 0

    def refresh(self, _event: Any = None) -> None:
        if self._origins.have_changed() and not self.session.is_busy:
            self.row.set_text("")  # it tells of an earlier image or model
        has_some, shows = self.structures.has_some, self.shows_structures
        self.choices.setRowVisible(self.subject, has_some)
        self.view.setVisible(not shows and self._origins.are_chosen(self.view))
        self.structures.setVisible(shows or not has_some)
        self.structures.refresh(self._origins.are_chosen(self.structures))
        self.trust.refresh(self._origins.are_chosen(self.trust))
        self.teaching.refresh()
        has_maps = self.shown is not None and self._origins.are_chosen(self.view)
        reason, missing = self._reason(), "" if has_maps else "Compute relevance first."
        self.row.set_ready("Compute", reason, is_next=self._computed != self._chosen())
        self.view.set_reason(missing)
        self.change.set_reason(missing or reason)
        set_reason(self.regions.measure_button, missing)
        set_reason(self.comparison.button, missing or reason)
        set_reason(self.trust.button, self._reason_for_trust())
        self.places.set_reason(self._reason_for_trust() or no_attention_reason(self.session.card))

    def _chosen(self) -> tuple[Any, ...]:
        """Return what maps computed now would show."""
        return *self._origins.chosen, self.attention.currentIndex(), self.shows_structures

    def _reason(self) -> str:
        """Return why no maps can be computed now; empty if they can."""
        if self.shows_structures:
            return self._reason_for_trust()
        chosen = self._attentions[self.attention.currentIndex()] if self._attentions else None
        return self._reason_for_trust() or no_maps_reason(self.session.card, chosen)

    def _reason_for_trust(self) -> str:
        """Return why trust cannot be judged now: it needs no abstract pixels."""
        return self.busy_reason() or unfit_reason(self.session.card, self.image.chosen)

    def take_files(self, paths: Sequence[Path]) -> None:
        """Choose models; open images as calibrated layers and choose the first of them."""
        images = self.models.take_models(paths)
        open_in_dock(self, images, lambda opened: self.image.choose(opened[0]))

    # --- jobs

    def _request(self) -> tuple[Image, Path, int] | None:
        """Return the chosen image, model and attention layer; None while one is missing."""
        layer, model = self.image.chosen, self.session.model
        if not isinstance(layer, ImageLayer) or model is None:
            return None
        image, chosen = layer_to_image(layer), max(0, self.attention.currentIndex())
        number = self._attentions[chosen].number if self._attentions else 1
        self._requested = (Frame.of(layer, image), model, number)
        self._origins.begin()
        return image, model, number

    def compute(self) -> None:
        """Compute the maps."""
        if request := self._request():
            self._result_text, self._asked = "", self._chosen()
            name = request[0].name
            if self.shows_structures:
                self._start(f"finding structures in {name}", worker.map_structures, *request[:2])
            else:
                self._start(f"computing relevance in {name}", worker.map_relevance, *request)

    def attend(self, position: tuple[float, ...]) -> bool:
        """Gather what the attention of places needs; return False if another job runs."""
        if self.session.is_busy or not (request := self._request()):
            return False
        image, model, number = request
        self._start(f"reading {image.name}", worker.keep_attention, image, model, position, number)
        return True

    def judge(self) -> None:
        """Restore the image and map the doubts about the result."""
        if request := self._request():
            work = partial(worker.map_trust, *request[:2], self.trust.symmetries.isChecked())
            self._start(f"judging the result for {request[0].name}", work)

    def rank(self) -> None:
        """Measure the influence of each abstract pixel on the result."""
        if shown := self.shown:
            self._start("ranking", worker.rank_influence, *shown.request, shown.layer)

    def show_change(self) -> None:
        """Restore with and without the chosen abstract pixel."""
        if (shown := self.shown) and (number := self.view.current) is not None:
            title = f"computing what {number + 1} changes"
            self._start(title, worker.compute_difference, *shown.request, (number,), shown.layer)

    def compare(self) -> None:
        """Compute maps of the ticked images, to be shown side by side."""
        images = [layer_to_image(layer) for layer in self.comparison.images.ticked]
        if (shown := self.shown) and images:
            work = partial(worker.compare_relevance, images, shown.model, shown.layer)
            self._start(f"comparing {count(len(images), 'image')}", work)
        else:
            show_info("Tick the images to be compared first.")

    def _start(self, title: str, function: Callable[..., Iterator[Any]], *arguments: Any) -> None:
        self.run_job(title, partial(function, *arguments, device()))

    def on_event(self, event: Any) -> None:
        match event:
            case worker.MapsReady():
                self._show_maps(event)
            case StructureMaps() if self._requested is not None:
                self._origins.note(self.structures)
                self.structures.set_maps(event, *self._requested[:2])
                self._result_text = "Each colour is a kind of structure: click one in the list."
            case StructuresFitted():
                self._result_text = self.structures.take(event)
            case worker.KindTaught():
                self.subject.setCurrentIndex(0)
                self._result_text, self._asked = self.teaching.take(event), self._chosen()
            case Ranking():
                self.change.show_ranking(event)
                self.view.show_influence(event.influence)
                self._result_text = "Sorted by influence."
            case Difference() if self.shown is not None:
                self._result_text = self.change.show_difference(event, self.shown.frame)
            case worker.MapsCompared():
                self._result_text = self.mosaic.show(event.compared, self.gallery.numbers)
            case worker.AttentionReady():
                self.places.take(event)
                self._result_text = "Click another place to go on."
            case TrustMaps() if self._requested is not None:
                self._origins.note(self.trust)
                self.trust.set_maps(event, self._requested[0])
                self._result_text = f"The result for {self._requested[0].image.name} is judged."

    def on_end(self, state: State) -> None:
        if state is State.DONE and self._result_text:
            self.row.set_text(f"✓ {self._result_text}", "plain")
            self._computed = self._asked or self._computed
        self._asked = ()
        self.places.end_job()
        self.refresh()

    def _show_maps(self, event: worker.MapsReady) -> None:
        assert self._requested is not None
        self._origins.note(self.view)
        self.shown = self.keeper.shown = ShownMaps(event, *self._requested)
        self.regions.maps = event.maps
        self.view.show_maps(event)
        told = ("Click a map, or a place in the image.", *event.maps.notices)
        self._result_text = " ".join(told)

    # --- chosen map and cursor

    def show_map(self, number: int) -> None:
        """Show the map of an abstract pixel over the image, in place of the one before."""
        if self.shown is None:
            return
        looks, values = self.view.show_chosen(number), self.shown.ready.maps.maps[number]
        averages = averaged_over(values, self.averages.places)
        self.overlay.show(averages, self.shown.place(), self.keeper.layer_name(number), **looks)

    def _set_places(self, places: int) -> None:
        self.structures.set_places(places)
        if self.overlay.is_shown and self.view.current is not None:
            self.show_map(self.view.current)

    def _on_mouse_move(self, world: Sequence[float]) -> None:
        if position := self._map_position(world):
            self.view.show_scores(position)

    def _on_click(self, world: Sequence[float]) -> None:
        if position := self._map_position(world):
            self.view.sort_by(position)
        if self.is_in_front and isinstance(layer := self.image.chosen, ImageLayer):
            self.places.click(layer, world)

    def _map_position(self, world: Sequence[float]) -> tuple[int, ...] | None:
        """Return the map pixel at a world position; None outside the maps or behind other tabs."""
        layer = self.overlay.layer
        if not self.is_in_front or self.shown is None or not self.overlay.is_shown or layer is None:
            return None
        return self.shown.pixel_at(layer, world)
