"""Write a repaired stack slice by slice."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import HasProgress, Progressed, Returned, StepCounter
from napari_aeanet.repair.outputs import table_file
from napari_aeanet.repair.settings import SliceStored
from napari_aeanet.stacks import check_stack_output

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
    check_stack_output(image, path, [table_file(path)], overwrite)


def written(
    image: Image, writing: Generator[int | None, None, Image]
) -> Generator[Progressed | SliceStored, None, Image]:
    """Yield an event for each slice of `image` that `write_stack` writes; return the stack."""
    counter = StepCounter(f"writing {image.name}", image.shape[0])
    with closing(writing):
        while True:
            try:
                index = next(writing)
            except StopIteration as finished:
                return finished.value
            if index is None:
                yield Progressed(counter.unchanged())
            else:
                yield SliceStored(progress=counter.step(), index=index)


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
