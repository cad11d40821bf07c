"""Choice of a model: the list of the session, a file dialog, and the card of the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_aeanet.gui.common.dock import Dock
from napari_aeanet.gui.common.text import model_lines, model_role
from napari_aeanet.gui.common.widgets import button, chooser, label, row, set_text
from napari_aeanet.gui.common.worker import import_checkpoint
from napari_aeanet.models import SUFFIX

SMALL_GAP = 2
CHECKPOINT_SUFFIX = ".index"
MODEL_SUFFIXES = (SUFFIX, CHECKPOINT_SUFFIX)


class ModelChooser(QWidget):
    """Combo box of the session's models; the choice holds for every dock."""

    def __init__(self, dock: Dock, name: str) -> None:
        super().__init__()
        self._session = dock.session
        self._listen, self._in_background = dock.listen, dock.in_background
        self._paths: list[Path] = []
        self.box = chooser(f"{name}_model", "Trained model to use")
        self.box.activated.connect(self._on_activated)
        more = button(
            "…",
            f"{name}_open_model",
            "Choose a model (.aeanet) or a published checkpoint (.index), or drop it here",
            self._browse,
        )
        more.setFixedWidth(32)
        self.card_line = label(role="hint", name=f"{name}_card")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SMALL_GAP)
        layout.addLayout(row(self.box, more, stretch=0))
        layout.addWidget(self.card_line)

    def start(self) -> None:
        """Find the models, and follow the session until the dock is closed."""
        self._listen(self._session.models_changed, self._refill)
        self._session.find_models()

    def take_models(self, paths: Sequence[Path]) -> list[Path]:
        """Choose the models among dropped files, and return the others."""
        for path in paths:
            if path.name.endswith(MODEL_SUFFIXES):
                self.take(path)
        return [path for path in paths if not path.name.endswith(MODEL_SUFFIXES)]

    def take(self, path: Path) -> None:
        """Choose the model in a file; report one that cannot be used.

        A published checkpoint is converted to a model file first, in the background.
        """
        if path.suffix == CHECKPOINT_SUFFIX:
            what = f"reading {path.name}"
            self._in_background(what, import_checkpoint, path, then=self.take)
            return
        try:
            self._session.add_model(path)
        except (ValueError, OSError) as error:
            show_error(str(error))

    def _refill(self) -> None:
        self._paths = list(self._session.models)
        self.box.clear()
        self.box.addItems(list(self._session.model_names.values()))
        for index, path in enumerate(self._paths):
            self.box.setItemData(index, str(path), Qt.ItemDataRole.ToolTipRole)
        card = self._session.card
        if self._session.model in self._paths:
            self.box.setCurrentIndex(self._paths.index(self._session.model))
        self.box.setEnabled(bool(self._paths))
        self.box.setPlaceholderText("none yet")
        if card is None:
            set_text(self.card_line, "No model yet: train one, or drop a .aeanet file here.")
        else:
            set_text(self.card_line, model_lines(card), model_role(card))

    def _on_activated(self, index: int) -> None:
        self._session.choose_model(self._paths[index])

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self,
            "Choose a model",
            "",
            f"AEANet models (*{SUFFIX});;Published checkpoints (*{CHECKPOINT_SUFFIX})",
        )
        if chosen:
            self.take(Path(chosen))
