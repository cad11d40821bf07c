"""Write a stack slice by slice: to OME-Zarr without holding it, else through memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.image import Image, regions
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper, Piece
from napari_aeanet.core.progress import Progressed, StepCounter
from napari_aeanet.io import (
    check_writable,
    create_omezarr,
    open_levels,
    write_chunk,
    write_image,
    written_shape,
)
from napari_aeanet.stacks.settings import SectionWritten

SectionOf = Callable[[Image, Piece], np.ndarray]
# The file that makes a folder an OME-Zarr image.
MARKER = "zarr.json"


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
    image: Image,
    source: Image,
    section_of: SectionOf[Piece],
    pieces: Sequence[Piece],
    path: Path | None,
    mapper: Mapper = ONE_PROCESS,
    unit: str = "section",
) -> Generator[Progressed | SectionWritten, None, Image]:
    """Write a stack into a file or memory; yield an event for each section, return the stack.

    A file is written whole or not at all.

    Parameters
    ----------
    image
        The stack that is made; its own pixels are not used.
    source, section_of, pieces
        The pixels of section n are `section_of(source, pieces[n])`.
    mapper
        Computes and writes the sections of OME-Zarr.
    unit
        What a section is called.
    """
    counter = StepCounter(f"writing {image.name}", image.shape[0], unit)
    if path is not None and path.suffix.lower() == ".zarr":
        with replacing(path) as temporary:
            create_omezarr(image, temporary)
            store = partial(_stored, temporary.absolute(), section_of)
            try:
                with closing(mapper.map(store, source, list(enumerate(pieces)))) as results:
                    for index in results:
                        if index is None:  # a section is waited for
                            yield Progressed(counter.unchanged())
                        else:
                            yield SectionWritten(progress=counter.step(), index=index)
            except BaseException:
                (temporary / MARKER).unlink(missing_ok=True)  # others that still write stop
                raise
            for left in temporary.rglob("*.partial"):  # of a process that was killed
                left.unlink()
        return image.with_array(open_levels(path)[0])
    array = np.empty(image.shape, image.dtype)
    for index, piece in enumerate(pieces):
        array[index] = section_of(source, piece)
        yield SectionWritten(progress=counter.step(), index=index)
    result = image.with_array(array)
    if path is not None:
        write_image(result, path)
    return result


def _stored(
    folder: Path, section_of: SectionOf[Piece], source: Image, pieces: Iterable[tuple[int, Piece]]
) -> Generator[int, None, None]:
    """Write sections to OME-Zarr, each in whole shards; all levels of a section are its own."""
    levels = open_levels(folder, "r+")
    for index, piece in pieces:
        pixels = section_of(source, piece)
        try:
            for region in regions(pixels.shape, written_shape(levels[0])[1:]):
                _check_goes_on(folder)
                write_chunk(levels, (slice(index, index + 1), *region), pixels[None, *region])
            _check_goes_on(folder)
        except OSError:
            if not (folder / MARKER).exists():  # what was written while the folder was removed
                shutil.rmtree(folder, ignore_errors=True)
            raise
        yield index


def _check_goes_on(folder: Path) -> None:
    if not (folder / MARKER).exists():
        raise FileNotFoundError(f"{folder} was removed while it was being written.")
