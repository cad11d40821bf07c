"""AEANet: Train. Choose a task and a time, watch the model learn, use it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_aeanet.data.atomic import replacing
from napari_aeanet.data.pair import ImagePair, PairProblem, Severity
from napari_aeanet.data.pairs import check_pairs
from napari_aeanet.engine.bundle import SUFFIX
from napari_aeanet.engine.device import DeviceInfo, probe
from napari_aeanet.engine.plan import (
    Finished,
    KeptOut,
    Noticed,
    Planned,
    Previewed,
    TrainSettings,
    Validated,
)
from napari_aeanet.gui.curve import GainCurve
from napari_aeanet.gui.dock import Dock, open_dock
from napari_aeanet.gui.forms import SettingsForm
from napari_aeanet.gui.job import State
from napari_aeanet.gui.job_row import JobRow
from napari_aeanet.gui.parts import Fold, button, chooser, form, label, row, say
from napari_aeanet.gui.preferences import device, output_folder
from napari_aeanet.gui.preview_layers import PreviewLayers
from napari_aeanet.gui.tasks import FIRST_TIME, TASKS, TIMES, likely_task, networks, new_folder
from napari_aeanet.gui.words import count
from napari_aeanet.gui.work import train_model

if TYPE_CHECKING:
    from napari import Viewer

BEST = f"best{SUFFIX}"
AUTOMATIC = "automatic"
NOTES_SHOWN = 3


class TrainDock(Dock):
    """What to train, the check before it, and the curve and preview while it runs."""

    tab = "Train"

    def __init__(self, napari_viewer: Viewer) -> None:
        job_row = JobRow(
            "train",
            step="step",
            run_tooltip="Train a model on the pairs",
            stop_text="Finish now",
            stop_tooltip="Stop after the current step and keep the best model so far",
        )
        super().__init__(napari_viewer, job_row)
        self._preview = PreviewLayers(self.viewer)
        self._pairs: tuple[ImagePair, ...] = ()
        self._problems: list[PairProblem] = []
        self._folder: Path | None = None
        self._bundle: Path | None = None
        self._notes: list[str] = []
        self._is_discarding = False
        self._fill_body()
        self._fill_foot()
        self.curve.paint(self.colours)
        self.listen(self.viewer.events.theme, lambda _: self.curve.paint(self.colours))
        self.listen(self.session.pairs_changed, self._on_pairs_changed)
        self._choose_task(likely_task(self.session.usable_pairs))
        self._on_pairs_changed()
        self.in_background("looking for devices", probe, then=self._show_devices)

    # --- what is seen

    def _fill_body(self) -> None:
        self.task = chooser("train_task", "What the model shall learn to do")
        for task, words in TASKS.items():
            self.task.addItem(words, task)
        self.task.currentIndexChanged.connect(lambda _: self._show_networks())
        self.kept_out = chooser(
            "train_kept_out",
            "What is kept out of the training, so that the gain is measured on unseen data",
        )
        for choice in KeptOut:
            self.kept_out.addItem(str(choice), choice)
        self.pairs_line = label(name="train_pairs")
        to_pairs = button(
            "Pairs",
            "train_to_pairs",
            "Open AEANet: Pairs to add, register or leave out pairs",
            partial(open_dock, self.viewer, "Pairs"),
        )
        pairs = QWidget()
        pairs.setLayout(row(self.pairs_line, to_pairs, stretch=0))
        self.time = chooser("train_time", "Longer trainings give better models, up to a point")
        for time in TIMES:
            self.time.addItem(time.words, time)
        self.time.setCurrentIndex(FIRST_TIME)
        self.device = chooser("train_device", "What computes; a graphics card is much faster")
        self.device.addItem(AUTOMATIC, device())
        self.network = chooser("train_network", "The network and its published recipe")
        self.check_line = label(name="train_check")
        self.curve = GainCurve("train_curve")
        self.gain_line = label(name="train_gain")
        self.settings = SettingsForm(
            TrainSettings(),
            hidden=("preset", "profile", "minutes", "kept_out", "device"),
        )
        more = QWidget()
        inner = form(("Network", self.network))
        inner.addRow(self.settings.native)
        more.setLayout(inner)
        self.body.addLayout(
            form(
                ("Task", self.task),
                ("Pairs", pairs),
                ("Kept out", self.kept_out),
                ("Time", self.time),
                ("Device", self.device),
            )
        )
        self.body.addWidget(Fold("More settings", "train_more", more))
        self.body.addWidget(self.check_line)
        self.body.addWidget(self.curve)
        self.body.addWidget(self.gain_line)
        self.body.addStretch(1)
        say(self.gain_line, "")

    def _fill_foot(self) -> None:
        self.row.run_clicked.connect(self.start)
        self.discard = button(
            "Discard",
            "train_discard",
            "Stop and delete this run with its models",
            self._ask_discard,
        )
        self.row.add_button(self.discard)
        self.save = button(
            "Save model …",
            "train_save",
            "Save the trained model under another name",
            self._ask_save,
        )
        self.next = button(
            "Restore with it →",
            "train_next",
            "Open AEANet: Restore with the new model",
            partial(open_dock, self.viewer, "Restore"),
        )
        self.foot.addLayout(row(self.save, self.next, stretch=1))

    def _choose_task(self, task: str) -> None:
        self.task.setCurrentIndex(self.task.findData(task))
        self._show_networks()

    def _show_networks(self) -> None:
        self.network.clear()
        for preset in networks(self.task.currentData()):
            self.network.addItem(preset.title, preset.name)
            self.network.setItemData(self.network.count() - 1, preset.when_to_use, 3)

    def _show_devices(self, found: list[DeviceInfo]) -> None:
        """Name the devices of this machine, once they are known; the first is the usual one."""
        if not found:
            return
        chosen = self.device.currentData()
        self.device.clear()
        self.device.addItem(f"{AUTOMATIC} ({found[0].title})", "auto")
        for info in found:
            free = f"{info.free / 2**30:.0f} GB free"
            self.device.addItem(f"{info.title}, {free}", info.name)
        self.device.setCurrentIndex(max(0, self.device.findData(chosen)))

    def _on_pairs_changed(self) -> None:
        """Other pairs: check them in the background."""
        usable = self.session.usable_pairs
        left_out = len(self.session.pairs) - len(usable)
        words = f"{len(usable)} ready" + (f", {left_out} left out" if left_out else "")
        self.pairs_line.setText(words if self.session.pairs else "none yet")
        self._problems = []
        if usable:
            say(self.check_line, "Checking the pairs …")
            found = partial(self._show_check, usable)
            self.in_background("checking the pairs", check_pairs, usable, then=found)
        else:
            say(self.check_line, "")
        self.refresh()

    def _show_check(self, checked: tuple[ImagePair, ...], problems: list[PairProblem]) -> None:
        if checked != self.session.usable_pairs:
            return  # of pairs that have changed since
        self._problems = problems
        signs = {Severity.ERROR: "✗", Severity.NOTE: "–"}
        lines = [f"{signs[p.severity]} {p}" for p in problems]
        more = [f"and {len(lines) - NOTES_SHOWN} more"] if len(lines) > NOTES_SHOWN else []
        if lines:
            head = f"Check: {count(len(lines), 'note')}"
            say(self.check_line, "\n".join([head, *lines[:NOTES_SHOWN], *more]), "caution")
        else:
            say(self.check_line, "✓ Check: the pairs can be used as they are.", "good")
        self.check_line.setToolTip("\n".join(lines))
        self.refresh()

    def refresh(self, _event: Any = None) -> None:
        self.row.set_ready("Start", self._reason())
        running = self.job is not None and self.job.state.is_active
        self.discard.setEnabled(running and not self._is_discarding)
        self.save.setEnabled(self._bundle is not None)
        self.next.setEnabled(bool(self.session.models))

    def _reason(self) -> str:
        """Why no training can be started now; empty if one can."""
        if busy := self.busy_reason():
            return busy
        if not self.session.pairs:
            return "Add pairs first, in AEANet: Pairs."
        if not self.session.usable_pairs:
            return "No pair can be used yet: register them in AEANet: Pairs."
        errors = [p for p in self._problems if p.severity is Severity.ERROR]
        return f"Leave out {errors[0].pair} in AEANet: Pairs, or mend it." if errors else ""

    # --- what is done

    def start(self) -> None:
        """Train in the background."""
        self._pairs = self.session.usable_pairs
        self._folder = new_folder(
            output_folder(), f"{self._pairs[0].name} {self.network.currentData()}"
        )
        self._bundle, self._notes, self._is_discarding = None, [], False
        self._preview.remove()
        self.curve.clear()
        say(self.gain_line, "")
        run = partial(train_model, self._pairs, self._settings(), self._folder)
        self.run_job("training", run)

    def _settings(self) -> TrainSettings:
        time = self.time.currentData()
        return self.settings.value(
            preset=self.network.currentData(),
            profile=time.profile,
            minutes=float(time.minutes or TrainSettings().minutes),
            kept_out=self.kept_out.currentData(),
            device=self.device.currentData(),
        )

    def on_event(self, event: Any) -> None:
        match event:
            case Planned():
                self._folder = event.folder
                self.curve.clear(event.steps)
                self._tell(event.summary, *event.notices)
            case Validated():
                self.curve.add(event.step, event.psnr_gain)
                words = f"Kept-out region: {event.psnr_gain:+.1f} dB, SSIM {event.ssim_gain:+.2f}"
                say(self.gain_line, words, "good" if event.psnr_gain > 0 else "caution")
            case Previewed():
                self._preview.show_preview(event, self._pairs[event.pair].target)
            case Noticed():
                self._tell(*self._notes, event.text)
            case Finished():
                self._take_model(event.bundle)
                self._tell(event.summary)

    def _tell(self, *notes: str) -> None:
        """The first sentence of each note; the tool tip has them whole."""
        self._notes = list(notes)
        shown = [note.split(". ")[0].rstrip(".") + "." for note in notes[-NOTES_SHOWN:]]
        say(self.check_line, "\n".join(shown), "hint")
        self.check_line.setToolTip("\n\n".join(notes))

    def _take_model(self, bundle: Path) -> None:
        """The model can be chosen in every dock from now on."""
        try:
            self.session.add_model(bundle)
        except (ValueError, OSError) as error:
            show_error(str(error))
        else:
            self._bundle = bundle

    def on_end(self, state: State) -> None:
        if self._is_discarding and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self.row.say("The run is discarded.", "plain")
        elif state is State.STOPPED:
            self._keep_best()
        elif state is State.DONE:
            self.row.say("✓ The model is ready.", "good")
        if not self.is_in_front:
            self._preview.remove()
        self.refresh()

    def on_back(self) -> None:
        """The preview of a run that has ended lies in nobody's way any longer."""
        if self.job is None or not self.job.state.is_active:
            self._preview.remove()

    def _keep_best(self) -> None:
        """After Finish now: the best model so far lies in the run's folder."""
        best = None if self._folder is None else self._folder / BEST
        if best is not None and best.is_file():
            self._take_model(best)
            self.row.say("✓ Stopped; the best model so far is ready.", "good")
        else:
            self.row.say("Stopped before the first check: there is no model yet.", "caution")

    def _ask_discard(self) -> None:
        answer = QMessageBox.question(
            self, "Discard this run?", "The training stops, and its models are deleted."
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.discard_run()

    def discard_run(self) -> None:
        """Stop, and delete the run's folder when it has ended."""
        if self.job is not None and self.job.state.is_active:
            self._is_discarding = True
            self.job.stop()
            self.refresh()

    def _ask_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save model", f"model{SUFFIX}", f"AEANet models (*{SUFFIX})"
        )
        if chosen:
            self.save_model(Path(chosen))

    def save_model(self, path: Path) -> None:
        """Copy the trained model to `path`, whole or not at all."""
        if self._bundle is None:
            return
        path = path.with_suffix(SUFFIX)
        try:
            with replacing(path) as temporary:
                shutil.copyfile(self._bundle, temporary)
            self.session.add_model(path)
        except OSError as error:
            show_error(f"The model could not be saved: {error}")
        else:
            show_info(f"Saved: {path}")
