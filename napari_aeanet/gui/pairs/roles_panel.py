"""Confirm which image of a pair is the source, or exchange source and target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.session import PairEntry, Session
from napari_aeanet.gui.common.text import count
from napari_aeanet.gui.common.widgets import button, label, make_column, row, set_text
from napari_aeanet.gui.pairs.pair_table import PairTable


class RolesPanel(QWidget):
    """The line on the roles, the answer to a guess, and Swap beside `others`.

    Parameters
    ----------
    tell
        Shows a sentence on what was done.
    """

    def __init__(
        self, session: Session, table: PairTable, others: list[QWidget], tell: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._session, self._table, self._tell = session, table, tell
        self.line = label(role="caution", name="pairs_guess")
        self.yes = button("Yes", "pairs_guess_yes", "The roles are right", self._settle)
        self.swap_button = button("Swap", "pairs_swap", "", self.swap)
        buttons = row(self.swap_button, *others)
        buttons.addStretch(1)
        make_column(self, row(self.line, self.yes, stretch=0), buttons)

    def refresh(self) -> None:
        entries = self._session.pairs
        guesses = sum(entry.pair.is_guess for entry in entries)
        if guesses:
            which = "the pair" if guesses == 1 else f"{guesses} pairs"
            text = f"Source and target of {which} are a guess: is the source the poorer image?"
            set_text(self.line, text, "caution")
        else:
            set_text(self.line, "Source: the poorer image. Target: the better one.")
        self.yes.setVisible(guesses > 0)
        chosen = self._table.chosen_rows()
        self.swap_button.setText("Swap all" if len(entries) > 1 and not chosen else "Swap")
        which = count(len(chosen), "selected pair") if chosen else "all pairs"
        self.swap_button.setToolTip(f"Exchange source and target of {which}")
        for act in (self.yes, self.swap_button):
            act.setEnabled(bool(entries) and not self._session.is_busy)

    def swap(self) -> None:
        """Exchange source and target of the pairs that the user has selected, or of all."""
        entries = self._session.pairs
        rows = self._table.chosen_rows() or set(range(len(entries)))
        dropped = sum(entries[i].pair.registration is not None for i in rows)
        self._session.set_pairs(
            PairEntry(entry.pair.swapped()) if number in rows else entry
            for number, entry in enumerate(entries)
        )
        if dropped:
            self._tell(f"Swapped: {count(dropped, 'pair')} must be registered again.")

    def _settle(self) -> None:
        """Take the guessed roles as right."""
        self._session.set_pairs(
            replace(entry, pair=replace(entry.pair, is_guess=False))
            for entry in self._session.pairs
        )
