"""Maps in the gallery, with the image, model and attention layer they were computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Layer

from napari_aeanet.core.image import Image
from napari_aeanet.gui.relevance.worker import MapsReady
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
