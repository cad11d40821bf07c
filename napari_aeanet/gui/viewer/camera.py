"""Position of the viewer's camera, and the part of an image in view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from napari.layers import Layer

from napari_aeanet.core.image import Image, Region

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image as ImageLayer

# Share of the canvas that `look_at` fills.
FILLED = 0.95


@dataclass(frozen=True)
class View:
    """Position of the camera."""

    center: tuple[float, float, float] | tuple[float, float]
    zoom: float

    @classmethod
    def of(cls, viewer: Viewer) -> View:
        camera = viewer.scene.camera
        return cls(camera.center, float(camera.zoom))

    def restore(self, viewer: Viewer) -> None:
        camera = viewer.scene.camera
        camera.center, camera.zoom = self.center, self.zoom


def seen_corners(layer: Layer) -> np.ndarray:
    """Return the first and the last pixel of a layer in view, of its finest level."""
    if not layer.multiscale:
        return layer.corner_pixels
    image = cast("ImageLayer", layer)  # no other layer is multiscale, but labels, which are alike
    return image.corner_pixels * image.downsample_factors[image.data_level]


def look_at(viewer: Viewer, layers: Sequence[Layer]) -> None:
    """Fill a 2D view with these layers; do nothing in 3D.

    napari's `fit_to_view` refuses layers that have fewer axes than the viewer shows.
    """
    if viewer.dims.ndisplay != 2:
        return
    low, high = viewer.layers.get_extent(layers).world
    # Layers with fewer axes than the viewer have its last ones.
    axes = [axis - viewer.dims.ndim + len(low) for axis in viewer.dims.displayed]
    if min(axes) < 0:
        return
    camera, size = viewer.scene.camera, np.maximum(high[axes] - low[axes], 1e-9)
    camera.center = tuple((low[axes] + high[axes]) / 2)
    camera.zoom = FILLED * float(np.min(_canvas_size(viewer) / size))


def best_columns(viewer: Viewer, height: float, width: float, count: int) -> int:
    """Return the number of columns in which `count` images are shown largest, in full rows."""
    canvas_height, canvas_width = _canvas_size(viewer)

    def zoom(columns: int) -> float:
        return float(
            min(canvas_height / (count // columns * height), canvas_width / (columns * width))
        )

    return max((n for n in range(count, 0, -1) if count % n == 0), key=zoom)


def _canvas_size(viewer: Viewer) -> np.ndarray:
    """Return height and width of the canvas in screen pixels."""
    return np.array(getattr(getattr(viewer, "canvas", None), "size", (1, 1)), float)


def is_in_view_centre(viewer: Viewer, layer: Layer) -> bool:
    """Return True if the middle of the view lies on this layer."""
    low, high = np.asarray(layer.extent.world)[:, -2:]
    centre = np.array(viewer.scene.camera.center[-2:])
    return bool(np.all((low <= centre) & (centre <= high)))


def visible_region(viewer: Viewer, layer: Layer, image: Image, most: int = 0) -> Region | None:
    """Return the part of a layer's image in view, one slice per axis, or None.

    Along axes that are not displayed it is the current entry. `most` limits the edges, in pixels
    around the middle of the view.
    """
    if viewer.dims.ndisplay != 2 or not layer.visible:
        return None
    at = layer.world_to_data(viewer.dims.point[-layer.ndim :])
    low, high = seen_corners(layer)
    region = []
    for axis, n in enumerate(image.shape):
        if axis < image.array.ndim - 2:
            entry = int(np.clip(round(at[axis]), 0, n - 1))
            # Models of volumes need all planes.
            whole = image.axes[axis] == "Z" and bool(most)
            region.append(slice(0, n) if whole else slice(entry, entry + 1))
            continue
        start, stop = int(max(0, low[axis])), int(min(n, high[axis] + 1))
        if stop - start < 2:
            return None
        if most and stop - start > most:
            start = (start + stop - most) // 2
            stop = start + most
        region.append(slice(start, stop))
    return tuple(region)
