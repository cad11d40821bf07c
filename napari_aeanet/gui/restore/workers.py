"""Choice of the processes that restore: this program, others on this computer, or a cluster."""

from __future__ import annotations

from enum import StrEnum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QSpinBox, QWidget

from napari_aeanet.cluster import ClusterSettings
from napari_aeanet.gui.common.widgets import chooser, form, make_column, named

MOST_WORKERS = 64
WIDEST = "Symmetries"  # caption of the form above this one


class Where(StrEnum):
    """Name where a restoration is computed."""

    HERE = "in this program"
    LOCAL = "in several processes"
    ADDRESS = "by a Dask scheduler"


class WorkersChoice(QWidget):
    """Let the user choose where to restore: how many processes, or the address of a scheduler."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.where = chooser(
            "restore_where",
            "Several processes restore one large image together, with the same result, which they "
            "write as OME-Zarr",
        )
        self.where.addItems([str(where) for where in Where])
        self.number = QSpinBox()
        named(self.number, "restore_workers", "Number of processes")
        self.number.setRange(1, MOST_WORKERS)
        self.number.setValue(ClusterSettings().workers)
        self.address = QLineEdit()
        named(self.address, "restore_scheduler", "Address of the scheduler")
        self.address.setPlaceholderText("tcp://host:8786")
        self._form = form(
            ("Compute", self.where),
            ("Processes", self.number),
            ("Address", self.address),
            widest=WIDEST,
        )
        make_column(self, self._form)
        self.where.currentIndexChanged.connect(self._on_changed)
        self.number.valueChanged.connect(lambda _: self.changed.emit())
        self.address.textChanged.connect(lambda _: self.changed.emit())
        self._on_changed()

    @property
    def is_used(self) -> bool:
        return self.where.currentText() != Where.HERE

    @property
    def settings(self) -> ClusterSettings:
        match self.where.currentText():
            case Where.LOCAL:
                return ClusterSettings(dask="local", workers=self.number.value())
            case Where.ADDRESS:
                return ClusterSettings(dask=self.address.text().strip())
        return ClusterSettings()

    def problem(self, images: int, *, is_streamed: bool) -> str:
        """Return why these processes cannot restore; empty if they can."""
        if not self.is_used:
            return ""
        if images > 1:
            return "Several processes restore one image at a time: tick one."
        if not is_streamed:
            return "Several processes write an OME-Zarr: choose that under Save."
        try:
            is_missing = not self.settings.dask
        except ValueError:
            is_missing = True
        return "Type the address of the scheduler: tcp://host:8786." if is_missing else ""

    def _on_changed(self, _index: int = 0) -> None:
        chosen = self.where.currentText()
        self._form.setRowVisible(self.number, chosen == Where.LOCAL)
        self._form.setRowVisible(self.address, chosen == Where.ADDRESS)
        self.changed.emit()
