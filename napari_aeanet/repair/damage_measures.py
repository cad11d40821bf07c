"""Measure a slice, and how much two slices resemble each other, on reduced planes."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import cv2
import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.repair.damage_features import Extent, averaged, blurred, lines, spot
from napari_aeanet.repair.damage_reading import read_slice
from napari_aeanet.stacks import register_sections

#: The shorter side of the coarse plane has this many pixels or up to twice as many.
COARSE_SIDE = 128
#: Blurs, as shares of the shorter side: spots of two sizes, structure and shading.
SPOT_BLURS = (6 / 512, 14 / 512)
STRUCTURE_BLUR, STRUCTURE_SHADING = 4 / 512, 64 / 512
#: Tiles along each side whose correlation is measured, and the smallest share of a tile to compare.
TILES, SMALLEST_TILE = 4, 0.5
#: A spread below this share of the level is a rounding error.
FLAT = 1e-6
#: A match of neighbours below this correlation is not used: they are compared as they lie.
LOWEST_MATCH = 0.15
Part = tuple[slice, ...] | EllipsisType


@dataclass(frozen=True, kw_only=True)
class SliceMeasures:
    """Figures of one slice, in grey levels where they have a unit.

    Attributes
    ----------
    covered
        Share of the slice with data: neither NaN nor bare border of one value; 0 for a slice that
        shows nothing.
    dark, bright
        The darkest and brightest spot at each of the two sizes.
    dark_line, bright_line
        The darkest and brightest straight line.
    """

    covered: float
    mean: float
    spread: float
    detail: float
    dark: tuple[Extent, ...]
    bright: tuple[Extent, ...]
    dark_line: Extent
    bright_line: Extent


@dataclass(frozen=True, kw_only=True, eq=False)
class ReducedSlice:
    """A slice, averaged down, for comparison with its neighbours.

    Attributes
    ----------
    plane
        float32 without NaN, relative to `offset`.
    structure
        The coarse plane without noise and shading; 0 where there is no data.
    valid
        Where the coarse plane has data.
    step
        Pixels of `plane` per pixel of the coarse plane.
    """

    plane: np.ndarray
    structure: np.ndarray
    valid: np.ndarray
    step: int
    measures: SliceMeasures


@dataclass(frozen=True, kw_only=True, eq=False)
class Likeness:
    """Correlation of a slice with an aligned neighbour: of all of it, and tile by tile.

    Attributes
    ----------
    tiles
        (tiles, tiles); NaN where a tile is not covered by both.
    """

    whole: float
    tiles: np.ndarray


def measure_slice(image: Image, index: int) -> ReducedSlice:
    """Read one slice of a stack and measure it."""
    plane, valid, level, detail, scale = read_slice(image, index)
    step = max(1, min(plane.shape) // COARSE_SIDE)
    known = valid > 0
    values = plane[known].astype(np.float64)
    median = float(np.median(values)) if values.size else 0.0
    plane = np.where(known, plane - median, 0).astype(np.float32)
    share = averaged(known.astype(np.float32), step)
    coarse, known = averaged(plane, step) / np.maximum(share, 1e-3), share > 0.5
    coarse = np.where(known, coarse, 0)
    spread = float(values.std()) if values.size else 0.0
    if not known.any() or spread <= FLAT * abs(level + median):
        return _blank(plane, coarse, step, level + median)
    side = min(coarse.shape)
    smooth = [blurred(coarse, blur * side, known) for blur in SPOT_BLURS]
    dark_line, bright_line = lines(coarse, known, step * scale)
    structure = blurred(coarse, STRUCTURE_BLUR * side, known)
    structure = structure - blurred(coarse, STRUCTURE_SHADING * side, known)
    measures = SliceMeasures(
        covered=float((valid > 0).mean()),
        mean=level + float(values.mean()),
        spread=spread,
        detail=detail,
        dark=tuple(spot(-one, known, step * scale) for one in smooth),
        bright=tuple(spot(one, known, step * scale) for one in smooth),
        dark_line=dark_line,
        bright_line=bright_line,
    )
    return ReducedSlice(plane=plane, structure=structure, valid=known, step=step, measures=measures)


def _blank(plane: np.ndarray, coarse: np.ndarray, step: int, level: float) -> ReducedSlice:
    """Return the measures of a slice that shows nothing."""
    none = Extent(value=0.0, size=0.0)
    spots = (none,) * len(SPOT_BLURS)
    measures = SliceMeasures(
        covered=0.0,
        mean=level,
        spread=0.0,
        detail=0.0,
        dark=spots,
        bright=spots,
        dark_line=none,
        bright_line=none,
    )
    zeros = np.zeros_like(coarse)
    return ReducedSlice(
        plane=np.zeros_like(plane),
        structure=zeros,
        valid=zeros > 0,
        step=step,
        measures=measures,
    )


def compare_slices(first: ReducedSlice, second: ReducedSlice) -> tuple[Likeness, Likeness]:
    """Align two slices and correlate them: on the grid of the first, and on that of the second."""
    match = register_sections(first.plane, second.plane, lowest=LOWEST_MATCH)
    matrix = np.eye(3) if match.matrix is None else match.matrix
    up_first, up_second = (transforms.enlargement(one.step) for one in (first, second))
    matrix = np.linalg.inv(up_second) @ matrix @ up_first
    return _correlated(first, second, matrix), _correlated(second, first, np.linalg.inv(matrix))


def _correlated(fixed: ReducedSlice, moving: ReducedSlice, matrix: np.ndarray) -> Likeness:
    """Correlate the structures of two slices; `matrix` maps fixed to moving coarse pixels."""
    covered = _warped(moving.valid.astype(np.float32), matrix, fixed.valid.shape) > 0.99
    warped = _warped(moving.structure, matrix, fixed.valid.shape)
    both = covered & fixed.valid
    height, width = both.shape
    tiles = np.full((TILES, TILES), np.nan)
    for row in range(TILES):
        for column in range(TILES):
            tile = np.s_[
                row * height // TILES : (row + 1) * height // TILES,
                column * width // TILES : (column + 1) * width // TILES,
            ]
            if both[tile].mean() >= SMALLEST_TILE:
                tiles[row, column] = _correlation(fixed.structure, warped, both, tile)
    return Likeness(whole=_correlation(fixed.structure, warped, both, ...), tiles=tiles)


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
