"""Foot of a dock: buttons to start, pause and stop its job, and the progress."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_aeanet.core.progress import Progress, in_words
from napari_aeanet.gui.common.job import Job, State, disconnect
from napari_aeanet.gui.common.widgets import GAP, Line, button, named, row, set_role

# A shorter wait for the current step is not announced.
NOTABLE_WAIT_S = 1.5


class JobRow(QWidget):
    """[Run] [Pause] [Stop], a bar and a line of text.

    Parameters
    ----------
    name
        Prefix of the object names.
    step
        Unit of the progress: "tile", "pair", "step".
    run_tooltip, stop_text, stop_tooltip
        Texts of the buttons.
    needs_torch
        True if the job loads torch, which takes seconds the first time.
    """

    run_clicked = Signal()

    def __init__(
        self,
        name: str,
        step: str,
        run_tooltip: str,
        stop_text: str,
        stop_tooltip: str,
        needs_torch: bool = True,
    ) -> None:
        super().__init__()
        self._needs_torch = needs_torch
        self.step = step
        self._run_tooltip = run_tooltip
        self._reason = ""
        self._job: Job | None = None
        self._is_own = True
        self.run_button = button("Run", f"{name}_run", run_tooltip, self.run_clicked.emit)
        self.run_button.setProperty("role", "primary")
        self.pause_button = button(
            "Pause",
            f"{name}_pause",
            "Pause after the current step; press again to resume",
            self._pause,
        )
        self.stop_button = button(stop_text, f"{name}_stop", stop_tooltip, self._stop)
        self.bar = QProgressBar()
        named(self.bar, f"{name}_bar", "Progress of the job")
        self.bar.setTextVisible(False)
        self.line = Line(f"{name}_line")
        self._buttons = row(self.run_button, self.pause_button, self.stop_button, stretch=0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addLayout(self._buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.line)
        self._show_state()

    def add_button(self, extra: QPushButton) -> None:
        """Add a button after Stop."""
        self._buttons.addWidget(extra)

    def set_ready(
        self,
        text: str,
        reason: str = "",
        *,
        is_passing: bool = False,
        is_told: bool = False,
        is_next: bool = True,
    ) -> None:
        """Set the text of Run; disable it and show the reason if there is one.

        A reason that passes by itself does not replace the result of the last job, and one that
        the dock tells elsewhere is not repeated. The one blue button of a dock is the next step:
        Run, unless `is_next` is false.
        """
        set_role(self.run_button, "primary" if is_next else "")
        self.run_button.setText(text)
        self.run_button.setToolTip(reason or self._run_tooltip)
        active = self._job is not None and self._job.state.is_active
        self.run_button.setEnabled(not reason and not active)
        is_new = bool(reason) and reason != self._reason and not is_passing
        self._reason = reason
        if not active and (is_new or self.line.role == "hint"):
            self.set_text("" if is_told else reason)

    def set_text(self, text: str, role: str = "hint") -> None:
        """Set the text below the bar; with a role other than "hint" it stays until the next job."""
        self.line.set_text(text, role)

    def follow(self, job: Job, *, is_own: bool = True) -> None:
        """Show `job` from now on; one of another dock until its end."""
        if job is self._job:
            return
        self.release()
        self._job, self._is_own = job, is_own
        job.state_changed.connect(self._show_state)
        job.progressed.connect(self._show_progress)
        self._show_state()

    def release(self) -> None:
        """Stop showing the job, which may continue."""
        if self._job is not None:
            self._job.state_changed.disconnect(self._show_state, missing_ok=True)
            self._job.progressed.disconnect(self._show_progress, missing_ok=True)
            self._job = None

    def _pause(self) -> None:
        if self._job is not None:
            act = self._job.resume if self._job.state is State.PAUSED else self._job.pause
            act()

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stop()

    def _show_progress(self, progress: Progress) -> None:
        if progress.share is None:
            self._set_bar(progress.done, progress.total)  # a total of 0: unknown, a busy bar
        else:
            self._set_bar(round(1000 * progress.share), 1000)
        if self._job is not None and self._job.state is State.RUNNING:
            is_known = progress.total > 0
            self.set_text(progress.line(self._job.step) if is_known else f"{progress.what} …")

    def _set_bar(self, done: int, total: int) -> None:
        # Otherwise Qt redraws the whole window at once when a bar moves.
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.bar.setUpdatesEnabled(True)

    def _show_state(self, state: State | None = None) -> None:
        state = state or (self._job.state if self._job else State.WAITING)
        self.pause_button.setText("Resume" if state is State.PAUSED else "Pause")
        self.pause_button.setEnabled(state in (State.RUNNING, State.PAUSED))
        self.stop_button.setEnabled(state.is_active and state is not State.STOPPING)
        if state.is_active:
            self.run_button.setEnabled(False)
        elif not self._is_own:
            self.release()
            self._is_own = True
            self._show_end(self._reason, "hint")
            return
        wait = _remaining_wait(self._job)
        match state:
            case State.RUNNING if self._job is not None and self._job.progress is not None:
                self._show_progress(self._job.progress)
            case State.RUNNING:
                self._set_bar(0, 0)
                self.set_text(self._startup_text())
            case State.PAUSING:
                self.set_text(f"Pausing after this step{wait}")
            case State.PAUSED:
                self.set_text("Paused. Click Resume to continue.")
            case State.STOPPING:
                self.set_text(f"Stopping after this step{wait}")
            case State.STOPPED:
                self._show_end("Stopped.", "plain")
            case State.FAILED:
                self._show_end(f"✗ {self._job.error if self._job else ''}", "bad")
            case _:
                self._show_end("", "hint")

    def _show_end(self, text: str, role: str) -> None:
        self._set_bar(0, 1)
        self.set_text(text, role)

    def _startup_text(self) -> str:
        if self._needs_torch and "torch" not in sys.modules:
            return "Starting PyTorch: a few seconds the first time"
        return "Getting ready …"


def _remaining_wait(job: Job | None) -> str:
    seconds = None if job is None else job.seconds_per_event
    if seconds is None or seconds < NOTABLE_WAIT_S:
        return "."
    return f", about {in_words(seconds)}."


class Releaser:
    """Function that undoes the connections of a dock without a reference to the dock."""

    def __init__(self, connections: list[tuple[Any, Callable]], row: JobRow) -> None:
        self._connections, self._row = connections, row

    def __call__(self, _destroyed: QObject | None = None) -> None:
        while self._connections:
            disconnect(*self._connections.pop())
        self._row.release()
