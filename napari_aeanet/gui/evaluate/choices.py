"""Choices of the Evaluate dock: images to compare with a truth, or models to compare on pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_aeanet.evaluation import PatchSettings, Place, Weights
from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.forms import SettingsForm
from napari_aeanet.gui.common.session import is_same
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.tick_list import TickList
from napari_aeanet.gui.common.widgets import (
    Collapsible,
    button,
    form,
    label,
    make_column,
    named,
    row,
    set_text,
)
from napari_aeanet.gui.viewer.image_list import SOURCE_METADATA_KEY, ImageList, is_input
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.truth import (
    could_be_taken_as_truth,
    could_be_truth,
    is_of_one_field,
    placed,
    truth_of,
)
from napari_aeanet.pairs import ImagePair

if TYPE_CHECKING:
    from napari import Viewer

MODEL_LINES = 5
REGISTER = "register"  # in the reasons that a registration would remove


class ImageChoice(QWidget):
    """The image that shows the truth, and the images to compare with it.

    The truth follows the ticked images as long as the user has not chosen it: it is an image of
    their field.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.truth = LayerChooser(
            viewer.layers,
            "evaluate_truth",
            "Image without the degradation",
            could_be_truth,
            is_usual=lambda layer: could_be_taken_as_truth(layer, viewer.layers),
        )
        self.images = ImageList(
            viewer.layers,
            "evaluate_images",
            "Tick the images to compare with the truth",
            lambda layer: could_be_truth(layer) and layer is not self.truth.chosen,
        )
        self.images.placeholder = "Open the truth and the images to compare,\nor drop them here."
        self.input = LayerChooser(
            viewer.layers,
            "evaluate_input",
            "The degraded image, of the truth's field: enlarged to the truth's grid it is the "
            "baseline, over which gains are given",
            self._could_be_input,
            placeholder="none of the truth's field",
        )
        self._layers = viewer.layers
        self._chosen_by_hand: Layer | None = None
        self._offered: ref[Layer] | None = None
        self.truth.activated.connect(self._remember_choice)
        self._is_refilling = False
        self.truth.changed.connect(self._refill_images)
        self.images.changed.connect(self._follow_images)
        make_column(self, form(("Truth", self.truth)), self.images, form(("Input", self.input)))

    def follow(self, listen: Callable[..., None]) -> None:
        """Follow the viewer until the dock, whose method `listen` is, is closed."""
        self.images.follow(listen)
        self.truth.follow(listen)
        self.input.follow(listen)

    def offer_result_of(self, source: Layer | None) -> None:
        """Tick the latest result of a source, once."""
        wanted = None if source is None else str(source.unique_id)
        made = [one for one in self._layers if one.metadata.get(SOURCE_METADATA_KEY) == wanted]
        results = [one for one in made if could_be_truth(one)]
        if wanted is None or not results:
            return
        if self._offered is None or self._offered() is not results[-1]:
            self._offered = ref(results[-1])
            truth = truth_of(results[-1:], self._layers, self.truth.chosen)
            others = [
                one
                for one in self._layers
                if could_be_taken_as_truth(one, self._layers) and _size(one) != _size(source)
            ]
            self.truth.choose(truth or next(reversed(others), None))
            self.images.tick_only(results[-1])

    @property
    def reason(self) -> str:
        """Reason why nothing can be compared; empty if something can."""
        truth = self.truth.chosen
        if truth is None:
            if self.truth.count():
                return "Choose the image that shows the truth."
            return "Open the truth and the images to compare."
        if not self.images.ticked:
            return "Tick an image to compare with the truth."
        places = [placed(layer, truth) for layer in self.images.ticked]
        refused = [place for place in places if isinstance(place, str)]
        return refused[0] if len(refused) == len(places) else ""

    @property
    def refused(self) -> list[Layer]:
        """The ticked images that cannot be compared as they lie, but after a registration."""
        truth = self.truth.chosen
        if truth is None:
            return []
        places = {one: placed(one, truth) for one in self.images.ticked}
        return [one for one, why in places.items() if isinstance(why, str) and REGISTER in why]

    @property
    def action(self) -> str:
        """Text of the button that starts the comparison."""
        ticked = len(self.images.ticked)
        return f"Compare {count(ticked, 'image')}" if ticked else "Compare"

    @property
    def chosen(self) -> tuple[Any, ...]:
        """Truth, input and images that would be compared, with what changes with their pixels."""
        ticked = self.images.ticked
        return self.truth.chosen, self.source, *ticked, *map(self.images.revision, ticked)

    @property
    def source(self) -> Layer | None:
        """The input that gains refer to; None if the ticked images are not of its field."""
        truth = self.truth.chosen
        if truth is None or not any(self._is_of_field(one, truth) for one in self.images.ticked):
            return None
        return self.input.chosen

    def source_of(self, image: Layer) -> Layer:
        """Return the open layer that an image was made from, or the image itself."""
        wanted = image.metadata.get(SOURCE_METADATA_KEY)
        return next((one for one in self._layers if str(one.unique_id) == wanted), image)

    def _is_of_field(self, layer: Layer, truth: Layer) -> bool:
        place = placed(layer, truth)
        return isinstance(place, Place) and is_of_one_field(place)

    def _could_be_input(self, layer: Layer) -> bool:
        truth = self.truth.chosen
        if not is_input(layer) or truth is None or layer is truth:
            return False
        sources = [self.source_of(one) for one in self.images.ticked if one is not layer]
        if layer in self.images.ticked and layer not in sources:
            return False  # it is compared
        # A result lies on the field of its source, also if that has no pixel size.
        of_field = [one for one in self.images.ticked if self._is_of_field(one, truth)]
        return layer in map(self.source_of, of_field) or self._is_of_field(layer, truth)

    def _remember_choice(self, _index: int) -> None:
        self._chosen_by_hand = self.truth.chosen

    def _refill_images(self) -> None:
        self._is_refilling = True  # the list changes, not the ticked images
        self.images.refill()
        self._is_refilling = False
        self.input.refill()

    def _follow_images(self) -> None:
        """Choose the input image that lies where the ticked ones lie, or else keep the truth."""
        if self._is_refilling:
            return
        if self.images.ticked and self._chosen_by_hand not in self._layers:
            self._choose_truth()
        self.input.refill()
        sources = [self.source_of(one) for one in self.images.ticked]
        self.input.choose_once(next((one for one in sources if is_input(one)), None))

    def _choose_truth(self) -> None:
        chosen = self.truth.chosen
        best = truth_of(self.images.ticked, self._layers, chosen)
        if best is not None and best is not chosen:
            self.truth.choose(best)
        elif chosen is not None and not could_be_taken_as_truth(chosen, self._layers):
            self.truth.choose_none()


