"""TIFF files: plain, ImageJ and OME, single or many pages, any size."""

from __future__ import annotations

import logging
import math
import re
import struct
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy
from napari_aeanet.io.axes import SAMPLES, Calibration, Stored
from napari_aeanet.io.tiff_metadata import NAMESPACE, NO_UNIT, calibrations

_COLOUR = ("RGB", "YCBCR", "CIELAB", "SEPARATED")
_ALPHA = (1, 2)  # ExtraSamples: associated and unassociated alpha
_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_TILE = 1024
# What comes of headers, metadata or pixels that are not what they should be.
_DAMAGE = (
    tifffile.TiffFileError,
    ElementTree.ParseError,
    struct.error,
    LookupError,
    RuntimeError,  # the decoders
    TypeError,
    ValueError,
)
# tifffile reports these for offsets beyond the end of the file, and goes on without the pages;
# an offset below 8 is a quirk of some program, not a missing end.
_BEYOND_END = re.compile(r"invalid (page|value) offset (\d{2,}|[89])\b")
_IMAGEJ_LIMIT = 2**32 - 2**24  # 4 GB, less room for headers


def read_tiff(path: Path) -> list[Stored]:
    """Every image series of a TIFF file, with its calibration.

    Small series are loaded; large ones are memory-mapped where they lie uncompressed in one
    piece, and otherwise decoded piece by piece when read.
    """
    try:
        with _complaints() as complaints, tifffile.TiffFile(path) as tif:
            series = tif.series  # looks for all pages, and so comes before the question
            if not complaints and not any(map(_reaches_beyond_end, series)):
                return _read_all(path, tif)
    except _DAMAGE as error:
        msg = (
            f"{path} is not a complete TIFF file ({error}): "
            "copy it again, or export it again as TIFF from the program that wrote it."
        )
        raise ValueError(msg) from error
    msg = f"{path} is incomplete (it ends before its last pixels): copy or export it again."
    raise ValueError(msg)


