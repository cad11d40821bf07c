"""OME-Zarr 0.4 and 0.5: multiscale images in a folder, of which the finest level is read.

Both versions describe axes (name, unit) and, per level, a scale and a translation, which say
where pixel i lies: position = scale * i + translation. A scale is compulsory, so files without
calibration have a scale of 1 and no unit: that is read, and written, as unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_aeanet.core.image import SPATIAL_AXES, Image, Region
from napari_aeanet.core.units import convert, in_one_unit, normalise_unit
from napari_aeanet.io import lazy
from napari_aeanet.io.axes import Calibration, Stored

if TYPE_CHECKING:
    import zarr

Version = Literal["0.4", "0.5"]
ZARR_FORMAT: Mapping[Version, Literal[2, 3]] = {"0.4": 2, "0.5": 3}

_LONG_UNITS = {
    "Å": "angstrom",
    "pm": "picometer",
    "nm": "nanometer",
    "µm": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
}
_AXIS_TYPES = {"T": "time", "C": "channel"}
_CHUNK = 1024  # pixels along Y and X, 1 along the others: a plane is read without its neighbours
# From one level to the next, along Y and X: a large plane is looked at without reading all of it.
_COARSER = 4
# What comes of metadata or chunks that are missing or not what they should be.
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, FileNotFoundError)


def read_omezarr(path: Path) -> list[Stored]:
    """Every image in an OME-Zarr folder (one, unless it was converted from several)."""
    if path.is_file():
        msg = f"{path} is a file, but OME-Zarr is a folder: unpack it first."
        raise ValueError(msg)
    try:
        return [_read_multiscale(group, scales) for group, scales in _multiscales(path)]
    except _DAMAGE as error:
        msg = (
            f"{path} is not an OME-Zarr image of version 0.4 or 0.5 that can be read "
            f"({error}): copy the whole folder, or export it again."
        )
        raise ValueError(msg) from error


def _multiscales(path: Path) -> Iterator[tuple[zarr.Group, Mapping[str, Any]]]:
    """The groups that hold an image, each with its metadata."""
    import zarr

    # Consolidated metadata may be stale, and is no gain on a disk.
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    attributes = _ome_attributes(root)
    if "multiscales" in attributes:
        yield root, attributes["multiscales"][0]
        return
    if "bioformats2raw.layout" not in attributes:
        msg = "its metadata names no multiscale image"
        raise ValueError(msg)
    numbered = sorted((name for name in root.group_keys() if name.isdigit()), key=int)
    for name in numbered:
        group = root[name]
        yield group, _ome_attributes(group)["multiscales"][0]


def _ome_attributes(group: zarr.Group) -> Mapping[str, Any]:
    """Version 0.5 keeps them under "ome", 0.4 does not."""
    attributes = dict(group.attrs)
    return attributes.get("ome", attributes)


def _read_multiscale(group: zarr.Group, scales: Mapping[str, Any]) -> Stored:
    level = scales["datasets"][0]
    array = group[level["path"]]
    names = [axis["name"] for axis in scales["axes"]]
    letters = "".join(name.upper() for name in names)
    units = [normalise_unit(axis.get("unit")) for axis in scales["axes"]]
    scale, translation = _placement(level, scales, len(names))
    lengths = {
        a: (size, unit)
        for a, size, unit in zip(letters, scale, units, strict=True)
        if a in SPATIAL_AXES and (unit is not None or size != 1)
    }
    sizes, common = in_one_unit(lengths)
    origin = {
        a: place if unit is None or common is None else convert(place, unit, common)
        for a, place, unit in zip(letters, translation, units, strict=True)
    }
    known = Calibration(pixel_size=sizes, unit=common, origin=origin, single_axes=letters)
    return Stored(array=_pixels(array), axes=letters, calibration=known)


def _placement(
    level: Mapping[str, Any], scales: Mapping[str, Any], count: int
) -> tuple[list[float], list[float]]:
    """Scale and translation of every axis: those of the level, then those of all levels."""
    scale, translation = np.ones(count), np.zeros(count)
    steps = [
        *level.get("coordinateTransformations", ()),
        *scales.get("coordinateTransformations", ()),
    ]
    for step in steps:
        if step["type"] == "scale":
            scale, translation = scale * step["scale"], translation * step["scale"]
        elif step["type"] == "translation":
            translation = translation + step["translation"]
    return scale.tolist(), translation.tolist()


def _pixels(array: zarr.Array) -> Any:
    return array[...] if array.nbytes <= lazy.LARGE_BYTES else array


def write_omezarr(image: Image, path: Path, version: Version = "0.5") -> None:
    """Write an image as an OME-Zarr folder, chunk by chunk."""
    levels = create_omezarr(image, path, version)
    for region in _chunk_regions(levels[0].shape, levels[0].chunks):
        write_chunk(levels, region, image.read(region))


def create_omezarr(image: Image, path: Path, version: Version = "0.5") -> list[zarr.Array]:
    """An OME-Zarr folder for pixels still to come: calibrated like `image`, of its shape and type.

    Returns the arrays to be filled with `write_chunk`, the finest first, each coarser one a quarter
    as wide and high; what is never written reads as zero.
    """
    import zarr

    group = zarr.create_group(path, zarr_format=ZARR_FORMAT[version])
    count = 1
    while max(image.plane_shape) > _CHUNK * _COARSER ** (count - 1):
        count += 1
    multiscale = {
        "name": image.name,
        "axes": [_axis(letter, image) for letter in image.axes],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": _transformations(image, level),
            }
            for level in range(count)
        ],
    }
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": version, **multiscale}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    levels: list[zarr.Array] = []
    for level in reversed(range(count)):  # where the finest one is, all are
        shape = tuple(-(-n // s) for n, s in zip(image.shape, _steps(image, level), strict=True))
        array = group.create_array(
            str(level),
            shape=shape,
            dtype=image.dtype,
            chunks=tuple(
                min(n, _CHUNK) if a in "YX" else 1 for a, n in zip(image.axes, shape, strict=True)
            ),
            dimension_names=[a.lower() for a in image.axes] if version == "0.5" else None,
        )
        levels.insert(0, array)
    return levels


def open_levels(path: Path, mode: Literal["r", "r+"] = "r") -> list[zarr.Array]:
    """The arrays of an OME-Zarr image that this program wrote, the finest first."""
    import zarr

    group = zarr.open_group(path, mode=mode, use_consolidated=False)
    return [group[level["path"]] for level in _ome_attributes(group)["multiscales"][0]["datasets"]]


def write_chunk(levels: Sequence[zarr.Array], region: Region, values: np.ndarray) -> None:
    """Write a whole chunk of the finest level, and what becomes of it on the coarser ones.

    A coarser pixel is the mean of the finer ones, rounded down where pixels are whole numbers.
    """
    levels[0][region] = values
    for array in levels[1:]:
        values = _coarser(values)
        plane = (slice(s.start // _COARSER, -(-s.stop // _COARSER)) for s in region[-2:])
        region = (*region[:-2], *plane)
        array[region] = values


def _coarser(values: np.ndarray) -> np.ndarray:
    """Means over squares of pixels; those at the end of the image may be smaller."""
    total, count = values.astype(np.float64), 1.0
    for axis in (-2, -1):
        starts = np.arange(0, values.shape[axis], _COARSER)
        lengths = np.minimum(_COARSER, values.shape[axis] - starts)
        with np.errstate(invalid="ignore"):  # of infinities of both signs
            total = np.add.reduceat(total, starts, axis)
        count = np.multiply.outer(count, lengths)
    return (total / count).astype(values.dtype)


def _steps(image: Image, level: int) -> list[int]:
    """Pixels of the image per pixel of a level, along every axis."""
    return [_COARSER**level if axis in "YX" else 1 for axis in image.axes]


def _axis(letter: str, image: Image) -> dict[str, str]:
    axis = {"name": letter.lower(), "type": _AXIS_TYPES.get(letter, "space")}
    sizes = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    # A unit beside an unknown size would turn the compulsory scale of 1 into a claim.
    if image.unit is not None and sizes.get(letter) is not None:
        axis["unit"] = _LONG_UNITS.get(image.unit, image.unit)
    return axis


def _transformations(image: Image, level: int) -> list[dict[str, Any]]:
    """Where a level lies: the centre of its first pixel is that of the pixels it is the mean of."""
    sizes = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    origin = dict(zip(image.spatial_axes, image.origin, strict=True))
    scale = [float(sizes.get(a) or 1) for a in image.axes]
    first = [float(origin.get(a, 0)) for a in image.axes]
    steps = _steps(image, level)
    places = zip(first, scale, steps, strict=True)
    return [
        {"type": "scale", "scale": [size * step for size, step in zip(scale, steps, strict=True)]},
        {"type": "translation", "translation": [o + s * (n - 1) / 2 for o, s, n in places]},
    ]


def _chunk_regions(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[Region]:
    starts = [range(0, n, c) for n, c in zip(shape, chunks, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(i, i + c) for i, c in zip(corner, chunks, strict=True))
