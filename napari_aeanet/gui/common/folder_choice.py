"""A folder, and a button to choose another one."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_aeanet.gui.common.preferences import output_folder
from napari_aeanet.gui.common.widgets import button, label, make_column, row


class FolderChoice(QWidget):
    """The name of a folder, its whole path as a tool tip, and a button.

    Parameters
    ----------
    name
        Name of the button.
    tooltip
        What the folder is.
    title
        Title of the dialog.
    """

    changed = Signal()

    def __init__(self, name: str, tooltip: str, title: str) -> None:
        super().__init__()
        self.path: Path | None = None
        self._title = title
        self._line = label(name=f"{name}_line")
        self._button = button("Choose …", name, tooltip, self._ask)
        make_column(self, row(self._line, self._button, stretch=0))

    def choose(self, path: Path) -> None:
        """Choose a folder."""
        self.path = path
        self._line.setText(path.name)
        self._line.setToolTip(str(path))
        self.changed.emit()

    def _ask(self) -> None:
        before = str(self.path or output_folder())
        if chosen := QFileDialog.getExistingDirectory(self, self._title, before):
            self.choose(Path(chosen))
