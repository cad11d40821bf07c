"""Bicubic resampling of any part of an image, the same for a part as for the whole.

Both grids cover the same field, so output pixel i looks at the source position

    x_i = (i + 1/2) / factor - 1/2

and is the sum over source pixels of w((x - x_i) / s) · source(x), w the cubic kernel, with
s = 1 when the grid becomes finer and s = 1 / factor (no pixel is skipped) when it becomes coarser.
Beyond the border the last pixel is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_aeanet.core.image import Region

Read = Callable[[Region], np.ndarray]

# Keys' parameter, the value that OpenCV's bicubic interpolation uses too.
SHARPNESS = -0.75


def resampled_shape(shape: Sequence[int], factors: Sequence[float]) -> tuple[int, ...]:
    return tuple(max(1, round(n * f)) for n, f in zip(shape, factors, strict=True))


def resampled(
    read: Read, shape: Sequence[int], factors: Sequence[float], region: Region
) -> np.ndarray:
    """`region` of the image on a grid `factors` times finer, as float32.

    Parameters
    ----------
    read
        Gives a region of the source image; asked once, for what is needed.
    shape
        Shape of the whole source image.
    factors
        Per axis; 1 leaves an axis as it is.
    region
        What is wanted, in pixels of the new grid.
    """
    taps = [_taps(n, f, s) for n, f, s in zip(shape, factors, region, strict=True)]
    needed = tuple(slice(int(i.min()), int(i.max()) + 1) for i, _ in taps)
    values = np.asarray(read(needed), np.float32)
    for axis, ((index, weights), span, factor) in enumerate(
        zip(taps, needed, factors, strict=True)
    ):
        if factor != 1:
            values = _gathered(values, index - span.start, weights, axis)
    return values


def nearest(
    read: Read, shape: Sequence[int], factors: Sequence[float], region: Region
) -> np.ndarray:
    """Like `resampled`, each output pixel taking the source pixel in whose area it lies."""
    indices = [
        np.clip(np.floor((np.arange(s.start, s.stop) + 0.5) / f).astype(int), 0, n - 1)
        for n, f, s in zip(shape, factors, region, strict=True)
    ]
    needed = tuple(slice(int(i[0]), int(i[-1]) + 1) for i in indices)
    values = read(needed)
    return values[np.ix_(*[i - s.start for i, s in zip(indices, needed, strict=True)])]


def _taps(size: int, factor: float, span: slice) -> tuple[np.ndarray, np.ndarray]:
    """Source pixels (outputs, taps) that each output looks at, and their weights."""
    if factor == 1:
        index = np.arange(span.start, span.stop)[:, None]
        return index, np.ones_like(index, np.float32)
    stretch = max(1.0, 1 / factor)
    centre = (np.arange(span.start, span.stop) + 0.5) / factor - 0.5
    reach = int(np.ceil(2 * stretch))
    index = np.floor(centre).astype(int)[:, None] + np.arange(1 - reach, reach + 1)
    weights = _cubic((index - centre[:, None]) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(index, 0, size - 1), weights.astype(np.float32)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' piecewise cubic kernel, non-zero for |x| < 2."""
    a, x = SHARPNESS, np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _gathered(values: np.ndarray, index: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """sum_t weights[:, t] · values[index[:, t]] along `axis`."""
    along = [1] * values.ndim
    along[axis] = -1
    total = None
    for column, weight in zip(index.T, weights.T, strict=True):
        term = values.take(column, axis=axis)
        term *= weight.reshape(along)
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total
