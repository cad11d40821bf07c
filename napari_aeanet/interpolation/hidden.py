"""Hide a good section and compare what is interpolated in its place with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.interpolation.flow import WarpedNeighbours, warp_neighbours
from napari_aeanet.interpolation.intensity import quantiles, with_quantiles
from napari_aeanet.interpolation.measures import SectionScores, score_section
from napari_aeanet.interpolation.neighbours import Neighbours, neighbours_of
from napari_aeanet.registration import transforms

#: Pixels left out at the border beyond those that a neighbour does not cover.
MARGIN = 8
#: Shortest side of the field that is compared, in pixels.
SMALLEST_SIDE = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class HiddenSection:
    """A known section, and its two neighbours on its grid.

    Attributes
    ----------
    truth
        The section, with the intensities half way between those of its neighbours.
    neighbours
        Both neighbours, aligned and warped.
    inside
        Rows and columns that both neighbours cover.
    correlation
        Of the coarse structure with the neighbour that agrees less.
    """

    truth: np.ndarray
    neighbours: WarpedNeighbours
    inside: Region
    correlation: float

    def score(self, section: np.ndarray, data_range: float) -> SectionScores:
        """Return the scores of what was interpolated in place of the section."""
        return score_section(self.truth[self.inside], section[self.inside], data_range)


def hide_section(
    section: np.ndarray, before: np.ndarray, after: np.ndarray, at: float = 0.5
) -> HiddenSection | None:
    """Return a section with its neighbours on its grid; None if they do not match or overlap.

    All are float32 and finite. `at` is the position of the section between them.
    """
    neighbours = neighbours_of(section, before, after, at)
    if neighbours is None:
        return None
    inside = _covered_rectangle(neighbours)
    if inside is None:
        return None
    common = (1 - at) * quantiles(before) + at * quantiles(after)
    return HiddenSection(
        truth=with_quantiles(section, quantiles(section), common),
        neighbours=warp_neighbours(neighbours),
        inside=inside,
        correlation=neighbours.correlation,
    )


def _covered_rectangle(neighbours: Neighbours) -> Region | None:
    """Return the rectangle with equal margins that both cover: its corners have to be covered."""
    height, width = neighbours.shape
    for edge in range(min(height, width) // 4):
        corners = transforms.corners((height - 2 * edge, width - 2 * edge)) + edge
        places = [
            transforms.apply(matrix, corners)
            for matrix in (neighbours.to_before, neighbours.to_after)
        ]
        if all((p >= 0).all() and (p <= (height - 1, width - 1)).all() for p in places):
            margin = edge + MARGIN
            inside = slice(margin, height - margin), slice(margin, width - margin)
            return inside if min(height, width) - 2 * margin >= SMALLEST_SIDE else None
    return None
