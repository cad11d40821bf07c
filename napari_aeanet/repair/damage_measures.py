"""Measure a slice, and how much two slices resemble each other, on reduced planes."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import cv2
import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.repair.damage_features import Extent, averaged, blurred, line, spot
from napari_aeanet.repair.damage_reading import read_slice
from napari_aeanet.stacks import register_sections

#: The shorter side of the coarse plane has this many pixels or up to twice as many.
COARSE_SIDE = 128
#: Blurs, as shares of the shorter side: spots of four sizes, lines, structure and shading. Spots
#: and lines are not smaller in a slice with a shorter side than `FULL_SIDE` pixels: its organelles
#: are as large as those of others.
FULL_SIDE = 512
SPOT_BLURS = (6 / 512, 12 / 512, 24 / 512, 48 / 512)
LINE_BLUR = 4 / 512
#: A band is a line in the plane with this blur (0 is that for lines).
BAND = 3
STRUCTURE_BLUR, STRUCTURE_SHADING = 4 / 512, 64 / 512
#: Tiles along each side whose correlation is measured, and the smallest share of a tile to compare.
TILES, SMALLEST_TILE = 4, 0.5
#: A spread below this share of the level is a rounding error.
FLAT = 1e-9
#: A match of neighbours below this correlation is not used: they are compared as they lie.
LOWEST_MATCH = 0.15
Part = tuple[slice, ...] | EllipsisType


@dataclass(frozen=True, kw_only=True)
class SliceMeasures:
    """Figures of one slice by itself, in grey levels where they have a unit.

    Attributes
    ----------
    covered
        Share of the slice with data: neither NaN nor bare border of one value; 0 for a slice that
        shows nothing.
    """

    covered: float
    mean: float
    spread: float
    detail: float


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Marks of a slice: darker or brighter than all of its neighbours at the same place.

    Attributes
    ----------
    dark, bright
        The strongest spot at each of the sizes.
    dark_line, bright_line, dark_band
        The strongest straight line, and the strongest straight band, which is wider.
    one_side
        True if all of the neighbours are before, or all are after it.
    """

    dark: tuple[Extent, ...]
    bright: tuple[Extent, ...]
    dark_line: Extent
    bright_line: Extent
    dark_band: Extent
    one_side: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ReducedSlice:
    """A slice, averaged down, for comparison with its neighbours.

    Attributes
    ----------
    plane
        float32 without NaN; the median is 0.
    smooth
        (blurs, y, x): the coarse plane at each of the blurs, in units of its usual deviation; 0
        where there is no data.
    structure
        The coarse plane without noise and shading; 0 where there is no data.
    valid
        Where the coarse plane has data.
    step, scale
        Pixels of `plane` and of the slice per pixel of the coarse plane.
    """

    plane: np.ndarray
    smooth: np.ndarray
    structure: np.ndarray
    valid: np.ndarray
    step: int
    scale: float
    measures: SliceMeasures

    def is_same(self, other: ReducedSlice) -> bool:
        """Return True if both are of the same pixels."""
        return self.measures == other.measures and np.array_equal(self.plane, other.plane)


@dataclass(frozen=True, kw_only=True, eq=False)
class Likeness:
    """Comparison of a slice with an aligned neighbour.

    Attributes
    ----------
    whole, tiles
        Correlation over all of the slice, and in each tile (row, column), NaN where a tile is not
        covered by both.
    neighbour
        `ReducedSlice.smooth` of the neighbour on the grid of the slice; NaN where it shows nothing.
    """

    whole: float
    tiles: np.ndarray
    neighbour: np.ndarray


