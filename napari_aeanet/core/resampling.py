"""Bicubic resampling of an image or a part of it, with identical values for both.

Both grids cover the same field, so output pixel i lies at the source position

    x_i = (i + 1/2) / factor - 1/2

and is the sum over source pixels of w((x - x_i) / s) · source(x) with the cubic kernel w, divided
by the sum of the weights; s = 1 for a finer grid and s = 1 / factor (against aliasing) for a
coarser one. Beyond the border the last pixel is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_aeanet.core.image import Region

Read = Callable[[Region], np.ndarray]


def resampled_shape(shape: Sequence[int], factors: Sequence[float]) -> tuple[int, ...]:
    """Return the shape of an image on a grid `factors` times finer."""
    return tuple(max(1, round(n * f)) for n, f in zip(shape, factors, strict=True))


def resampled(
    read: Read, shape: Sequence[int], factors: Sequence[float], region: Region
) -> np.ndarray:
    """Return `region` of the image on a grid `factors` times finer, as float32.

    Parameters
    ----------
    read
        Function returning a region of the source image; called once.
    shape
        Shape of the whole source image.
    factors
        Per axis; 1 leaves an axis unchanged.
    region
        In pixels of the new grid.
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
    """Like `resampled`, with the value of the source pixel around each output pixel centre."""
    indices = [
        np.clip(np.floor((np.arange(s.start, s.stop) + 0.5) / f).astype(int), 0, n - 1)
        for n, f, s in zip(shape, factors, region, strict=True)
    ]
    needed = tuple(slice(int(i[0]), int(i[-1]) + 1) for i in indices)
    values = read(needed)
    return values[np.ix_(*[i - s.start for i, s in zip(indices, needed, strict=True)])]


def _taps(size: int, factor: float, span: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the source pixels of each output pixel (outputs, taps) and their weights."""
    if factor == 1:
        index = np.arange(span.start, span.stop)[:, None]
        return index, np.ones_like(index, np.float32)
    stretch = max(1.0, 1 / factor)
    centre = (np.arange(span.start, span.stop) + 0.5) / factor - 0.5
    reach = int(np.ceil(2 * stretch))
    index = np.floor(centre).astype(int)[:, None] + np.arange(1 - reach, reach + 1)
    weights = cubic((index - centre[:, None]) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(index, 0, size - 1), weights.astype(np.float32)


def cubic(x: np.ndarray) -> np.ndarray:
    """Return Keys' cubic convolution kernel with parameter a = -1/2, non-zero for |x| < 2.

    w(x) = (a + 2)|x|³ - (a + 3)|x|² + 1 for |x| <= 1, and a(|x|³ - 5|x|² + 8|x| - 4) beyond.

    The only kernel of the package, for registered pairs and for images of another pixel size
    alike: restoration must give a network inputs of the sharpness it was trained on. With
    a = -1/2 interpolation is exact for parabolas (error O(h³)) and amplifies noise least. It is the
    "bicubic" of MATLAB, Pillow and torch (antialias=True); OpenCV's a = -3/4 is sharper, but
    displaces even a linear ramp by hundredths of a pixel.
    """
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _gathered(values: np.ndarray, index: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Return sum_t weights[:, t] · values[index[:, t]] along `axis`."""
    along = [1] * values.ndim
    along[axis] = -1
    total = None
    for column, weight in zip(index.T, weights.T, strict=True):
        term = values.take(column, axis=axis)
        term *= weight.reshape(along)
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total
