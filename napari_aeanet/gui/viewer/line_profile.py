"""Intensities of two layers along a line that the user can move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph
from napari.layers import Layer, Shapes
from scipy.ndimage import map_coordinates

from napari_aeanet.core.units import normalise_unit
from napari_aeanet.gui.common.plot import Plot
from napari_aeanet.gui.common.scrolling import scroll_into_view
from napari_aeanet.gui.common.theme import Colours
from napari_aeanet.gui.viewer.camera import seen_corners
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import pixels_of

if TYPE_CHECKING:
    from napari import Viewer

MOST_SAMPLES = 2000
LINE_SHARE = 0.5  # length of a new line as a share of the visible width


class LineProfile(Plot):
    """Intensities of two layers along a line that can be moved."""

    def __init__(self, viewer: Viewer, name: str) -> None:
        super().__init__(name, "Intensity along the yellow line: before (grey) and after (green)")
        self._viewer = viewer
        self._layers: tuple[Layer, ...] = ()
        self._line: Shapes | None = None
        self._curves = [pyqtgraph.PlotDataItem([], []) for _ in range(2)]
        for curve in self._curves:
            self.box.addItem(curve)
        self.hide()

    @property
    def is_on(self) -> bool:
        return self._line is not None

    @property
    def curves(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Distances and intensities of the image and of its result."""
        return [curve.getData() for curve in self._curves]

    def show_for(self, before: Layer, after: Layer) -> None:
        self.end()
        self._layers = (before, after)
        ends = _line_in_view(after)
        self._line = Shapes(
            [ends],
            shape_type="line",
            name="line profile",
            edge_color="#ffcf33",
            edge_width=(ends[1] - ends[0])[1] / 60,
            units=[str(unit) for unit in before.units[-2:]],
            metadata={PLUGIN_METADATA_KEY: "profile"},
        )
        self._viewer.add_layer(self._line)
        self._line.mode = "direct"
        self._line.events.data.connect(self._update)
        self.show()
        self._update()
        scroll_into_view(self)

    def end(self) -> None:
        """Remove the line and the plot."""
        if self._line is not None:
            self._line.events.data.disconnect(self._update)
            if self._line in self._viewer.layers:
                self._viewer.layers.remove(self._line)
        self._line, self._layers = None, ()
        self.hide()

    def paint(self, colours: Colours) -> None:
        super().paint(colours)
        for curve, colour in zip(self._curves, (colours.muted, colours.good), strict=True):
            curve.setPen(pyqtgraph.mkPen(colour, width=2))

    def _update(self, _event: Any = None) -> None:
        if self._line is None or not len(self._line.data):
            return
        ends = np.asarray(self._line.data[-1])[[0, -1], -2:]
        ends = np.array([self._line.data_to_world(end)[-2:] for end in ends])
        length = float(np.linalg.norm(ends[1] - ends[0]))
        for layer, curve in zip(self._layers, self._curves, strict=True):
            values = _along(layer, ends, self._viewer.dims.point)
            curve.setData(np.linspace(0, length, len(values)), values)
        self.box.autoRange(padding=0.02)
        unit = normalise_unit(str(self._line.units[-1])) or "pixels"
        self.caption.setText(f"Along the yellow line ({unit}): before grey, after green")


def _line_in_view(layer: Layer) -> np.ndarray:
    """Return the ends (y, x) of a line across the middle of the visible part of a layer."""
    low, high = (np.array(layer.data_to_world(corner))[-2:] for corner in seen_corners(layer))
    if np.any(high - low <= 0):  # nothing is visible
        low, high = np.array(layer.extent.world)[:, -2:]
    middle, offset = (low + high) / 2, np.array([0.0, LINE_SHARE / 2 * (high - low)[1]])
    return np.stack([middle - offset, middle + offset])


def _along(layer: Layer, ends: np.ndarray, point: tuple[float, ...]) -> np.ndarray:
    """Return the values of a layer between two world positions, in the displayed plane."""
    data = pixels_of(layer)
    full = [np.array([*point[-data.ndim : -2], *end])[-data.ndim :] for end in ends]
    first, last = (np.asarray(layer.world_to_data(end)) for end in full)
    entries = zip(first[:-2], data.shape[:-2], strict=True)
    plane = tuple(int(np.clip(np.round(i), 0, n - 1)) for i, n in entries)
    number = int(np.clip(2 * np.linalg.norm(last - first), 2, MOST_SAMPLES))
    positions = np.linspace(first[-2:], last[-2:], number).T
    corner, part = _bounding_box(positions, data.shape[-2:])
    pixels = np.asarray(data[(*plane, *part)]).astype(np.float32)
    return map_coordinates(pixels, positions - corner[:, None], order=1, cval=np.nan)


def _bounding_box(
    positions: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Return the first pixel and the region of a plane around positions of shape (2, n).

    Planes may lie on disk and be larger than memory: only this region is read.
    """
    size = np.array(shape)
    low = np.clip(np.floor(positions.min(axis=1)).astype(int), 0, size - 1)
    high = np.clip(np.ceil(positions.max(axis=1)).astype(int) + 1, low + 1, size)
    return low, tuple(slice(a, b) for a, b in zip(low, high, strict=True))
