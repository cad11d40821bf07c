"""AEANet: Train. Choose a task and a time, follow the training, use the model."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication, QMessageBox

from napari_aeanet.gui.common.dock import Dock, open_dock
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.preferences import output_folder
from napari_aeanet.gui.common.text import signed
from napari_aeanet.gui.common.widgets import (
    button,
    label,
    present,
    set_role,
    set_text,
)
from napari_aeanet.gui.train.check_panel import CHECKING, CheckPanel
from napari_aeanet.gui.train.choices import TrainChoices
from napari_aeanet.gui.train.curve import GainCurve
from napari_aeanet.gui.train.earlier_runs import PAIRS, EarlierRuns, find_runs
from napari_aeanet.gui.train.model_row import ModelRow
from napari_aeanet.gui.train.preparation import BackgroundCheck
from napari_aeanet.gui.train.preview_layers import PreviewLayers
from napari_aeanet.gui.train.recipes import Recipe, copy_button
from napari_aeanet.gui.train.several_models import SeveralModels
from napari_aeanet.gui.train.tasks import new_folder
from napari_aeanet.gui.train.worker import (
    PairsOpened,
    Timed,
    check_and_time,
    resume_model,
    train_model,
    train_models,
)
from napari_aeanet.models import SUFFIX
from napari_aeanet.networks import probe_devices
from napari_aeanet.pairs import ImagePair, are_enlarged, likely_task
from napari_aeanet.training import Finished, Noticed, Planned, Previewed, Validated

if TYPE_CHECKING:
    from napari import Viewer

BEST = f"best{SUFFIX}"
WORSE = "it does not restore better than its input"
UNKNOWN = "its quality was not measured"


class TrainDock(Dock):
    """The choices, the check before a training, and the curve and preview during it."""

    tab = "Train"

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "train",
            step="step",
            run_tooltip="Train a model on the pairs",
            stop_text="Finish",
            stop_tooltip="Finish now: stop after the current step and keep the best model so far",
        )
        super().__init__(napari_viewer, job_row)
        self._preview = PreviewLayers(self.viewer, self)
        self._pairs: tuple[ImagePair, ...] = ()
        self._models = SeveralModels()
        self._folder: Path | None = None
        self._is_checking = self._is_discarding = False
        self._doubt = WORSE
        self._fill_body()
        self._fill_foot()
        self._forget_gain()
        self.curve.paint(self.colours)
        self.listen(self.viewer.events.theme, lambda _: self.curve.paint(self.colours))
        self.listen(self.session.pairs_changed, self._on_pairs_changed)
        self._on_pairs_changed()
        self.in_background("looking for devices", probe_devices, then=self.choices.show_devices)
        self._find_runs()

    # --- appearance

    def _fill_body(self) -> None:
        to_pairs = partial(open_dock, self.viewer, "Pairs")
        self.choices = TrainChoices(self.viewer, to_pairs)
        self.choices.changed.connect(self._on_choices_changed)
        self.runs = EarlierRuns()
        self.runs.chosen.connect(self.resume)
        self.check = CheckPanel(self.check_in_full, self._register)
        self.checking = BackgroundCheck(
            self, self.session, self.choices, self.check, self.in_background, self.refresh
        )
        self.curve = GainCurve("train_curve")
        self.gain_line = label(name="train_gain")
        for part in (self.choices, self.runs, self.check, self.curve, self.gain_line):
            self.body.addWidget(part)
        self.body.addStretch(1)

    def _fill_foot(self) -> None:
        self.row.run_clicked.connect(self.start)
        self.discard = button(
            "Discard",
            "train_discard",
            "Stop and delete this run with its models",
            self._ask_discard,
        )
        self.row.add_button(self.discard)
        self.copy = copy_button(self._copy)
        self.model = ModelRow(self.viewer, self.session, self.copy, self.row.set_text)
        self.foot.addWidget(self.model)

    def _find_runs(self) -> None:
        show = self.runs.show_runs
        self.in_background("looking for earlier trainings", find_runs, output_folder(), then=show)

    def _show_region(self) -> None:
        """Show the box to draw on the first pair, if a region is to be kept out."""
        usable = self.session.usable_pairs
        can_draw = bool(usable) and self.is_in_front and not self.session.is_busy
        self.choices.show_region(usable[0].target if can_draw else None)
        self.refresh()

    def _on_pairs_changed(self) -> None:
        usable = self.session.usable_pairs
        entries = self.session.pairs
        if not self._is_training and not self.model.is_of([entry.pair for entry in entries]):
            self._forget_gain()  # which is that of other pairs
        to_register = sum(entry.is_to_register for entry in entries)
        left_out = len(entries) - len(usable) - to_register
        parts = [(len(usable), "to train on"), (to_register, "to register"), (left_out, "left out")]
        text = ", ".join(f"{number} {words}" for number, words in parts if number)
        self.choices.pairs_line.setText(text or "none yet")
        self.choices.suggest_task(likely_task(usable), enlarged=are_enlarged(usable))
        self._on_choices_changed()

    def _on_choices_changed(self) -> None:
        self._show_region()  # which is part of what is checked
        self.checking.ask(self._is_training)
        self.refresh()

    def _register(self) -> None:
        """Register the pairs, in their dock."""
        open_dock(self.viewer, "Pairs").register()

    def refresh(self, _event: Any = None) -> None:
        reason = self._reason()
        self.discard.setEnabled(self._is_training and not self._is_discarding)
        self.check.button.setVisible(not self._is_training and bool(self.session.usable_pairs))
        self.check.button.setEnabled(not self.session.is_busy and not self.check.reason)
        self.copy.setEnabled(bool(self.session.usable_pairs) and not self.choices.wrong)
        self.runs.resume_button.setEnabled(not self.session.is_busy)
        self.check.register.setEnabled(not self.session.is_busy)
        # The one blue button is the next step.
        lacks_pairs = not self.session.usable_pairs and not self.check.offers_registration
        is_trained = self.model.is_next and not self.check.offers_registration
        set_role(self.model.next, "primary" if is_trained else "")
        is_next = not (lacks_pairs or is_trained or self.check.offers_registration)
        waits, is_told = reason == CHECKING, reason == self.check.reason
        self.row.set_ready("Start", reason, is_passing=waits, is_told=is_told, is_next=is_next)
        set_role(self.choices.open_pairs, "primary" if lacks_pairs and not is_trained else "")
        self.checking.begin_soon()

    @property
    def _is_running(self) -> bool:
        return self.job is not None and self.job.state.is_active

    @property
    def _is_training(self) -> bool:
        return self._is_running and not self._is_checking

    def _reason(self) -> str:
        """Return why no training can be started now; empty if one can."""
        if busy := self.busy_reason():
            return busy
        if not self.session.pairs:
            return "Add pairs first, in AEANet: Pairs."
        if not self.session.usable_pairs:
            return "No pair can be used yet: register them in AEANet: Pairs."
        if wrong := self.choices.wrong:
            return f"Change the settings: {wrong}"
        if self.choices.lacks_region:
            return "Draw the region to keep out: a rectangle on the image."
        return self.check.reason

    # --- actions

    def start(self) -> None:
        """Train in the background."""
        self._pairs = self.session.usable_pairs
        self._folder = new_folder(
            output_folder(), f"{self._pairs[0].name} {self.choices.network.currentData()}"
        )
        self._begin()
        train = train_models if self.choices.each.isChecked() else train_model
        run = partial(train, self._pairs, self.choices.settings(), self._folder)
        self.run_job("training", run)

    def resume(self, folder: Path) -> None:
        """Resume an earlier run in the background."""
        self._pairs, self._folder = self.session.usable_pairs, folder
        self._begin()
        self.run_job("training", partial(resume_model, folder, self._pairs))

    def check_in_full(self) -> None:
        """Check again, and time a few steps."""
        pairs, settings = self.session.usable_pairs, self.choices.settings()
        self._is_checking, self._is_discarding = True, False
        self.run_job("checking", partial(check_and_time, pairs, settings, output_folder()))

    def _begin(self) -> None:
        self._is_checking = self._is_discarding = False
        self._models = SeveralModels()
        self.model.set_bundle(None)
        self._preview.remove()
        self.choices.show_region(None)
        self.curve.clear()
        self.curve.show()
        set_text(self.gain_line, "")

    def _copy(self, as_text: Recipe) -> None:
        """Copy to the clipboard; the pair list is that of the latest run if there is one."""
        pairs, hint = Path(PAIRS), f" Save the pairs as {PAIRS} first, in AEANet: Pairs."
        if self._folder is not None and (self._folder / PAIRS).is_file():
            pairs, hint = self._folder / PAIRS, ""
        is_each = self.choices.each.isChecked()
        text = as_text(self.choices.settings(), pairs, Path("run"), is_each)
        present(QApplication.clipboard()).setText(text)
        self.row.set_text(f"✓ Copied.{hint}", "plain")

    def on_event(self, event: Any) -> None:
        match event:
            case Planned():
                self._models.begin(event.folder, self._folder)
                self.curve.clear(event.steps)
                set_text(self.gain_line, "")
                self.check.show_notices(event.summary, *event.notices)
            case Validated():
                if not event.is_final:
                    self.curve.add(event.step, event.psnr_gain, event.progress.total)
                psnr, ssim = signed(event.psnr_gain, 1), signed(event.ssim_gain, 2)
                text = f"Kept-out region: {psnr} dB PSNR, {ssim} SSIM"
                self._show_gain(text, event.psnr_gain > 0)
            case Previewed():
                self._preview.show_preview(event, self._trained_on[event.pair].target)
            case Noticed():
                self.check.add_notice(event.text)
            case PairsOpened():
                self._pairs = event.pairs
                if not self.session.pairs:
                    self.session.add_pairs(event.pairs)
            case Timed():
                self.check.show_report(event.report)
            case Finished():
                self.model.take(event.bundle, self._trained_on)
                self._models.add(event)
                self.check.show_notices()
                self.model.offer(event.is_better)
                self._doubt = UNKNOWN if math.isnan(event.psnr_gain) else WORSE
                self._show_gain(event.summary, event.is_better)

    def _forget_gain(self) -> None:
        self.model.offer(False)
        self.curve.hide()
        set_text(self.gain_line, "")

    def _show_gain(self, text: str, is_better: bool) -> None:
        set_text(self.gain_line, text, "good" if is_better else "caution")

    def on_end(self, state: State) -> None:
        if self._is_checking:
            self._show_region()
            return
        if self._is_discarding and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.row.set_text("The run is discarded.", "plain")
        elif self._models.are_several and state is not State.FAILED:
            self.row.set_text(*self._models.outcome(len(self._pairs), self._where(), state))
        elif state is State.STOPPED:
            self._keep_best()
        elif state is State.DONE and self.model.is_next:
            self.row.set_text(f"✓ The model is ready, in {self._where()}.", "good")
        elif state is State.DONE:
            self.row.set_text(f"The model is in {self._where()}; {self._doubt}.", "caution")
        self._preview.remove()
        self._find_runs()
        self._on_choices_changed()

    def on_deactivated(self) -> None:
        """Remove the region."""
        self.choices.show_region(None)

    def on_activated(self) -> None:
        self._show_region()

    @property
    def _trained_on(self) -> Sequence[ImagePair]:
        """Pairs of the model that is being trained."""
        return self._models.of_present(self._pairs)

    def _keep_best(self) -> None:
        """Use the best model of a run that was stopped."""
        best = None if self._folder is None else self._folder / BEST
        if best is not None and best.is_file():
            self.model.take(best, self._pairs)
            self.row.set_text(
                f"✓ Stopped; the best model so far is ready, in {self._where()}.", "good"
            )
        else:
            self.row.set_text("Stopped before the first check: there is no model yet.", "caution")

    def _where(self) -> str:
        """Return the folder of the run, short."""
        return "" if self._folder is None else f"{self._folder.parent.name}/{self._folder.name}"

    def _ask_discard(self) -> None:
        answer = QMessageBox.question(
            self, "Discard this run?", "The training stops, and its models are deleted."
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.discard_run()

    def discard_run(self) -> None:
        """Stop the training; its folder is deleted when it has ended."""
        if self.job is not None and self._is_training:
            self._is_discarding = True
            self.job.stop()
            self.refresh()
