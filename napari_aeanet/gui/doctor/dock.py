"""Dock AEANet: Check my computer: findings on versions, graphics card, memory, and a self-test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication, QLabel

from napari_aeanet.doctor import Checkup, Condition, Finding, Found, check_computer_events
from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.common.job_row import JobRow
from napari_aeanet.gui.common.widgets import button, label

if TYPE_CHECKING:
    from napari import Viewer

ROLES = {Condition.GOOD: "plain", Condition.NOTE: "caution", Condition.BROKEN: "bad"}
MARKS = {Condition.GOOD: "✓", Condition.NOTE: "⚠", Condition.BROKEN: "✗"}


class DoctorDock(Dock):
    """Findings as text; the check begins when the dock is opened."""

    tab = "Check my computer"

    def __init__(self, napari_viewer: Viewer) -> None:
        row = JobRow(
            "doctor",
            step="part",
            run_tooltip="Check Python, PyTorch, graphics card, napari, memory and disk",
            stop_text="Stop",
            stop_tooltip="Stop after the current part",
            needs_torch=False,
        )
        super().__init__(napari_viewer, row)
        self._findings: list[Finding] = []
        self._labels: list[QLabel] = []
        self._checkup: Checkup | None = None
        self.body.addStretch(1)
        self.copy = button(
            "Copy", "doctor_copy", "Copy all findings as text, to send them to someone", self._copy
        )
        row.add_button(self.copy)
        row.run_clicked.connect(self.run)
        self.refresh()
        if not self.busy_reason():
            self.run()

    def run(self) -> None:
        """Check anew."""
        while self._labels:
            self._labels.pop().deleteLater()
        self._findings.clear()
        self.run_job("checking the computer", check_computer_events)

    def refresh(self) -> None:
        self.row.set_ready("Check again", self.busy_reason())
        self.copy.setEnabled(bool(self._findings))
        self.copy.setToolTip(
            "Copy all findings as text, to send them to someone"
            if self._findings
            else "There are no findings yet."
        )

    def on_event(self, event: Any) -> None:
        if isinstance(event, Found):
            self._add(event.finding)
        elif isinstance(event, Checkup):
            self._checkup = event

    def on_end(self, state: State) -> None:
        if state is State.DONE and self._checkup is not None:
            role = "bad" if self._checkup.is_broken else "good"
            self.row.set_text(self._checkup.summary, role)
        self.refresh()

    def _add(self, finding: Finding) -> None:
        line = label(_in_words(finding), ROLES[finding.condition])
        self._findings.append(finding)
        self._labels.append(line)
        self.body.insertWidget(self.body.count() - 1, line)
        self.refresh()

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText("\n".join(map(_in_words, self._findings)))


def _in_words(finding: Finding) -> str:
    advice = f"\n→ {finding.advice}" if finding.advice else ""
    return f"{MARKS[finding.condition]} {finding.topic}: {finding.text}{advice}"
