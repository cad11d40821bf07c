"""Refine the registration of large images on tiles at full resolution.

Large images are registered on reduced planes, where a hundredth of a pixel may be a tenth of a
pixel of the image. Tiles spread over the common field are therefore aligned again at full
resolution, and one transform is fitted to the places of their centres.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.registration import transforms
from napari_aeanet.registration.block_matching import BlockMatches
from napari_aeanet.registration.preprocessing import read_region, reduced
from napari_aeanet.registration.refinement import align
from napari_aeanet.registration.transforms import TransformKind

#: Tiles along each axis, and pixels of a tile along each side (of the coarser image).
TILES, TILE_SIDE = 5, 256
#: Fewest tiles for a new transform.
FEWEST_TILES = 8
#: Largest correction of the first transform, in pixels of the planes it was found on.
LARGEST_CORRECTION = 2.0


def refine_on_tiles(
    images: tuple[Image, Image],
    z: int,
    rows: tuple[int, int],
    matrix: np.ndarray,
    *,
    kind: TransformKind,
    inverted: bool,
    reduction: float,
) -> tuple[np.ndarray, BlockMatches] | None:
    """Refine `matrix` (source pixel to target pixel); return it with the residuals of the tiles.

    None if too few tiles can be aligned. `rows` are the heights of source and target without
    their text bands, `reduction` the number of target pixels per pixel of the plane on which
    `matrix` was found.
    """
    scale = transforms.scale_of(matrix)
    side = TILE_SIDE * max(1.0, scale)
    fields = [np.array([r, image.shape[-1]]) for r, image in zip(rows, images, strict=True)]
    found = []
    for tile in product(range(TILES), repeat=2):
        middle = fields[1] * (np.array(tile) + 0.5) / TILES
        moved = _align_tile(images, z, fields, matrix, middle, side, inverted)
        if moved is not None:
            found.append((middle, *moved))
    if len(found) < FEWEST_TILES:
        return None
    middles, sources, correlations = (np.array(values) for values in zip(*found, strict=True))
    distance = np.linalg.norm(transforms.apply(matrix, sources) - middles, axis=1)
    sound = correlations > 0.5 * np.median(correlations)
    sound &= distance < LARGEST_CORRECTION * reduction
    if sound.sum() < FEWEST_TILES:
        return None
    sources, middles = sources[sound], middles[sound]
    fitted = transforms.fit(sources, middles, kind)
    return fitted, BlockMatches(
        blocks=len(found),
        significant=len(found),
        points=middles,
        displacements=middles - transforms.apply(fitted, sources),
        precisions=np.ones(len(middles)),
    )


def _align_tile(
    images: tuple[Image, Image],
    z: int,
    fields: list[np.ndarray],
    matrix: np.ndarray,
    middle: np.ndarray,
    side: float,
    inverted: bool,
) -> tuple[np.ndarray, float] | None:
    """Return the source point at `middle` of the target, and the correlation of the tile."""
    square = middle + side / 2 * np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    places = [transforms.apply(np.linalg.inv(matrix), square), square]
    planes, corners = [], []
    for image, field, outline in zip(images, fields, places, strict=True):
        first = np.floor(outline.min(axis=0)).astype(int)
        last = np.ceil(outline.max(axis=0)).astype(int)
        if (first < 0).any() or (last > field).any():
            return None
        region = (slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))
        planes.append(read_region(image, z, *region))
        corners.append(first)
    local = transforms.translation(-corners[1]) @ matrix @ transforms.translation(corners[0])
    scale = transforms.scale_of(matrix)
    moving, up_source = reduced(planes[0], max(1.0, 1 / scale))
    fixed, up_target = reduced(planes[1], max(1.0, scale))
    start = np.linalg.inv(up_target) @ local @ up_source
    aligned = align(-moving if inverted else moving, fixed, start, TransformKind.SIMILARITY)
    if not np.isfinite(aligned.correlation):
        return None
    back = up_source @ np.linalg.inv(aligned.matrix) @ np.linalg.inv(up_target)
    return transforms.apply(back, (middle - corners[1])[None])[0] + corners[0], aligned.correlation
