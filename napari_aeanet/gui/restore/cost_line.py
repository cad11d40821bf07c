"""The line that says what a restoration will take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.widgets import set_text
from napari_aeanet.gui.restore.cost import Estimate, estimate
from napari_aeanet.gui.restore.text import cost_words
from napari_aeanet.restoration import RestoreSettings

# An estimate waits until the user has chosen: it loads torch.
ESTIMATE_AFTER_MS = 400

Order = tuple[list[Image], Path, RestoreSettings]


class CostLine:
    """Measures in the background, a while after the last choice, and says what was found.

    Parameters
    ----------
    line
        Where it is said.
    order
        Images, model and settings as they are chosen now; None if nothing can be restored.
    changed
        Called when something was found.
    in_background
        Of the dock.

    Attributes
    ----------
    found
        What the present choice will take; None until it is known.
    """

    def __init__(
        self,
        line: QLabel,
        order: Callable[[], Order | None],
        changed: Callable[[], None],
        in_background: Callable[..., None],
    ) -> None:
        self.found: Estimate | None = None
        self._line, self._order, self._changed = line, order, changed
        self._in_background = in_background
        self._asked = 0  # number of the latest question
        self._soon = QTimer(line)
        self._soon.setSingleShot(True)
        self._soon.setInterval(ESTIMATE_AFTER_MS)
        self._soon.timeout.connect(self.ask)

    def forget(self) -> None:
        """Something else was chosen: what was found, or is being measured, is void."""
        self.found = None
        self._asked += 1
        set_text(self._line, "")

    def ask_soon(self) -> None:
        """Measure when nothing else is chosen for a moment."""
        self._soon.start()

    def stop(self) -> None:
        """Do not measure what was asked for."""
        self._soon.stop()

    def ask(self) -> None:
        """Measure now."""
        order, asked = self._order(), self._asked
        if order is None:
            return
        set_text(self._line, "Estimating time and memory …")

        def show(found: Estimate | None) -> None:
            if asked == self._asked:
                self._show(found)

        self._in_background("estimating time and memory", estimate, *order, then=show)

    def _show(self, found: Estimate | None) -> None:
        self.found = found
        if found is None:  # the run will say what is wrong
            set_text(self._line, "")
        else:
            role = "caution" if found.bytes > found.free else "hint"
            set_text(self._line, cost_words(found), role)
        self._changed()
