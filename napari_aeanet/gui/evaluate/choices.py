"""Choices of the Evaluate dock: images to compare with a truth, or models to compare on pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_aeanet.evaluation import Place
from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.tick_list import TickList
from napari_aeanet.gui.common.widgets import button, form, label, make_column, named, row, set_text
from napari_aeanet.gui.viewer.image_list import SOURCE_METADATA_KEY, ImageList
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.truth import could_be_truth, placed, truth_of
from napari_aeanet.models import ModelCard
from napari_aeanet.pairs import ImagePair

if TYPE_CHECKING:
    from napari import Viewer

MODEL_LINES = 5


class ImageChoice(QWidget):
    """The image that shows the truth, and the images to compare with it.

    The truth follows the ticked images as long as the user has not chosen it: it is an image of
    their field.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.truth = LayerChooser(
            viewer.layers, "evaluate_truth", "Image without the degradation", could_be_truth
        )
        self.images = ImageList(
            viewer.layers,
            "evaluate_images",
            "Tick the images to compare with the truth",
            lambda layer: could_be_truth(layer) and layer is not self.truth.chosen,
        )
        self.images.placeholder = "Open the truth and the images to compare,\nor drop them here."
        self._layers = viewer.layers
        self._chosen_by_hand: Layer | None = None
        self.truth.activated.connect(self._remember_choice)
        self._is_refilling = False
        self.truth.changed.connect(self._refill_images)
        self.images.changed.connect(self._follow_images)
        make_column(self, form(("Truth", self.truth)), self.images)

    def follow(self, listen: Callable[..., None]) -> None:
        """Follow the viewer until the dock, whose method `listen` is, is closed."""
        self.images.follow(listen)
        self.truth.follow(listen)

    @property
    def reason(self) -> str:
        """Reason why nothing can be compared; empty if something can."""
        truth = self.truth.chosen
        if truth is None:
            return "Open the truth and the images to compare."
        if not self.images.ticked:
            return "Tick an image to compare with the truth."
        places = [placed(layer, truth) for layer in self.images.ticked]
        refused = [place for place in places if isinstance(place, str)]
        return refused[0] if len(refused) == len(places) else ""

    @property
    def action(self) -> str:
        """Text of the button that starts the comparison."""
        ticked = len(self.images.ticked)
        return f"Compare {count(ticked, 'image')}" if ticked else "Compare"

    @property
    def source(self) -> Layer | None:
        """The open layer that the ticked results were made from, if it shows the truth's field."""
        truth, layers = self.truth.chosen, {str(one.unique_id): one for one in self._layers}
        for result in self.images.ticked:
            source = layers.get(result.metadata.get(SOURCE_METADATA_KEY, ""))
            if source is None or source in (truth, *self.images.ticked):
                continue
            place = None if truth is None else placed(result, truth)
            if isinstance(place, Place) and place.is_same:
                return source
        return None

    def _remember_choice(self, _index: int) -> None:
        self._chosen_by_hand = self.truth.chosen

    def _refill_images(self) -> None:
        self._is_refilling = True  # the list changes, not the ticked images
        self.images.refill()
        self._is_refilling = False

    def _follow_images(self) -> None:
        """Choose the input image that lies where the ticked ones lie, or else keep the truth."""
        is_kept = self._is_refilling or self._chosen_by_hand in self._layers
        if is_kept or not self.images.ticked:
            return
        best = truth_of(self.images.ticked, self._layers, self.truth.chosen)
        if best is not None and best is not self.truth.chosen:
            self.truth.choose(best)


class ModelChoice(QWidget):
    """The models to compare on the usable pairs of the session."""

    changed = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.line = label(name="evaluate_pairs")
        self.models = TickList(
            "evaluate_models",
            "Tick the models to compare; drop .aeanet files to add more",
            MODEL_LINES,
            set(),
        )
        self.models.placeholder = "No model yet: train one,\nor drop a .aeanet file here."
        self.models.changed.connect(self.changed)
        self.classical = QCheckBox("also non-local means")
        named(
            self.classical,
            "evaluate_classical",
            "A classical method without training, for comparison; it takes seconds an image",
        )
        open_pairs = button(
            "Pairs",
            "evaluate_open_pairs",
            "Collect and register pairs in AEANet: Pairs",
            partial(open_dock, viewer, "Pairs"),
        )
        self._pairs: Sequence[ImagePair] = ()
        make_column(self, row(self.line, open_pairs, stretch=0), self.models, self.classical)

    def set_models(self, models: dict[Path, ModelCard]) -> None:
        self.models.fill((path, card.name, str(path)) for path, card in models.items())

    def set_pairs(self, pairs: Sequence[ImagePair]) -> None:
        self._pairs = pairs
        text = f"{count(len(pairs), 'pair')} ready" if pairs else "No pairs yet."
        set_text(self.line, text, "plain")

    @property
    def reason(self) -> str:
        """Reason why nothing can be evaluated; empty if something can."""
        if not self._pairs:
            return "Collect pairs first, in AEANet: Pairs."
        return "" if self.models.ticked else "Tick a model."

    @property
    def action(self) -> str:
        """Text of the button that starts the evaluation."""
        if self.reason:
            return "Evaluate"
        models, pairs = len(self.models.ticked), len(self._pairs)
        return f"Evaluate {count(models, 'model')} on {count(pairs, 'pair')}"
