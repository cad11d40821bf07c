"""Remember which image, model and attention layer results were computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QWidget

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.session import Session
from napari_aeanet.gui.relevance.worker import MapsReady
from napari_aeanet.gui.viewer.layer_chooser import LayerChooser
from napari_aeanet.gui.viewer.layers import Frame


@dataclass(frozen=True, eq=False)
class ShownMaps:
    """Maps and their origin."""

    ready: MapsReady
    frame: Frame
    model: Path
    layer: int

    @property
    def request(self) -> tuple[Image, Path]:
        return self.frame.image, self.model

    def place(self) -> dict[str, Any]:
        """Return the layer arguments that place a map on its image."""
        maps = self.ready.maps
        return self.frame.place_grid(maps.axes, maps.scale, maps.translate)

    def pixel_at(self, overlay: Layer, world: Sequence[float]) -> tuple[int, ...] | None:
        """Return the map pixel at a position in the world; None outside the maps."""
        index = np.rint(overlay.world_to_data(world[-overlay.ndim :])).astype(int)
        inside = (index >= 0) & (index < self.ready.maps.maps.shape[1:])
        return tuple(map(int, index)) if inside.all() else None


class Origins:
    """The image and the model that the results in each section of the dock are of."""

    def __init__(self, image: LayerChooser, session: Session) -> None:
        self._image, self._session = image, session
        self._requested: tuple[Any, ...] = ()
        self._seen: tuple[Any, ...] = ()
        self._of: dict[QWidget, tuple[Any, ...]] = {}

    @property
    def chosen(self) -> tuple[Any, ...]:
        """Identity of the chosen image, and file of the chosen model."""
        layer = self._image.chosen
        return None if layer is None else layer.unique_id, self._session.model

    def have_changed(self) -> bool:
        """Return True if another image or model is chosen than at the last call."""
        before, self._seen = self._seen, self.chosen
        return before != self._seen

    def begin(self) -> None:
        """Remember what is chosen when a job starts."""
        self._requested = self.chosen

    def note(self, section: QWidget) -> None:
        """Remember that a section shows results of that job."""
        self._of[section] = self._requested

    def are_chosen(self, section: QWidget) -> bool:
        """Return True unless a section shows results of another image or model."""
        return self._of.get(section, self.chosen) == self.chosen
