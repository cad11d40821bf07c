"""Buttons for the model that was trained: save it, open its folder, evaluate, restore."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Layer
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_aeanet.core.atomic import replacing
from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.session import Session, is_same
from napari_aeanet.gui.common.widgets import button, make_column, open_folder, row
from napari_aeanet.models import SUFFIX
from napari_aeanet.pairs import ImagePair

if TYPE_CHECKING:
    from napari import Viewer


class ModelRow(QWidget):
    """Buttons that are enabled once a model was trained in this dock.

    Parameters
    ----------
    copy
        A button beside Save.
    tell
        Shows a line of text with its role.

    Attributes
    ----------
    bundle
        File of the trained model.
    is_next
        True if restoring with the model is the next step.
    """

    def __init__(
        self,
        viewer: Viewer,
        session: Session,
        copy: QPushButton,
        tell: Callable[[str, str], None],
    ) -> None:
        super().__init__()
        self._viewer, self._session, self._tell = viewer, session, tell
        self.bundle: Path | None = None
        self.is_next = False
        self._pairs: tuple[ImagePair, ...] = ()
        self._saved: Path | None = None  # the file that was written last
        self.save = button(
            "Save as …", "train_save", "Save the trained model under another name", self._ask_save
        )
        self.folder = button(
            "Folder", "train_folder", "Open the folder with the model", self._open_folder
        )
        self.next = button(
            "Restore with it →",
            "train_next",
            "Open AEANet: Restore with the new model",
            self._restore,
        )
        self.evaluate = button(
            "Evaluate …",
            "train_evaluate",
            "Open AEANet: Evaluate with the new model, to compare its results with the targets",
            self._evaluate,
        )
        first = row(self.save, self.folder, copy, stretch=0)
        make_column(self, first, row(self.evaluate, self.next, stretch=1), spacing=10)
        self.set_bundle(None)

    def set_bundle(self, bundle: Path | None) -> None:
        """Enable the buttons for a trained model, or disable them."""
        self.bundle = self._saved = bundle
        for one in (self.save, self.folder, self.next, self.evaluate):
            one.setEnabled(bundle is not None)
        self.offer(bundle is not None)

    def offer(self, is_next: bool) -> None:
        """Show if the model is worth restoring with."""
        self.is_next = is_next

    def is_of(self, pairs: Sequence[ImagePair]) -> bool:
        """Return True if the model was trained on all of these pairs."""
        return all(any(is_same(pair, own) for own in self._pairs) for pair in pairs)

    def take(self, bundle: Path, pairs: Sequence[ImagePair]) -> None:
        """Offer the model, which was trained on `pairs`, in every dock."""
        try:
            self._session.add_model(bundle)
        except (ValueError, OSError) as error:
            show_error(str(error))
        else:
            self.set_bundle(bundle)
            self._pairs = tuple(pairs)

    def save_as(self, path: Path) -> None:
        """Copy the trained model to `path`, whose ending is added if it is missing."""
        if self.bundle is None:
            return
        if path.suffix != SUFFIX:  # the dialog did not ask about this name
            path = path.with_name(f"{path.name}{SUFFIX}")
            if path.exists():
                show_error(f"{path.name} exists already: choose another name.")
                return
        try:
            with replacing(path) as temporary:
                shutil.copyfile(self.bundle, temporary)
            self._session.add_model(path)
        except OSError as error:
            show_error(f"The model could not be saved: {error}")
        else:
            self._saved = path
            self.folder.setToolTip(f"Open {path.parent}")
            self._tell(f"✓ Saved as {path.name} in the folder {path.parent.name}.", "good")

    def _ask_save(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save model", f"model{SUFFIX}", f"AEANet models (*{SUFFIX})"
        )
        if chosen:
            self.save_as(Path(chosen))

    def _open_folder(self) -> None:
        if self._saved is not None:
            open_folder(self._saved.parent)

    def _restore(self) -> None:
        if self.bundle is not None:
            self._session.choose_model(self.bundle)
            dock = open_dock(self._viewer, "Restore")
            sources = self._open_sources()
            if sources:
                dock.images.tick_only(*sources)

    def _open_sources(self) -> list[Layer]:
        """Return the open images that the model was trained on, of several the visible ones."""
        arrays = {id(pair.source.array) for pair in self._pairs}
        found = [one for one in self._viewer.layers if id(getattr(one, "data", None)) in arrays]
        return [one for one in found if one.visible] or found

    def _evaluate(self) -> None:
        if self.bundle is not None:
            open_dock(self._viewer, "Evaluate").choose_model(self.bundle)
