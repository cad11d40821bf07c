"""Conversion between napari's layers and images; no layer or viewer is changed.

An image shares the array of its layer. napari replaces the data of a layer and does not write into
it, so that a worker can read the image without the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Layer

from napari_aeanet.core.image import AXES, SPATIAL_AXES, Array, Image
from napari_aeanet.core.units import in_one_unit, normalise_unit
from napari_aeanet.io import read_calibrations

PIXEL = "pixel"
FILE = "file"  # metadata key of layers opened by the plugin: napari sets `source` for its own only
# Metadata key of stacks of which slices were made from their neighbours: how, by number.
MADE_SLICES = "napari-aeanet made slices"
# Names of axes in layers, besides the letters.
_AXIS_NAMES = {"time": "T", "t": "T", "channel": "C", "c": "C", "plane": "Z", "depth": "Z"}
_AXES_BY_DIMENSIONS = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}
# Files whose calibration is cached: it is needed whenever a list of layers is filled.
CACHED_FILES = 128


def unusable_because(layer: Layer) -> str | None:
    """Return why a layer cannot be restored or trained on, or None if it can."""
    if not isinstance(layer, ImageLayer):
        return f"{layer.name} is a {layer._type_string} layer: choose an image layer."
    if layer.rgb:
        return f"{layer.name} is a colour (RGB) image: convert it to grey, or split its channels."
    if layer.ndim not in _AXES_BY_DIMENSIONS:
        return f"{layer.name} has {layer.ndim} dimensions: between 2 and 5 can be used."
    return None


def layer_to_image(layer: Layer) -> Image:
    """Return the image of a layer, calibrated by the layer or its file.

    napari drops the pixel size of a TIFF: it is then read from the file.
    """
    if reason := unusable_because(layer):
        raise ValueError(reason)
    assert isinstance(layer, ImageLayer)
    data = pixels_of(layer)
    path = _path_of(layer)
    stored = None if path is None else _in_file(path, tuple(data.shape))
    axes = _axes(layer) or (stored.axes if stored else _AXES_BY_DIMENSIONS[layer.ndim])
    image = Image(data, axes, name=layer.name, source=path)
    if stored:
        kept = {name: getattr(stored, name) for name in ("channels", "time_interval")}
        image = replace(image, intensity_range=stored.intensity_range, **kept)
    made = layer.metadata.get(MADE_SLICES) or (stored.interpolated if stored else {})
    image = replace(image, interpolated=made)
    sizes, origin, unit = _calibration(layer, axes)
    if unit is None and stored and stored.spatial_axes == image.spatial_axes:
        return replace(image, pixel_size=stored.pixel_size, unit=stored.unit, origin=stored.origin)
    return replace(image, pixel_size=sizes, unit=unit, origin=origin)


def pixels_of(layer: Layer) -> Array:
    """Return the pixels of a layer, of its finest level, in their own kind of array.

    They may lie on disk, or be computed when they are read: leave that to a worker.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if np.dtype(data.dtype).kind != "b":
        return data
    return data.view(np.uint8) if isinstance(data, np.ndarray) else _Binary(data)


def directions_of(layer: Layer) -> np.ndarray:
    """Return the directions of a layer's axes in the world, a unit vector in each column."""
    corners = np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim)])
    world = np.array([layer.data_to_world(corner) for corner in corners])
    columns = (world[1:] - world[0]).T
    return columns / np.linalg.norm(columns, axis=0)


class _Binary:
    """Booleans of any array as whole numbers; they are read when they are used."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.shape, self.ndim, self.dtype = array.shape, array.ndim, np.dtype(np.uint8)

    def __getitem__(self, region: Any) -> np.ndarray:
        return np.asarray(self._array[region]).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Frame:
    """Placement of a layer in the viewer's world, to place results on it.

    The layer may lack the units of its image (from the file): results are placed relative to the
    layer and take its units, so that they always overlay it.

    Attributes
    ----------
    image
        The layer's image, for its axes, pixel size and origin.
    matrix
        Linear part of the map from the layer's pixels to the world, before `affine`.
    """

    image: Image
    matrix: np.ndarray
    translate: np.ndarray
    scale: np.ndarray
    rotate: np.ndarray
    shear: np.ndarray
    affine: np.ndarray
    units: tuple[str, ...]
    axis_labels: tuple[str, ...]
    contrast_limits: tuple[float, float]
    colormap: str

    @classmethod
    def of(cls, layer: ImageLayer, image: Image) -> Frame:
        corners = np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim)])
        affine = np.asarray(layer.affine.affine_matrix)
        ahead = (np.array([layer.data_to_world(c) for c in corners]) - affine[:-1, -1]) @ (
            np.linalg.inv(affine[:-1, :-1]).T
        )
        return cls(
            image=image,
            matrix=(ahead[1:] - ahead[0]).T,
            translate=ahead[0],
            scale=np.asarray(layer.scale),
            rotate=np.asarray(layer.rotate),
            shear=np.asarray(layer.shear),
            affine=affine,
            units=tuple(str(unit) for unit in layer.units),
            axis_labels=tuple(layer.axis_labels),
            contrast_limits=tuple(layer.contrast_limits),
            colormap=layer.colormap.name,
        )

    def place(self, result: Image) -> dict[str, Any]:
        """Return layer arguments that place `result` on the layer, with the same appearance."""
        steps, first = [], []
        for axis, size, origin in zip(
            result.spatial_axes, result.pixel_size, result.origin, strict=True
        ):
            old, begin = self._along(axis)
            if old is None or size is None:
                steps.append(self.image.sizes[axis] / result.sizes[axis])
            else:
                steps.append(size / old)
            first.append((origin - begin) / (old or 1.0))
        looks = {"contrast_limits": self.contrast_limits, "colormap": self.colormap}
        return {"name": result.name, **self._put(result.axes, steps, first), **looks}

    def place_grid(
        self, axes: str, scale: Sequence[float], translate: Sequence[float]
    ) -> dict[str, Any]:
        """Return layer arguments for a grid in the image's unit, or in its pixels without one."""
        spatial = [axis for axis in axes if axis in SPATIAL_AXES]
        along = [self._along(axis) for axis in spatial]
        steps = [size / (old or 1.0) for size, (old, _) in zip(scale, along, strict=True)]
        first = [
            (origin - begin) / (old or 1.0)
            for origin, (old, begin) in zip(translate, along, strict=True)
        ]
        return self._put(axes, steps, first)

    def _along(self, axis: str) -> tuple[float | None, float]:
        """Return pixel size and origin of the image along a spatial axis."""
        number = self.image.spatial_axes.index(axis)
        return self.image.pixel_size[number], self.image.origin[number]

    def _put(self, axes: str, steps: Sequence[float], first: Sequence[float]) -> dict[str, Any]:
        """Return layer arguments for a grid of step `steps` and origin `first`, in layer pixels.

        Axes of the layer that the grid lacks (planes of a projection) are left out.
        """
        numbers = [self.image.axes.index(axis) for axis in axes]
        spatial = [n for n in numbers if self.image.axes[n] in SPATIAL_AXES]
        factor, start = np.ones(len(self.scale)), np.zeros(len(self.scale))
        factor[spatial], start[spatial] = steps, first
        corner = self.translate + self.matrix @ start
        rows = [*numbers, len(self.scale)]
        return {
            "scale": (self.scale * factor)[numbers],
            "translate": corner[numbers],
            "rotate": self.rotate[np.ix_(numbers, numbers)],
            "shear": self.shear if len(axes) == len(self.scale) else None,
            "affine": self.affine[np.ix_(rows, rows)],
            "units": [self.units[n] for n in numbers],
            "axis_labels": [self.axis_labels[n] for n in numbers],
        }


