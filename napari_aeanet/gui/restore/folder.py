"""Restoration of all images of a folder: what is there, and what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QCheckBox, QListWidget, QListWidgetItem, QWidget

from napari_aeanet.batch import Outcome, Status, find_inputs
from napari_aeanet.gui.common.folder_choice import FolderChoice
from napari_aeanet.gui.common.session import Session
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import (
    Collapsible,
    button,
    fixed_height,
    form,
    label,
    make_column,
    named,
    open_folder,
    row,
    set_text,
)
from napari_aeanet.restoration import RestoreSettings

RESULTS = "restored"  # folder for the results, in that of the images
NO_MODEL = "Choose a model first."
NO_FOLDER = "Choose a folder of images."
GOES_ON = "What is finished is kept: restore the folder again to go on."
LISTED_LINES = 7
GOOD, SKIPPED, BAD = "✓", "–", "✗"
CAUTION = "!"  # a result with remarks
REMARKS = "have remarks: point at them in the list to read these."
STATES = {
    Status.DONE: "restored",
    Status.SKIPPED: "restored before, left as they are",
    Status.FAILED: "failed: the list says why",
}


class FolderPanel(Collapsible):
    """A folder of images, a folder for the results, and the outcomes.

    Parameters
    ----------
    session
        Tells the model, and if a job is running.
    in_background
        Calls a function in a worker thread and passes its result on.
    run
        Starts the restoration.
    """

    def __init__(
        self, session: Session, in_background: Callable[..., None], run: Callable[[], None]
    ) -> None:
        self._session = session
        self._in_background = in_background
        self._images = 0
        self._reason = NO_FOLDER  # why the folder cannot be restored
        self._outcomes: Counter[Status] = Counter()
        self._remarked = 0  # results with remarks
        self._source = FolderChoice(
            "restore_folder_choose",
            "The folder whose images are to be restored, one after the other",
            "Images to restore",
        )
        self._results = FolderChoice(
            "restore_folder_change", "Another folder for the results", "Save results in"
        )
        self._source.changed.connect(self._look)
        self._results.changed.connect(self.refresh)
        self._resample = QCheckBox("Resample other pixel sizes")
        named(
            self._resample,
            "restore_folder_resample",
            "Resample images to the pixel size that the model was trained at; without this they "
            "are refused",
        )
        self._found = label(role="hint", name="restore_folder_found")
        self._run = button("Restore", "restore_folder_run", "", run)
        self._open = button(
            "Open folder", "restore_folder_open", "Open the folder of the results", self._open_it
        )
        self._list = QListWidget()
        named(self._list, "restore_folder_outcomes", "What became of each image")
        self._list.setProperty("role", "list")
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self._list.setWordWrap(True)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        fixed_height(self._list, LISTED_LINES)
        inner = QWidget()
        make_column(
            inner,
            form(("Folder", self._source), ("Results", self._results)),
            self._resample,
            self._found,
            row(self._run, self._open),
            self._list,
        )
        super().__init__("A whole folder", "restore_folder", inner)
        self.refresh()

    def refresh(self) -> None:
        """Show what can be done with the session's model."""
        no_model = NO_MODEL if self._session.model is None else ""
        reason = self._reason or self._session.wait_reason or no_model
        self._run.setText(f"Restore {count(self._images, 'image')}" if self._images else "Restore")
        self._run.setEnabled(not reason)
        self._run.setToolTip(reason or "Restore all with the model and the choices above")
        self._results.setEnabled(self._source.path is not None)
        self._open.setVisible(self._results.path is not None and self._results.path.is_dir())
        self._list.setVisible(self._list.count() > 0)

    def job(
        self, model: Path, settings: RestoreSettings
    ) -> tuple[str, Callable[[], Iterator[Any]]]:
        """Return a title and the work; the outcomes of the last one are forgotten."""
        source, out = self._source.path, self._results.path
        assert source is not None
        self._list.clear()
        self._outcomes.clear()
        self._remarked = 0
        settings = replace(settings, resample=settings.resample or self._resample.isChecked())
        title = f"restoring the images of {source.name}"
        return title, partial(_restore, source, model, settings, out)

    def take(self, outcome: Outcome) -> None:
        """List the outcome of an image."""
        self._outcomes[outcome.status] += 1
        self._remarked += bool(outcome.notices)
        text = outcome_words(outcome)
        item = QListWidgetItem(text)
        item.setToolTip("\n".join([text, *outcome.notices]))
        self._list.addItem(item)
        self._list.setVisible(True)
        self._list.scrollToBottom()

    def end(self, *, is_stopped: bool) -> list[str]:
        """Return what became of all images, in words: nothing if none was begun."""
        failed = self._list.findItems(f"{BAD} ", Qt.MatchFlag.MatchStartsWith)
        if failed:
            self._list.scrollToItem(failed[0])
        total = self._outcomes.total()
        lines = [
            f"{BAD if status is Status.FAILED else GOOD} {number} of {total} {STATES[status]}."
            for status, number in self._outcomes.items()
        ]
        if self._remarked:
            lines.append(f"{CAUTION} {self._remarked} of {total} {REMARKS}")
        self._outcomes.clear()
        return [*lines, GOES_ON] if is_stopped and lines else lines

    def choose(self, source: Path) -> None:
        """Choose the folder of the images; the results go into a folder in it."""
        self._source.choose(source)

    def _look(self) -> None:
        source = self._source.path
        assert source is not None
        self._images, self._reason = 0, "Looking for images."
        self._list.clear()
        self._results.choose(source / RESULTS)
        self._show_found()
        self._in_background("looking for images", _look, source, then=self._take_found)

    def _take_found(self, found: tuple[Path, int, str]) -> None:
        source, number, problem = found
        if source == self._source.path:  # no other one was chosen meanwhile
            self._images, self._reason = number, problem
            self._show_found()

    def _show_found(self) -> None:
        text = self._reason or f"{count(self._images, 'image')}; results that exist are kept."
        set_text(self._found, text)
        self.refresh()

    def _open_it(self) -> None:
        if self._results.path is not None:
            open_folder(self._results.path)


def outcome_words(outcome: Outcome) -> str:
    """Return "✓ S05.tif → S05-restored.ome.tif", or why there is no result."""
    name = Path(outcome.input).name
    if outcome.status is Status.FAILED:
        return f"{BAD} {name}: {outcome.reason}"
    made = ", ".join(path.name for path in outcome.outputs)
    if outcome.status is Status.DONE:
        return f"{CAUTION if outcome.notices else GOOD} {name} → {made}"
    return f"{SKIPPED} {name} → {made}"


def _look(source: Path) -> tuple[Path, int, str]:
    """Return a folder, how many images it holds, and why it cannot be restored."""
    try:
        return source, len(find_inputs([source]).files), ""
    except (OSError, ValueError) as error:
        return source, 0, str(error)


def _restore(
    source: Path, model: Path, settings: RestoreSettings, out: Path | None
) -> Iterator[Any]:
    from napari_aeanet.restoration import restore_all_events  # loads torch

    yield from restore_all_events([source], model, settings, out=out)
