"""Buttons with what can be done with the result of the ticked image."""

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
    "To evaluate {}, open an image that shows the truth: the same field, without the degradation"
)
TRUTH = "Compare {} with {} in AEANet: Evaluate"
TRUST = "Check every pixel of {} for signs of errors, in AEANet: Relevance"
NOT_SAVED = "{} is not saved: choose where under Save, and restore again"


class NextSteps(QWidget):
    """Trust, relevance, evaluation and the folder of the current result; hidden without one.

    Each tooltip names the result.
    """

    def __init__(self, viewer: Viewer, results: Results) -> None:
        super().__init__()
        self._viewer, self._results = viewer, results
        self.trust = button("How far can I trust it?", "restore_trust", "", self._open_trust)
        self.relevance = button(
            "Relevance →",
            "restore_next",
            "Show where the abstract pixels of the model are relevant, in AEANet: Relevance",
            partial(open_dock, viewer, "Relevance"),
        )
        self.evaluate = button("Evaluate …", "restore_evaluate", "", self._evaluate)
        self.folder = button("Folder", "restore_open_folder", "", self._open_folder)
        make_column(
            self,
            self.trust,
            row(self.relevance, self.evaluate, self.folder, stretch=0),
        )

    def refresh(self, busy: str = "") -> None:
        """Enable what is possible; `busy` is why no job can be started."""
        current, made, truth = self._results.current, self._made(), self._results.truth
        self.setVisible(current is not None)
        name = "" if current is None else current[1].name
        self.trust.setEnabled(made is not None and not busy)
        self.trust.setToolTip(busy or TRUST.format(name))
        self.evaluate.setEnabled(truth is not None)
        with_truth = "" if truth is None else TRUTH.format(name, truth.name)
        self.evaluate.setToolTip(with_truth or NO_TRUTH.format(name))
        saved = None if made is None else made.saved
        self.folder.setEnabled(saved is not None)
        where = "" if saved is None else f"Open the folder of {name}: {saved.parent}"
        self.folder.setToolTip(where or NOT_SAVED.format(name))

    def _made(self) -> Made | None:
        current = self._results.current
        return None if current is None else self._results.made(current[1])

    def _open_trust(self) -> None:
        current, made = self._results.current, self._made()
        if current is not None and made is not None and isinstance(current[0], ImageLayer):
            open_dock(self._viewer, "Relevance").open_trust(current[0], made.model)

    def _evaluate(self) -> None:
        current, made, truth = self._results.current, self._made(), self._results.truth
        if current is not None and truth is not None:
            model = None if made is None else made.model
            open_dock(self._viewer, "Evaluate").choose_result(current[1], truth, model)

    def _open_folder(self) -> None:
        if (made := self._made()) is not None and made.saved is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(made.saved.parent)))
