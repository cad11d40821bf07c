"""Reading and writing of images in all formats, chosen by the file ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path
from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import Array, Image, is_array
from napari_aeanet.io import info_bar
from napari_aeanet.io.axes import StackAxis, Stored, images_from
from napari_aeanet.io.compression import Compression, check_compression
from napari_aeanet.io.ome_zarr import read_omezarr, write_omezarr
from napari_aeanet.io.pages import as_stack, could_be_stack
from napari_aeanet.io.plain import (
    read_bmp,
    read_gif,
    read_jpeg,
    read_npy,
    read_png,
    read_webp,
    write_png,
)
from napari_aeanet.io.sidecars import with_sidecar
from napari_aeanet.io.tiff import hollow, read_tiff, write_tiff
from napari_aeanet.io.vendor import read_czi, read_lif, read_nd2

READERS: Mapping[str, Callable[[Path], list[Stored]]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".zarr": read_omezarr,
    ".png": read_png,
    ".bmp": read_bmp,
    ".jpg": read_jpeg,
    ".jpeg": read_jpeg,
    ".gif": read_gif,
    ".webp": read_webp,
    ".npy": read_npy,
    ".lif": read_lif,
    ".nd2": read_nd2,
    ".czi": read_czi,
}
# Words for the formats in messages.
KINDS = {ending: f"{ending[1:].upper()} file" for ending in READERS} | {
    ".tif": "TIFF file",
    ".zarr": "OME-Zarr image of version 0.4 or 0.5",
    ".npy": "NPY array of numbers",
}
# Images of other programs, which no reader takes; folders that hold some say so.
OTHER_IMAGES = frozenset(
    (
        *(".dm3", ".dm4", ".emd", ".emi", ".ser", ".mrc", ".mrcs", ".rec", ".st", ".eer", ".tvips"),
        *(".lsm", ".oib", ".oif", ".vsi", ".zvi", ".ims", ".stk", ".klb", ".bif", ".blo", ".hspy"),
        *(".svs", ".scn", ".ndpi", ".mrxs", ".jp2", ".heic"),
    )
)
SAVE_AS_TIFF = "open it in the program that wrote it, or in Fiji, and save it as TIFF"
ImageSource = Image | Array | Path | str
WRITABLE = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".ome.zarr", ".zarr", ".png")


def read_images(
    path: str | Path,
    *,
    stack_axis: StackAxis | None = None,
    crop_text_band: bool = False,
    accept_missing: bool = False,
) -> list[Image]:
    """Return all images of a file.

    A stack with a named third axis (Z, T, C) is one image; pages without a meaning are separate
    images, named "stem [0]", "stem [1]" and so on.

    Parameters
    ----------
    path
        A TIFF, PNG, BMP, JPEG, GIF, WebP, NPY, LIF, ND2 or CZI file, or an OME-Zarr
        folder.
    stack_axis
        Meaning of an unnamed third axis, whose pages then form one image.
    crop_text_band
        Cut off the band with magnification, scale bar and text that electron microscopes add
        below an image. Without this option `Image.notices` mentions it.
    accept_missing
        Read planes that are missing in the middle of a TIFF file, or of its set of files, as zeros;
        `Image.notices` names them. Without this option such a file is refused.
    """
    path = as_path("path", path)
    reader = _reader(path)
    if accept_missing and reader is read_tiff:
        reader = partial(read_tiff, accept_missing=True)
    found = _read(path, reader, stack_axis)
    finish = info_bar.crop_text_band if crop_text_band else info_bar.with_notice
    return [finish(image) for image in found]


def read_calibrations(path: str | Path) -> list[Image]:
    """Return all images of a file, with pixels of zero that take no memory.

    The pixels of TIFF files are not read.
    """
    path = as_path("path", path)
    reader = _reader(path)
    if reader is read_tiff:
        reader = partial(read_tiff, with_pixels=False)
    return [image.with_array(hollow(image.array)) for image in _read(path, reader)]


def _read(
    path: Path, reader: Callable[[Path], list[Stored]], stack_axis: StackAxis | None = None
) -> list[Image]:
    """Return all images of a file, with the names of several and the facts of its sidecar."""
    name = stem(path)
    with in_one_sentence(path, KINDS[path.suffix.lower()]):
        found = [
            image
            for stored in reader(path)
            for image in images_from(stored, path, name, stack_axis)
        ]
    if not found:
        msg = f"{path} holds no image: export it again from the program that wrote it."
        raise ValueError(msg)
    if stack_axis is not None and could_be_stack(found):
        found = [as_stack(found, stack_axis, name)]
    if len(found) > 1:
        found = [
            replace(image, name=f"{name} [{i}]", source_index=i) for i, image in enumerate(found)
        ]
    return [with_sidecar(image, path) for image in found]


def read_image(
    path: str | Path,
    *,
    stack_axis: StackAxis | None = None,
    crop_text_band: bool = False,
    accept_missing: bool = False,
) -> Image:
    """Return the only image of a file; raise a ValueError if it holds several."""
    images = read_images(
        path,
        stack_axis=stack_axis,
        crop_text_band=crop_text_band,
        accept_missing=accept_missing,
    )
    if len(images) > 1:
        msg = (
            f"{path} holds {len(images)} separate images where one is needed: "
            "choose one of its pages, or the meaning of its pages (Z, T or C)."
        )
        raise ValueError(msg)
    return images[0]


def without_twins(paths: Sequence[Path]) -> list[Path]:
    """Return the files without those that are not read while a file of the same name is."""
    read = {(path.parent, stem(path)) for path in paths if path.suffix.lower() in READERS}
    return [
        path
        for path in paths
        if path.suffix.lower() in READERS or (path.parent, stem(path)) not in read
    ]


def as_image(source: ImageSource, name: str = "source") -> Image:
    """Return an image as it is, a file read, or an array (y, x) or (z, y, x) as an image.

    Arrays of dask, zarr and others are not read here.

    Parameters
    ----------
    name
        Name of the argument, for messages.

    Raises
    ------
    TypeError, ValueError
        If the source is none of these, or an array that is no image.
    OSError
        If there is no such file.
    """
    if isinstance(source, Image):
        return source
    if isinstance(source, Path | str):
        return read_image(source)
    if not is_array(source):
        kind = type(source).__name__
        msg = f"{name} must be Image, an array (numpy, dask, zarr ...) or a path, got {kind}."
        raise TypeError(msg)
    kind = np.dtype(source.dtype)
    if source.ndim not in (2, 3) or kind.kind not in "uif":
        msg = (
            f"{name} must be an array of numbers with the axes (y, x) or (z, y, x), got "
            f"{kind} of shape {source.shape}. Name other axes with Image(array, axes)."
        )
        raise ValueError(msg)
    if any(length != length for length in source.shape):  # NaN, in dask
        msg = f"{name} is an array of unknown size: call its compute_chunk_sizes() first."
        raise ValueError(msg)
    if 0 in source.shape:
        raise ValueError(f"{name} holds no pixel: its shape is {source.shape}.")
    return Image(source, "ZYX"[-source.ndim :])


def write_image(
    image: Image | Array,
    path: str | Path,
    *,
    compression: Compression = Compression.AUTOMATIC,
) -> None:
    """Write an image atomically, in the format of the ending of `path`.

    .ome.tif, .ome.tiff
        OME-TIFF.
    .tif, .tiff
        ImageJ TIFF if that can hold the image (8 or 16 bits or 32-bit floats), else OME-TIFF.
    .ome.zarr, .zarr
        OME-Zarr 0.5.
    .png
        8 or 16 bits, 2D; the pixel size is lost.

    An array (y, x) or (z, y, x) is written as an image without pixel size. `compression` is one of
    those that the format has; all keep the pixels as they are.
    """
    image, path = as_image(image, "image"), as_path("path", path)
    check_compression(path, compression)
    suffix = path.suffix.lower()
    if not path.name.lower().endswith(WRITABLE):
        msg = f"{path} cannot be written: choose a name that ends in {', '.join(WRITABLE)}."
        raise ValueError(msg)
    try:
        with replacing(path) as temporary:
            if suffix == ".zarr":
                write_omezarr(image, temporary, compression=compression)
            elif suffix == ".png":
                write_png(image, temporary)
            else:
                write_tiff(image, temporary, ome=stem(path) != path.stem, compression=compression)
    except ValueError as error:
        msg = f"{path} was not written: {error}"
        raise ValueError(msg) from error


def stem(path: str | Path) -> str:
    """Return the name of a file without folder and ending; ".ome.tif" counts as one ending."""
    plain = Path(path).stem
    return plain[:-4] if plain.lower().endswith(".ome") else plain


def _reader(path: Path) -> Callable[[Path], list[Stored]]:
    """Return the reader for `path`; raise an error if there is none."""
    reader = READERS.get(path.suffix.lower())
    with in_one_sentence(path, "name of a file", "choose a shorter name"):
        exists = path.exists()
    if not exists:
        msg = f"{path} does not exist: check its name and folder."
        raise FileNotFoundError(msg)
    if path.is_dir() and reader is not read_omezarr:
        msg = f"{path} is a folder, not an image: choose the files in it."
        raise IsADirectoryError(msg)
    if path.suffix.lower() in OTHER_IMAGES:
        msg = f"{path} has a format that cannot be read here: {SAVE_AS_TIFF}."
        raise ValueError(msg)
    if reader is None:
        msg = f"{path} has an unknown ending: choose a file that ends in {', '.join(READERS)}."
        raise ValueError(msg)
    if path.is_file() and path.stat().st_size == 0:
        msg = f"{path} is empty (0 bytes): copy or export it again."
        raise ValueError(msg)
    return reader
