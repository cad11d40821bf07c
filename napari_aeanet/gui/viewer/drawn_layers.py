"""Read what was drawn in Labels and Shapes layers of the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from napari.layers import Labels, Layer, Shapes

from napari_aeanet.core.units import normalise_unit
from napari_aeanet.gui.viewer.drawn import Drawn, WorldGrid

ELLIPSE_POINTS = 64  # of the polygon that stands for an ellipse


def grid_of(layer: Layer, shape: Sequence[int]) -> WorldGrid:
    """Return the pixels of a layer of this shape in the world, those of one plane of a stack."""
    corners = np.zeros((3, layer.ndim))
    corners[1, -2] = corners[2, -1] = 1
    world = np.array([layer.data_to_world(corner)[-2:] for corner in corners])
    height, width = shape[-2:]
    return WorldGrid(world[0], world[1:] - world[0], (height, width), _unit_of(layer))


def drawn_in(layer: Layer) -> Drawn:
    """Return the regions of a Labels or Shapes layer as they are now.

    Labels are those of the first plane of a stack. Shapes are numbered from 1; lines and paths
    enclose nothing.
    """
    if isinstance(layer, Labels):
        data = layer.data[0] if layer.multiscale else layer.data
        labels = np.array(data[(0,) * (data.ndim - 2)])
        grid = grid_of(layer, labels.shape)
        return Drawn(layer.name, grid.unit, labels, grid)
    shapes = cast("Shapes", layer)
    outlines = []
    for number, (corners, kind) in enumerate(
        zip(shapes.data, shapes.shape_type, strict=True), start=1
    ):
        if kind not in ("line", "path"):
            outline = _ellipse(corners) if kind == "ellipse" else corners
            world = [shapes.data_to_world(corner)[-2:] for corner in outline]
            outlines.append((number, np.array(world)))
    return Drawn(layer.name, _unit_of(layer), outlines=tuple(outlines))


def _unit_of(layer: Layer) -> str | None:
    return normalise_unit(str(layer.units[-1]))


def _ellipse(corners: np.ndarray) -> np.ndarray:
    """Return points on the ellipse inscribed in a rectangle."""
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angle = np.linspace(0, 2 * np.pi, ELLIPSE_POINTS, endpoint=False)[:, None]
    return centre + np.cos(angle) * first + np.sin(angle) * second
