"""Box drawn on the image that is kept out of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Shapes

from napari_aeanet.core.image import Image
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import layer_arguments

if TYPE_CHECKING:
    from napari import Viewer

NAME = "kept out of the training"
Box = tuple[int, int, int, int]


class RegionLayer:
    """A rectangle on the grid of a target, moved and resized by the user.

    The box is kept while the layer is hidden.

    Parameters
    ----------
    changed
        Called when the user changes the box.
    """

    def __init__(self, viewer: Viewer, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._viewer = viewer
        self._layer: Shapes | None = None
        self._target: Image | None = None
        self._box: Box | None = None

    def show(self, target: Image) -> None:
        """Show the box on `target`, at first the lower right quarter."""
        if self._target is not None and self._target.plane_shape != target.plane_shape:
            self.hide()
            self._box = None
        self._target = target
        if self._layer is not None and self._layer in self._viewer.layers:
            return
        height, width = target.plane_shape
        top, left, bottom, right = self._box or (height // 2, width // 2, height, width)
        place = layer_arguments(target)
        self._layer = Shapes(
            [np.array([[top, left], [top, right], [bottom, right], [bottom, left]]) - 0.5],
            shape_type="rectangle",
            name=NAME,
            face_color="#ffcf3322",
            edge_color="#ffcf33",
            edge_width=max(1.0, width / 200),
            metadata={PLUGIN_METADATA_KEY: "region"},
            **{key: place[key][-2:] for key in ("scale", "translate", "units", "axis_labels")},
        )
        self._layer.events.data.connect(lambda _: self._changed())
        self._viewer.add_layer(self._layer)
        self._layer.selected_data = {0}
        self._layer.mode = "select"
        self._viewer.layers.selection.active = self._layer

    def hide(self) -> None:
        """Remove the layer and keep the box."""
        self._box = self.box()
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None

    def box(self) -> Box | None:
        """Return top, left, bottom, right in target pixels, or None without a box."""
        is_shown = self._layer is not None and self._layer in self._viewer.layers
        if not is_shown or self._target is None or self._layer is None:
            return self._box
        if not len(self._layer.data):
            return None
        corners = np.asarray(self._layer.data[-1])[:, -2:] + 0.5
        limits = np.array(self._target.plane_shape)
        low = np.clip(np.round(corners.min(axis=0)), 0, limits).astype(int)
        high = np.clip(np.round(corners.max(axis=0)), 0, limits).astype(int)
        if np.any(high <= low):
            return None
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])
