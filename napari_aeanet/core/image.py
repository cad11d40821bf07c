"""An image as this project understands it: pixels, axes, pixel size, unit and place.

Coordinates are those of pixel *centres*: pixel 0 of an axis has its centre at ``origin`` and
reaches half a pixel to either side. What a file does not say stays unknown (None).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

AXES = "TCZYX"
SPATIAL_AXES = "ZYX"

Region = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels with their meaning.

    Parameters
    ----------
    array
        A numpy array, or a lazily read one (memory map, zarr, dask). Lazy arrays are only ever
        read through `read`.
    axes
        One letter per dimension, out of "TCZYX" and in that order.
    pixel_size
        One length per *spatial* axis (Z, Y, X as far as present); None where unknown.
    unit
        Unit of the pixel sizes and of the origin ("nm", "µm", ...); None where unknown.
    origin
        World position of the centre of pixel 0 along each spatial axis.
    name
        A short name for tables and layers.
    source
        The file the image came from, if any.
    source_index
        Which image of that file.
    notices
        What was noticed while reading it, in plain sentences.
    """

    array: Any
    axes: str
    pixel_size: tuple[float | None, ...] = ()
    unit: str | None = None
    origin: tuple[float, ...] = ()
    name: str = "image"
    source: Path | None = None
    source_index: int = 0
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if "".join(a for a in AXES if a in self.axes) != self.axes:
            msg = f"Image axes must be letters out of '{AXES}' in that order, got '{self.axes}'."
            raise ValueError(msg)
        if len(self.axes) != self.array.ndim:
            msg = f"{self.name}: axes '{self.axes}' do not fit an array of shape {self.shape}."
            raise ValueError(msg)
        spatial = len(self.spatial_axes)
        # Frozen: fill in what was left out, so that readers of these fields need no cases.
        object.__setattr__(self, "pixel_size", tuple(self.pixel_size) or (None,) * spatial)
        object.__setattr__(self, "origin", tuple(self.origin) or (0.0,) * spatial)
        if len(self.pixel_size) != spatial or len(self.origin) != spatial:
            msg = (
                f"{self.name}: pixel size and origin need one value per spatial axis "
                f"'{self.spatial_axes}', got {self.pixel_size} and {self.origin}."
            )
            raise ValueError(msg)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.shape[-2:]
        return height, width

    @property
    def dtype(self) -> np.dtype:
        """The type of the pixels, in this machine's byte order as `read` gives them."""
        return np.dtype(self.array.dtype).newbyteorder("=")

    @property
    def spatial_axes(self) -> str:
        return "".join(a for a in self.axes if a in SPATIAL_AXES)

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every axis by its letter."""
        return dict(zip(self.axes, self.shape, strict=True))

    @property
    def is_calibrated(self) -> bool:
        """Whether the pixel size in the plane is known."""
        return self.unit is not None and all(size is not None for size in self.pixel_size[-2:])

    def read(self, region: tuple[slice | int, ...] | None = None) -> np.ndarray:
        """The pixels of `region` (one slice per axis; everything if None) in memory."""
        block = np.asarray(self.array[region if region is not None else ...])
        return block.astype(self.dtype, copy=False)

    def with_array(self, array: Any, **changes: Any) -> Image:
        """The same place and calibration with other pixels (and other `changes`)."""
        return replace(self, array=array, **changes)

    def regridded(self, array: Any, factors: Sequence[float], **changes: Any) -> Image:
        """The same field on a grid that is `factors` times finer along each spatial axis.

        The field stays where it is, so the centre of the first pixel moves:
        new origin = old origin + (new pixel size - old pixel size) / 2.
        An unknown pixel size counts as 1 for the origin only, and stays unknown.
        """
        sizes = tuple(
            None if s is None else s / f for s, f in zip(self.pixel_size, factors, strict=True)
        )
        origin = tuple(
            o + ((1 if s is None else s) / f - (1 if s is None else s)) / 2
            for o, s, f in zip(self.origin, self.pixel_size, factors, strict=True)
        )
        return replace(self, array=array, pixel_size=sizes, origin=origin, **changes)
