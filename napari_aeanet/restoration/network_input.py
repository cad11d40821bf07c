"""One plane or stack of an image as the input of a network, read in parts of any size.

The chain of operations, outermost first: reflected to the network's grid, resampled to the
model's pixel size, normalised, missing pixels filled. Every part equals that of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core import nan_fill
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.intensity import Scaling
from napari_aeanet.core.resampling import nearest, resampled, resampled_shape
from napari_aeanet.core.tiles import Halo, extent, grid_padding, reflected, within


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """The pixels that a network reads from an image.

    Parameters
    ----------
    image
        The source.
    place
        One slice per axis of the image: of length 1 along the axes that are looped over.
    axes
        Axes of the network's input, in the image's order.
    measure
        Function that returns the scaling from intensities to the network's range. It may read
        the whole image, so it is called only when pixels are needed.
    factors
        Pixels of the model's grid per source pixel, per axis.
    grid
        The multiple that the network needs, per axis.
    """

    image: Image
    place: Region
    axes: str
    measure: Callable[[], Scaling]
    factors: tuple[float, ...]
    grid: tuple[int, ...]

    @property
    def scaling(self) -> Scaling:
        return self.measure()

    @property
    def source_shape(self) -> tuple[int, ...]:
        return tuple(self.image.sizes[axis] for axis in self.axes)

    @property
    def size(self) -> tuple[int, ...]:
        """Shape on the model's grid, before padding."""
        return resampled_shape(self.source_shape, self.factors)

    @property
    def padding(self) -> Halo:
        return grid_padding(self.size, self.grid)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with padding."""
        return tuple(n + a + b for n, (a, b) in zip(self.size, self.padding, strict=True))

    def read(self, region: Region) -> np.ndarray:
        """Return `region` of the padded input, as float32."""
        indices = [
            reflected(np.arange(s.start, s.stop) - before, n)
            for s, (before, _), n in zip(region, self.padding, self.size, strict=True)
        ]
        needed = tuple(slice(int(i.min()), int(i.max()) + 1) for i in indices)
        values = self._on_grid(needed)
        if extent(needed) != extent(region):
            values = values[np.ix_(*[i - s.start for i, s in zip(indices, needed, strict=True)])]
        return values

    def missing(self, region: Region) -> np.ndarray:
        """Return a mask of the pixels of `region` (not padded) without a number in the source."""
        return nearest(
            lambda part: nan_fill.missing(self._raw(part)), self.source_shape, self.factors, region
        )

    def _on_grid(self, region: Region) -> np.ndarray:
        if all(factor == 1 for factor in self.factors):
            return self._normalised(region)
        return resampled(self._normalised, self.source_shape, self.factors, region)

    def _normalised(self, region: Region) -> np.ndarray:
        if self.image.dtype.kind != "f":
            return self.scaling.apply(self._raw(region))
        wider = tuple(
            slice(max(0, s.start - nan_fill.REACH), min(n, s.stop + nan_fill.REACH))
            for s, n in zip(region, self.source_shape, strict=True)
        )
        raw = self._raw(wider)
        values = self.scaling.apply(raw)
        if (nan_fill.missing(values) & ~nan_fill.missing(raw)).any():
            msg = f"{self.image.name}: pixels lie far outside of the intensity range (--range)."
            raise ValueError(msg)
        return nan_fill.filled(values, fallback=0.5)[within(region, wider)]

    def _raw(self, region: Region) -> np.ndarray:
        parts = dict(zip(self.axes, region, strict=True))
        whole = tuple(parts.get(a, s) for a, s in zip(self.image.axes, self.place, strict=True))
        looped = tuple(i for i, a in enumerate(self.image.axes) if a not in self.axes)
        return self.image.read(whole).squeeze(axis=looped)


def places(image: Image, axes: str) -> Iterator[Region]:
    """Yield the place of every plane or stack of `image` that has the network's `axes`."""
    lengths = [1 if a in axes else n for a, n in zip(image.axes, image.shape, strict=True)]
    for position in np.ndindex(*lengths):
        yield tuple(
            slice(None) if a in axes else slice(i, i + 1)
            for a, i in zip(image.axes, position, strict=True)
        )
