"""Where images are wrong: a chooser of error maps, and the one layer that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import Colormap
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.layers import Frame, layer_arguments
from napari_aeanet.gui.common.overlay import SIGNED, Overlay
from napari_aeanet.gui.common.widgets import chooser, form

if TYPE_CHECKING:
    from napari import Viewer

# So many maps are kept to be looked at.
MOST_ERRORS = 40
NO_ERROR = "none"
ERROR = "error"
BLUE_TO_ORANGE = Colormap(
    SIGNED.colors,
    controls=SIGNED.controls,
    name="error",
    display_name="error: blue darker, orange brighter",
)
# What the overlay chooses itself.
LOOKS = ("name", "colormap", "contrast_limits", "metadata")


class ErrorMaps(QWidget):
    """ "Error of [...]": choosing one lays it where the truth lies."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.overlay = Overlay(viewer, ERROR)
        self._errors: dict[str, Image] = {}
        self._frame: Frame | None = None
        self.box = chooser(
            "evaluate_error",
            "Show where an image is wrong: orange is brighter than the truth, blue is darker",
        )
        self.box.currentTextChanged.connect(self._show)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form(("Error of", self.box)))

    def begin(self, frame: Frame | None) -> None:
        """Forget all maps; the next ones lie on this truth, or by themselves."""
        self._errors, self._frame = {}, frame
        self.list_them()

    def add(self, name: str, error: Image) -> None:
        if len(self._errors) < MOST_ERRORS:
            self._errors[name] = error

    def list_them(self) -> None:
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([NO_ERROR, *self._errors])
        self.box.blockSignals(False)
        self.box.setEnabled(bool(self._errors))

    def _show(self, name: str) -> None:
        error = self._errors.get(name)
        if error is None:
            if self.overlay.layer is not None:
                self.overlay.layer.visible = False
            return
        place = self._frame.place(error) if self._frame else layer_arguments(error)
        place = {key: value for key, value in place.items() if key not in LOOKS}
        values = error.read()
        most = float(np.nanpercentile(np.abs(values[..., ::4, ::4]), 99.5)) or 1.0
        looks = {"colormap": BLUE_TO_ORANGE, "contrast_limits": (-most, most)}
        self.overlay.show(values, place, f"error: {name}", **looks)