def _read_all(path: Path, tif: tifffile.TiffFile) -> list[Stored]:
    known = calibrations(tif)
    return [_read_series(path, tif, i, known[i]) for i in range(len(tif.series))]


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile says about offsets beyond the end of the file, which it only logs."""
    found: list[str] = []
    thread = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            message = record.getMessage()
            if record.thread == thread and _BEYOND_END.search(message):
                found.append(message)

    listener = Listener(logging.WARNING)
    logger = logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield found
    finally:
        logger.removeHandler(listener)


def _reaches_beyond_end(series: tifffile.TiffPageSeries) -> bool:
    if series.dataoffset is not None:
        return series.dataoffset + series.nbytes > series.parent.filehandle.size
    return any(
        offset + count > page.parent.filehandle.size
        for page in series.pages
        if page is not None
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    )


def _read_series(path: Path, tif: tifffile.TiffFile, index: int, known: Calibration) -> Stored:
    series = tif.series[index]
    page = series.keyframe
    notices = []
    if page.photometric.name == "PALETTE" and not _is_grey_ramp(page.colormap):
        notices.append("Its colour table was left out: the pixel values are used as they are.")
    if page.photometric.name == "MINISWHITE":
        notices.append("Stored with white as zero: the pixel values are used as they are.")
    alpha = any(int(extra) in _ALPHA for extra in page.extrasamples)
    return Stored(
        array=_pixels(path, series, index),
        axes=series.axes,
        calibration=known,
        colour=SAMPLES in series.axes and (alpha or page.photometric.name in _COLOUR),
        notices=tuple(notices),
    )


def _is_grey_ramp(colours: np.ndarray | None) -> bool:
    """Whether a colour table shows each value as the grey of that value."""
    if colours is None:
        return True
    ramp = np.linspace(0, 255, colours.shape[1]).round()
    return bool((colours >> 8 == ramp).all())


def _pixels(path: Path, series: tifffile.TiffPageSeries, index: int) -> Any:
    if series.nbytes <= lazy.LARGE_BYTES:
        return series.asarray()
    if series.dataoffset is not None:
        return tifffile.memmap(path, series=index, mode="r")
    return _lazy(path, index)


def _lazy(path: Path, index: int) -> Any:
    """A zarr array that decodes what is asked of it; the file stays open as long as it lives."""
    import zarr

    tif = tifffile.TiffFile(path)
    store = tif.series[index].aszarr(level=0)
    weakref.finalize(store, tif.close)
    return zarr.open_array(store, mode="r")


def write_tiff(image: Image, path: Path, *, ome: bool) -> None:
    """Write a calibrated TIFF: OME, or ImageJ's own form where that can hold the image.

    Bits become 0 and 1 in 8 bits, and 16-bit floats become 32-bit, since TIFF readers know
    neither; both lose nothing.
    """
    if "Y" not in image.axes or "X" not in image.axes:
        msg = f"a TIFF needs the axes Y and X, {image.name} has '{image.axes}'."
        raise ValueError(msg)
    dtype = _storable(image.dtype)
    if ome or not _imagej_can_hold(image, dtype):
        _write_ome(image, dtype, path)
    else:
        _write_imagej(image, dtype, path)


def _storable(dtype: np.dtype) -> np.dtype:
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype == np.float16:
        return np.dtype(np.float32)
    if dtype.name in _TYPES:
        return dtype
    msg = (
        f"TIFF cannot hold values of type {dtype}: "
        "convert the image to 32-bit numbers, or save it as .ome.zarr."
    )
    raise ValueError(msg)


def _imagej_can_hold(image: Image, dtype: np.dtype) -> bool:
    """Whether ImageJ's form can say all of the image without pretending anything.

    It has one unit, and a pixel size of 1 as soon as there is a unit.
    """
    plane_known = all(size is not None for size in image.pixel_size[-2:])
    unknown = all(size is None for size in image.pixel_size)
    calibration_fits = (image.unit is not None and plane_known) or (image.unit is None and unknown)
    small_enough = _bytes(image, dtype) < _IMAGEJ_LIMIT
    return dtype.name in _IMAGEJ_TYPES and calibration_fits and small_enough


def _write_imagej(image: Image, dtype: np.dtype, path: Path) -> None:
    order = [image.axes.index(a) for a in "TZCYX" if a in image.axes]
    metadata: dict[str, Any] = {"image_axes": image.axes}
    sizes = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    resolution = None
    if image.unit is not None:
        # ImageJ descriptions are ASCII; these spellings it knows itself.
        metadata["unit"] = {"µm": "um", "Å": "Angstrom"}.get(image.unit, image.unit)
        resolution = (1 / sizes["X"], 1 / sizes["Y"])  # type: ignore[operator]
        if sizes.get("Z") is not None:
            metadata["spacing"] = sizes["Z"]
    for axis, origin in zip(image.spatial_axes, image.origin, strict=True):
        if origin:
            metadata[f"{axis.lower()}origin"] = -origin / (sizes[axis] or 1.0)
    tifffile.imwrite(
        path,
        (plane[..., None] for plane in _planes(image, order, dtype)),
        # All six axes: with fewer, tifffile takes a narrow image for colour samples.
        shape=(*(image.sizes.get(axis, 1) for axis in "TZCYX"), 1),
        dtype=dtype,
        imagej=True,
        resolution=resolution,
        metadata=metadata,
    )


def _write_ome(image: Image, dtype: np.dtype, path: Path) -> None:
    metadata: dict[str, Any] = {
        "axes": image.axes,
        "Name": image.name,
        "MapAnnotation": {
            "Namespace": NAMESPACE,
            "axes": image.axes,
            "origin": " ".join(repr(float(value)) for value in image.origin),
        },
    }
    for axis, size in zip(image.spatial_axes, image.pixel_size, strict=True):
        if size is not None:
            metadata[f"PhysicalSize{axis}"] = size
            metadata[f"PhysicalSize{axis}Unit"] = image.unit or NO_UNIT
    large = _bytes(image, dtype) > lazy.LARGE_BYTES
    in_order = range(len(image.axes))
    tifffile.imwrite(
        path,
        _tiles(image, dtype) if large else _planes(image, in_order, dtype),
        shape=image.shape,
        dtype=dtype,
        ome=True,
        bigtiff=large,
        tile=(_TILE, _TILE) if large else None,
        photometric="minisblack",
        metadata=metadata,
    )


def _bytes(image: Image, dtype: np.dtype) -> int:
    return math.prod(image.shape) * dtype.itemsize


def _planes(image: Image, order: Sequence[int], dtype: np.dtype) -> Iterator[np.ndarray]:
    """The image plane by plane, its leading axes in `order`."""
    lengths = [image.shape[i] for i in order[:-2]]
    for position in np.ndindex(*lengths):
        at = dict(zip(order, position, strict=False))
        block = image.read(
            tuple(slice(at[i], at[i] + 1) if i in at else slice(None) for i in range(len(order)))
        )
        yield block.reshape(block.shape[-2:]).astype(dtype, copy=False)


def _tiles(image: Image, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The image tile by tile in the order of the file, so that it never lies in memory whole."""
    *stack, height, width = image.shape
    for position in np.ndindex(*stack):
        for y in range(0, height, _TILE):
            for x in range(0, width, _TILE):
                place = tuple(slice(i, i + 1) for i in position)
                block = image.read((*place, slice(y, y + _TILE), slice(x, x + _TILE)))
                yield block.reshape(block.shape[-2:]).astype(dtype, copy=False)
