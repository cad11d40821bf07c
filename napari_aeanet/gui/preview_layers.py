"""Input, restored and truth of a kept-out region side by side, while a model learns.

The layers are made at the first preview. Later ones change the data of the restored panel only,
which is thirty times faster. The row lies beside everything else in the viewer; when it is taken
away, the view is again what it was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer

from napari_aeanet.data.images import SPATIAL_AXES, Image
from napari_aeanet.engine.plan import Previewed
from napari_aeanet.gui.image_list import MADE_HERE
from napari_aeanet.gui.layers import layer_arguments
from napari_aeanet.gui.viewing import View, look_at

if TYPE_CHECKING:
    from napari import Viewer

# Room between two panels, and beside everything else, as shares of their width.
GAP, DISTANCE = 0.03, 0.5
PANELS = ("input", "restored", "truth")


class PreviewLayers:
    """Three layers in a row."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layers: list[ImageLayer] = []
        self._before: View | None = None

    def remove(self) -> None:
        """Take the row away and look at what was looked at before."""
        left = [layer for layer in self._layers if layer in self._viewer.layers]
        self._layers = []
        for layer in left:
            self._viewer.layers.remove(layer)
        if left and self._before is not None:
            self._before.restore(self._viewer)
        self._before = None

    def show(self, event: Previewed, target: Image) -> None:
        """Show a preview of a region of `target`."""
        if len(self._layers) == len(PANELS) and all(x in self._viewer.layers for x in self._layers):
            self._layers[PANELS.index("restored")].data = event.restored
            return
        self.remove()  # what is left, where the user deleted some
        self._before = View.of(self._viewer)
        self._layers = self._made(event, target)
        active = self._viewer.layers.selection.active
        for layer in self._layers:
            self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active or self._layers[0]
        look_at(self._viewer, self._layers)

    def _made(self, event: Previewed, target: Image) -> list[ImageLayer]:
        low, high = np.percentile(event.target, (0.5, 99.5))
        place = layer_arguments(target)
        spatial = [i for i, axis in enumerate(target.axes) if axis in SPATIAL_AXES]
        scale = np.array([place["scale"][i] for i in spatial])
        first = np.array([place["translate"][i] for i in spatial])
        width = event.target.shape[-1] * scale[-1] * (1 + GAP)
        first[-1] = self._right_edge() + width * DISTANCE
        made = []
        for name, pixels in zip(PANELS, (event.source, event.restored, event.target), strict=True):
            layer = ImageLayer(
                pixels,
                name=f"preview: {name}",
                scale=scale,
                translate=first,
                units=[place["units"][i] for i in spatial],
                contrast_limits=(float(low), float(max(high, low + 1e-6))),
                metadata={MADE_HERE: "preview"},
            )
            first[-1] += width
            made.append(layer)
        return made

    def _right_edge(self) -> float:
        layers = self._viewer.layers
        return float(layers.extent.world[1, -1]) if len(layers) else 0.0
