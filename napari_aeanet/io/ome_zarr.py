"""OME-Zarr 0.4 and 0.5: multiscale images in a folder; the finest level is read.

Both versions hold the axes (name, unit) and, per level, a scale and a translation of pixel i:
position = scale * i + translation. The scale is compulsory, so a scale of 1 without a unit stands
for an unknown pixel size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_aeanet.core.image import SPATIAL_AXES, Image, Region, regions
from napari_aeanet.core.units import LONG_NAMES, convert, in_one_unit, in_seconds, normalise_unit
from napari_aeanet.io import lazy
from napari_aeanet.io.axes import Calibration, Stored
from napari_aeanet.io.compression import Compression, zarr_compression
from napari_aeanet.io.intensity_metadata import range_in_omero, stated_range
from napari_aeanet.io.omero import omero_metadata, read_channels
from napari_aeanet.io.zarr_chunks import notice_of_missing_chunks

if TYPE_CHECKING:
    import zarr

Version = Literal["0.4", "0.5"]
ZARR_FORMAT: Mapping[Version, Literal[2, 3]] = {"0.4": 2, "0.5": 3}

_AXIS_TYPES = {"T": "time", "C": "channel"}
# Our own attributes: slices that were made from their neighbours, and how.
OWN = "napari-aeanet"
# Pixels along Y and X of a shard, which is one file of the finest level and is written as a whole;
# 1 along the others, so that single planes can be read.
_SHARD = 1024
# Chunks of a shard along Y and X, each of which a viewer can read alone.
_CHUNKS_IN_SHARD = 4
# Factor between levels along Y and X, for the display of large planes.
_COARSER = 4
# Chunks of zeros too, so that a missing one is no part of the image.
_STORE_ALL: Any = {"write_empty_chunks": True}


def read_omezarr(path: Path) -> list[Stored]:
    """Read all images of an OME-Zarr folder (one, unless it was converted from several)."""
    if path.is_file():
        msg = f"{path} is a file, but OME-Zarr is a folder: unpack it first."
        raise ValueError(msg)
    try:
        return [_read_multiscale(group, attributes) for group, attributes in _multiscales(path)]
    except FileNotFoundError as error:
        msg = f"{path} holds no image or lacks files ({error}): copy the whole folder again."
        raise ValueError(msg) from error


def _multiscales(path: Path) -> Iterator[tuple[zarr.Group, Mapping[str, Any]]]:
    """Yield the groups that hold an image, each with its OME metadata."""
    import zarr

    # Consolidated metadata may be outdated, and are no faster on a disk.
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    attributes = _ome_attributes(root)
    if "multiscales" in attributes:
        yield root, attributes
        return
    if "bioformats2raw.layout" not in attributes:
        msg = "its metadata names no multiscale image"
        raise ValueError(msg)
    numbered = sorted((name for name in root.group_keys() if name.isdigit()), key=int)
    for name in numbered:
        group = root[name]
        yield group, _ome_attributes(group)


def _ome_attributes(group: zarr.Group) -> Mapping[str, Any]:
    """Return the OME metadata, stored under "ome" since version 0.5, and our own."""
    attributes = dict(group.attrs)
    own = {OWN: attributes[OWN]} if OWN in attributes else {}
    return {**attributes.get("ome", attributes), **own}


def _read_multiscale(group: zarr.Group, attributes: Mapping[str, Any]) -> Stored:
    scales = attributes["multiscales"][0]
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
    own = attributes.get(OWN, {})
    interval = dict(zip(letters, zip(scale, scales["axes"], strict=True), strict=True)).get("T")
    calibration = Calibration(
        pixel_size=sizes,
        unit=common,
        origin=origin,
        single_axes=letters,
        channels=read_channels(attributes.get("omero")),
        time_interval=interval and in_seconds(interval[0], interval[1].get("unit")),
        interpolated={int(z): str(how) for z, how in own.get("interpolated", {}).items()},
    )
    pixels = array[...] if array.nbytes <= lazy.LARGE_BYTES else array
    stated = range_in_omero(attributes.get("omero"), array.dtype)
    return Stored(
        array=pixels,
        axes=letters,
        calibration=calibration,
        intensity_range=stated,
        notices=notice_of_missing_chunks(array),
    )


def _placement(
    level: Mapping[str, Any], scales: Mapping[str, Any], count: int
) -> tuple[list[float], list[float]]:
    """Return scale and translation of every axis: of the level, then of all levels."""
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


def write_omezarr(
    image: Image,
    path: Path,
    version: Version = "0.5",
    compression: Compression = Compression.AUTOMATIC,
) -> None:
    """Write an image as an OME-Zarr folder, shard by shard."""
    levels = create_omezarr(image, path, version, compression)
    for region in regions(levels[0].shape, written_shape(levels[0])):
        write_chunk(levels, region, image.read(region))


def create_omezarr(
    image: Image,
    path: Path,
    version: Version = "0.5",
    compression: Compression = Compression.AUTOMATIC,
) -> list[zarr.Array]:
    """Create an OME-Zarr folder without pixels, with calibration, shape and type of `image`.

    Returns the arrays to be filled by `write_chunk`, the finest first, each coarser one a quarter
    as wide and high. What is not written reads as zero.

    Only the finest level has shards (version 0.5). Several shards share a chunk of a coarser level,
    and a program that reads a shard while it is replaced may take its index from the old one.
    """
    import zarr

    group = zarr.create_group(path, zarr_format=ZARR_FORMAT[version])
    count = 1
    while max(image.plane_shape) > _SHARD * _COARSER ** (count - 1):
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
    omero = {"omero": omero_metadata(image)} if image.channels or stated_range(image) else {}
    if image.interpolated:
        made = {str(z): how for z, how in image.interpolated.items()}
        group.attrs[OWN] = {"interpolated": made}
    if version == "0.4":
        group.attrs.update({"multiscales": [{"version": version, **multiscale}], **omero})
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale], **omero}
    levels: list[zarr.Array] = []
    for level in reversed(range(count)):  # the finest last: if it exists, all do
        shape = tuple(-(-n // s) for n, s in zip(image.shape, _steps(image, level), strict=True))
        most = _SHARD if version == "0.4" else _SHARD // _CHUNKS_IN_SHARD
        chunks = [min(n, most) if a in "YX" else 1 for a, n in zip(image.axes, shape, strict=True)]
        shards = [
            min(-(-n // c), _CHUNKS_IN_SHARD) * c if a in "YX" else 1
            for a, n, c in zip(image.axes, shape, chunks, strict=True)
        ]
        array = group.create_array(
            str(level),
            shape=shape,
            dtype=image.dtype,
            chunks=tuple(chunks),
            shards=tuple(shards) if version == "0.5" and level == 0 and shards != chunks else None,
            dimension_names=[a.lower() for a in image.axes] if version == "0.5" else None,
            config=_STORE_ALL,
            **zarr_compression(compression),
        )
        levels.insert(0, array)
    return levels


def open_levels(path: Path, mode: Literal["r", "r+"] = "r") -> list[zarr.Array]:
    """Open the arrays of an OME-Zarr image made by `create_omezarr`, the finest first."""
    import zarr

    group = zarr.open_group(path, mode=mode, use_consolidated=False)
    levels = _ome_attributes(group)["multiscales"][0]["datasets"]
    with zarr.config.set({f"array.{option}": value for option, value in _STORE_ALL.items()}):
        return [group[level["path"]] for level in levels]


def written_shape(array: zarr.Array) -> tuple[int, ...]:
    """Return the shape of what is written as a whole: that of the shards, or else of the chunks."""
    return array.shards or array.chunks


def write_chunk(levels: Sequence[zarr.Array], region: Region, values: np.ndarray) -> None:
    """Write a whole shard (or chunk) of the finest level and its means to the coarser levels.

    Means are rounded down for integer types.
    """
    levels[0][region] = values
    if len(levels) > 1:
        write_means(levels, region, coarser(values))


def write_means(levels: Sequence[zarr.Array], region: Region, means: np.ndarray) -> None:
    """Write the means of a shard of the finest level to the coarser levels.

    Several shards share a chunk of a coarser level, so that only one process may do this.
    """
    for array in levels[1:]:
        plane = (slice(s.start // _COARSER, -(-s.stop // _COARSER)) for s in region[-2:])
        region = (*region[:-2], *plane)
        array[region] = means
        means = coarser(means)


def coarser(values: np.ndarray) -> np.ndarray:
    """Return means over squares of pixels, smaller ones at the end of the image."""
    total, count = values.astype(np.float64), 1.0
    for axis in (-2, -1):
        starts = np.arange(0, values.shape[axis], _COARSER)
        lengths = np.minimum(_COARSER, values.shape[axis] - starts)
        with np.errstate(invalid="ignore"):  # of infinities of both signs
            total = np.add.reduceat(total, starts, axis)
        count = np.multiply.outer(count, lengths)
    return (total / count).astype(values.dtype)


def _steps(image: Image, level: int) -> list[int]:
    """Return the image pixels per pixel of a level, along every axis."""
    return [_COARSER**level if axis in "YX" else 1 for axis in image.axes]


def _axis(letter: str, image: Image) -> dict[str, str]:
    axis = {"name": letter.lower(), "type": _AXIS_TYPES.get(letter, "space")}
    sizes = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    # With a unit, the compulsory scale of 1 of an unknown size would count as known.
    if image.unit is not None and sizes.get(letter) is not None:
        axis["unit"] = LONG_NAMES.get(image.unit, image.unit)
    if letter == "T" and image.time_interval is not None:
        axis["unit"] = "second"
    return axis


def _transformations(image: Image, level: int) -> list[dict[str, Any]]:
    """Return scale and translation of a level, whose pixels are centred on those they average."""
    sizes = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    sizes["T"] = image.time_interval
    origin = dict(zip(image.spatial_axes, image.origin, strict=True))
    scale = [float(sizes.get(a) or 1) for a in image.axes]
    first = [float(origin.get(a, 0)) for a in image.axes]
    steps = _steps(image, level)
    places = zip(first, scale, steps, strict=True)
    return [
        {"type": "scale", "scale": [size * step for size, step in zip(scale, steps, strict=True)]},
        {"type": "translation", "translation": [o + s * (n - 1) / 2 for o, s, n in places]},
    ]
