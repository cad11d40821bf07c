"""Read a slice, averaged down, without NaN and bare borders."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from napari_aeanet.core.image import BLOCK_PIXELS, Image, regions
from napari_aeanet.core.nan_fill import missing
from napari_aeanet.repair.damage_features import averaged

#: Slices are averaged down to a shorter side of this many pixels or up to twice as many.
PLANE_SIDE = 512
#: Blur of the fine detail, in pixels of the slice.
DETAIL_BLUR = 1.5
#: A border of one value has at least this length along the edge, as share of the shorter side.
BARE_CONTACT = 0.25
SQUARE = np.ones((3, 3), np.uint8)


def read_slice(image: Image, index: int) -> tuple[np.ndarray, np.ndarray, float, float, int]:
    """Read a slice in strips.

    Returns
    -------
    tuple
        The slice averaged down, relative to a grey level; the share of valid pixels of each of its
        pixels; that grey level; the standard deviation of the fine detail; and the factor.
    """
    step = max(1, min(image.plane_shape) // PLANE_SIDE)
    height, width = (n // step for n in image.plane_shape)
    plane, valid, power = (np.empty((height, width), np.float32) for _ in range(3))
    rows = max(1, BLOCK_PIXELS // (width * step * step))
    level: float | None = None
    for strip in regions((height, width), (rows, width)):
        top, bottom = strip[0].start, strip[0].stop
        values = image.read((index, slice(top * step, bottom * step), slice(0, width * step)))
        good = ~missing(values)
        if level is None:
            level = float(np.median(values[good])) if good.any() else None
        relative = np.where(good, values - np.float64(level or 0), 0).astype(np.float32)
        fine = relative - cv2.GaussianBlur(relative, (0, 0), DETAIL_BLUR)
        share = averaged(good.astype(np.float32), step)
        weight = np.maximum(share, 1e-3)
        plane[strip] = averaged(relative, step) / weight
        power[strip] = averaged(fine * fine, step) / weight
        valid[strip] = share
    valid = np.where(_bare_border(plane) | (valid < 0.5), 0, valid)
    # At the edge of missing pixels the blur reads beyond: leave these out.
    inner = cv2.erode(np.pad((valid > 0.5).astype(np.uint8), 3, mode="edge"), np.ones((7, 7)))
    kept = power[inner[3:-3, 3:-3] > 0]
    detail = float(np.sqrt(kept.mean())) if kept.size else 0.0
    return plane, valid, level or 0.0, detail, step


def _bare_border(plane: np.ndarray) -> np.ndarray:
    """Return where the plane has one value from its edge inwards, as after an alignment."""
    same = cv2.dilate(plane, SQUARE) == cv2.erode(plane, SQUARE)
    if not same.any():
        return same
    labels, count = ndimage.label(same)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    contact = np.bincount(edge, minlength=count + 1)
    bare = contact >= BARE_CONTACT * min(plane.shape)
    bare[0] = False
    return cv2.dilate(bare[labels].astype(np.uint8), SQUARE) > 0
