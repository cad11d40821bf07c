"""Landmarks clicked in both images of a pair, for pairs that cannot be registered otherwise.

Source and target lie side by side. One points layer takes the clicks: those on the first panel are
landmarks in the source, those on the second in the target, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Points

from napari_aeanet.core.image import Image
from napari_aeanet.gui.viewer.camera import View, best_columns, look_at
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.pairs import ImagePair

if TYPE_CHECKING:
    from napari import Viewer

NEEDED = 3
# Width of a panel, gap between two, size of a point; napari's points are at least 1 wide.
WIDTH, GAP, POINT = 1000.0, 40.0, 40.0
COLOURS = ("#ff9c33", "#4fc3f7", "#e879f9", "#a3e635", "#facc15", "#fb7185")


class Landmarks:
    """The panels and the points of one pair.

    Both panels are equally wide, whatever their numbers of pixels.
    """

    def __init__(self, viewer: Viewer, pair: ImagePair, changed: Callable[[], None]) -> None:
        self.pair = pair
        self._viewer = viewer
        self._before = View.of(viewer)
        self._hidden = [layer for layer in viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False
        # napari drops all units if those of the layers differ.
        units = [str(unit) for unit in viewer.layers[0].units[-2:]] if viewer.layers else None
        source, target = _plane(pair.source), _plane(pair.target)
        first = np.array([0.0, self._edge()])
        height = WIDTH * source.shape[0] / source.shape[1]
        is_column = best_columns(viewer, height, WIDTH, 2) == 1
        beyond = [height + GAP, 0.0] if is_column else [0.0, WIDTH + GAP]
        self._panels = [
            _panel(source, "source: click here", first, units),
            _panel(target, "target: click here", first + beyond, units),
        ]
        self._points = Points(
            np.empty((0, 2)),
            name="landmarks, in the same order",
            ndim=2,
            units=units,
            size=POINT,
            symbol="disc",
            opacity=0.8,
            face_color="#ffcf33",
            border_color="black",
            metadata={PLUGIN_METADATA_KEY: "landmarks"},
        )
        for layer in (*self._panels, self._points):
            viewer.add_layer(layer)
        look_at(viewer, self._panels)
        viewer.layers.selection.active = self._points
        self._points.mode = "add"
        self._points.events.data.connect(self._on_points)
        self._changed = changed

    @property
    def is_open(self) -> bool:
        return self._points in self._viewer.layers

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the landmarks in source and target, (n, 2) and (m, 2), as (y, x)."""
        return self._on(0), self._on(1)

    @property
    def is_complete(self) -> bool:
        source, target = self.pixels()
        return len(source) == len(target) >= NEEDED

    def remove(self) -> None:
        """Remove the layers, and show those that were visible before."""
        self._points.events.data.disconnect(self._on_points)
        for layer in (self._points, *self._panels):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        for layer in self._hidden:
            layer.visible = True
        self._before.restore(self._viewer)

    def _on(self, panel: int) -> np.ndarray:
        """Return the landmarks on a panel, in its pixels."""
        return self._in_pixels(panel)[self._is_on(panel)]

    def _is_on(self, panel: int) -> np.ndarray:
        pixels, size = self._in_pixels(panel), self._panels[panel].data.shape
        inside = (pixels >= -0.5) & (pixels <= np.array(size) - 0.5)
        return inside[:, 0] & inside[:, 1]

    def _in_pixels(self, panel: int) -> np.ndarray:
        layer = self._panels[panel]
        return (np.asarray(self._points.data)[:, -2:] - layer.translate) / layer.scale

    def _on_points(self, _event: object) -> None:
        """Give points of one number the same colour in both panels."""
        order = np.zeros(len(self._points.data), int)
        for panel in (0, 1):
            here = self._is_on(panel)
            order[here] = np.arange(here.sum())
        if len(order):
            self._points.selected_data = set()
            self._points.face_color = [COLOURS[i % len(COLOURS)] for i in order]
        self._changed()

    def _edge(self) -> float:
        layers = self._viewer.layers
        return float(layers.extent.world[1, -1]) + WIDTH if len(layers) else 0.0


def _plane(image: Image) -> np.ndarray:
    """Return the middle plane of an image."""
    return image.read(tuple(n // 2 for n in image.shape[:-2]) + (slice(None),) * 2)


def _panel(pixels: np.ndarray, name: str, first: np.ndarray, units: list[str] | None) -> ImageLayer:
    step = WIDTH / pixels.shape[-1]
    low, high = np.percentile(pixels[::4, ::4].astype(np.float32), (0.5, 99.5))
    return ImageLayer(
        pixels,
        name=name,
        scale=(step, step),
        translate=first + step / 2,
        units=units,
        contrast_limits=(float(low), float(max(high, low + 1e-6))),
        metadata={PLUGIN_METADATA_KEY: "landmarks"},
    )
