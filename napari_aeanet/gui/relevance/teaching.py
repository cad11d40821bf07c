"""Section of the Relevance dock that teaches the model a kind of structure from marked places."""

from __future__ import annotations

from functools import partial
from math import isnan
from pathlib import Path
from typing import Any
from weakref import ref

from napari.layers import Image as ImageLayer
from napari.layers import Labels, Layer, Shapes
from qtpy.QtWidgets import QLineEdit, QMessageBox, QWidget

from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.preferences import device
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.tick_list import TickList
from napari_aeanet.gui.common.widgets import (
    button,
    form,
    label,
    make_column,
    named,
    row,
    set_text,
)
from napari_aeanet.gui.relevance import worker
from napari_aeanet.gui.relevance.reasons import no_teaching_reason, unkept_reason
from napari_aeanet.gui.relevance.sections import set_reason
from napari_aeanet.gui.relevance.structures import StructureSection
from napari_aeanet.gui.relevance.worker import KindTaught
from napari_aeanet.gui.viewer.drawn import MarkedImage
from napari_aeanet.gui.viewer.drawn_layers import drawn_in, grid_of
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.layers import Frame, layer_to_image
from napari_aeanet.models import ModelCard
from napari_aeanet.structures.settings import StructureTaught

LINES = 2
HOW = (
    "Mark some places of one kind in a Labels or Shapes layer, in both halves of the image. "
    "All places without a mark count as something else."
)
# Scores (area under the curve) that a kind reaches where it was not taught, to be called good, and
# by how much it has to be better than marks without meaning.
GOOD, MARGIN = 0.75, 0.1


