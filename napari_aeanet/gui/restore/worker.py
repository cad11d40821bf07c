"""What the Restore dock runs in the background: restoring, and comparing patch sizes.

The engine, and torch with it, is imported when a function begins, which is in its thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.restore.cost import fits_in_memory, result_bytes
from napari_aeanet.gui.restore.text import too_large_words
from napari_aeanet.io import blocks, stem, write_image
from napari_aeanet.restoration import (
    STREAMED,
    Restored,
    RestoreSettings,
    TileDone,
    Use,
    height_path,
)

if TYPE_CHECKING:
    from napari_aeanet.restoration import Layout

# A result is filled with the source before it is restored, unless either has more pixels.
LARGEST_FIRST_LOOK = 2**27
COMPARED_SIZES = (64, 128, 256)
# Views are compared up to this edge (source pixels): around their middle.
COMPARED_EDGE = 320


@dataclass(frozen=True, eq=False)
class RestoreOrder:
    """One image to restore, the file to write the result to, and what of it is on the screen.

    A result for a file of the ending .ome.zarr is written as it comes; so is one that does not fit
    into memory, to a file of this ending beside the one that is named.
    """

    image: Image
    path: Path | None = None
    visible: Region | None = None


@dataclass(frozen=True, eq=False)
class ImageBegun:
    """Order number `index` is under way: `image` is where its result takes shape.

    Until then it shows the source, enlarged; nobody else writes to its array.
    """

    index: int
    image: Image
    progress: Progress


@dataclass(frozen=True, eq=False)
class FileBegun:
    """Order number `index` is under way, into a file: it is seen when it is complete."""

    index: int
    path: Path
    progress: Progress


@dataclass(frozen=True, eq=False)
class PieceRestored:
    """A part of the result of order number `index`; a provisional one will come again."""

    index: int
    region: Region
    block: np.ndarray
    provisional: bool
    progress: Progress


@dataclass(frozen=True, eq=False)
class ImageRestored:
    """The result of order number `index`. `saved` is where it was written, if it was.

    `height` is its height map, if that was wanted, with its lowest and highest value.
    """

    index: int
    image: Image
    saved: Path | None
    notices: tuple[str, ...]
    progress: Progress
    height: Image | None = None
    height_range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class ImageRefused:
    """Order number `index` could not be restored; the others go on."""

    index: int
    reason: str
    progress: Progress


RestoreWork = Progressed | ImageBegun | FileBegun | PieceRestored | ImageRestored | ImageRefused


def restore_images(
    orders: Sequence[RestoreOrder], model_path: Path, settings: RestoreSettings
) -> Iterator[RestoreWork]:
    """Restore image after image; one that does not suit the model does not stop the others."""
    from napari_aeanet.models import load_model
    from napari_aeanet.restoration import prepare, restore_prepared

    model = load_model(model_path)
    for index, order in enumerate(orders):
        latest = Progress(f"restoring {order.image.name}", 0, 0)
        try:
            run = prepare(order.image, model, settings)
            file = _streamed_to(order, run.layout)
            if file is None:
                yield ImageBegun(index, _first_look(order.image, run.layout), latest)
            else:
                yield FileBegun(index, file, latest)
            visible = order.visible if file is None else None
            for event in restore_prepared(run, visible, out=file):
                latest = event.progress
                if isinstance(event, Restored):
                    yield _written(index, order, event)
                elif isinstance(event, TileDone) and file is None:
                    yield PieceRestored(index, event.region, event.block, event.provisional, latest)
                else:
                    yield Progressed(latest)
        except (ValueError, OSError) as error:
            yield ImageRefused(index, str(error), latest)


def _streamed_to(order: RestoreOrder, layout: Layout) -> Path | None:
    """The file that a result is written to as it comes; None if it takes shape in memory."""
    path = order.path
    if path is None or not path.name.endswith(STREAMED):
        if fits_in_memory(layout):
            return None
        if path is None:
            raise ValueError(f"{order.image.name}: {too_large_words(result_bytes(layout))}")
        path = free_path(path.parent, stem(path), STREAMED)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def free_path(folder: Path, name: str, ending: str) -> Path:
    """A file of this name, or "name-2", "name-3": nothing is overwritten."""
    number, path = 1, folder / f"{name}{ending}"
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{ending}"
    return path


def _first_look(image: Image, layout: Layout) -> Image:
    """The result before it is restored: the source, its pixels repeated."""
    output = layout.output
    if max(prod(output.shape), prod(image.shape)) > LARGEST_FIRST_LOOK:
        return output.with_array(np.zeros(output.shape, output.dtype))
    values = image.read()
    for gone in [a for a in image.axes if a not in output.axes]:  # planes that are projected
        values = values.max(axis=image.axes.index(gone))
    for axis, (old, new) in enumerate(zip(values.shape, output.shape, strict=True)):
        if old != new:
            values = values.take((np.arange(new) * old) // new, axis=axis)
    encoded = layout.encoding.encode(values.astype(np.float32))
    return output.with_array(np.ascontiguousarray(encoded, dtype=output.dtype))


def _written(index: int, order: RestoreOrder, event: Restored) -> ImageRestored:
    """The result in its file; a file that cannot be written does not cost the result."""
    saved, notices = order.path, event.notices
    if event.image.source is not None:  # it was written as it came
        saved = event.image.source
    elif saved is not None:
        try:
            saved.parent.mkdir(parents=True, exist_ok=True)
            write_image(event.image, saved)
            if event.height is not None:
                write_image(event.height, height_path(saved))
        except OSError as error:
            notices = (*notices, f"It could not be saved: {error}")
            saved = None
    done = ImageRestored(index, event.image, saved, notices, event.progress)
    if event.height is None:
        return done
    return replace(done, height=event.height, height_range=_range_of(event.height))


def _range_of(image: Image) -> tuple[float, float]:
    """The lowest and the highest value of an image, which may lie on disk."""
    low, high = np.inf, -np.inf
    for region in blocks(image.shape):
        values = image.read(region)
        low = min(low, np.min(values, initial=np.inf, where=np.isfinite(values)))
        high = max(high, np.max(values, initial=-np.inf, where=np.isfinite(values)))
    if low > high:  # there are no numbers
        return 0.0, 1.0
    return float(low), float(high) if low < high else float(low) + 1.0


@dataclass(frozen=True, eq=False)
class PatchSizesCompared:
    """A view restored in several ways: a title and pixels for each, and their grid.

    `differences` are those from the last one: root mean square, as a share of its contrast.
    """

    panels: tuple[tuple[str, np.ndarray], ...]
    differences: tuple[tuple[str, float], ...]
    image: Image
    progress: Progress


def compare_sizes(
    view: Image, model_path: Path, settings: RestoreSettings
) -> Iterator[Progressed | PatchSizesCompared]:
    """Restore a view patch by patch, in patches of several sizes, and with its whole context."""
    from napari_aeanet.models import load_model
    from napari_aeanet.restoration import restore_events

    model = load_model(model_path)
    edge = min(view.shape[-2:])
    ratio = model.card.ratio[-1]
    ways: list[tuple[str, dict[str, Any]]] = [
        (
            f"patches {size}",
            # A margin that suits large patches would leave nothing of small ones.
            {
                "use": Use.PATCHES,
                "patch_size": size,
                "margin": min(settings.margin, size // 4),
            },
        )
        for size in COMPARED_SIZES
        if size < edge * ratio
    ]
    ways.append(("whole view", {"use": Use.WHOLE_IMAGE, "context": "whole"}))
    results: list[tuple[str, Image]] = []
    for number, (title, choice) in enumerate(ways):
        yield Progressed(Progress(f"restoring the view, {title}", number, len(ways)))
        for event in restore_events(view, model, replace(settings, height=False, **choice)):
            if isinstance(event, Restored):
                results.append((title, event.image))
            else:
                yield Progressed(Progress(f"restoring the view, {title}", number, len(ways)))
    last = results[-1][1].read().astype(np.float32)
    contrast = float(np.nanstd(last)) or 1.0
    apart = [
        (title, float(np.sqrt(np.nanmean((image.read() - last) ** 2))) / contrast)
        for title, image in results[:-1]
    ]
    yield PatchSizesCompared(
        panels=tuple((title, image.read()) for title, image in results),
        differences=tuple(apart),
        image=results[-1][1],
        progress=Progress("comparing patch sizes", len(ways), len(ways)),
    )
