"""Trainings that earlier sittings left behind: finished, or to be gone on with. No torch here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_aeanet.gui.common.widgets import GAP, Collapsible, button, chooser, row
from napari_aeanet.training import PLAN, STATE, RunFolder, RunProgress

PAIRS = "pairs.json"  # the pairs of a run, where they lie in files
MOST_LISTED = 20


@dataclass(frozen=True)
class EarlierRun:
    """A run folder: how far it is, in words, and whether its pairs can be opened again."""

    folder: Path
    words: str
    has_pairs: bool


def find_runs(parent: Path) -> list[EarlierRun]:
    """Runs in `parent` that have not reached their end, the latest first."""
    states = [path for path in parent.glob(f"*/{STATE}") if (path.parent / PLAN).is_file()]
    states.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    found: list[EarlierRun] = []
    for state in states[:MOST_LISTED]:
        try:
            run = _described(state.parent)
        except (ValueError, OSError, KeyError, TypeError):
            continue  # a damaged run among many is not worth a message here
        if run is not None:
            found.append(run)
    return found


def _described(folder: Path) -> EarlierRun | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / STATE, "np") as opened:
            standing = RunProgress(**json.loads(opened.metadata()["standing"]))
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    if standing.finished:
        return None
    steps = RunFolder(folder).read_plan().steps
    gain = f", {standing.best_psnr:+.1f} dB" if standing.best_step >= 0 else ""
    words = f"{folder.name}: step {standing.step} of {steps}{gain}"
    return EarlierRun(folder, words, (folder / PAIRS).is_file())


class EarlierRuns(Collapsible):
    """The runs to choose from, and a button to go on; hidden where there are none."""

    chosen = Signal(Path)

    def __init__(self) -> None:
        self.box = chooser("train_runs", "A training that was stopped before its end")
        self.go_on = button(
            "Go on",
            "train_go_on",
            "Go on with this training where it stopped, with the same pairs",
            self._on_go_on,
        )
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addLayout(row(self.box, self.go_on, stretch=0))
        super().__init__("Earlier trainings", "train_earlier", content)
        self.hide()

    def show_runs(self, runs: Sequence[EarlierRun]) -> None:
        self.box.clear()
        for run in runs:
            self.box.addItem(run.words, run.folder)
            kept = "" if run.has_pairs else "\nIts pairs lay in no files: open them again first."
            self.box.setItemData(self.box.count() - 1, f"{run.folder}{kept}", 3)  # tool tip
        self.setVisible(bool(runs))

    def _on_go_on(self) -> None:
        folder = self.box.currentData()
        if folder is not None:
            self.chosen.emit(folder)
