"""AEANet: Restore. Choose a model, tick images or drop files, and see the result in place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from napari.utils.notifications import show_error

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.camera import visible_region
from napari_aeanet.gui.common.dock import Dock, open_dock
from napari_aeanet.gui.common.files import open_images
from napari_aeanet.gui.common.image_list import ImageList
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.layers import Frame, layer_to_image
from napari_aeanet.gui.common.model_chooser import MODEL_SUFFIXES, ModelChooser
from napari_aeanet.gui.common.panels import Panels
from napari_aeanet.gui.common.text import count, size_fit
from napari_aeanet.gui.common.widgets import Notice, button, form, label, row, set_text
from napari_aeanet.gui.restore.axes_chooser import AxesChooser
from napari_aeanet.gui.restore.choices import RestoreChoices
from napari_aeanet.gui.restore.comparison import Comparison, LineProfile
from napari_aeanet.gui.restore.cost import crop
from napari_aeanet.gui.restore.cost_line import CostLine
from napari_aeanet.gui.restore.results import Results
from napari_aeanet.gui.restore.text import differences_words, gives_height, too_large_words
from napari_aeanet.gui.restore.worker import (
    COMPARED_EDGE,
    FileBegun,
    ImageBegun,
    ImageRefused,
    ImageRestored,
    PatchSizesCompared,
    PieceRestored,
    RestoreOrder,
    compare_sizes,
    restore_images,
)
from napari_aeanet.io import READERS
from napari_aeanet.restoration import Output, encoding_for

if TYPE_CHECKING:
    from napari import Viewer


class RestoreDock(Dock):
    """Model, images, how, where to; results appear on top of their images."""

    tab = "Restore"
    accepts = (*MODEL_SUFFIXES, *READERS)
    uses_toggle_key = True

    def __init__(self, napari_viewer: Viewer) -> None:
        row = JobRow(
            "restore",
            step="tile",
            run_tooltip="Restore the ticked images with the chosen model",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile; finished images stay",
        )
        super().__init__(napari_viewer, row)
        self._frames: list[Frame] = []
        self._sources: list[Layer] = []
        self._output = Output.AS_INPUT  # of what is being restored
        self._done: list[str] = []
        self._file: Path | None = None  # into which a result is being written
        self._work: tuple[Any, ...] = ()  # what the answer is about
        self._answer: dict[str, bool] = {}
        self._results = Results(self.viewer)
        self._panels = Panels(self.viewer)
        self._fill_body()
        self._fill_foot()
        self.models.start()
        self.images.follow(self.listen)
        self.listen(self.session.models_changed, self._ask_again)
        active = self.viewer.layers.selection.active
        self.images.tick_only(*([active] if active is not None else []))
        if "torch" not in sys.modules:  # opening the dock does not load it
            self.cost.stop()

    # --- what is seen

    def _fill_body(self) -> None:
        self.models = ModelChooser(self, "restore")
        self.images = ImageList(
            self.viewer.layers, "restore_images", "Tick the images to restore; drop files to add"
        )
        self.images.placeholder = "Drop TIFFs here,\nor open a sample to try."
        self.images.changed.connect(self._ask_again)
        self.sample = button(
            "Open a sample",
            "restore_sample",
            "Open a synthetic electron micrograph that the demo model can restore",
            self._open_sample,
        )
        self.size_line = label(role="hint", name="restore_size")
        self.question = Notice(
            "restore_question",
            button(
                "Resample",
                "restore_resample",
                "Bring the image to the pixel size that the model was trained at",
                lambda: self._answered(resample=True),
            ),
            button(
                "Continue anyway",
                "restore_force",
                "Restore at the image's own pixel size",
                lambda: self._answered(force=True),
            ),
        )
        self.axes = AxesChooser("restore_axes")
        self.axes.chosen.connect(self._ask_about_axes)
        self.choices = RestoreChoices(self.compare)
        self.cost = CostLine(
            self.choices.estimate_line, self._order, self.refresh, self.in_background
        )
        self.choices.changed.connect(self._ask_estimate)
        self.choices.place_changed.connect(self.refresh)
        self.profile = LineProfile(self.viewer, "restore_profile_plot")
        self.profile.paint(self.colours)
        self.listen(self.viewer.events.theme, lambda _: self.profile.paint(self.colours))
        self.body.addLayout(form(("Model", self.models)))
        self.body.addLayout(row(label("Images", "heading"), self.sample, stretch=0))
        self.body.addWidget(self.images)
        self.body.addWidget(self.axes)
        self.body.addWidget(self.size_line)
        self.body.addWidget(self.question)
        self.body.addWidget(self.choices)
        self.body.addWidget(self.profile)
        self.body.addStretch(1)

    def _fill_foot(self) -> None:
        self.row.run_clicked.connect(self.run)
        self.compare_row = Comparison(self.viewer, self._results, self.profile)
        self.next = button(
            "Relevance →",
            "restore_next",
            "What did the model look at? Open AEANet: Relevance",
            partial(open_dock, self.viewer, "Relevance"),
        )
        self.foot.addWidget(self.compare_row)
        self.foot.addLayout(row(self.compare_row.evaluate, self.next, stretch=1))

    def _ask_again(self) -> None:
        """If the images or the model changed, an earlier answer about pixel sizes is void."""
        work = (self.session.model, *map(id, self.images.ticked))
        if work != self._work:
            self._work, self._answer = work, {}
            self._ask_estimate()
        self.refresh()

    def _ask_about_axes(self) -> None:
        self._work = ()
        self._ask_again()

    def _answered(self, **answer: bool) -> None:
        self._answer = answer
        self.refresh()
        self._ask_estimate()

    def refresh(self, _event: Any = None) -> None:
        self._show_sizes()
        ticked = self.images.ticked
        text = f"Restore {count(len(ticked), 'image')}" if ticked else "Restore"
        self.row.set_ready(text, self._reason())
        self.sample.setVisible(not self.images.count())
        self.compare_row.refresh()
        self.choices.compare.setEnabled(not self._reason() and not self.session.is_busy)
        self.axes.show_for(ticked)
        self.choices.show_planes(any(layer.ndim > 2 for layer in ticked))
        card = self.session.card
        self.choices.show_height(card is not None and gives_height(card))

    def _reason(self) -> str:
        """Why nothing can be restored now; empty if it can."""
        if busy := self.busy_reason():
            return busy
        if self.session.model is None:
            return "Choose a model first."
        if not self.images.ticked:
            return self.images.why_empty() or "Tick an image, or drop a TIFF on this dock."
        if self.question.isVisibleTo(self):
            return "Say what to do about the pixel size."
        found = self.cost.found
        if found is not None and found.needs_file and self.choices.keeps_in_memory_only:
            return too_large_words(found.results)
        return ""

    def _show_sizes(self) -> None:
        """The line about pixel sizes, or the question where they do not fit."""
        card, ticked = self.session.card, self.images.ticked
        if card is None or not ticked:
            set_text(self.size_line, "")
            self.question.show_text("")
            return
        fits = [size_fit(card, layer_to_image(layer)) for layer in ticked]
        odd = [fit for fit in fits if not fit.is_fitting]
        self.question.show_text(odd[0].text if odd and not self._answer else "")
        if odd and self._answer:
            done = "It will be resampled" if self._answer.get("resample") else "Restored anyway"
            set_text(self.size_line, f"{odd[0].text} {done}.", "caution")
        else:
            set_text(self.size_line, "" if odd else fits[0].text)

    # --- what is done

    def take_files(self, paths: Sequence[Path]) -> None:
        """Models are chosen; images become calibrated layers, and they are what is ticked."""
        for path in paths:
            if path.name.endswith(MODEL_SUFFIXES):
                self.models.take(path)
        images = [p for p in paths if not p.name.endswith(MODEL_SUFFIXES)]
        opened = open_images(self.viewer, images)
        if opened:
            self.images.tick_only(*opened)

    def _open_sample(self) -> None:
        layers = self.viewer.open_sample("napari-aeanet", "paired_sem")
        self.images.tick_only(layers[0])

    def run(self) -> None:
        """Restore what is ticked."""
        model, layers = self.session.model, self.images.ticked
        if model is None or not layers:
            return
        folder = None
        if self.choices.asks_for_folder:
            folder = self.choices.ask_folder()
            if folder is None:
                return  # the dialog was closed
        self._end_comparisons()
        images = [layer_to_image(layer) for layer in layers]
        orders = [
            RestoreOrder(
                image,
                self.choices.target(image, folder),
                visible_region(self.viewer, layer, image),
            )
            for layer, image in zip(layers, images, strict=True)
        ]
        self._frames = [Frame.of(layer, image) for layer, image in zip(layers, images, strict=True)]
        self._sources, self._done = layers, []
        settings = self._settings()
        self._output = settings.output
        what = images[0].name if len(images) == 1 else count(len(images), "image")
        self.run_job(f"restoring {what}", partial(restore_images, orders, model, settings))
        if self.job is not None:
            self.listen(self.job.progressed, self._results.refresh)

    def compare(self) -> None:
        """Restore what is on the screen in patches of several sizes."""
        model, layers = self.session.model, self.images.ticked
        if model is None or not layers:
            return
        image = layer_to_image(layers[0])
        view = visible_region(self.viewer, layers[0], image, most=COMPARED_EDGE)
        if view is None:
            show_error(f"Nothing of {image.name} is on the screen: look at a part of it in 2D.")
            return
        self._end_comparisons()
        self._frames, self._sources, self._done = [], [], []
        run = partial(compare_sizes, crop(image, view), model, self._settings())
        self.run_job("comparing patch sizes", run)

    def _settings(self) -> Any:
        return self.choices.settings(**self._answer)

    def _ask_estimate(self) -> None:
        self.cost.forget()
        if not self._reason():
            self.cost.ask_soon()
        self.refresh()

    def _order(self) -> tuple[list[Image], Path, Any] | None:
        """What would be restored now; None if nothing can be."""
        model, layers = self.session.model, self.images.ticked
        if model is None or not layers or self.session.is_busy:
            return None
        return [layer_to_image(layer) for layer in layers], model, self._settings()

    def on_event(self, event: Any) -> None:
        match event:
            case ImageBegun():
                self._results.begin(event, *self._place(event.index))
                self.refresh()
            case FileBegun():
                self._write_to(event.path)
            case PieceRestored():
                self._results.put(event)
            case ImageRestored():
                self._write_to(None)
                self._results.finish(event, *self._place(event.index))
                saved = f", saved as {event.saved.name}" if event.saved else ""
                name = self._frames[event.index].image.name
                self._done += [f"✓ {name} is restored{saved}.", *event.notices]
                if event.height is not None:
                    self._done.append("Its height map is the layer above it: click its eye.")
                self.refresh()
            case ImageRefused():
                self._write_to(None)
                self._results.give_up(event.index)
                show_error(event.reason)
                self._done.append(f"✗ {event.reason}")
            case PatchSizesCompared():
                self._panels.show(event.panels, event.image, event.panels[-1][1])
                self._done.append(differences_words(event.differences))

    def _write_to(self, file: Path | None) -> None:
        """Say where a result is being written to; nothing when that has ended."""
        if file is not None:
            words = f"It is written to {file.name} as it comes, and seen when it is done."
            set_text(self.choices.estimate_line, words)
        elif self._file is not None:
            set_text(self.choices.estimate_line, "")
        self._file = file

    def _place(self, index: int) -> tuple[Frame, Layer, float]:
        """Where a result belongs, what it was made from, and how much brighter it is."""
        frame = self._frames[index]
        gain = encoding_for(frame.image.dtype, self._output).gain
        return frame, self._sources[index], gain

    def on_end(self, state: State) -> None:
        share = self._results.give_up_all()
        if share:
            self._done.append(f"Stopped: the finished {share:.0%} is kept, the rest is empty.")
        if self._file is not None:
            self._done.append(
                f"Stopped: what is finished of {self._file.name} is kept. Restore again with the "
                "same choices to go on."
            )
        self._write_to(None)
        self._frames, self._sources = [], []
        if self._done:
            role = "bad" if any(line.startswith("✗") for line in self._done) else "plain"
            self.row.set_text("\n".join(self._done), role)
        self.refresh()

    # --- before and after

    def blink(self) -> None:
        self._results.toggle()

    def _end_comparisons(self) -> None:
        self.compare_row.end()
        self._panels.remove()

    def on_deactivated(self) -> None:
        """What was put up for comparing goes; results stay."""
        self._end_comparisons()

    def on_close(self) -> None:
        self.cost.stop()
