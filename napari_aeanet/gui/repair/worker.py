"""Background work of the Repair dock, without Qt and napari."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.viewer.levels import in_means
from napari_aeanet.io import check_writable, open_levels, write_image
from napari_aeanet.repair import (
    ExpectedQuality,
    QualityMeasured,
    RepairedStack,
    RepairSettings,
    SlicePreview,
    expected_quality_events,
    preview_slice,
    repair_stack_events,
    save_table,
    table_file,
)
from napari_aeanet.stacks import AlignedStack, align_stack_events, save_places

# Largest share of the free memory that a repaired stack may take.
LARGEST_SHARE = 0.5
THUMBNAIL_EDGE = 256  # px


@dataclass(frozen=True, eq=False)
class StackRepaired:
    """The stack is repaired; `pixels` are those to show, in levels if they are many."""

    repaired: RepairedStack
    pixels: Any
    progress: Progress


@dataclass(frozen=True, eq=False)
class StackAligned:
    """The stack is aligned; `pixels` are those to show, in levels if they are many."""

    aligned: AlignedStack
    pixels: Any
    progress: Progress


@dataclass(frozen=True, eq=False)
class StackSaved:
    """The stack `made` was written to `path`, its table beside it."""

    made: RepairedStack | AlignedStack
    path: Path
    progress: Progress


@dataclass(frozen=True, eq=False)
class PreviewMade:
    """A slice before and after its repair, with small pictures of both and of its neighbours.

    `thumbnails` are those of the slice before, the slice itself, the repaired one and the slice
    after, 8-bit grey.
    """

    planned: SlicePreview
    thumbnails: tuple[np.ndarray, ...]


def fits_in_memory(image: Image) -> bool:
    """Return True if a copy of a stack fits into the free memory."""
    size = int(np.prod(image.shape, dtype=np.int64)) * np.dtype(image.dtype).itemsize
    return size <= LARGEST_SHARE * psutil.virtual_memory().available


def align(image: Image, out: Path | None) -> Iterator[Any]:
    """Align the sections of a stack, in memory or into a file."""
    for event in align_stack_events(image, out=out):
        if isinstance(event, AlignedStack):
            yield StackAligned(event, _shown(event.image), event.progress)
        else:
            yield event


def repair(
    image: Image,
    slices: Collection[int],
    settings: RepairSettings,
    out: Path | None,
    learning: Path | None,
    before_the_end: Callable[[], None],
) -> Iterator[Any]:
    """Repair a stack, in memory or into a file.

    Parameters
    ----------
    learning
        Folder of the network, for a method that learns.
    before_the_end
        Called before the result is handed over.
    """
    if learning is not None:
        learning.parent.mkdir(parents=True, exist_ok=True)
    for event in repair_stack_events(image, slices, settings, out=out, learning=learning):
        if isinstance(event, RepairedStack):
            before_the_end()
            yield StackRepaired(event, _shown(event.image), event.progress)
        else:
            yield event


def _shown(image: Image) -> Any:
    if image.source is None or image.source.suffix.lower() != ".zarr":
        return in_means(image.read())
    levels = open_levels(image.source)
    return levels if len(levels) > 1 else levels[0]


def save(
    repaired: RepairedStack, source: Path | None, path: Path
) -> Iterator[Progressed | StackSaved]:
    """Write a repaired stack and its table; `source` is the file that it was made from."""
    yield from _saving(repaired.image, source, path)
    save_table(repaired, table_file(path))
    yield StackSaved(repaired, path, Progress(f"writing {path.name}", 0, 0))


def save_aligned(
    aligned: AlignedStack, source: Path | None, path: Path
) -> Iterator[Progressed | StackSaved]:
    """Write an aligned stack and the places of its sections, as `align_stack` does."""
    yield from _saving(aligned.image, source, path)
    save_places(aligned.alignment, path)
    yield StackSaved(aligned, path, Progress(f"writing {path.name}", 0, 0))


def _saving(image: Image, source: Path | None, path: Path) -> Iterator[Progressed]:
    yield Progressed(Progress(f"writing {path.name}", 0, 0))
    if source is not None and source.resolve() == path.resolve():
        raise ValueError(f"{path} is the stack itself: choose another name for the result.")
    check_writable(image, path)
    write_image(image, path)


def make_preview(
    image: Image,
    index: int,
    slices: Collection[int],
    settings: RepairSettings,
    limits: tuple[float, float],
) -> PreviewMade | str:
    """Repair one slice without changing anything; return why if it cannot be repaired.

    `limits` are the contrast limits of the small pictures.
    """
    try:
        made = preview_slice(image, index, slices, settings)
    except ValueError as error:
        return str(error)
    planes = (made.before, made.damaged, made.repaired, made.after)
    return PreviewMade(made, tuple(_thumbnail(plane, limits) for plane in planes))


def _thumbnail(plane: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return a plane in 8-bit grey, at most about twice `THUMBNAIL_EDGE` wide."""
    step = max(1, max(plane.shape) // THUMBNAIL_EDGE)
    height, width = (n // step for n in plane.shape)
    blocks = plane[: height * step, : width * step].reshape(height, step, width, step)
    low, high = limits
    share = (blocks.mean(axis=(1, 3)) - low) / max(high - low, 1e-12)
    return (255 * np.clip(np.nan_to_num(share), 0, 1)).astype(np.uint8)


def measure(
    image: Image,
    slices: Collection[int],
    settings: RepairSettings,
    is_wanted: Callable[[], bool],
) -> tuple[ExpectedQuality, ...] | None:
    """Measure the expected quality of a repair; None if it is no longer wanted."""
    for event in expected_quality_events(image, slices, settings):
        if not is_wanted():
            return None
        if isinstance(event, QualityMeasured):
            return event.quality
    return None