def image_to_layer(image: Image, **arguments: Any) -> ImageLayer:
    """Return a layer with the calibration of an image; `arguments` override its arguments."""
    return ImageLayer(image.array, **(layer_arguments(image) | arguments))


def layer_arguments(image: Image) -> dict[str, Any]:
    """Return layer arguments that place an image by its own calibration."""
    calibration = zip(image.pixel_size, image.origin, strict=True)
    by_axis = dict(zip(image.spatial_axes, calibration, strict=True))
    place = [by_axis.get(axis, (None, 0.0)) for axis in image.axes]
    metadata: dict[str, Any] = {} if image.source is None else {FILE: str(image.source)}
    if image.interpolated:
        metadata[MADE_SLICES] = dict(image.interpolated)
    return {
        "name": image.name,
        "scale": [size or 1.0 for size, _ in place],
        "translate": [origin for _, origin in place],
        "units": [image.unit or PIXEL if size else PIXEL for size, _ in place],
        "axis_labels": list(image.axes.lower()),
        "metadata": metadata,
    }


def _path_of(layer: Layer) -> Path | None:
    """Return the file of a layer that was opened by napari or by the plugin."""
    path = layer.source.path or layer.metadata.get(FILE)
    return Path(path) if path else None


def _axes(layer: ImageLayer) -> str | None:
    """Return the axes by the layer's labels if all are known, different and in order."""
    named = "".join(
        _AXIS_NAMES.get(label.lower(), label.upper() if label.upper() in set(AXES) else "?")
        for label in layer.axis_labels
    )
    in_order = "".join(a for a in AXES if a in named) == named
    return named if in_order and named.endswith("YX") else None


def _calibration(
    layer: ImageLayer, axes: str
) -> tuple[tuple[float | None, ...], tuple[float, ...], str | None]:
    """Return pixel size, origin and unit of the spatial axes of a layer.

    Without a unit of length the pixel size is unknown, and the origin is in pixels.
    """
    lengths: dict[str, tuple[float | None, str | None]] = {}
    begins: dict[str, tuple[float | None, str | None]] = {}
    affine = np.asarray(layer.affine.affine_matrix)
    factors, shifts = np.diag(affine)[:-1], affine[:-1, -1]
    places = layer.scale * factors, layer.translate * factors + shifts
    for axis, scale, first, layer_unit in zip(axes, *places, layer.units, strict=True):
        if axis in SPATIAL_AXES:
            lengths[axis] = (abs(float(scale)), normalise_unit(str(layer_unit)))
            begins[axis] = (float(first), normalise_unit(str(layer_unit)))
    sizes, unit = in_one_unit(lengths)
    origin, _ = in_one_unit(begins)
    known = sizes if unit is not None else {}
    return tuple(known.get(a) for a in lengths), tuple(origin.get(a, 0.0) for a in lengths), unit


def _in_file(path: Path, shape: tuple[int, ...]) -> Image | None:
    """Return the image of this shape in a file, without its pixels, or None."""
    try:
        found = _calibrations(path, path.stat().st_mtime)
    except (OSError, ValueError):
        return None  # the file is gone, or read by another plugin
    for image in found:
        if image.shape == shape:
            return image
    pages = [image for image in found if image.shape == shape[1:]]
    if len(pages) != shape[0] or len(shape) != 3:
        return None
    page = pages[0]  # napari shows separate images of one size as a stack
    return Image(_hollow(shape), "ZYX", (None, *page.pixel_size), page.unit, source=path)


@lru_cache(maxsize=CACHED_FILES)
def _calibrations(path: Path, changed: float) -> Sequence[Image]:
    return tuple(read_calibrations(path))


def _hollow(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of `shape` that takes no memory."""
    return np.broadcast_to(np.zeros((), np.uint8), shape)