def _size(layer: Layer | None) -> tuple[int, ...]:
    return () if layer is None else tuple(layer.data.shape)


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
        self.library = QCheckBox("also LB-NLM")
        named(
            self.library,
            "evaluate_library",
            "Patches of each image are replaced from a library of all other pairs, as in the "
            "AEANet paper; it takes minutes an image",
        )
        self.sparse = QCheckBox("also SRSW")
        named(
            self.sparse,
            "evaluate_sparse",
            "Patches of each image are composed from a few of all other pairs (example-based "
            "super-resolution), as in the AEANet paper; it takes minutes an image",
        )
        for box in (self.classical, self.library, self.sparse):
            box.toggled.connect(self.changed)
        self.only = QCheckBox()
        named(self.only, "evaluate_only", "Evaluate on this pair alone, without the others")
        self.only.hide()
        self.only.toggled.connect(self.changed)
        open_pairs = button(
            "Pairs",
            "evaluate_open_pairs",
            "Collect and register pairs in AEANet: Pairs",
            partial(open_dock, viewer, "Pairs"),
        )
        self.patches = SettingsForm(PatchSettings(), automatic=("patch_size",))
        self.patches.show_automatic({"patch_size": "whole image"})
        self.patches.on_change(self.changed.emit)
        patches = Collapsible("Patch by patch", "evaluate_patches", self.patches.native)
        self._pairs: Sequence[ImagePair] = ()
        self._only: ImagePair | None = None
        first = row(self.line, open_pairs, stretch=0)
        boxes = (self.classical, self.library, self.sparse)
        make_column(self, first, self.only, self.models, *boxes, patches)

    def set_models(self, names: dict[Path, str]) -> None:
        """List models by their files and names."""
        self.models.fill((path, name, str(path)) for path, name in names.items())

    def set_pairs(self, pairs: Sequence[ImagePair], trained_on: int) -> None:
        """Show the pairs to evaluate on, and how many of them are trained on."""
        self._pairs = pairs
        text = count(len(pairs), "pair") if pairs else "No pairs yet."
        kept = len(pairs) - trained_on
        set_text(self.line, f"{text}, {kept} not for training" if kept else text, "plain")
        self._find_only()

    def choose_pair(self, pair: ImagePair) -> None:
        """Evaluate on one of the pairs alone, until the user unticks that."""
        self._only = pair
        self._find_only()
        self.only.setChecked(True)

    def _find_only(self) -> None:
        """Show the box with the one pair if there are others; the pair may be registered again."""
        wanted = self._only
        if wanted is not None:
            self._only = next((pair for pair in self._pairs if is_same(pair, wanted)), None)
        self.only.setText("" if self._only is None else f"only {self._only.name}")
        self.only.setVisible(self._only is not None and len(self._pairs) > 1)

    @property
    def pairs(self) -> Sequence[ImagePair]:
        """The pairs that would be evaluated on."""
        is_alone = self._only is not None and self.only.isChecked()
        return [self._only] if is_alone and self._only is not None else self._pairs

    @property
    def reason(self) -> str:
        """Reason why nothing can be evaluated; empty if something can."""
        if not self.pairs:
            return "Collect pairs first, in AEANet: Pairs."
        if self.libraries and len(self.pairs) < 2:
            return f"{self.libraries[0]} needs a second pair for its library."
        try:
            self.patches.value()
        except ValueError as error:
            return str(error)
        return "" if self._count else "Tick a model, or a method without training."

    @property
    def action(self) -> str:
        """Text of the button that starts the evaluation."""
        if self.reason:
            return "Evaluate"
        what = "method" if len(self.models.ticked) < self._count else "model"
        return f"Evaluate {count(self._count, what)}"

    @property
    def chosen(self) -> tuple[Any, ...]:
        """Pairs, models and settings that would be evaluated."""
        patches = self.patches.value()
        return (
            *self.pairs,
            *self.models.ticked,
            self.classical.isChecked(),
            *self.libraries,
            patches,
        )

    @property
    def libraries(self) -> list[Weights]:
        """The chosen methods that need a library of patches."""
        boxes = {Weights.SIMILARITY: self.library, Weights.SPARSE: self.sparse}
        return [weights for weights, box in boxes.items() if box.isChecked()]

    @property
    def _count(self) -> int:
        return len(self.models.ticked) + self.classical.isChecked() + len(self.libraries)
