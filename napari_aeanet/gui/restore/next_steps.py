"""Buttons with what can be done with the latest result."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Image as ImageLayer
from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QWidget

from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.widgets import button, make_column, row
from napari_aeanet.gui.restore.results import Made, Results

if TYPE_CHECKING:
    from napari import Viewer

NO_TRUTH = (
    "To evaluate a result, open an image that shows the truth: the same field, without the "
    "degradation"
)
TRUTH = "Compare the result with {} in AEANet: Evaluate"
TRUST = "Check every pixel of the result for signs of errors, in AEANet: Relevance"
NOT_SAVED = "The result is not saved: choose where under Save, and restore again"


class NextSteps(QWidget):
    """Trust, relevance, evaluation and the folder of the latest result; hidden without one."""

    def __init__(self, viewer: Viewer, results: Results) -> None:
        super().__init__()
        self._viewer, self._results = viewer, results
        self.trust = button("How far can I trust it?", "restore_trust", TRUST, self._open_trust)
        self.relevance = button(
            "Relevance →",
            "restore_next",
            "Show where the abstract pixels of the model are relevant, in AEANet: Relevance",
            partial(open_dock, viewer, "Relevance"),
        )
        self.evaluate = button("Evaluate …", "restore_evaluate", NO_TRUTH, self._evaluate)
        self.folder = button("Folder", "restore_open_folder", NOT_SAVED, self._open_folder)
        make_column(
            self,
            self.trust,
            row(self.relevance, self.evaluate, self.folder, stretch=0),
        )

    def refresh(self, busy: str = "") -> None:
        """Enable what is possible; `busy` is why no job can be started."""
        latest, made, truth = self._results.latest, self._made(), self._results.truth
        self.setVisible(latest is not None)
        self.trust.setEnabled(made is not None and not busy)
        self.trust.setToolTip(busy or TRUST)
        self.evaluate.setEnabled(truth is not None)
        self.evaluate.setToolTip(NO_TRUTH if truth is None else TRUTH.format(truth.name))
        saved = None if made is None else made.saved
        self.folder.setEnabled(saved is not None)
        self.folder.setToolTip(NOT_SAVED if saved is None else f"Open {saved.parent}")

    def _made(self) -> Made | None:
        latest = self._results.latest
        return None if latest is None else self._results.made(latest[1])

    def _open_trust(self) -> None:
        latest, made = self._results.latest, self._made()
        if latest is not None and made is not None and isinstance(latest[0], ImageLayer):
            open_dock(self._viewer, "Relevance").open_trust(latest[0], made.model)

    def _evaluate(self) -> None:
        latest, made, truth = self._results.latest, self._made(), self._results.truth
        if latest is not None and truth is not None:
            model = None if made is None else made.model
            open_dock(self._viewer, "Evaluate").choose_result(latest[1], truth, model)

    def _open_folder(self) -> None:
        if (made := self._made()) is not None and made.saved is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(made.saved.parent)))
