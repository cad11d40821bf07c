"""Interpolate a section between two others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.interpolation.flow import WarpedNeighbours, warp_neighbours
from napari_aeanet.interpolation.neighbours import neighbours_between
from napari_aeanet.interpolation.texture import with_texture

#: Makes a section of its neighbours: `WarpedNeighbours.blended`, or a trained network.
Interpolator = Callable[[WarpedNeighbours], np.ndarray]


@dataclass(frozen=True, kw_only=True, eq=False)
class InterpolatedSection:
    """A section that was made from its neighbours.

    Attributes
    ----------
    pixels
        float32, on the grid between both neighbours.
    correlation
        Of the coarse structure of both neighbours.
    """

    pixels: np.ndarray
    correlation: float


def interpolate_section(
    before: np.ndarray,
    after: np.ndarray,
    *,
    at: float = 0.5,
    between: Sequence[np.ndarray] = (),
    texture: bool = False,
    interpolator: Interpolator = WarpedNeighbours.blended,
) -> InterpolatedSection | None:
    """Interpolate a section between two neighbours; None if they do not match each other.

    Parameters
    ----------
    before, after
        The sections on either side (y, x), finite.
    at
        Position between them: 0 is that of `before`, 1 that of `after`.
    between
        The damaged sections between them, in their order: what is left of them may lead from the
        one neighbour to the other.
    texture
        Give the section as much fine structure as its neighbours have.
    interpolator
        Makes the section from both neighbours, aligned and warped: their blend by default.
    """
    first, *damaged, second = (
        np.ascontiguousarray(one, dtype=np.float32) for one in (before, *between, after)
    )
    neighbours = neighbours_between(first, second, at, damaged)
    if neighbours is None:
        return None
    warped = warp_neighbours(neighbours)
    pixels = interpolator(warped)
    if texture:
        pixels = with_texture(pixels, warped)
    return InterpolatedSection(pixels=pixels, correlation=neighbours.correlation)
