"""Moving the viewer's camera, only where the user would otherwise miss something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_aeanet.core.image import Image, Region

if TYPE_CHECKING:
    from napari import Viewer


@dataclass(frozen=True)
class View:
    """Where the camera is."""

    center: tuple[float, ...]
    zoom: float

    @classmethod
    def of(cls, viewer: Viewer) -> View:
        camera = _camera(viewer)
        return cls(tuple(camera.center), float(camera.zoom))

    def restore(self, viewer: Viewer) -> None:
        camera = _camera(viewer)
        camera.center, camera.zoom = self.center, self.zoom


def seen_corners(layer: Layer) -> np.ndarray:
    """The first and the last pixel of a layer that are on the screen, of its finest level."""
    if not layer.multiscale:
        return layer.corner_pixels
    return layer.corner_pixels * layer.downsample_factors[layer.data_level]


def look_at(viewer: Viewer, layers: Sequence[Layer]) -> None:
    """Fill the view with these layers; 3D views are left alone."""
    if viewer.dims.ndisplay != 2:
        return
    if hasattr(viewer, "fit_to_view"):  # since napari 0.9
        viewer.fit_to_view(layers=layers)
        return
    viewer.reset_view()  # all layers in view; from there it is a matter of proportions
    low, high = _extent(layers)
    whole = np.diff(_extent(viewer.layers), axis=0)[0]
    camera = _camera(viewer)
    camera.center = (0.0, *((low + high) / 2))
    camera.zoom *= float(np.min(whole / np.maximum(high - low, 1e-9)))


def better_below(viewer: Viewer, height: float, width: float, count: int) -> bool:
    """Whether `count` pictures of one size are larger in a column of the canvas than in a row."""
    canvas_height, canvas_width = getattr(getattr(viewer, "canvas", None), "size", (1, 1))
    column = min(canvas_height / (count * height), canvas_width / width)
    row = min(canvas_height / height, canvas_width / (count * width))
    return column > row


def is_looked_at(viewer: Viewer, layer: Layer) -> bool:
    """Whether the middle of the view lies on this layer."""
    low, high = _extent([layer])
    centre = np.array(_camera(viewer).center[-2:])
    return bool(np.all((low <= centre) & (centre <= high)))


def _camera(viewer: Viewer) -> Any:
    """Of the viewer, which since napari 0.9 has it in its scene."""
    return getattr(viewer, "scene", viewer).camera


def _extent(layers: Sequence[Layer]) -> np.ndarray:
    """Lowest and highest (y, x) in world coordinates, shape (2, 2)."""
    # Layers without anything in them lie nowhere (NaN).
    corners = np.concatenate([layer.extent.world for layer in layers])[:, -2:]
    return np.stack([np.nanmin(corners, axis=0), np.nanmax(corners, axis=0)])


def visible_region(viewer: Viewer, layer: Layer, image: Image, most: int = 0) -> Region | None:
    """What of a layer's image is on the screen, one slice per axis; None if nothing is.

    Of axes that are not displayed it is the entry that is looked at. `most` bounds the edges, in
    pixels around the middle of what is seen.
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