class TeachSection(QWidget):
    """Marks, a name, and a button that teaches; the score in words, and a button that keeps it.

    Parameters
    ----------
    dock
        The dock in which it is.
    image
        The chosen image, on which the map is shown.
    structures
        Section that shows the map.
    """

    def __init__(self, dock: Dock, image: LayerChooser, structures: StructureSection) -> None:
        super().__init__()
        self._dock, self._image, self._structures = dock, image, structures
        self._listed: dict[int, tuple[ref[Layer], ref[Layer]]] = {}
        self._frame: Frame | None = None
        self._model: Path | None = None
        self._taught: StructureTaught | None = None
        self.marks = LayerChooser(
            dock.viewer.layers,
            "relevance_marks",
            "Labels or Shapes layer with the marked places",
            lambda layer: isinstance(layer, Labels | Shapes),
            "none open",
        )
        self.marks.changed.connect(self.refresh)
        self.name = QLineEdit()
        named(self.name, "relevance_taught_name", "Name of the kind that is marked")
        self.name.setPlaceholderText("name it, for instance “clusters”")
        self.name.textChanged.connect(lambda _text: self.refresh())
        self.teach_button = button(
            "Teach",
            "relevance_teach",
            "Learn what tells the marked places from all others, and show where it is found",
            self.teach,
        )
        self.add_button = button(
            "Add",
            "relevance_add_example",
            "Learn from this image too: then choose another image and its marks",
            self.add,
        )
        self.examples = TickList(
            "relevance_examples", "Images to learn from, and their marks", LINES, set()
        )
        self.examples.changed.connect(self._show_reason)
        self.line = label(role="hint", name="relevance_teach_line")
        self.score = label(name="relevance_taught_score")
        self.keep_button = button(
            "Keep",
            "relevance_keep",
            "Keep the taught kind in the model file: it is then found in every image",
            self.keep,
        )
        make_column(
            self,
            label(HOW, "hint", "relevance_teach_hint"),
            form(("Marks", self.marks), ("Name", self.name)),
            row(self.teach_button, self.add_button, self.keep_button, stretch=0),
            self.examples,
            self.line,
            self.score,
        )
        self.keep_button.setEnabled(False)
        for widget in (self.examples, self.score):
            widget.hide()

    # --- examples

    def refresh(self, _event: Any = None) -> None:
        """Follow the layers of the viewer, and show what is learnt from, or what is missing."""
        layers = self._dock.viewer.layers
        there = {
            key: pair for key, pair in self._listed.items() if all(one() in layers for one in pair)
        }
        self._listed = there
        pairs = {key: (image(), marks()) for key, (image, marks) in there.items()}
        self.examples.fill(
            (key, f"{_name(image)}, marked in {_name(marks)}", "") for key, (image, marks) in
            pairs.items()
        )  # fmt: skip
        self.examples.setVisible(bool(there))
        self._show_reason()

    def _show_reason(self) -> None:
        session, chosen = self._dock.session, self._image.chosen
        missing = self._dock.busy_reason() or no_teaching_reason(
            session.card, chosen, self.marks.chosen, self.name.text()
        )
        set_reason(self.add_button, missing or self._why_not_added())
        if not missing and self._listed and not self.examples.ticked:
            missing = "Tick the images to learn from."
        set_reason(self.teach_button, missing)
        set_text(self.line, missing or self._source_text())

    def _source_text(self) -> str:
        """Return what is learnt from, in words."""
        if self._listed:
            images = count(len(self.examples.ticked), "image")
            return f"Learns from {images}; the map is that of {_name(self._image.chosen)}."
        return f"Learns from {_name(self._image.chosen)}, marked in {_name(self.marks.chosen)}."

    def _why_not_added(self) -> str:
        """Return why the chosen image and marks cannot be added; empty if they can."""
        for image, marks in self._listed.values():
            if image() is self._image.chosen:
                return f"{_name(image())} is in the list already."
            if marks() is self.marks.chosen:
                return (
                    f"{_name(marks())} holds the marks of {_name(image())}: mark this image in a "
                    "layer of its own."
                )
        return ""

    def add(self) -> None:
        """Add the chosen image and its marks to what is learnt from."""
        image, marks = self._image.chosen, self.marks.chosen
        if image is not None and marks is not None:
            key = max(self._listed, default=0) + 1
            self._listed[key] = (ref(image), ref(marks))
            self.examples.tick(key)
            self.refresh()

    def _examples(self) -> list[MarkedImage]:
        """Return what is learnt from, as it is now."""
        pairs = [self._listed[key] for key in self.examples.ticked]
        layers = [(image(), marks()) for image, marks in pairs]
        if not self._listed:
            layers = [(self._image.chosen, self.marks.chosen)]
        found = []
        for layer, marks in layers:
            if layer is not None and marks is not None:
                image = layer_to_image(layer)
                found.append(MarkedImage(image, grid_of(layer, image.shape), drawn_in(marks)))
        return found

    # --- the job

    def teach(self) -> None:
        """Teach the kind, and find it in the chosen image."""
        layer, model, name = self._image.chosen, self._dock.session.model, self.name.text().strip()
        if not isinstance(layer, ImageLayer) or model is None:
            return
        image = layer_to_image(layer)
        self._frame, self._model = Frame.of(layer, image), model
        work = partial(worker.teach_kind, self._examples(), image, name, model, device())
        self._dock.run_job(f"teaching {name}", work)

    def take(self, event: KindTaught) -> str:
        """Show the map of the kind and its score; return a sentence."""
        assert self._frame is not None and self._model is not None
        self._taught = event.taught
        self._structures.set_maps(event.maps, self._frame, self._model)
        self._structures.choose(event.taught.name)
        set_text(self.score, *score_words(event.taught))
        reason = unkept_reason(self._model)
        set_reason(self.keep_button, reason)
        next_step = reason or "Click Keep to have it in the model file."
        return f"The map lies over the image. {next_step}"

    # --- the model file

    def keep(self) -> None:
        """Add the kind to the model file, in the background."""
        taught, model = self._taught, self._model
        if taught is None or model is None:
            return
        question = f"The model has a kind “{taught.name}”. Replace it?"
        if replaces := taught.name in self._dock.session.models[model].taught:
            answer = QMessageBox.question(self, "AEANet: replace the kind?", question)
            if answer != QMessageBox.StandardButton.Yes:
                return
        work, then = worker.keep_kind, partial(self._take_kept, model)
        self._dock.in_background("keeping", work, model, taught, replaces, then=then)

    def _take_kept(self, model: Path, card: ModelCard) -> None:
        self._dock.session.models[model] = card
        self._dock.session.models_changed.emit()
        set_reason(self.keep_button, f"It is kept in {model.name}.")
        self._dock.row.set_text(f"✓ It is kept in {model.name}.", "plain")


def score_words(taught: StructureTaught) -> tuple[str, str]:
    """Return how well a kind is found where it was not taught, in words, and their role."""
    half, others, null = taught.other_half, taught.other_images, taught.null
    if isnan(half):
        return f"! {' '.join(taught.notices)}", "caution"
    if half >= max(GOOD, null + MARGIN):
        verdict, role, ending = "✓ Found well where it was not taught", "good", ""
    else:
        verdict, role = "! Hardly found where it was not taught", "caution"
        if half <= null:
            verdict, role = "✗ Not found better than by chance", "bad"
        ending = " Do not rely on this map: mark more places, or one kind only."
    elsewhere = "" if isnan(others) else f", and in {_of_100(others)} in an image not learnt from"
    text = (
        f"{verdict}: a marked place gets a higher value than another one in {_of_100(half)} of 100 "
        f"cases in the other half of the image{elsewhere}. By chance: 50; with your marks "
        f"mirrored, which mean nothing: {_of_100(null)}.{ending}"
    )
    return text, role


def _of_100(score: float) -> str:
    return "an unknown number" if isnan(score) else f"{100 * score:.0f}"


def _name(layer: Layer | None) -> str:
    return "" if layer is None else layer.name
