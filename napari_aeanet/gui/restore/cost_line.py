"""Line of text with the estimated cost of a restoration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.widgets import set_text
from napari_aeanet.gui.restore.text import cost_words
from napari_aeanet.restoration import Estimate, RestoreSettings, estimate

# Delay after the last choice, since an estimate loads torch.
ESTIMATE_AFTER_MS = 400

CostRequest = tuple[list[Image], Path, RestoreSettings]


class CostLine:
    """Estimates the cost in the background, a while after the last choice.

    Parameters
    ----------
    line
        Label of the estimate.
    request
        Returns the chosen images, model and settings; None if nothing can be restored.
    changed
        Called with every new estimate.
    in_background
        Method of the dock that runs a function in a worker thread.

    Attributes
    ----------
    found
        Estimate for the present choice; None while it is unknown.
    """

    def __init__(
        self,
        line: QLabel,
        request: Callable[[], CostRequest | None],
        changed: Callable[[], None],
        in_background: Callable[..., None],
    ) -> None:
        self.found: Estimate | None = None
        self._line, self._request, self._changed = line, request, changed
        self._in_background = in_background
        self._choice = 0  # number of the present choice
        self._timer = QTimer(line)
        self._timer.setSingleShot(True)
        self._timer.setInterval(ESTIMATE_AFTER_MS)
        self._timer.timeout.connect(self.start)

    def discard(self) -> None:
        """Discard the estimate, also one in progress, after another choice."""
        self.found = None
        self._choice += 1
        set_text(self._line, "")

    def start_soon(self) -> None:
        """Estimate when no other choice is made for a moment."""
        self._timer.start()

    def stop(self) -> None:
        """Cancel an estimate that has not started."""
        self._timer.stop()

    def start(self) -> None:
        """Estimate now."""
        request, choice = self._request(), self._choice
        if request is None:
            return
        set_text(self._line, "Estimating time and memory …")

        def show(found: Estimate | None) -> None:
            if choice == self._choice:
                self._show(found)

        self._in_background("estimating time and memory", estimate, *request, then=show)

    def _show(self, found: Estimate | None) -> None:
        self.found = found
        if found is None:  # the restoration will explain why
            set_text(self._line, "")
        else:
            role = "caution" if found.bytes > found.free else "hint"
            set_text(self._line, cost_words(found), role)
        self._changed()
