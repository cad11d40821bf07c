"""Write a stack slice by slice: to OME-Zarr without holding it, else through memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import numpy as np

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.image import Image, regions
from napari_aeanet.io import (
    check_writable,
    create_omezarr,
    open_levels,
    write_chunk,
    write_image,
    written_shape,
)


def check_stack_output(image: Image, path: Path, beside: Iterable[Path], overwrite: bool) -> None:
    """Raise an error in words if a stack made of `image` cannot be written to `path`.

    `beside` are the other files that are written with it.
    """
    check_writable(image, path)
    if image.source is not None and image.source.resolve() == path.resolve():
        raise ValueError(f"{path} is the stack itself: choose another name for the result.")
    existing = [one for one in (path, *beside) if one.exists()]
    if existing and not overwrite:
        msg = f"{existing[0]} exists already: choose another name, or remove it first."
        raise FileExistsError(msg)


def write_stack(
    image: Image, slice_at: Callable[[int], np.ndarray], path: Path | None
) -> Generator[int, None, Image]:
    """Write a stack into a file or memory; yield the number of each slice, and return the stack.

    Its pixels are those of `slice_at`; everything else is that of `image`. A file is written whole
    or not at all.
    """
    if path is not None and path.suffix.lower() == ".zarr":
        with replacing(path) as temporary:
            levels = create_omezarr(image, temporary)
            for index in range(image.shape[0]):
                pixels = slice_at(index)
                for region in regions(image.plane_shape, written_shape(levels[0])[1:]):
                    at = (slice(index, index + 1), *region)
                    write_chunk(levels, at, pixels[None, *region])
                yield index
        return image.with_array(open_levels(path)[0])
    array = np.empty(image.shape, image.dtype)
    for index in range(image.shape[0]):
        array[index] = slice_at(index)
        yield index
    result = image.with_array(array)
    if path is not None:
        write_image(result, path)
    return result
