"""TIFF files: plain, ImageJ and OME, single or many pages, any size."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_aeanet.core.image import Image, regions
from napari_aeanet.io import lazy
from napari_aeanet.io.axes import SAMPLES, Calibration, Stored
from napari_aeanet.io.compression import Compression, tiff_compression
from napari_aeanet.io.imagej_metadata import ORDER, imagej_metadata
from napari_aeanet.io.intensity_metadata import range_in_tiff
from napari_aeanet.io.ome_xml import OmeFiles, ome_files, ome_metadata
from napari_aeanet.io.tiff_metadata import calibrations
from napari_aeanet.io.tiff_missing import (
    complete_part,
    is_truncated,
    listening,
    refuse_endless,
)

_COLOUR = ("RGB", "YCBCR", "CIELAB", "SEPARATED")
_ALPHA = (1, 2)  # ExtraSamples: associated and unassociated alpha
_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_IMAGEJ_TYPES = ("uint8", "uint16", "float32")
_TILE = 1024
_LOSSY = ("OJPEG", "JPEG", "JPEG_LOSSY")
_IMAGEJ_LIMIT = 2**32 - 2**24  # 4 GB less space for headers


def read_tiff(
    path: Path, *, accept_missing: bool = False, with_pixels: bool = True
) -> list[Stored]:
    """Read all image series of a TIFF file, with calibration.

    Small series are loaded; large ones are memory-mapped if uncompressed and contiguous, else
    decoded in parts when read. With `accept_missing`, missing planes are zeros; without
    `with_pixels`, all pixels are, and take no memory.
    """
    with listening() as told, tifffile.TiffFile(path) as tif:
        refuse_endless(tif, path)
        files = ome_files(tif.ome_metadata if tif.is_ome else None, path)
        found = tif.series  # searches for all pages and fills `told`
        if told.beyond_end or any(map(is_truncated, found)):
            msg = f"{path} is incomplete (it ends before its last pixels): copy or export it again."
            raise ValueError(msg)
        described, notices = calibrations(tif, files)
        return [
            _read_series(
                path,
                tif,
                index,
                calibration,
                files,
                notices + told.notices,
                accept_missing=accept_missing,
                with_pixels=with_pixels,
            )
            for index, calibration in enumerate(described)
            if index == 0 or not found[index].keyframe.is_reduced  # thumbnails
        ]


def _read_series(
    path: Path,
    tif: tifffile.TiffFile,
    index: int,
    calibration: Calibration,
    files: OmeFiles,
    remarks: tuple[str, ...],
    *,
    accept_missing: bool,
    with_pixels: bool,
) -> Stored:
    series, missing = complete_part(tif.series[index], path, files, accept=accept_missing)
    page = series.keyframe
    notices = [*remarks, *missing]
    if page.photometric.name == "PALETTE" and not _is_grey_ramp(page.colormap):
        notices.append("The colour table is ignored: the stored values are used.")
    if page.photometric.name == "MINISWHITE":
        notices.append("Stored with white as zero: the stored values are used.")
    if page.compression.name in _LOSSY:
        notices.append("Compressed as JPEG, which loses detail: its marks count as image.")
    alpha = any(int(extra) in _ALPHA for extra in page.extrasamples)
    return Stored(
        array=_pixels(path, series, index, files) if with_pixels else hollow(series),
        axes=series.axes,
        calibration=calibration,
        colour=SAMPLES in series.axes and (alpha or page.photometric.name in _COLOUR),
        notices=tuple(notices),
        intensity_range=range_in_tiff(tif, index),
    )


def hollow(of: Any) -> np.ndarray:
    """Return zeros of the shape and type of an array; they take no memory."""
    return np.broadcast_to(np.zeros((), of.dtype), of.shape)


def _is_grey_ramp(colours: np.ndarray | None) -> bool:
    """Return True if a colour table maps each value to the same value of grey."""
    if colours is None:
        return True
    ramp = np.linspace(0, 255, colours.shape[1]).round()
    return bool((colours >> 8 == ramp).all())


def _pixels(path: Path, series: tifffile.TiffPageSeries, index: int, files: OmeFiles) -> Any:
    """Return a numpy array, or for a large series a memory map or a lazily decoded zarr array."""
    if series.nbytes <= lazy.LARGE_BYTES:
        return series.asarray()
    if series.dataoffset is not None:
        return tifffile.memmap(path, series=index, mode="r")
    import zarr

    tif = tifffile.TiffFile(path)
    part = complete_part(tif.series[index], path, files, accept=True)[0]  # if not, refused before
    store = part.aszarr(level=0)
    # For `Fingerprint`, to see a change of any file of the set.
    store.files = sorted({page.parent.filehandle.path for page in part.pages if page is not None})
    weakref.finalize(store, tif.close)
    return zarr.open_array(store, mode="r")


def write_tiff(
    image: Image,
    path: Path,
    *,
    ome: bool,
    compression: Compression = Compression.AUTOMATIC,
) -> None:
    """Write a calibrated TIFF: OME-TIFF, or ImageJ TIFF if that can hold the image.

    Booleans are stored as 8-bit 0 and 1 and 16-bit floats as 32-bit, which all readers support.
    """
    if "Y" not in image.axes or "X" not in image.axes:
        msg = f"a TIFF needs the axes Y and X, {image.name} has '{image.axes}'."
        raise ValueError(msg)
    dtype = storable_dtype(image.dtype)
    compressed = tiff_compression(compression, dtype)
    if ome or not _imagej_can_hold(image, dtype):
        _write_ome(image, dtype, path, compressed)
    else:
        _write_imagej(image, dtype, path, compressed)


def storable_dtype(dtype: np.dtype) -> np.dtype:
    """Return the type that values of `dtype` are stored in; raise a ValueError if there is none."""
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
    """Return True if an ImageJ TIFF can hold type, size and calibration of the image.

    It has one unit for all axes, and with a unit no unknown pixel size.
    """
    plane_known = all(size is not None for size in image.pixel_size[-2:])
    unknown = all(size is None for size in image.pixel_size)
    calibration_fits = (image.unit is not None and plane_known) or (image.unit is None and unknown)
    small_enough = _bytes(image, dtype) < _IMAGEJ_LIMIT
    return dtype.name in _IMAGEJ_TYPES and calibration_fits and small_enough


def _write_imagej(image: Image, dtype: np.dtype, path: Path, compressed: dict[str, Any]) -> None:
    order = [image.axes.index(a) for a in ORDER if a in image.axes]
    metadata, resolution = imagej_metadata(image)
    tifffile.imwrite(
        path,
        (plane[..., None] for plane in _parts(image, dtype, image.plane_shape, order)),
        # All six axes: with fewer, tifffile reads a narrow image as colour samples.
        shape=(*(image.sizes.get(axis, 1) for axis in ORDER), 1),
        dtype=dtype,
        imagej=True,
        resolution=resolution,
        metadata=metadata,
        **compressed,
    )


def _write_ome(image: Image, dtype: np.dtype, path: Path, compressed: dict[str, Any]) -> None:
    large = _bytes(image, dtype) > lazy.LARGE_BYTES
    tifffile.imwrite(
        path,
        _parts(image, dtype, (_TILE, _TILE) if large else image.plane_shape),
        shape=image.shape,
        dtype=dtype,
        ome=True,
        bigtiff=large,
        tile=(_TILE, _TILE) if large else None,
        photometric="minisblack",
        metadata=ome_metadata(image),
        **compressed,
    )


def _bytes(image: Image, dtype: np.dtype) -> int:
    return math.prod(image.shape) * dtype.itemsize


def _parts(
    image: Image, dtype: np.dtype, size: tuple[int, int], order: Sequence[int] | None = None
) -> Iterator[np.ndarray]:
    """Yield the image as planes or tiles of `size`, its leading axes in `order`."""
    order = order or range(len(image.axes))
    *stack, height, width = (image.shape[i] for i in order)
    for region in regions((*stack, height, width), (*(1 for _ in stack), *size)):
        block = image.read(tuple(region[order.index(i)] for i in range(len(order))))
        yield block.reshape(block.shape[-2:]).astype(dtype, copy=False)