def measure_slice(image: Image, index: int) -> ReducedSlice:
    """Read one slice of a stack and measure it."""
    plane, valid, level, detail, scale = read_slice(image, index)
    step = max(1, min(plane.shape) // COARSE_SIDE)
    known = valid > 0
    covered = float(known.mean())
    values = plane[known].astype(np.float64)
    median = float(np.median(values)) if values.size else 0.0
    plane = np.where(known, plane - median, 0).astype(np.float32)
    share = averaged(known.astype(np.float32), step)
    coarse, known = averaged(plane, step) / np.maximum(share, 1e-3), share > 0.5
    coarse = np.where(known, coarse, 0)
    spread = float(values.std()) if values.size else 0.0
    if not known.any() or spread <= FLAT * abs(level + median):
        covered = spread = detail = 0.0
        known = np.zeros_like(known)
        coarse = np.zeros_like(coarse)
    side = min(coarse.shape)
    usual = 1.4826 * float(np.median(np.abs(coarse[known]))) if known.any() else 0.0
    unit = max(side, FULL_SIDE / (step * scale))
    smooth = [blurred(coarse, blur * unit, known) for blur in (LINE_BLUR, *SPOT_BLURS)]
    structure = blurred(coarse, STRUCTURE_BLUR * side, known)
    structure = structure - blurred(coarse, STRUCTURE_SHADING * side, known)
    return ReducedSlice(
        plane=plane,
        smooth=np.array(smooth) / (usual or 1.0),
        structure=np.where(known, structure, 0),
        valid=known,
        step=step,
        scale=step * scale,
        measures=SliceMeasures(
            covered=covered,
            mean=level + (float(values.mean()) if values.size else 0.0),
            spread=spread,
            detail=detail,
        ),
    )


def compare_slices(first: ReducedSlice, second: ReducedSlice) -> tuple[Likeness, Likeness]:
    """Align two slices and compare them: on the grid of the first, and on that of the second."""
    match = register_sections(first.plane, second.plane, lowest=LOWEST_MATCH)
    matrix = np.eye(3) if match.matrix is None else match.matrix
    up_first, up_second = (transforms.enlargement(one.step) for one in (first, second))
    matrix = np.linalg.inv(up_second) @ matrix @ up_first
    return _compared(first, second, matrix), _compared(second, first, np.linalg.inv(matrix))


def _compared(fixed: ReducedSlice, moving: ReducedSlice, matrix: np.ndarray) -> Likeness:
    """Compare two slices; `matrix` maps coarse pixels of `fixed` to those of `moving`."""
    shape = fixed.valid.shape
    both = _warped(moving.valid.astype(np.float32), matrix, shape) > 0.99
    both &= fixed.valid
    warped = _warped(moving.structure, matrix, shape)
    height, width = shape
    tiles = np.full((TILES, TILES), np.nan)
    for row in range(TILES):
        for column in range(TILES):
            tile = np.s_[
                row * height // TILES : (row + 1) * height // TILES,
                column * width // TILES : (column + 1) * width // TILES,
            ]
            if both[tile].mean() >= SMALLEST_TILE:
                tiles[row, column] = _correlation(fixed.structure, warped, both, tile)
    return Likeness(
        whole=_correlation(fixed.structure, warped, both, ...),
        tiles=tiles,
        neighbour=np.array(
            [np.where(both, _warped(one, matrix, shape), np.nan) for one in moving.smooth]
        ),
    )


def find_marks(index: int, reduced: ReducedSlice, likeness: dict[int, Likeness]) -> Marks | None:
    """Return what sets slice `index` apart from its neighbours; None without a neighbour.

    Parameters
    ----------
    likeness
        Likeness to every neighbour that it was compared with, by their numbers.
    """
    if not likeness:
        return None
    others = np.array([one.neighbour for one in likeness.values()])
    # NaN where any neighbour shows nothing: there is no mark there.
    dark = np.minimum(reduced.smooth - others.min(0), 0)
    bright = np.maximum(reduced.smooth - others.max(0), 0)
    known = np.isfinite(dark[0])
    dark, bright = (np.where(known, one, 0) for one in (dark, bright))
    return Marks(
        dark=tuple(spot(-one, known, reduced.scale) for one in dark[1:]),
        bright=tuple(spot(one, known, reduced.scale) for one in bright[1:]),
        dark_line=line(-dark[0], FULL_SIDE, reduced.scale),
        bright_line=line(bright[0], FULL_SIDE, reduced.scale),
        dark_band=line(-dark[BAND], FULL_SIDE, reduced.scale),
        one_side=max(likeness) < index or min(likeness) > index,
    )


def _correlation(a: np.ndarray, b: np.ndarray, where: np.ndarray, part: Part) -> float:
    """Return the correlation over a part; 0 if one of them is flat."""
    inside = where[part]
    x, y = a[part][inside], b[part][inside]
    if x.size < 2:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size > 0 else 0.0


def _warped(plane: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    swap = [1, 0, 2]  # OpenCV has (x, y)
    return cv2.warpAffine(
        plane,
        matrix[np.ix_(swap, swap)][:2],
        (shape[1], shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
