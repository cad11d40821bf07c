"""PNG, BMP, JPEG, GIF, WebP and NPY: pixels without calibration."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import imagecodecs
import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy
from napari_aeanet.io.axes import SAMPLES, Stored

_LOSSY = "Stored as {}, which loses detail: its marks count as part of the image."
_JPEG_PIXELS_PER_BYTE = 2000  # of one value; 85 in images without long runs
# What their compression reaches at most: 1032 bytes a byte, of eight pixels each; a table of 4096.
_PNG_PIXELS_PER_BYTE, _GIF_PIXELS_PER_BYTE = 8256, 4096
# Difference of the samples of a grey pixel in lossy WebP.
_WEBP_ROUNDING = 2


def read_png(path: Path) -> list[Stored]:
    """Read a PNG file."""
    content = path.read_bytes()
    _check_claim(content, ">II", 16, _PNG_PIXELS_PER_BYTE)
    return [_picture(imagecodecs.png_decode(content))]


def read_bmp(path: Path) -> list[Stored]:
    """Read a BMP file; colour tables are applied."""
    content = path.read_bytes()
    _check_bmp(content)
    return [_picture(imagecodecs.bmp_decode(content))]


def read_jpeg(path: Path) -> list[Stored]:
    """Read a JPEG file."""
    content = path.read_bytes()
    _check_jpeg(content)
    return [_picture(imagecodecs.jpeg_decode(content), _LOSSY.format("JPEG"))]


def _check_bmp(content: bytes) -> None:
    """Raise a ValueError unless the file holds as many rows as its header says.

    The decoder trusts the header, and crashes.
    """
    offset, header, width, height = struct.unpack_from("<IIii", content, 10)
    bits, compression = struct.unpack_from("<HI", content, 28)
    if header < 40 or width <= 0 or compression not in (0, 3):
        raise ValueError("a form of BMP that is not supported")
    row = (width * bits + 31) // 32 * 4
    if offset < 14 + header or offset + row * abs(height) > len(content):
        raise ValueError("it ends before its last row")


def _check_jpeg(content: bytes) -> None:
    """Raise a ValueError unless the pixels end with their marker and can be in so few bytes.

    The decoder fills what is missing with grey.
    """
    if content.find(b"\xff\xd9", content.rfind(b"\xff\xda")) < 0:
        raise ValueError("it ends before its last row")
    frame = re.search(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf]..(.)(..)(..)", content, re.S)
    if frame is not None:
        place = frame.start(2)
        _check_claim(content, ">HH", place, _JPEG_PIXELS_PER_BYTE)


def _check_claim(content: bytes, layout: str, place: int, pixels_per_byte: int) -> None:
    """Raise a ValueError if the size in the header is more than the file can hold.

    The decoders take memory for all pixels first.
    """
    one, other = struct.unpack_from(layout, content, place)
    if one * other > pixels_per_byte * len(content):
        raise ValueError(f"{one} x {other} pixels cannot be in {len(content)} bytes")


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
    content = path.read_bytes()
    _check_claim(content, "<HH", 6, _GIF_PIXELS_PER_BYTE)
    frames = imagecodecs.gif_decode(content)
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
