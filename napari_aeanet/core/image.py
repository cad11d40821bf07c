"""Images with axes, pixel size, unit and origin; regions of arrays.

Coordinates refer to pixel *centres*: pixel 0 of an axis has its centre at ``origin`` and extends
half a pixel to either side. Calibration missing in a file stays unknown (None).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.declared_range import DeclaredRange

AXES = "TCZYX"
SPATIAL_AXES = "ZYX"

Region = tuple[slice, ...]

# Pixels read at a time where an image may be larger than memory.
BLOCK_PIXELS = 2**24


class Array(Protocol):
    """An array of any library: numpy, dask, zarr, h5py and others."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, region: Any, /) -> Any: ...


def is_array(value: object) -> TypeGuard[Array]:
    """Return True for an array of any library whose pixels numpy can hold."""
    if not all(hasattr(value, name) for name in ("shape", "ndim", "dtype", "__getitem__")):
        return False
    try:
        np.dtype(value.dtype)  # type: ignore[attr-defined]
    except TypeError:  # of a torch tensor, for instance
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Channel:
    """Name and display colour (red, green, blue; 0 to 255) of a channel, as far as known.

    White, the default of most programs, counts as no colour.
    """

    name: str = ""
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True, eq=False)
class Image:
    """An array with axes and calibration.

    Parameters
    ----------
    array
        A numpy array, or a lazy one (memory map, zarr, dask), read through `read` only.
    axes
        One letter per dimension, from "TCZYX" and in that order.
    pixel_size
        One length per *spatial* axis present (Z, Y, X); None where unknown.
    unit
        Unit of the pixel sizes and of the origin ("nm", "µm", ...); None where unknown.
    origin
        World position of the centre of pixel 0 along each spatial axis.
    name
        A short name for tables and layers.
    source
        The file of the image, if any.
    source_index
        Index of the image in that file.
    notices
        Remarks of the reader, in plain sentences.
    intensity_range
        Full range of intensities by the metadata; None where unknown.
    channels
        One per position along C, or a single one without that axis; empty where unknown.
    time_interval
        Seconds between time points; None where unknown.
    interpolated
        Slices along Z that were made from their neighbours, not recorded, and how, in words.

    Channels, time interval and interpolated slices that do not fit the axes are dropped: an image
    made from another one keeps what still applies.
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
    intensity_range: DeclaredRange | None = None
    channels: tuple[Channel, ...] = ()
    time_interval: float | None = None
    interpolated: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_array(self.array):
            kind = type(self.array).__name__
            raise TypeError(f"array must be an array (numpy, dask, zarr ...), got {kind}.")
        check_type("axes", self.axes, str)
        if "".join(a for a in AXES if a in self.axes) != self.axes:
            msg = f"Image axes must be letters from '{AXES}' in that order, got '{self.axes}'."
            raise ValueError(msg)
        if len(self.axes) != self.array.ndim:
            msg = f"{self.name}: axes '{self.axes}' do not fit an array of shape {self.shape}."
            raise ValueError(msg)
        spatial = len(self.spatial_axes)
        # Omitted fields are filled in here (past `frozen`), so that their users need no cases.
        object.__setattr__(self, "pixel_size", tuple(self.pixel_size) or (None,) * spatial)
        object.__setattr__(self, "origin", tuple(self.origin) or (0.0,) * spatial)
        if len(self.pixel_size) != spatial or len(self.origin) != spatial:
            msg = (
                f"{self.name}: pixel size and origin need one value per spatial axis "
                f"'{self.spatial_axes}', got {self.pixel_size} and {self.origin}."
            )
            raise ValueError(msg)
        fits = len(self.channels) == self.sizes.get("C", 1)
        if not fits or set(self.channels) == {Channel()}:
            object.__setattr__(self, "channels", ())
        if "T" not in self.axes:
            object.__setattr__(self, "time_interval", None)
        kept = {z: how for z, how in self.interpolated.items() if 0 <= z < self.sizes.get("Z", 0)}
        object.__setattr__(self, "interpolated", kept)

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
        """The type of the pixels as returned by `read`, in native byte order."""
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
        """True if the pixel size in the plane is known."""
        return self.unit is not None and all(size is not None for size in self.pixel_size[-2:])

    def read(self, region: tuple[slice | int, ...] | None = None) -> np.ndarray:
        """Return the pixels of `region` (one slice per axis; None for all) as a numpy array."""
        block = np.asarray(self.array[region if region is not None else ...])
        return block.astype(self.dtype, copy=False)

    def read_blocks(self) -> Iterator[np.ndarray]:
        """Yield all pixels in blocks of bounded size."""
        return map(self.read, blocks(self.shape))

    def with_array(self, array: Any, **changes: Any) -> Image:
        """Return an image with other pixels (and other `changes`), same origin and calibration."""
        return replace(self, array=array, **changes)

    def regridded(self, array: Any, factors: Sequence[float], **changes: Any) -> Image:
        """Return an image of the same field on a grid `factors` times finer per spatial axis.

        new origin = old origin + (new pixel size - old pixel size) / 2, as the field stays fixed.
        An unknown pixel size counts as 1 for the origin only, and stays unknown.
        """
        sizes = tuple(
            None if s is None else s / f for s, f in zip(self.pixel_size, factors, strict=True)
        )
        origin = tuple(
            o + ((1 if s is None else s) / f - (1 if s is None else s)) / 2
            for o, s, f in zip(self.origin, self.pixel_size, factors, strict=True)
        )
        if dict(zip(self.spatial_axes, factors, strict=True)).get("Z", 1) != 1:
            changes = {"interpolated": {}, **changes}
        return replace(self, array=array, pixel_size=sizes, origin=origin, **changes)


def regions(shape: Sequence[int], size: Sequence[int]) -> Iterator[Region]:
    """Yield boxes of `size`, smaller at the far ends, that cover an array exactly once."""
    starts = (range(0, n, step) for n, step in zip(shape, size, strict=True))
    for corner in product(*starts):
        yield tuple(
            slice(i, min(i + step, n)) for i, step, n in zip(corner, size, shape, strict=True)
        )


def blocks(shape: Sequence[int]) -> Iterator[Region]:
    """Yield bands of rows of at most about `BLOCK_PIXELS` that cover an array exactly once."""
    *stack, _, width = shape
    width = max(1, width)
    return regions(shape, (*(1 for _ in stack), max(1, BLOCK_PIXELS // width), width))
