"""Input, restored image and truth of a kept-out region side by side, during a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_aeanet.core.image import Image
from napari_aeanet.gui.viewer.panels import Panels
from napari_aeanet.training import Previewed

if TYPE_CHECKING:
    from napari import Viewer

NAMES = ("input", "restored", "truth")
# Adding a layer takes up to 50 ms: the window is drawn in between.
BETWEEN_MS = 50


class PreviewLayers(Panels):
    """Three layers side by side; later previews update the restored one."""

    def __init__(self, viewer: Viewer, parent: QObject) -> None:
        super().__init__(viewer)
        self._timer = QTimer(parent)  # which ends with the dock
        self._timer.setInterval(BETWEEN_MS)
        self._timer.timeout.connect(self._add_next)

    def show_preview(self, event: Previewed, target: Image) -> None:
        """Show a preview of a region of `target`."""
        if self.is_shown:
            self.swap(NAMES.index("restored"), event.restored)
            return
        pixels = (event.source, event.restored, event.target)
        names = [f"preview: {name}" for name in NAMES]
        self.begin(list(zip(names, pixels, strict=True)), target, event.target)
        self._timer.start()

    def remove(self) -> None:
        self._timer.stop()
        super().remove()

    def _add_next(self) -> None:
        if not self.add_next():
            self._timer.stop()
