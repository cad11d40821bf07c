"""Write a repaired stack slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.image import Image, regions
from napari_aeanet.core.progress import HasProgress, Returned, StepCounter
from napari_aeanet.io import (
    check_writable,
    create_omezarr,
    open_levels,
    write_chunk,
    write_image,
)
from napari_aeanet.repair.outputs import table_file
from napari_aeanet.repair.settings import SliceStored

#: Endings of a repaired stack: the formats that hold which slices were made.
ENDINGS = (".ome.tif", ".ome.tiff", ".ome.zarr")
Shared = TypeVar("Shared", bound=HasProgress)


def check_output(image: Image, path: Path, overwrite: bool) -> None:
    """Raise an error in words if the stack cannot be written to `path`."""
    if not path.name.lower().endswith(ENDINGS):
        msg = (
            f"{path} cannot hold which slices were repaired: choose a name that ends in .ome.tif "
            "or .ome.zarr."
        )
        raise ValueError(msg)
    check_writable(image, path)
    if image.source is not None and image.source.resolve() == path.resolve():
        raise ValueError(f"{path} is the stack itself: choose another name for the result.")
    existing = [one for one in (path, table_file(path)) if one.exists()]
    if existing and not overwrite:
        msg = f"{existing[0]} exists already: choose another name, or remove it first."
        raise FileExistsError(msg)


def written(
    image: Image, slice_at: Callable[[int], np.ndarray], path: Path | None
) -> Generator[SliceStored, None, Image]:
    """Write a stack slice by slice into a file or memory; return it.

    Its pixels are those of `slice_at`; everything else is that of `image`.
    """
    counter = StepCounter(f"writing {image.name}", image.shape[0])
    if path is not None and path.suffix.lower() == ".zarr":
        with replacing(path) as temporary:
            levels = create_omezarr(image, temporary)
            for index in range(image.shape[0]):
                pixels = slice_at(index)
                for region in regions(image.plane_shape, levels[0].chunks[1:]):
                    at = (slice(index, index + 1), *region)
                    write_chunk(levels, at, pixels[None, *region])
                yield SliceStored(progress=counter.step(), index=index)
        return image.with_array(open_levels(path)[0])
    array = np.empty(image.shape, image.dtype)
    for index in range(image.shape[0]):
        array[index] = slice_at(index)
        yield SliceStored(progress=counter.step(), index=index)
    result = image.with_array(array)
    if path is not None:
        write_image(result, path)
    return result


def with_share(event: Shared, start: float, end: float) -> Shared:
    """Return an event whose progress is that of a part of the job."""
    progress = event.progress
    share = start + (end - start) * progress.fraction
    unit = progress.unit or "slice"
    changed = replace(progress, share=share, unit=unit)
    return cast(Shared, replace(cast(Any, event), progress=changed))


def scaled(
    events: Generator[Shared, None, Returned], start: float, end: float
) -> Generator[Shared, None, Returned]:
    """Pass events on with their share of the whole job; return what the generator returns."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                return finished.value
            yield with_share(event, start, end)
