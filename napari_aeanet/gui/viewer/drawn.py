"""Regions that were drawn in a layer, without the layer: for a worker thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.draw import polygon2mask

from napari_aeanet.core.image import Image
from napari_aeanet.core.units import METRES

# Regions of which less lies on an image were drawn on another one.
LEAST_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class WorldGrid:
    """Pixels in the viewer's world.

    Parameters
    ----------
    origin, steps
        Position (y, x) of the centre of pixel 0, and the steps along y and x as rows.
    shape
        Number of pixels (y, x).
    unit
        Unit of length of the world; None where unknown.
    """

    origin: np.ndarray
    steps: np.ndarray
    shape: tuple[int, int]
    unit: str | None

    def positions(self) -> np.ndarray:
        """Return the positions of all pixels: (y, x, 2)."""
        return self.origin + np.moveaxis(np.indices(self.shape), 0, -1) @ self.steps

    def pixels_at(self, positions: np.ndarray, unit: str | None) -> np.ndarray:
        """Return the pixels, with fractions, at positions (..., 2) in a world of this unit."""
        factor = METRES[unit] / METRES[self.unit] if self.unit in METRES and unit in METRES else 1.0
        return (positions * factor - self.origin) @ np.linalg.inv(self.steps)

    def holds(self, pixels: np.ndarray) -> np.ndarray:
        """Return which pixels (..., 2) are pixels of the grid."""
        return np.all((pixels > -0.5) & (pixels < np.subtract(self.shape, 0.5)), axis=-1)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Regions of a layer: labels on a grid of their own, or outlines in the world.

    Parameters
    ----------
    name
        Name of the layer.
    unit
        Unit of length of the world of the outlines.
    labels, grid
        Numbers of the regions, (y, x), 0 for background; None for outlines.
    outlines
        Corners (corners, 2) of each region, by number; later ones lie on top.
    """

    name: str
    unit: str | None
    labels: np.ndarray | None = None
    grid: WorldGrid | None = None
    outlines: tuple[tuple[int, np.ndarray], ...] = ()

    def on(self, grid: WorldGrid) -> np.ndarray:
        """Return the numbers of the regions on a grid, (y, x); 0 is background."""
        found = np.zeros(grid.shape, int)
        if self.labels is None or self.grid is None:
            for number, corners in self.outlines:
                found[polygon2mask(grid.shape, grid.pixels_at(corners, self.unit))] = number
            return found
        index = np.rint(self.grid.pixels_at(grid.positions(), grid.unit)).astype(int)
        inside = ((index >= 0) & (index < self.labels.shape)).all(axis=-1)
        found[inside] = self.labels[tuple(index[inside].T)]
        return found

    def points(self) -> np.ndarray:
        """Return positions of the regions in the world: of all labelled pixels, or all corners."""
        if self.labels is not None and self.grid is not None:
            return self.grid.origin + np.argwhere(self.labels) @ self.grid.steps
        corners = [corners for _, corners in self.outlines]
        return np.concatenate(corners) if corners else np.zeros((0, 2))


@dataclass(frozen=True, eq=False)
class MarkedImage:
    """An image, its pixels in the world, and what is marked on it."""

    image: Image
    grid: WorldGrid
    drawn: Drawn

    def marks(self) -> np.ndarray:
        """Return the marked pixels of the image, (y, x).

        Raises
        ------
        ValueError
            If nothing is marked, or most marks lie outside of the image.
        """
        points, marks, image = self.drawn.points(), self.drawn.name, self.image.name
        if not len(points):
            raise ValueError(f"Nothing is marked in {marks}: mark some places of {image}.")
        if self.grid.holds(self.grid.pixels_at(points, self.drawn.unit)).mean() < LEAST_SHARE:
            msg = (
                f"Most marks in {marks} lie outside of {image}: choose the image on which they "
                "were drawn."
            )
            raise ValueError(msg)
        found = self.drawn.on(self.grid) != 0
        if not found.any():
            raise ValueError(f"The marks in {marks} are smaller than a pixel of {image}.")
        return found
