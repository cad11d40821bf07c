"""Unfinished trainings of earlier sittings, to be resumed. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_aeanet.core.schema import parse_json
from napari_aeanet.gui.common.widgets import GAP, Collapsible, button, chooser, row
from napari_aeanet.training import PLAN, STATE, RunFolder

PAIRS = "pairs.json"  # list of the pairs of a run whose images are files
FIRST = "001"  # the run of the first pair of a self-training
MOST_LISTED = 20


@dataclass(frozen=True)
class EarlierRun:
    """A run folder, its progress as text, and True if it holds the list of its pairs."""

    folder: Path
    text: str
    has_pairs: bool


def find_runs(parent: Path) -> list[EarlierRun]:
    """Return the unfinished runs in `parent`, the latest first."""
    states = [*parent.glob(f"*/{STATE}"), *parent.glob(f"*/{FIRST}/{STATE}")]
    states = [path for path in states if (path.parent / PLAN).is_file()]
    states.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    found: list[EarlierRun] = []
    for state in states[:MOST_LISTED]:
        folder = state.parent
        try:
            run = _read_each(folder.parent) if folder.name == FIRST else _read_run(folder)
        except (ValueError, OSError):
            continue  # a damaged run among many needs no message
        if run is not None:
            found.append(run)
    return found


def first_of_each(folder: Path) -> RunFolder | None:
    """Return the first run of a self-training; None if the folder holds none."""
    return RunFolder(folder / FIRST) if (folder / FIRST / PLAN).is_file() else None


def _read_run(folder: Path) -> EarlierRun | None:
    run = RunFolder(folder)
    progress = run.read_progress()
    if progress.finished:
        return None
    gain = f", {progress.best_psnr:+.1f} dB" if progress.best_step >= 0 else ""
    text = f"{folder.name}: step {progress.step} of {run.read_plan().steps}{gain}"
    return EarlierRun(folder, text, (folder / PAIRS).is_file())


def _read_each(folder: Path) -> EarlierRun | None:
    """Return a self-training of which models are missing; None if it has all of them."""
    runs = [RunFolder(path.parent) for path in folder.glob(f"*/{PLAN}")]
    done = sum(run.read_progress().finished for run in runs)
    has_pairs = (folder / PAIRS).is_file()
    total = len(runs)
    if has_pairs:
        total = len(parse_json((folder / PAIRS).read_bytes(), PAIRS)["pairs"])
    text = f"{folder.name}: {done} of {total} models"
    return EarlierRun(folder, text, has_pairs) if done < total else None


class EarlierRuns(Collapsible):
    """Choice of a run to resume; hidden if there is none."""

    chosen = Signal(Path)

    def __init__(self) -> None:
        self.box = chooser("train_runs", "Training that was stopped before its end")
        self.box.setAccessibleName("Earlier training")
        self.resume_button = button(
            "Resume",
            "train_go_on",
            "Resume this training where it stopped, with the same pairs",
            self._on_resume,
        )
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addLayout(row(self.box, self.resume_button, stretch=0))
        super().__init__("Earlier trainings", "train_earlier", content)
        self.hide()

    def show_runs(self, runs: Sequence[EarlierRun]) -> None:
        self.box.clear()
        for run in runs:
            self.box.addItem(run.text, run.folder)
            note = "" if run.has_pairs else "\nIts images are not files: open its pairs first."
            self.box.setItemData(
                self.box.count() - 1, f"{run.folder}{note}", Qt.ItemDataRole.ToolTipRole
            )
        self.setVisible(bool(runs))

    def _on_resume(self) -> None:
        folder = self.box.currentData()
        if folder is not None:
            self.chosen.emit(folder)
