"""Measure how a section lies on its neighbour locally, after both were shifted and turned.

Both sections are placed on the grid of the aligned stack, blurred and without shading, as for their
match. Dense inverse search (DIS) finds the displacement s that makes the second show at p + s(p)
what the first shows at p. A cubic B-spline is fitted to its means over blocks, once for each
smoothness,

    sum over blocks of w |s - f|² + smoothness · bending energy of f,

where w is lower the further a block is from what is fitted (Cauchy): blocks in a fold, or in dirt.

Peaks of the correlation of blocks of 48 to 160 pixels were tried instead. On neural tissue, where
neighbours differ by 3 to 4 pixels locally, they found a second, equal measurement less well again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

import cv2
import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.registration import Plane, read_plane, spline_basis, spline_bending
from napari_aeanet.stacks.sections import FULL_SIDE, blurred

#: Two sections, and the matrices from the aligned stack to each.
PlacedPair = tuple[tuple[int, np.ndarray], tuple[int, np.ndarray]]
#: Blur, sides of the blocks and of the patches of the search, and reduction, in pixels of a section
#: of `FULL_SIDE` or more; all are smaller in smaller sections. Least side of a patch.
BLUR, BLOCK, PATCH, STEP = 2.0, 16, 40, 2
SMALLEST_PATCH = 8
#: Grey levels of a standard deviation, for the search.
CONTRAST = 40.0
#: Cells of the grid along the shorter side, and at most.
CELLS, MOST_CELLS = 5, 8
#: Coefficients along an axis beyond its cells.
EXTRA = 3
#: Smoothness that is tried, with the bending energy per 100 x 100 pixels of `FULL_SIDE`.
SMOOTHNESS = (0.001, 0.01, 0.1, 1.0)
#: Rounds of the weights of blocks; fewest blocks.
ROUNDS, FEWEST = 4, 24


def local_motions(image: Image, pairs: Iterable[PlacedPair]) -> Generator[np.ndarray, None, None]:
    """Yield the coefficients of f for each pair of sections, (smoothness, rows, columns, 2).

    In heights and widths of the field, as those of a `Deformation`. Empty with too few blocks.
    """
    recent: dict[int, _Placed] = {}
    for pair in pairs:
        recent = {
            index: recent.get(index) or _Placed(image, index, matrix) for index, matrix in pair
        }
        first, second = recent.values()
        yield _fitted(first, second, image.plane_shape)


class _Placed:
    """A section on the grid of the aligned stack, reduced: values, and where it shows anything."""

    def __init__(self, image: Image, index: int, matrix: np.ndarray) -> None:
        plane: Plane = read_plane(Image(image.read((index,)), "YX"), 0)
        scale = min(1.0, min(image.plane_shape) / FULL_SIDE)
        small, up = blurred(plane.values, BLUR * scale, STEP * scale)
        to_image = plane.to_image @ up
        swap = [1, 0, 2]  # OpenCV has (x, y)
        to_small = (np.linalg.inv(to_image) @ matrix @ to_image)[np.ix_(swap, swap)][:2]
        #: Pixels of the section to one of this.
        self.factor = float(to_image[0, 0])
        height, width = (max(1, round(n / self.factor)) for n in image.plane_shape)
        size, linear = (width, height), cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        cubic = cv2.WARP_INVERSE_MAP | cv2.INTER_CUBIC
        values = cv2.warpAffine(small, to_small, size, flags=cubic, borderMode=cv2.BORDER_REFLECT)
        self.inside = cv2.warpAffine(np.ones_like(small), to_small, size, flags=linear)
        spread = float(values.std()) or 1.0
        self.grey = np.clip(128 + CONTRAST * values / spread, 0, 255).astype(np.uint8)


def _fitted(first: _Placed, second: _Placed, shape: tuple[int, int]) -> np.ndarray:
    """Return the coefficients of every smoothness."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    size = min(1.0, min(shape) / FULL_SIDE) / first.factor
    patch, side = max(SMALLEST_PATCH, round(PATCH * size)), max(1, round(BLOCK * size))
    search.setPatchSize(patch)
    search.setPatchStride(patch // 2)
    search.setFinestScale(0)
    flow = search.calc(first.grey, second.grey, np.zeros((*first.grey.shape, 2), np.float32))
    rows, columns = (n // side for n in first.grey.shape)

    def means(values: np.ndarray) -> np.ndarray:
        whole = np.ascontiguousarray(values[: rows * side, : columns * side], np.float32)
        return cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)

    told = (means(np.minimum(first.inside, second.inside)) > 0.99).ravel()
    if np.count_nonzero(told) < FEWEST:
        return np.empty(0)
    extent = np.array(shape) / first.factor
    shifts = (means(flow[..., ::-1]).reshape(-1, 2) / extent)[told]
    cells = [int(np.clip(round(CELLS * n / min(shape)), 2, MOST_CELLS)) for n in shape]
    counts = (cells[0] + EXTRA, cells[1] + EXTRA)
    down, along = (
        spline_basis((np.arange(n) + 0.5) * side / length, count)
        for n, length, count in zip((rows, columns), extent, counts, strict=True)
    )
    design = (down[:, None, :, None] * along[None, :, None, :]).reshape(rows * columns, -1)[told]
    height, width = (FULL_SIDE * n / min(shape) for n in shape)
    bending = spline_bending((cells[0], cells[1]), (height, width))
    found = [_robust_fit(design, shifts * shape, one * bending) for one in SMOOTHNESS]
    return np.stack(found).reshape(len(SMOOTHNESS), *counts, 2) / shape


def _robust_fit(design: np.ndarray, shifts: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    weights = np.ones(len(design))
    for _ in range(ROUNDS):
        weighted = design.T * weights
        normal = weighted @ design + penalty
        normal[np.diag_indices_from(normal)] += 1e-3
        found = np.linalg.solve(normal, weighted @ shifts)
        off = np.linalg.norm(design @ found - shifts, axis=1)
        weights = 1 / (1 + (off / max(3 * float(np.median(off)), 1e-6)) ** 2)
    return found
