"""Check that an image can be written, before the work that makes it."""

from __future__ import annotations

import os
import shutil
from math import prod
from pathlib import Path

from napari_aeanet.core.image import Image
from napari_aeanet.core.words import bytes_in_words
from napari_aeanet.io.compression import Compression, check_compression
from napari_aeanet.io.files import WRITABLE
from napari_aeanet.io.plain import check_fits_png
from napari_aeanet.io.tiff import storable_dtype

# Names are limited to so many bytes where the file system does not tell.
LONGEST_NAME = 255
# Size of compressed formats, at least, as a share of that of the pixels.
COMPRESSED = 0.4


def check_place(path: str | Path) -> None:
    """Raise an error of one sentence if no file `path` can be made; its folder may be missing.

    Raises
    ------
    OSError
        If the folder is a file, or may not be written in.
    ValueError
        If the name is too long.
    """
    path = Path(path)
    folder = _existing(path)
    if not folder.is_dir():
        raise NotADirectoryError(f"{path} cannot be written: {folder} is a file, not a folder.")
    if not os.access(folder, os.W_OK | os.X_OK):
        msg = f"{path} cannot be written: you may not write in {folder}. Choose another folder."
        raise PermissionError(msg)
    most = _longest_name(folder)
    longest = max(len(os.fsencode(name)) for name in path.relative_to(folder).parts)
    if longest > most:
        msg = (
            f"{path} cannot be written: its name has {longest} bytes, and at most {most} are "
            "possible. Choose a shorter one."
        )
        raise ValueError(msg)


def check_ending(path: str | Path) -> None:
    """Raise a ValueError if the ending of `path` is not one of a format that is written."""
    if not Path(path).name.lower().endswith(WRITABLE):
        msg = f"{path} cannot be written: choose a name that ends in {', '.join(WRITABLE)}."
        raise ValueError(msg)


def check_writable(
    image: Image, path: str | Path, compression: Compression = Compression.AUTOMATIC
) -> None:
    """Raise an error of one sentence if `image` cannot be written to `path`.

    Place, ending, compression, number type, axes and disk space are checked; no pixel is read, so
    the array may be a placeholder.
    """
    path = Path(path)
    check_compression(path, compression)
    check_place(path)
    check_ending(path)
    suffix = path.suffix.lower()
    try:
        if suffix == ".png":
            check_fits_png(image)
        elif suffix != ".zarr":
            storable_dtype(image.dtype)
    except ValueError as error:
        raise ValueError(f"{path} cannot be written: {error}") from error
    size = prod(image.shape) * image.dtype.itemsize
    check_space(path, size * (COMPRESSED if suffix in (".png", ".zarr") else 1))


def check_space(path: str | Path, size: float) -> None:
    """Raise an OSError if `size` bytes for `path` do not fit on the disk."""
    folder = _existing(Path(path))
    free = shutil.disk_usage(folder).free
    if size > free:
        needed, left = bytes_in_words(size), bytes_in_words(free)
        msg = (
            f"{path} cannot be written: it takes {needed} and {left} are free on the disk of "
            f"{folder.resolve()}. Choose another disk, or free some space."
        )
        raise OSError(msg)


def _existing(path: Path) -> Path:
    """Return the nearest folder above `path` that exists, or the file in its place."""
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _longest_name(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows; not known
        return LONGEST_NAME
