"""Image planes for registration: float32, finite, without text band, limited in size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.io import find_text_band
from napari_aeanet.registration import transforms

#: Longest side of a plane in pixels; larger images are averaged down while they are read.
LONGEST_SIDE = 2048
#: Pixels read at a time from an image that is averaged down.
STRIP_PIXELS = 2**24


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """One image plane, and the matrix from its pixels to those of the image.

    Attributes
    ----------
    values
        float32, between 0 and 1 for most pixels.
    to_image
        3x3 matrix: pixel of the plane to pixel of the image (the identity unless reduced).
    rows
        Height of the image without the text band below it.
    """

    values: np.ndarray
    to_image: np.ndarray
    rows: int

    @property
    def is_reduced(self) -> bool:
        return not np.array_equal(self.to_image, np.eye(3))


def read_plane(image: Image, z: int) -> Plane:
    """Read plane `z` of a stack, or the only plane of an image, for registration."""
    height, width = image.shape[-2:]
    step = int(np.ceil(max(height, width) / LONGEST_SIDE))
    if step <= 1:
        values, to_image = read_region(image, z, slice(None), slice(None)), np.eye(3)
    else:
        values, to_image = _read_averaged(image, z, step), transforms.enlargement(step)
    band = find_text_band(values)
    rows = height if band is None else band * max(1, step)
    values = values[:band]
    low, high = np.quantile(values[::5, ::5], (0.001, 0.999)) if values.size else (0.0, 1.0)
    span = high - low
    scaled = (values - low) / span if span > 0 else values - low
    return Plane(values=scaled.astype(np.float32), to_image=to_image, rows=rows)


def flattened(image: Image, planes: Iterable[int]) -> tuple[Image, Image]:
    """Return the brightest pixels and the mean of planes of a stack, read one after the other."""
    brightest = total = np.zeros((), np.float32)
    count = 0
    for z in planes:
        values = read_region(image, z, slice(None), slice(None))
        brightest = np.maximum(brightest, values) if count else values
        total, count = total + values, count + 1
    size, origin = image.pixel_size[-2:], image.origin[-2:]
    plane = replace(image, array=brightest, axes="YX", pixel_size=size, origin=origin)
    return plane, replace(plane, array=total / count)


def read_region(image: Image, z: int, rows: slice, columns: slice) -> np.ndarray:
    """Read part of a plane as float32, with NaN and infinity replaced by the median."""
    plane = (z, rows, columns) if "Z" in image.axes else (rows, columns)
    values = image.read(plane).astype(np.float32)
    good = np.isfinite(values)
    if good.all():
        return values
    return np.where(good, values, np.median(values[good]) if good.any() else np.float32(0))


def reduced(plane: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Average blocks of about `factor` pixels a side; return also the matrix back to the pixels.

    Blocks are whole pixels wide: fractions would shift every block by another amount. There is one
    block at least.
    """
    step = max(1, min(round(factor), *plane.shape))
    if step == 1:
        return plane, np.eye(3)
    height, width = (n // step for n in plane.shape)
    whole = plane[: height * step, : width * step]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return small, transforms.enlargement(step)


def _read_averaged(image: Image, z: int, step: int) -> np.ndarray:
    """Average blocks of step x step pixels strip by strip: a huge image is never in memory."""
    height, width = (n // step for n in image.shape[-2:])
    strip = max(1, STRIP_PIXELS // (step * step * width))
    averaged = np.empty((height, width), np.float32)
    for top in range(0, height, strip):
        bottom = min(top + strip, height)
        rows = read_region(image, z, slice(top * step, bottom * step), slice(0, width * step))
        size = (width, bottom - top)
        averaged[top:bottom] = cv2.resize(rows, size, interpolation=cv2.INTER_AREA)
    return averaged
