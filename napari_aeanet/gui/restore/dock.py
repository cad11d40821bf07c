"""Dock AEANet: Restore: images restored by a model, shown in place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error

from napari_aeanet.batch import ItemFinished
from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.model_chooser import MODEL_SUFFIXES, ModelChooser
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import button, form, label, row, set_role, set_text
from napari_aeanet.gui.restore.axes_chooser import AxesChooser
from napari_aeanet.gui.restore.choices import RestoreChoices
from napari_aeanet.gui.restore.comparison import Comparison
from napari_aeanet.gui.restore.cost_line import CostLine, CostRequest
from napari_aeanet.gui.restore.folder import NO_MODEL, FolderPanel
from napari_aeanet.gui.restore.next_steps import NextSteps
from napari_aeanet.gui.restore.report import Report
from napari_aeanet.gui.restore.results import Origin, Results, ask_about
from napari_aeanet.gui.restore.size_question import SizeQuestion
from napari_aeanet.gui.restore.text import (
    axes_problem,
    differences_words,
    gives_height,
    stopped_words,
    too_large_words,
    writing_words,
)
from napari_aeanet.gui.restore.worker import (
    COMPARED_EDGE,
    BlockRestored,
    FileBegun,
    ImageBegun,
    ImageRefused,
    ImageRestored,
    PatchSizesCompared,
    RestoreRequest,
    compare_sizes,
    restore_images,
)
from napari_aeanet.gui.viewer.camera import visible_region
from napari_aeanet.gui.viewer.image_list import ImageList
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.gui.viewer.line_profile import LineProfile
from napari_aeanet.gui.viewer.opening import open_in_dock
from napari_aeanet.gui.viewer.panels import Panels
from napari_aeanet.io import READERS
from napari_aeanet.restoration import RestoreSettings, crop_image

if TYPE_CHECKING:
    from napari import Viewer


class RestoreDock(Dock):
    """Model, images, choices and costs; results appear on top of their images."""

    tab = "Restore"
    accepts = (*MODEL_SUFFIXES, *READERS)
    uses_toggle_key = True

    def __init__(self, napari_viewer: Viewer) -> None:
        row = JobRow(
            "restore",
            step="tile",
            run_tooltip="Restore the ticked images with the chosen model",
            stop_text="Stop",
            stop_tooltip="Stop after the current tile; finished images are kept",
        )
        super().__init__(napari_viewer, row)
        self._origins: list[Origin] = []  # of the running job
        self._file: Path | None = None  # of the result that is being written
        self._chosen: tuple[Any, ...] = ()  # model and images of the answer about pixel sizes
        self._results = Results(self.viewer, lambda: self.images.ticked)
        self._panels = Panels(self.viewer)
        self._fill_body()
        self._fill_foot()
        self.models.start()
        self.images.follow(self.listen)
        self.listen(self.session.models_changed, self._on_chosen)
        self.images.suggest(self.viewer.layers.selection.active)
        if "torch" not in sys.modules:  # an estimate would load it
            self.cost.stop()

    def _fill_body(self) -> None:
        self.models = ModelChooser(self, "restore")
        self.images = ImageList(
            self.viewer.layers, "restore_images", "Tick the images to restore; drop files to add"
        )
        self.images.placeholder = "Drop images here,\nor open a sample to try."
        self.images.changed.connect(self._on_chosen)
        self.sample = button(
            "Open a sample",
            "restore_sample",
            "Open a synthetic electron micrograph that the demo model can restore",
            self._open_sample,
        )
        self.question = SizeQuestion()
        self.question.answered.connect(self._update_estimate)
        self.axes = AxesChooser("restore_axes")
        self.axes.chosen.connect(self._on_axes_chosen)
        self.choices = RestoreChoices(self.compare)
        self.cost = CostLine(
            self.choices.estimate_line, self._request, self.refresh, self.in_background
        )
        self.choices.changed.connect(self._update_estimate)
        self.choices.place_changed.connect(self.refresh)
        self.folder = FolderPanel(self.session, self.in_background, self.restore_folder)
        self.profile = LineProfile(self.viewer, "restore_profile_plot")
        self.profile.paint(self.colours)
        self.listen(self.viewer.events.theme, lambda _: self.profile.paint(self.colours))
        self.body.addLayout(form(("Model", self.models)))
        self.body.addLayout(row(label("Images", "heading"), self.sample, stretch=0))
        self.left_out = label(role="hint", name="restore_left_out")
        self.report = Report()
        shown = (self.images, self.left_out, self.axes, self.question, self.choices)
        for widget in (*shown, self.folder, self.profile, self.report):
            self.body.addWidget(widget)
        self.body.addStretch(1)

    def _fill_foot(self) -> None:
        self.row.run_clicked.connect(self.run)
        self.compare_row = Comparison(self.viewer, self._results, self.profile)
        self.next = NextSteps(self.viewer, self._results)
        self.foot.addWidget(self.compare_row)
        self.foot.addWidget(self.next)

    # --- choices

    def _on_chosen(self) -> None:
        """Discard the answer about pixel sizes if the model or the images have changed."""
        chosen = (self.session.model, *map(self.images.revision, self.images.ticked))
        if chosen != self._chosen:
            self._chosen, self.question.answer = chosen, {}
            self._update_estimate()
        else:
            self.refresh()

    def _on_axes_chosen(self) -> None:
        self._chosen = ()
        self._on_chosen()

    def _update_estimate(self) -> None:
        self.cost.discard()
        self.refresh()
        if not self._reason():
            self.cost.start_soon()

    def refresh(self, _event: Any = None) -> None:
        ticked, card = self.images.ticked, self.session.card
        self.question.show_for(card, ticked)
        self.choices.show_intensities(card, self.images, self.in_background)
        truths = self._results.truths_in_words(self.images.unticked)
        left_out = self.images.left_out() if self.images.count() else ()  # the reason below tells
        set_text(self.left_out, "\n".join([*left_out, *truths]))
        text = f"Restore {count(len(ticked), 'image')}" if ticked else "Restore"
        is_done = self._is_done()
        self.row.set_ready(text, self._reason(), is_next=not is_done)
        self.sample.setVisible(not self.images.count())
        self.compare_row.refresh()
        self.next.refresh(self.busy_reason())
        self.folder.refresh()
        set_role(self.next.trust, "primary" if is_done and card and not card.remarks else "")
        self.choices.compare.setEnabled(not self._reason() and not self.session.is_busy)
        self.axes.show_for(ticked)
        self.choices.show_planes(any(layer.ndim > 2 for layer in ticked))
        self.choices.show_height(card is not None and gives_height(card))

    def _is_done(self) -> bool:
        """Return True if the results of all ticked images are there, whole and made as chosen."""
        model, ticked = self.session.model, self.images.ticked
        return not self._reason() and self._results.are_made(ticked, model, self._settings())

    def _reason(self) -> str:
        """Return why nothing can be restored now; empty if something can."""
        if busy := self.busy_reason():
            return busy
        if self.session.model is None:
            return NO_MODEL
        if not self.images.ticked:
            return self.images.why_empty() or (
                "Tick an image." if self.images.count() else "Drop an image here, or open one."
            )
        if problem := axes_problem(self.session.card, map(layer_to_image, self.images.ticked)):
            return problem
        if self.question.is_open:
            return "Choose what to do about the pixel size."
        if self.choices.intensities.is_open:
            return "Say if the intensity range is right."
        if problem := self.choices.problem(len(self.images.ticked)):
            return problem
        found = self.cost.found
        if found is not None and found.needs_file and self.choices.keeps_in_memory_only:
            return too_large_words(found.results)
        return ""

    def take_files(self, paths: Sequence[Path]) -> None:
        """Choose models; open images as calibrated layers, and tick them too if not as truths."""
        images = self.models.take_models(paths)
        fit = self._results.without_truths
        open_in_dock(self, images, lambda opened: self.images.add(*fit(opened)))

    def _open_sample(self) -> None:
        layers = self.viewer.open_sample("napari-aeanet", "paired_sem")
        self.images.tick_only(layers[0])

    def _settings(self) -> RestoreSettings:
        return self.choices.settings(**self.question.answer)

    def _request(self) -> CostRequest | None:
        """Return the images, model and settings to estimate; None if nothing can be restored."""
        model, layers = self.session.model, self.images.ticked
        if model is None or not layers or self.session.is_busy:
            return None
        return [layer_to_image(layer) for layer in layers], model, self._settings()

    # --- jobs

    def run(self) -> None:
        """Restore the ticked images."""
        model, layers = self.session.model, self.images.ticked
        if model is None or not layers:
            return
        settings = self._settings()
        repeated = [self._results.repeated_by(layer, model) for layer in layers]
        if lost := [r for r in repeated if r and self._results.would_be_lost(r, settings)]:
            if (is_replaced := ask_about(lost)) is None:
                return
            repeated = [r if is_replaced or r not in lost else None for r in repeated]
        folder = None
        if self.choices.asks_for_folder and (folder := self.choices.ask_folder()) is None:
            return  # the dialog was closed
        self._end_comparisons()
        images = [layer_to_image(layer) for layer in layers]
        requests = [
            RestoreRequest(
                image,
                self.choices.target(image, folder),
                visible_region(self.viewer, layer, image),
            )
            for layer, image in zip(layers, images, strict=True)
        ]
        self._origins = [
            Origin.of(layer, image, model, settings, old)
            for layer, image, old in zip(layers, images, repeated, strict=True)
        ]
        self.report.begin()
        title = images[0].name if len(images) == 1 else count(len(images), "image")
        workers = self.choices.workers.settings
        work = partial(restore_images, requests, model, settings, workers)
        self.run_job(f"restoring {title}", work)
        if self.job is not None:
            self.listen(self.job.progressed, self._results.refresh)

    def restore_folder(self) -> None:
        """Restore all images of the chosen folder; nothing is added to the viewer."""
        if self.session.model is not None:
            self._origins = []
            self.report.begin()
            self.run_job(*self.folder.job(self.session.model, self._settings()))

    def compare(self) -> None:
        """Restore the visible part of an image in patches of several sizes."""
        model, layers = self.session.model, self.images.ticked
        if model is None or not layers:
            return
        image = layer_to_image(layers[0])
        view = visible_region(self.viewer, layers[0], image, most=COMPARED_EDGE)
        if view is None:
            show_error(f"No part of {image.name} is visible: show a part of it in 2D.")
            return
        self._end_comparisons()
        self._origins = []
        self.report.begin()
        settings = replace(self._settings(), range=self.choices.intensities.value_for(image.name))
        work = partial(compare_sizes, crop_image(image, view), model, settings)
        self.run_job("comparing patch sizes", work)

    def on_event(self, event: Any) -> None:
        match event:
            case ImageBegun():
                self._results.begin(event, self._origins[event.index])
                self.refresh()
            case FileBegun():
                self._write_to(event)
            case BlockRestored():
                self._results.put(event)
            case ImageRestored():
                self._write_to(None)
                origin = self._origins[event.index]
                self._results.finish(event, origin)
                self.session.restored_layer = origin.layer
                self.report.add_restored(origin.frame.image.name, event)
                self.refresh()
            case ImageRefused():
                self._write_to(None)
                self._results.stop(event.index)
                self.report.add(f"✗ {event.reason}")
                if self in self.session.closed_docks:
                    show_error(event.reason)
            case ItemFinished():
                self.folder.take(event.outcome)
            case PatchSizesCompared():
                self._panels.show(event.panels, event.image, event.panels[-1][1])
                self.report.add(differences_words(event.differences))

    def _write_to(self, begun: FileBegun | None) -> None:
        """Name the file that a result is being written to; None when that has ended."""
        words = writing_words(begun.path, begun.workers, begun.dashboard) if begun else ""
        if begun or self._file:
            set_text(self.choices.estimate_line, words)
        self._file = begun.path if begun else None

    def on_end(self, state: State) -> None:
        share = self._results.stop_all()
        if share:
            self.report.add(f"Stopped: the finished {share:.0%} are kept, the rest is empty.")
        if self._file is not None:
            self.report.add(stopped_words(self._file.name))
        self._write_to(None)
        self._origins = []
        self.report.add(*self.folder.end(is_stopped=state is State.STOPPED))
        text, role = self.report.finish()
        if text:
            self.row.set_text(text, role)
        self.refresh()

    # --- comparisons

    def on_toggle_key(self) -> None:
        self._results.toggle()

    def _end_comparisons(self) -> None:
        self.compare_row.end()
        self._panels.remove()

    def on_deactivated(self) -> None:
        """End the comparisons; results stay."""
        self._end_comparisons()

    def on_close(self) -> None:
        self.cost.stop()
