"""The session's models as a list to tick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from napari_aeanet.gui.common.widgets import Placeholder, fixed_height, named

LINES = 5


class ModelList(Placeholder, QListWidget):
    """The session's models, to tick."""

    changed = Signal()
    placeholder = "No model yet: train one,\nor drop a .aeanet file here."

    def __init__(self, name: str) -> None:
        super().__init__()
        named(self, name, "Tick the models to compare; drop .aeanet files to add more")
        self.setProperty("role", "list")
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        fixed_height(self, LINES + 1)
        self._paths: list[Path] = []
        self._ticked: set[Path] = set()
        self.itemChanged.connect(self._on_item_changed)

    @property
    def ticked(self) -> list[Path]:
        return [path for path in self._paths if path in self._ticked]

    def tick(self, path: Path) -> None:
        self._ticked.add(path)

    def fill(self, models: dict[Path, Any]) -> None:
        self._paths = list(models)
        self.blockSignals(True)
        self.clear()
        for path, card in models.items():
            item = QListWidgetItem(card.name)
            item.setToolTip(str(path))
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            is_ticked = path in self._ticked
            item.setCheckState(Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked)
            self.addItem(item)
        self.blockSignals(False)
        self.changed.emit()

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        path = self._paths[self.row(item)]
        if item.checkState() is Qt.CheckState.Checked:
            self._ticked.add(path)
        else:
            self._ticked.discard(path)
        self.changed.emit()
