"""PNG, BMP, JPEG, GIF, WebP and NPY: pixels without calibration."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy
from napari_aeanet.io.axes import SAMPLES, Stored

_LOSSY = "Stored as {}, which loses detail: its marks count as part of the image."
# Difference of the samples of a grey pixel in lossy WebP.
_WEBP_ROUNDING = 2


def read_png(path: Path) -> list[Stored]:
    """Read a PNG file."""
    return [_picture(imagecodecs.png_decode(path.read_bytes()))]


def read_bmp(path: Path) -> list[Stored]:
    """Read a BMP file; colour tables are applied."""
    return [_picture(imagecodecs.bmp_decode(path.read_bytes()))]


def read_jpeg(path: Path) -> list[Stored]:
    """Read a JPEG file."""
    return [_picture(imagecodecs.jpeg_decode(path.read_bytes()), _LOSSY.format("JPEG"))]


def read_webp(path: Path) -> list[Stored]:
    """Read the first image of a WebP file."""
    content = path.read_bytes()
    array = imagecodecs.webp_decode(content)
    if b"VP8L" in content[:64]:
        return [_picture(array)]
    samples = array[..., :3].astype(np.int16)
    if array.shape[-1] == 3 and np.ptp(samples, axis=-1).max() <= _WEBP_ROUNDING:
        array = array[..., 0]
    return [_picture(array, _LOSSY.format("WebP"))]


def read_gif(path: Path) -> list[Stored]:
    """Read the first frame of a GIF file; the colour table is applied."""
    frames = imagecodecs.gif_decode(path.read_bytes())
    if frames.ndim == 3:
        return [_picture(frames)]
    return [_picture(frames[0], f"The first of {len(frames)} frames is read.")]


def _picture(array: np.ndarray, *notices: str) -> Stored:
    colour = array.ndim == 3
    axes = "YX" + SAMPLES if colour else "YX"
    return Stored(array=array, axes=axes, colour=colour, notices=notices)


def read_npy(path: Path) -> list[Stored]:
    """Read an NPY file: 2D as one image, 3D as a stack of images with last axes Y and X."""
    large = path.stat().st_size > lazy.LARGE_BYTES
    array = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
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
