"""Insert interpolated slices between those of a stack: a finer spacing along z."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.number_types import in_type
from napari_aeanet.core.pieces import ONE_PROCESS, Mapper
from napari_aeanet.core.progress import (
    Progress,
    Progressed,
    ProgressOption,
    StepCounter,
    result_of,
    scaled,
)
from napari_aeanet.interpolation import interpolate_section, read_section
from napari_aeanet.io import ImageSource
from napari_aeanet.repair.settings import SliceChecked
from napari_aeanet.repair.writing import check_output
from napari_aeanet.stacks import SectionWritten, as_stack, register_sections, write_stack

#: Most slices inserted between two, and fewest slices of a stack.
MOST_BETWEEN, FEWEST_SLICES = 9, 2
#: Share of the progress at which writing begins.
WRITING = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class FinerStack:
    """The last event: the stack with slices between those that were recorded.

    `image.interpolated` names the slices that were made.
    """

    progress: Progress
    image: Image


InsertionEvent = Progressed | SliceChecked | SectionWritten | FinerStack


def insert_slices(
    source: ImageSource,
    between: int = 1,
    *,
    texture: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: ProgressOption = False,
) -> FinerStack:
    """Insert slices between every two of a stack by optical flow; the recorded ones stay.

    Parameters
    ----------
    source
        A stack (z, y, x): an image, an array or a file.
    between
        Slices inserted between two (1 to 9); the pixel size along z becomes as much smaller.
    texture
        Give them as much fine structure as their neighbours have.
    out
        File for the result (.ome.tif or .ome.zarr, which is written slice by slice).
    overwrite
        Replace an earlier result.
    """
    events = insert_slices_events(source, between, texture=texture, out=out, overwrite=overwrite)
    return result_of(FinerStack, events, progress)


def insert_slices_events(
    source: ImageSource,
    between: int = 1,
    *,
    texture: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    mapper: Mapper = ONE_PROCESS,
) -> Generator[InsertionEvent, None, None]:
    """Insert slices as `insert_slices` does; yield an event a slice, and the result at last.

    `mapper` compares the slices, makes those between them, and writes all.
    """
    check_type("between", between, int)
    check_type("texture", texture, bool)
    check_type("overwrite", overwrite, bool)
    image = as_stack(source)
    if not 1 <= between <= MOST_BETWEEN:
        raise ValueError(f"between must be 1 to {MOST_BETWEEN}, got {between}.")
    if image.shape[0] < FEWEST_SLICES:
        raise ValueError(f"{image.name} has one slice: there is nothing to insert between.")
    path = None if out is None else as_path("out", out)
    if path is not None:
        check_output(_finer(image, between), path, overwrite)
    check_type("mapper", mapper, Mapper)
    mapper.check(image, path)
    return _inserted(image, between, texture, path, mapper)


def _inserted(
    image: Image, between: int, texture: bool, path: Path | None, mapper: Mapper
) -> Generator[InsertionEvent, None, None]:
    yield from scaled(_checked(image, mapper), 0.0, WRITING)
    finer = _finer(image, between)
    count = finer.shape[0]
    pixels = partial(_slice_at, between, texture)
    writing = write_stack(finer, image, pixels, range(count), path, mapper, unit="slice")
    result = yield from scaled(writing, WRITING, 1.0)
    progress = Progress(f"inserting slices into {image.name}", count, count, 0.0, share=1.0)
    yield FinerStack(progress=progress, image=replace(result, source=path))


def _checked(image: Image, mapper: Mapper) -> Generator[Progressed | SliceChecked, None, None]:
    """Raise a ValueError if two neighbours do not match, before anything is made."""
    counter = StepCounter(f"comparing slices of {image.name}", image.shape[0] - 1, "slice")
    pieces = range(1, image.shape[0])
    with closing(mapper.map(_matches_before, image, pieces, overlap=1)) as results:
        for one in results:
            if one is None:
                yield Progressed(counter.unchanged())
                continue
            index, is_found = one
            if not is_found:
                msg = (
                    f"Slices {index - 1} and {index} of {image.name} do not match each other: "
                    "nothing can be inserted between them. Repair or remove the damaged one first."
                )
                raise ValueError(msg)
            yield SliceChecked(progress=counter.step(), index=index)


def _matches_before(
    image: Image, indices: Iterable[int]
) -> Generator[tuple[int, bool], None, None]:
    """Yield the number of each of consecutive slices, and True if the one before matches it."""
    before: np.ndarray | None = None
    for index in indices:
        if before is None:
            before = read_section(image, index - 1)
        after = read_section(image, index)
        yield index, register_sections(Image(before, "YX"), Image(after, "YX")).is_found
        before = after


def _finer(image: Image, between: int) -> Image:
    """Return the stack to be made, without pixels of its own."""
    step = between + 1
    count = (image.shape[0] - 1) * step + 1
    depth, *plane = image.pixel_size
    befores = {index: index - index % step for index in range(count) if index % step}
    made = {
        index: f"optical flow between slices {before} and {before + step}"
        for index, before in befores.items()
    }
    kept = {z * step: how for z, how in image.interpolated.items()}
    placeholder = np.broadcast_to(np.zeros((), image.dtype), (count, *image.plane_shape))
    return replace(
        image,
        array=placeholder,
        pixel_size=(None if depth is None else depth / step, *plane),
        interpolated={**made, **kept},
    )


def _slice_at(between: int, texture: bool, image: Image, index: int) -> np.ndarray:
    """Return a slice of the finer stack: a recorded one as it is, or one that is made."""
    first, step = divmod(index, between + 1)
    if step == 0:
        return image.read((first,))
    made = interpolate_section(
        read_section(image, first),
        read_section(image, first + 1),
        at=step / (between + 1),
        texture=texture,
    )
    assert made is not None  # its neighbours were compared before
    return in_type(made.pixels, image.dtype)
