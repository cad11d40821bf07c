"""Plain filters of an image at the places of a coarser grid, exact in parts of any size.

A band of width b is the difference of two Gaussians,

    d_b = G(b/2) * x - G(b) * x,

and its energy the mean of d_b² in a Gaussian window. Energies are taken as logarithms, since they
span orders of magnitude. Gaussians end at `REACH` deviations; beyond its border an image is
reflected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import extent, reflected

BANDS = (1, 2, 4, 8)  # px
WINDOW = 8  # px, deviation of the window of energies
BRIGHTNESS = 4  # px, deviation
FINE_BRIGHTNESS = 1  # px, deviation
REACH = 3  # deviations
# Energies below this, on a scale of 0 to 1, are of no structure: a quarter of a grey level squared.
FLOOR = 1e-6
# Columns of descriptors.
ENERGIES, MEAN = slice(0, len(BANDS)), len(BANDS)
DESCRIPTORS = len(BANDS) + 1
INPUT_FILTERS = DESCRIPTORS + 1


class HasPixels(Protocol):
    """Pixels on the network's grid, read in parts."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self, region: Region) -> np.ndarray: ...


def filtered(
    source: HasPixels, inner: Region, stride: Sequence[int], centre: Sequence[float]
) -> np.ndarray:
    """Return the six filters at the places of a region: (6, y, x).

    The first five are the descriptors of structure: log energies of the bands, and brightness;
    the last is the brightness at a fine scale.

    Parameters
    ----------
    inner
        The region, on the grid of the places.
    stride, centre
        Place i is centred on the pixel `stride · i + centre`.
    """
    counts = [n // s for n, s in zip(extent(inner), stride, strict=True)]
    window = [WINDOW / s for s in stride]
    beyond = [int(REACH * w + 0.5) for w in window]  # places
    margin = int(REACH * max(BANDS) + 0.5)
    spans = []
    for region, step, middle, count, rim in zip(inner, stride, centre, counts, beyond, strict=True):
        # The block of pixels around the first place begins here.
        begin = region.start + round(middle - (step - 1) / 2) - rim * step
        spans.append(slice(begin - margin, begin + (count + 2 * rim) * step + margin))
    x = _read_reflected(source, tuple(spans))
    smooth = {b: _gaussian(x, b) for b in {b / 2 for b in BANDS} | set(BANDS) | {BRIGHTNESS}}
    cut = (slice(margin, -margin),) * 2
    own = tuple(slice(rim, rim + count) for rim, count in zip(beyond, counts, strict=True))
    maps = []
    for band in BANDS:
        energy = _blocks(np.square((smooth[band / 2] - smooth[band])[cut]), stride)
        maps.append(np.log(_gaussian(energy, window)[own] + FLOOR))
    for width in (BRIGHTNESS, FINE_BRIGHTNESS):
        maps.append(_blocks(smooth[width][cut], stride)[own])
    return np.stack(maps)


def _read_reflected(source: HasPixels, region: Region) -> np.ndarray:
    """Return a region that may reach beyond the image, which is reflected there."""
    index = [
        reflected(np.arange(s.start, s.stop), n) for s, n in zip(region, source.shape, strict=True)
    ]
    needed = tuple(slice(int(i.min()), int(i.max()) + 1) for i in index)
    return source.read(needed)[np.ix_(*[i - s.start for i, s in zip(index, needed, strict=True)])]


def _blocks(x: np.ndarray, stride: Sequence[int]) -> np.ndarray:
    """Return the means of blocks of `stride` pixels."""
    height, width = (n // s for n, s in zip(x.shape, stride, strict=True))
    return x.reshape(height, stride[0], width, stride[1]).mean(axis=(1, 3))


def _gaussian(x: np.ndarray, deviation: float | Sequence[float]) -> np.ndarray:
    return gaussian_filter(x, deviation, truncate=REACH, mode="nearest")
