"""The papers' tables, computed on the user's copy of their data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QTextBrowser, QWidget

from napari_aeanet.gui.common.folder_choice import FolderChoice
from napari_aeanet.gui.common.forms import SettingsForm
from napari_aeanet.gui.common.preferences import device, output_folder
from napari_aeanet.gui.common.tick_list import TickList
from napari_aeanet.gui.common.widgets import (
    Collapsible,
    button,
    chooser,
    form,
    make_column,
    named,
    open_folder,
    present,
    row,
)
from napari_aeanet.gui.evaluate.worker import TableSaved, reproduce_table
from napari_aeanet.reproduction import EXPERIMENTS, SLICES, SLICES_TITLE, ReproduceSettings

RESULTS = "reproduced"  # folder for the results, in the folder of the plugin's results
GOES_ON = "Finished methods are kept: reproduce the table again to go on."
METHOD_LINES = 4


class ReproducePanel(QWidget):
    """A table, the folder of its data, a folder for the results, methods and settings.

    Attributes
    ----------
    saved
        File with the table of the last job; None if it was not completed.
    """

    run_clicked = Signal()
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.saved: Path | None = None
        self.table = chooser("reproduce_table", "Table of the AEANet, GVTNet or SSAN paper")
        for experiment in EXPERIMENTS.values():
            self.table.addItem(experiment.title, experiment.name)
        self.table.addItem(SLICES_TITLE, SLICES)
        self._data = FolderChoice(
            "reproduce_data",
            "Folder of the published data set, as it was downloaded",
            "Published data set",
        )
        self._results = FolderChoice(
            "reproduce_results",
            "Folder for models, figures and the table. What is finished there is kept",
            "Save results in",
        )
        self._results.choose(output_folder() / RESULTS)
        for folder in (self._data, self._results):
            folder.changed.connect(self.changed.emit)
        self.methods = TickList(
            "reproduce_methods", "Tick the methods to compute; none is all", METHOD_LINES, set()
        )
        self.settings = SettingsForm(
            ReproduceSettings(),
            hidden=("methods", "vgg_weights", "device"),
            automatic=("steps", "patch", "batch"),
        )
        self.settings.on_change(self.changed.emit)
        more = Collapsible("How to train", "reproduce_more", self.settings.native)
        self._run = button("Reproduce", "reproduce_run", "", self.run_clicked.emit)
        self._open = button(
            "Open folder", "reproduce_open", "Open the folder of the results", self._open_it
        )
        self.text = QTextBrowser()
        named(self.text, "reproduce_text", "The table, with the published figures in brackets")
        self.text.setLineWrapMode(QTextBrowser.LineWrapMode.NoWrap)
        self.text.hide()
        make_column(
            self,
            form(("Table", self.table), ("Data", self._data), ("Results", self._results)),
            self.methods,
            more,
            row(self._run, self._open),
            self.text,
        )
        self.table.currentIndexChanged.connect(self._show_methods)
        self._show_methods()

    @property
    def reason(self) -> str:
        """Reason why nothing can be computed; empty if something can."""
        try:
            self.settings.value()
        except ValueError as error:
            return str(error)
        return "" if self._data.path is not None else "Choose the folder of the data set."

    def refresh(self, reason: str) -> None:
        """Show what can be done; `reason` is why nothing can be started."""
        reason = reason or self.reason
        self._run.setEnabled(not reason)
        self._run.setToolTip(
            reason or "Train the methods and compute the table; what is finished is kept"
        )
        self._open.setVisible(self._out.is_dir())

    def choose(self, data: Path, results: Path | None = None) -> None:
        """Choose the folder of the data, and that of the results."""
        self._data.choose(data)
        self._results.choose(results or self._out)

    def job(self) -> tuple[str, Callable[[], Iterator[Any]]]:
        """Return a title and the work."""
        data = self._data.path
        assert data is not None
        self.text.hide()
        self.saved = None
        settings = self.settings.value(methods=tuple(self.methods.ticked), device=device())
        title = f"reproducing {self.table.currentText()}"
        table = self.table.currentData()
        return title, partial(reproduce_table, table, data, self._out, settings)

    def take(self, event: TableSaved) -> None:
        """Show the table."""
        self.saved = event.path
        self.text.setMarkdown(event.path.read_text(encoding="utf-8"))
        self.text.show()
        self.refresh("")

    def _show_methods(self, _index: int = 0) -> None:
        experiment = EXPERIMENTS.get(self.table.currentData())
        units = () if experiment is None else experiment.units
        names = dict.fromkeys(unit.method for unit in units)
        self.methods.fill((name, name, name) for name in names)
        self.methods.setVisible(bool(names))

    @property
    def _out(self) -> Path:
        return present(self._results.path)

    def _open_it(self) -> None:
        open_folder(self._out)
