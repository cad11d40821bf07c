"""Images from files and to files, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.image import Image
from napari_aeanet.io import info_bar
from napari_aeanet.io.axes import StackAxis, Stored, images_from
from napari_aeanet.io.ome_zarr import read_omezarr, write_omezarr
from napari_aeanet.io.plain import read_bmp, read_npy, read_png, write_png
from napari_aeanet.io.tiff import read_tiff, write_tiff

READERS: Mapping[str, Callable[[Path], list[Stored]]] = {
    ".tif": read_tiff,
    ".tiff": read_tiff,
    ".zarr": read_omezarr,
    ".png": read_png,
    ".bmp": read_bmp,
    ".npy": read_npy,
}
WRITABLE = (".ome.tif", ".ome.tiff", ".tif", ".tiff", ".ome.zarr", ".zarr", ".png")


def read_images(
    path: str | Path, *, stack_axis: StackAxis | None = None, crop_text_band: bool = False
) -> list[Image]:
    """Every image in a file.

    A stack whose third axis the file names (Z, T, C) is one image; pages without a meaning are
    separate images, called "stem [0]", "stem [1]" and so on.

    Parameters
    ----------
    path
        A TIFF, PNG, BMP or NPY file, or an OME-Zarr folder.
    stack_axis
        What an unnamed third axis means; then the pages are one image.
    crop_text_band
        Cut off the band with magnification, scale bar and text that electron microscopes write
        below an image. A band that is found and not cut is said in `Image.notices`.
    """
    path = Path(path)
    reader = _reader(path)
    name = stem(path)
    try:
        found = [
            image
            for stored in reader(path)
            for image in images_from(stored, path, name, stack_axis)
        ]
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror or error}): check the path and its rights."
        raise type(error)(msg) from error
    if not found:
        msg = f"{path} holds no image: export it again from the program that wrote it."
        raise ValueError(msg)
    if len(found) > 1:
        found = [
            replace(image, name=f"{name} [{i}]", source_index=i) for i, image in enumerate(found)
        ]
    treat = info_bar.crop_text_band if crop_text_band else info_bar.with_notice
    return [treat(image) for image in found]


def read_image(
    path: str | Path, *, stack_axis: StackAxis | None = None, crop_text_band: bool = False
) -> Image:
    """The one image in a file; an error says how many there are if not one."""
    images = read_images(path, stack_axis=stack_axis, crop_text_band=crop_text_band)
    if len(images) > 1:
        msg = (
            f"{path} holds {len(images)} separate images where one is needed: "
            "choose one of its pages, or say what its pages are (Z, T or C)."
        )
        raise ValueError(msg)
    return images[0]


def write_image(image: Image, path: str | Path) -> None:
    """Write an image, whole or not at all, in the format that the ending of `path` names.

    .ome.tif, .ome.tiff
        OME-TIFF.
    .tif, .tiff
        ImageJ TIFF where that can hold the image (8 or 16 bits or 32-bit floats), else OME-TIFF.
    .ome.zarr, .zarr
        OME-Zarr 0.5.
    .png
        8 or 16 bits, 2D; the pixel size is lost.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.name.lower().endswith(WRITABLE):
        msg = f"{path} cannot be written: choose a name that ends in {', '.join(WRITABLE)}."
        raise ValueError(msg)
    try:
        with replacing(path) as temporary:
            if suffix == ".zarr":
                write_omezarr(image, temporary)
            elif suffix == ".png":
                write_png(image, temporary)
            else:
                write_tiff(image, temporary, ome=stem(path) != path.stem)
    except ValueError as error:
        msg = f"{path} was not written: {error}"
        raise ValueError(msg) from error


def stem(path: str | Path) -> str:
    """The name of a file without its folder and ending; ".ome.tif" counts as one ending."""
    plain = Path(path).stem
    return plain[:-4] if plain.lower().endswith(".ome") else plain


def _reader(path: Path) -> Callable[[Path], list[Stored]]:
    """The reader for `path`, or an error that says why there is none."""
    reader = READERS.get(path.suffix.lower())
    if not path.exists():
        msg = f"{path} does not exist: check its name and folder."
        raise FileNotFoundError(msg)
    if path.is_dir() and reader is not read_omezarr:
        msg = f"{path} is a folder, not an image: name the files in it."
        raise IsADirectoryError(msg)
    if reader is None:
        msg = f"{path} has an ending that is not known; readable are {', '.join(READERS)}."
        raise ValueError(msg)
    if path.is_file() and path.stat().st_size == 0:
        msg = f"{path} is empty (0 bytes): copy or export it again."
        raise ValueError(msg)
    return reader
