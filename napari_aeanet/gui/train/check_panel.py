"""The check before a training, and the notices of a training that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import button, label, row, set_text
from napari_aeanet.gui.train.worker import Checked
from napari_aeanet.pairs import PairProblem, Severity

NOTES_SHOWN = 3
SIGNS = {Severity.ERROR: "✗", Severity.NOTE: "–"}


class CheckPanel(QWidget):
    """A few lines of text, complete in the tool tip, and the button of the full check."""

    def __init__(self, check_in_full: Callable[[], None]) -> None:
        super().__init__()
        self._problems: Sequence[PairProblem] = ()
        self._notices: tuple[str, ...] = ()
        self.line = label(name="train_check")
        self.button = button(
            "Check in full",
            "train_check_all",
            "Look for shifted and repeated images, check memory and disk space, and time a few "
            "steps",
            check_in_full,
        )
        beside = row(self.button)
        beside.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addLayout(beside)

    @property
    def reason(self) -> str:
        """Reason why the pairs cannot be trained on; empty if they can."""
        errors = [p for p in self._problems if p.severity is Severity.ERROR]
        return f"Leave out or correct {errors[0].pair} in AEANet: Pairs." if errors else ""

    def show_pending(self, has_pairs: bool) -> None:
        """Drop the result for earlier pairs while the present ones are checked."""
        self._problems = ()
        set_text(self.line, "Checking the pairs …" if has_pairs else "")

    def show_problems(self, problems: Sequence[PairProblem]) -> None:
        """Show the problems that the check of the pairs found."""
        self._problems = problems
        lines = [f"{SIGNS[p.severity]} {p}" for p in problems]
        more = [f"and {len(lines) - NOTES_SHOWN} more"] if len(lines) > NOTES_SHOWN else []
        if lines:
            head = f"Check: {count(len(lines), 'note')}"
            set_text(self.line, "\n".join([head, *lines[:NOTES_SHOWN], *more]), "caution")
        else:
            set_text(self.line, "✓ Check: the pairs can be used as they are.", "good")
        self.line.setToolTip("\n".join(lines))

    def show_full_check(self, found: Checked) -> None:
        """Show the result of a full check."""
        head = "✓ Check: it can start." if found.can_start else "✗ Check: it cannot start."
        lines = [f"– {sentence}" for sentence in found.sentences]
        set_text(self.line, "\n".join([head, *lines]), "good" if not lines else "plain")
        self.line.setToolTip(found.summary)

    def show_notices(self, *notices: str) -> None:
        """Show the first sentence of each of the last notices."""
        self._notices = notices
        shown = [notice.split(". ")[0].rstrip(".") + "." for notice in notices[-NOTES_SHOWN:]]
        set_text(self.line, "\n".join(shown), "hint")
        self.line.setToolTip("\n\n".join(notices))

    def add_notice(self, notice: str) -> None:
        self.show_notices(*self._notices, notice)
