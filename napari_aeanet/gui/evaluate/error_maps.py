"""Maps of the error of each image, shown in one layer over the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.colormaps import Colormap
from qtpy.QtWidgets import QWidget
from superqt.utils import signals_blocked

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.widgets import chooser, form, make_column
from napari_aeanet.gui.viewer.layers import Frame, layer_arguments
from napari_aeanet.gui.viewer.overlay import SIGNED, Overlay

if TYPE_CHECKING:
    from napari import Viewer

MOST_ERRORS = 40  # maps that are kept
SCALE_PERCENTILE = 99.5
NO_ERROR = "none"
ERROR = "error"
BLUE_TO_ORANGE = Colormap(
    SIGNED.colors,
    controls=SIGNED.controls,
    name="error",
    display_name="error",  # a longer one widens napari's panel
)


class ErrorMaps(QWidget):
    """A choice of error maps; the chosen one lies where the truth lies."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.overlay = Overlay(viewer, ERROR)
        self._errors: dict[str, Image] = {}
        self._frame: Frame | None = None
        self.box = chooser(
            "evaluate_error",
            "Show the error of an image: orange is brighter than the truth, blue is darker",
        )
        self.box.currentTextChanged.connect(self._show)
        make_column(self, form(("Error of", self.box)))

    def begin(self, frame: Frame | None) -> None:
        """Discard all maps; place the next ones on this truth, or by their own calibration."""
        self._errors, self._frame = {}, frame
        self.refill()

    def add(self, name: str, error: Image) -> None:
        if len(self._errors) < MOST_ERRORS:
            self._errors[name] = error

    def refill(self) -> None:
        """List the maps."""
        with signals_blocked(self.box):
            self.box.clear()
            self.box.addItems([NO_ERROR, *self._errors])
        self.box.setEnabled(bool(self._errors))

    def _show(self, name: str) -> None:
        error = self._errors.get(name)
        if error is None:
            self.overlay.hide()
            return
        place = self._frame.place(error) if self._frame else layer_arguments(error)
        values = error.read()
        # A sixteenth of the pixels is enough for a percentile.
        sample = np.abs(values[..., ::4, ::4])
        most = float(np.nanpercentile(sample, SCALE_PERCENTILE)) or 1.0
        looks = {"colormap": BLUE_TO_ORANGE, "contrast_limits": (-most, most)}
        self.overlay.show(values, place, f"error: {name}", **looks)
        if self.overlay.layer is not None:
            self.overlay.layer.colorbar.visible = True
