"""PNG, BMP and NPY: pixels without calibration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy
from napari_aeanet.io.axes import SAMPLES, Stored


def read_png(path: Path) -> list[Stored]:
    """Read a PNG file."""
    return [_decoded(path, "PNG", imagecodecs.png_decode)]


def read_bmp(path: Path) -> list[Stored]:
    """Read a BMP file; colour tables are applied."""
    return [_decoded(path, "BMP", imagecodecs.bmp_decode)]


def _decoded(path: Path, kind: str, decode: Callable[[bytes], np.ndarray]) -> Stored:
    try:
        array = decode(path.read_bytes())
    except (RuntimeError, ValueError) as error:
        msg = f"{path} is not a complete {kind} image ({error}): copy or export it again."
        raise ValueError(msg) from error
    colour = array.ndim == 3
    return Stored(array=array, axes="YX" + SAMPLES if colour else "YX", colour=colour)


def read_npy(path: Path) -> list[Stored]:
    """Read an NPY file: 2D as one image, 3D as a stack of images with last axes Y and X."""
    try:
        large = path.stat().st_size > lazy.LARGE_BYTES
        array = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    except (ValueError, EOFError) as error:
        msg = f"{path} is not a complete NPY array of numbers ({error}): save it again."
        raise ValueError(msg) from error
    if array.ndim not in (2, 3):
        msg = (
            f"{path} has {array.ndim} dimensions (shape {array.shape}) and no names for them: "
            "save it as OME-TIFF or OME-Zarr, which name their axes."
        )
        raise ValueError(msg)
    return [Stored(array=array, axes="IYX"[-array.ndim :])]


def write_png(image: Image, path: Path) -> None:
    """Write a 2D image of 8 or 16 bits as PNG, without its pixel size."""
    check_fits_png(image)
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(image.read())))


def check_fits_png(image: Image) -> None:
    """Raise a ValueError if PNG cannot hold the image; its pixels are not read."""
    if image.axes != "YX" or image.dtype.name not in ("uint8", "uint16"):
        msg = (
            f"PNG holds 2D images of 8 or 16 bits, {image.name} has axes '{image.axes}' and type "
            f"{image.dtype}: save it as .ome.tif instead."
        )
        raise ValueError(msg)
