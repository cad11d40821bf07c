"""Input, restored image and truth of a kept-out region side by side, during a training."""

from __future__ import annotations

from napari_aeanet.core.image import Image
from napari_aeanet.gui.viewer.panels import Panels
from napari_aeanet.training import Previewed

NAMES = ("input", "restored", "truth")


class PreviewLayers(Panels):
    """Three layers side by side; later previews update the restored one."""

    def show_preview(self, event: Previewed, target: Image) -> None:
        """Show a preview of a region of `target`."""
        if self.is_shown:
            self.swap(NAMES.index("restored"), event.restored)
            return
        pixels = (event.source, event.restored, event.target)
        names = [f"preview: {name}" for name in NAMES]
        self.show(list(zip(names, pixels, strict=True)), target, event.target)
