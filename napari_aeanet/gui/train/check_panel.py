"""The check before a training, and the notices of a training that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import button, label, row, set_text
from napari_aeanet.pairs import Severity

if TYPE_CHECKING:
    from napari_aeanet.training import PreflightReport

NOTES_SHOWN = 3
CHECKING = "Checking the pairs …"


class CheckPanel(QWidget):
    """A few lines of text, complete in the tool tip, and buttons for what to do about it.

    Parameters
    ----------
    time_steps
        Check again with a few steps of training.
    register
        Register the pairs.

    Attributes
    ----------
    reason
        Reason why there can be no training; empty if there can.
    """

    def __init__(self, time_steps: Callable[[], None], register: Callable[[], None]) -> None:
        super().__init__()
        self.reason = ""
        self._notices: tuple[str, ...] = ()
        self.line = label(name="train_check")
        self.register = button(
            "Register", "train_register", "Align the source of every pair with its target", register
        )
        self.register.setProperty("role", "primary")
        self.button = button(
            "Estimate time",
            "train_check_all",
            "Make a few steps of training, to tell how long it will take",
            time_steps,
        )
        beside = row(self.register, self.button)
        beside.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addLayout(beside)
        self.offer_registration(0)

    @property
    def offers_registration(self) -> bool:
        """True if the pairs are to be registered first."""
        return not self.register.isHidden()

    def offer_registration(self, pairs: int) -> None:
        """Show the button that registers so many pairs; 0 hides it."""
        self.register.setText(f"Register {count(pairs, 'pair')} first")
        self.register.setVisible(pairs > 0)

    def show_pending(self, has_pairs: bool) -> None:
        """Drop the result for other pairs or settings while the present ones are checked."""
        self.reason = CHECKING if has_pairs else ""
        self.offer_registration(0)
        set_text(self.line, self.reason)
        self.line.setToolTip("")

    def show_failure(self, reason: str) -> None:
        """Show why there can be no training."""
        self.reason = reason
        set_text(self.line, f"✗ {reason}", "bad")
        self.line.setToolTip(reason)

    def show_report(self, found: PreflightReport) -> None:
        """Show the result of the check; it is good only where nothing is left to be looked at."""
        self.offer_registration(found.unregistered)
        if not found.can_start:
            reasons = [*found.obstacles, *found.objections]
            self.show_failure(" ".join(reasons))
            self.line.setToolTip("\n".join(found.sentences()))
            return
        self.reason = ""
        left_out = {p.pair for p in found.problems if p.severity is Severity.ERROR}
        lines = [f"{'✗' if p.pair in left_out else '–'} {p}" for p in found.problems]
        lines += [f"– {note}" for note in found.notes]
        more = [f"and {len(lines) - NOTES_SHOWN} more"] if len(lines) > NOTES_SHOWN else []
        if lines:
            head = f"Check: {count(len(lines), 'note')}"
            if left_out:
                head += f", {count(len(left_out), 'pair')} left out"
            text = "\n".join([head, *lines[:NOTES_SHOWN], *more])
            set_text(self.line, text, "plain" if found.seconds and found.is_aligned else "caution")
        elif found.is_aligned:
            set_text(self.line, "✓ Check: the pairs can be used as they are.", "good")
        else:
            set_text(
                self.line, "Check: no shift was found, but the pairs are not registered.", "plain"
            )
        self.line.setToolTip("\n".join(lines) or found.summary)

    def show_notices(self, *notices: str) -> None:
        """Show the first sentence of each of the last notices."""
        self._notices = notices
        shown = [notice.split(". ")[0].rstrip(".") + "." for notice in notices[-NOTES_SHOWN:]]
        set_text(self.line, "\n".join(shown), "hint")
        self.line.setToolTip("\n\n".join(notices))

    def add_notice(self, notice: str) -> None:
        self.show_notices(*self._notices, notice)
