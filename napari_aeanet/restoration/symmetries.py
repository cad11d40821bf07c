"""The eight symmetries of the image plane: flips and quarter turns of the last two axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.restoration.tile_runner import Source


@dataclass(frozen=True)
class DihedralTransform:
    """Exchange rows and columns (or not), then flip either (or not)."""

    transpose: bool = False
    flip: tuple[bool, bool] = (False, False)

    def apply(self, values: np.ndarray) -> np.ndarray:
        if self.transpose:
            values = values.swapaxes(-1, -2)
        return self._flipped(values)

    def undo(self, values: np.ndarray) -> np.ndarray:
        values = self._flipped(values)
        return values.swapaxes(-1, -2) if self.transpose else values

    def _flipped(self, values: np.ndarray) -> np.ndarray:
        rows, columns = (slice(None, None, -1 if flip else 1) for flip in self.flip)
        return values[..., rows, columns]

    def apply_to_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        *front, y, x = shape
        return (*front, x, y) if self.transpose else (*front, y, x)

    def apply_to_region(self, region: Region, shape: Sequence[int]) -> Region:
        """Return the place of `region` of an array of `shape` in the transformed array."""
        *front, y, x = region
        return (*front, *self._mirrored((x, y) if self.transpose else (y, x), shape))

    def undo_to_region(self, region: Region, shape: Sequence[int]) -> Region:
        """Return the place of `region` of the transformed array in the array of `shape`."""
        *front, y, x = region
        flipped = self._mirrored((y, x), shape)
        return (*front, *(flipped[::-1] if self.transpose else flipped))

    def _mirrored(self, plane: tuple[slice, slice], shape: Sequence[int]) -> list[slice]:
        return [
            slice(n - s.stop, n - s.start) if f else s
            for s, n, f in zip(plane, self.apply_to_shape(shape)[-2:], self.flip, strict=True)
        ]


IDENTITY = (DihedralTransform(),)
ALL = tuple(
    DihedralTransform(transpose, (rows, columns))
    for transpose in (False, True)
    for rows in (False, True)
    for columns in (False, True)
)


@dataclass(frozen=True, eq=False)
class TransformedSource:
    """A view of a source under a transform; pixels are read only on demand."""

    source: Source
    transform: DihedralTransform = IDENTITY[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.transform.apply_to_shape(self.source.shape)

    def read(self, region: Region) -> np.ndarray:
        return self.transform.apply(
            self.source.read(self.transform.undo_to_region(region, self.source.shape))
        )

    def region(self, region: Region) -> Region:
        """Return a region of the source as a region of this view."""
        return self.transform.apply_to_region(region, self.source.shape)
