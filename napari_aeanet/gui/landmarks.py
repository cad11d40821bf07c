"""Three places clicked in both images of a pair: the way out where nothing else registers it.

Source and target lie side by side, and one points layer takes the clicks: those on the left panel
are places in the source, those on the right panel places in the target, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Points

from napari_aeanet.data.images import Image
from napari_aeanet.data.pair import ImagePair
from napari_aeanet.gui.image_list import MADE_HERE
from napari_aeanet.gui.viewing import View, look_at

if TYPE_CHECKING:
    from napari import Viewer

NEEDED = 3
# Of a panel, and between two; napari's points are at least 1 wide.
WIDTH, GAP, POINT = 1000.0, 40.0, 25.0
COLOURS = ("#ff9c33", "#4fc3f7", "#e879f9", "#a3e635", "#facc15", "#fb7185")


class Landmarks:
    """The panels and the points of one pair.

    Both panels are shown equally wide, whatever their pixels: what is clicked is known as a place
    in pixels all the same.
    """

    def __init__(self, viewer: Viewer, pair: ImagePair, changed: Callable[[], None]) -> None:
        self.pair = pair
        self._viewer = viewer
        self._before = View.of(viewer)
        self._hidden = [layer for layer in viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False
        left = self._edge()
        # napari gives up on units where those of layers differ.
        units = [str(unit) for unit in viewer.layers[0].units[-2:]] if viewer.layers else None
        self._panels = [
            _panel(pair.source, "source: click here", left, units),
            _panel(pair.target, "target: click here", left + WIDTH + GAP, units),
        ]
        self._points = Points(
            np.empty((0, 2)),
            name="the same places, in the same order",
            ndim=2,
            units=units,
            size=POINT,
            symbol="disc",
            opacity=0.8,
            face_color="#ffcf33",
            border_color="black",
            metadata={MADE_HERE: "landmarks"},
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
        """Places in the source and in the target, (n, 2) and (m, 2), as (y, x)."""
        return self._on(0), self._on(1)

    @property
    def is_complete(self) -> bool:
        source, target = self.pixels()
        return len(source) == len(target) >= NEEDED

    def remove(self) -> None:
        """Take everything away, and show what was shown before."""
        self._points.events.data.disconnect(self._on_points)
        for layer in (self._points, *self._panels):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        for layer in self._hidden:
            layer.visible = True
        self._before.restore(self._viewer)

    def _on(self, panel: int) -> np.ndarray:
        layer = self._panels[panel]
        places = np.asarray(self._points.data)[:, -2:]
        pixels = (places - layer.translate[-2:]) / layer.scale[-2:]
        inside = (pixels >= -0.5) & (pixels <= np.array(layer.data.shape[-2:]) - 0.5)
        return pixels[inside.all(axis=1)]

    def _on_points(self, _event: object) -> None:
        """Points of one number have one colour in both panels."""
        order = np.zeros(len(self._points.data), int)
        for panel in (0, 1):
            layer = self._panels[panel]
            x = np.asarray(self._points.data)[:, -1]
            first = layer.translate[-1]
            here = (x >= first - GAP / 2) & (x < first + WIDTH + GAP / 2)
            order[here] = np.arange(here.sum())
        if len(order):
            self._points.selected_data = set()
            self._points.face_color = [COLOURS[i % len(COLOURS)] for i in order]
        self._changed()

    def _edge(self) -> float:
        layers = self._viewer.layers
        return float(layers.extent.world[1, -1]) + WIDTH if len(layers) else 0.0


def _panel(image: Image, name: str, left: float, units: list[str] | None) -> ImageLayer:
    """The middle plane of an image."""
    pixels = image.read(tuple(n // 2 for n in image.shape[:-2]) + (slice(None),) * 2)
    step = WIDTH / pixels.shape[-1]
    low, high = np.percentile(pixels[::4, ::4].astype(np.float32), (0.5, 99.5))
    return ImageLayer(
        pixels,
        name=name,
        scale=(step, step),
        translate=(step / 2, left + step / 2),
        units=units,
        contrast_limits=(float(low), float(max(high, low + 1e-6))),
        metadata={MADE_HERE: "landmarks"},
    )
