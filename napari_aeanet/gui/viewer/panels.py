"""Images in rows and columns beside all other layers, with equal contrast limits.

When they are removed, the camera returns to its position.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer

from napari_aeanet.core.image import SPATIAL_AXES, Image
from napari_aeanet.gui.viewer.camera import View, best_columns, look_at
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import layer_arguments

if TYPE_CHECKING:
    from napari import Viewer

# Gap between two panels, and distance from all other layers, as shares of their width.
GAP, DISTANCE = 0.03, 2.0


class Panels:
    """Layers side by side; swapping their data is thirty times faster than new layers."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: list[ImageLayer] = []
        self._waiting: list[ImageLayer] = []  # not yet in the viewer
        self._before: View | None = None

    @property
    def is_shown(self) -> bool:
        """True if all layers are in the viewer, or about to be."""
        shown = [layer for layer in self._layers if layer not in self._waiting]
        return bool(self._layers) and all(layer in self._viewer.layers for layer in shown)

    def show(self, panels: Sequence[tuple[str, np.ndarray]], grid: Image, limits: object) -> None:
        """Show a layer for each name and its pixels, with the pixel size and height of `grid`.

        The contrast limits of all are percentiles of the pixels `limits`.
        """
        self.begin(panels, grid, limits)
        while self.add_next():
            pass

    def begin(self, panels: Sequence[tuple[str, np.ndarray]], grid: Image, limits: object) -> None:
        """Make the layers of `show`, to be added one by one."""
        self.remove()  # the rest, if the user deleted some
        self._before = View.of(self._viewer)
        self._layers = self._make_layers(panels, grid, np.asarray(limits))
        self._waiting = list(self._layers)

    def add_next(self) -> bool:
        """Add one layer; return True if another one waits. The last one moves the camera."""
        if self._waiting:
            active = self._viewer.layers.selection.active
            self._viewer.add_layer(self._waiting.pop(0))
            self._viewer.layers.selection.active = active or self._layers[0]
            if not self._waiting:
                look_at(self._viewer, self._layers)
        return bool(self._waiting)

    def swap(self, index: int, pixels: np.ndarray) -> None:
        self._layers[index].data = pixels

    def remove(self) -> None:
        """Remove the layers and restore the camera."""
        left = [layer for layer in self._layers if layer in self._viewer.layers]
        before = self._before
        self._layers, self._waiting, self._before = [], [], None
        if not left:
            return
        # napari collects garbage after every layer, which takes as long as ten layers do.
        gc.freeze()
        try:
            for layer in left:
                self._viewer.layers.remove(layer)
        finally:
            gc.unfreeze()
        if before is not None:
            before.restore(self._viewer)

    def _make_layers(
        self, panels: Sequence[tuple[str, np.ndarray]], grid: Image, shown: np.ndarray
    ) -> list[ImageLayer]:
        low, high = np.nanpercentile(shown, (0.5, 99.5))
        arguments = layer_arguments(grid)
        spatial = [i for i, axis in enumerate(grid.axes) if axis in SPATIAL_AXES]
        spatial = spatial[-panels[0][1].ndim :]
        scale, first = (
            np.array([arguments[key][i] for i in spatial]) for key in ("scale", "translate")
        )
        height, width = np.array(panels[0][1].shape[-2:]) * scale[-2:]
        first[-1] = self._right_edge() + width * DISTANCE
        columns = best_columns(self._viewer, height, width, len(panels))
        steps = np.array([height + GAP * width, (1 + GAP) * width])
        made = []
        for index, (name, pixels) in enumerate(panels):
            place = first.copy()
            place[-2:] += steps * divmod(index, columns)
            layer = ImageLayer(
                pixels,
                name=name,
                scale=scale.tolist(),
                translate=place.tolist(),
                units=[arguments["units"][i] for i in spatial],
                contrast_limits=(float(low), float(max(high, low + 1e-6))),
                metadata={PLUGIN_METADATA_KEY: "preview"},
            )
            made.append(layer)
        return made

    def _right_edge(self) -> float:
        layers = self._viewer.layers
        return float(layers.extent.world[1, -1]) if len(layers) else 0.0
