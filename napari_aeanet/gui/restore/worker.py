"""Background work of the Restore dock: restorations and the comparison of patch sizes.

Importing this module does not load torch; every function loads it in its own thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.cluster import ClusterSettings, Connected
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.intensity_range import common_range
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.restore.text import too_large_words
from napari_aeanet.gui.viewer.levels import in_means
from napari_aeanet.io import open_levels, read_image, stem, write_image
from napari_aeanet.restoration import (
    STREAMED,
    Restored,
    RestoreSettings,
    TileDone,
    Use,
    fits_in_memory,
    height_path,
    result_bytes,
)

if TYPE_CHECKING:
    from napari_aeanet.models import Model
    from napari_aeanet.restoration import Layout

HERE = ClusterSettings()  # no workers

# The source is shown in place of an unfinished result, unless either has more pixels.
LARGEST_FIRST_LOOK = 2**27
COMPARED_SIZES = (64, 128, 256)
COMPARED_EDGE = 320  # largest edge of a compared view, in pixels of the source


@dataclass(frozen=True, eq=False)
class RestoreRequest:
    """One image to restore, the file of the result, and the visible region, restored first.

    A result for a file that ends in .ome.zarr is written as it is computed; so is one that does
    not fit into memory, to a file of this ending beside the given one.
    """

    image: Image
    path: Path | None = None
    visible: Region | None = None


@dataclass(frozen=True, eq=False)
class ImageBegun:
    """Request number `index` has started: `image` is to be filled with its result.

    At first it holds the enlarged source. The worker does not write to its array.
    """

    index: int
    image: Image
    progress: Progress


@dataclass(frozen=True, eq=False)
class FileBegun:
    """Request number `index` has started: its result goes to a file.

    `workers` write it, if not this program; `dashboard` is the page that shows them, if any.
    """

    index: int
    path: Path
    progress: Progress
    workers: int = 0
    dashboard: str = ""


@dataclass(frozen=True, eq=False)
class BlockRestored:
    """A block of the result of request number `index`; a provisional one will be replaced."""

    index: int
    region: Region
    block: np.ndarray
    provisional: bool
    progress: Progress


@dataclass(frozen=True, eq=False)
class ImageRestored:
    """The result of request number `index`, and the file it was written to, if any.

    `pixels` are those to show, in levels if they are many; `height` is the height map, if
    requested, with its lowest and highest value.
    """

    index: int
    image: Image
    saved: Path | None
    notices: tuple[str, ...]
    progress: Progress
    pixels: Any
    height: Image | None = None
    height_pixels: Any = None
    height_range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class ImageRefused:
    """Request number `index` could not be restored; the others continue."""

    index: int
    reason: str
    progress: Progress


RestoreWork = Progressed | ImageBegun | FileBegun | BlockRestored | ImageRestored | ImageRefused


def restore_images(
    requests: Sequence[RestoreRequest],
    model_path: Path,
    settings: RestoreSettings,
    cluster: ClusterSettings = HERE,
) -> Iterator[RestoreWork]:
    """Restore image after image; one that does not fit the model does not stop the others."""
    from napari_aeanet.models import load_model
    from napari_aeanet.restoration import prepare, restore_prepared

    model = load_model(model_path)
    series = common_range(request.image for request in requests)
    for index, request in enumerate(requests):
        latest = Progress(f"restoring {request.image.name}", 0, 0)
        try:
            if cluster.dask:
                yield from _on_workers(index, request, model, settings, cluster)
                continue
            run = prepare(request.image, model, settings, series)
            file = _streamed_to(request, run.layout)
            if file is None:
                yield ImageBegun(index, _first_look(request.image, run.layout), latest)
            else:
                yield FileBegun(index, file, latest)
            visible = request.visible if file is None else None
            for event in restore_prepared(run, visible, out=file):
                latest = event.progress
                if isinstance(event, Restored):
                    yield _written(index, request, event)
                elif isinstance(event, TileDone) and file is None:
                    yield BlockRestored(index, event.region, event.block, event.provisional, latest)
                else:
                    yield Progressed(latest)
        except (ValueError, OSError) as error:
            yield ImageRefused(index, str(error), latest)


def _on_workers(
    index: int,
    request: RestoreRequest,
    model: Model,
    settings: RestoreSettings,
    cluster: ClusterSettings,
) -> Iterator[RestoreWork]:
    """Restore an image file on workers, which read it themselves."""
    from napari_aeanet.cluster import restore_on_cluster_events

    image, out = request.image, request.path
    assert out is not None
    if image.source is not None:
        stored = read_image(image.source)
        if (stored.axes, stored.shape) != (image.axes, image.shape):
            raise ValueError(
                f"{image.name} has the axes {image.axes} here and {stored.axes} in its file, which "
                "other processes would read: save it as OME-TIFF, and restore that."
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    for event in restore_on_cluster_events(image, model, out, settings, cluster):
        if isinstance(event, Restored):
            yield _written(index, request, event)
        elif isinstance(event, Connected):
            yield FileBegun(index, out, event.progress, event.workers, event.dashboard)
        else:
            yield event


def _streamed_to(request: RestoreRequest, layout: Layout) -> Path | None:
    """Return the file for a result that is written as it is computed; None for one in memory."""
    path = request.path
    if path is None or not path.name.endswith(STREAMED):
        if fits_in_memory(layout):
            return None
        if path is None:
            raise ValueError(f"{request.image.name}: {too_large_words(result_bytes(layout))}")
        path = free_path(path.parent, stem(path), STREAMED)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def free_path(folder: Path, name: str, ending: str) -> Path:
    """Return a new file of this name, or "name-2", "name-3": nothing is overwritten."""
    number, path = 1, folder / f"{name}{ending}"
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}{ending}"
    return path


def _first_look(image: Image, layout: Layout) -> Image:
    """Return the source on the grid of the result, by repeating pixels."""
    output = layout.output
    if max(prod(output.shape), prod(image.shape)) > LARGEST_FIRST_LOOK:
        return output.with_array(np.zeros(output.shape, output.dtype))
    values = image.read()
    for axis in [a for a in image.axes if a not in output.axes]:  # projected planes
        values = values.max(axis=image.axes.index(axis))
    for number, (old, new) in enumerate(zip(values.shape, output.shape, strict=True)):
        if old != new:
            values = values.take((np.arange(new) * old) // new, axis=number)
    encoded = layout.encoding.encode(values.astype(np.float32))
    return output.with_array(np.ascontiguousarray(encoded, dtype=output.dtype))


def _written(index: int, request: RestoreRequest, event: Restored) -> ImageRestored:
    """Save a result; if that fails, keep it in memory and add a notice."""
    saved, notices = request.path, event.notices
    if event.image.source is not None:  # written as it was computed
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
    done = ImageRestored(index, event.image, saved, notices, event.progress, _levels(event.image))
    if event.height is None:
        return done
    height = event.height
    return replace(
        done, height=height, height_pixels=_levels(height), height_range=_range_of(height)
    )


def _levels(image: Image) -> Any:
    """Return the pixels of an image in levels if they are many, or the levels of its file.

    napari reads only the visible part of levels, so the file may be larger than memory.
    """
    if image.source is None:
        return in_means(image.array)
    levels = open_levels(image.source)
    return levels if len(levels) > 1 else levels[0]


def _range_of(image: Image) -> tuple[float, float]:
    """Return the lowest and the highest value of an image, which may lie on disk."""
    low, high = np.inf, -np.inf
    for values in image.read_blocks():
        low = min(low, np.min(values, initial=np.inf, where=np.isfinite(values)))
        high = max(high, np.max(values, initial=-np.inf, where=np.isfinite(values)))
    if low > high:  # no finite values
        return 0.0, 1.0
    return float(low), float(high) if low < high else float(low) + 1.0


@dataclass(frozen=True, eq=False)
class PatchSizesCompared:
    """A view restored with several patch sizes, and as a whole at last.

    Parameters
    ----------
    panels
        Title and pixels of each result.
    differences
        Title and root mean square difference of each result from the last one, as a share of the
        last one's standard deviation.
    image
        The last result, for its grid.
    """

    panels: tuple[tuple[str, np.ndarray], ...]
    differences: tuple[tuple[str, float], ...]
    image: Image
    progress: Progress


def compare_sizes(
    view: Image, model_path: Path, settings: RestoreSettings
) -> Iterator[Progressed | PatchSizesCompared]:
    """Restore a view in patches of several sizes, and with its whole context."""
    from napari_aeanet.models import load_model
    from napari_aeanet.restoration import restore_events

    model = load_model(model_path)
    edge, margin = min(view.shape[-2:]) * model.card.ratio[-1], settings.margin
    patches: dict[str, Any] = {"use": Use.PATCHES}
    methods: list[tuple[str, dict[str, Any]]] = [
        # A margin for large patches would leave nothing of small ones.
        (f"patches {size}", {**patches, "patch_size": size, "margin": min(margin, size // 4)})
        for size in COMPARED_SIZES
        if size < edge
    ]
    methods.append(("whole view", {"use": Use.WHOLE_IMAGE, "context": "whole"}))
    results: list[tuple[str, Image]] = []
    for number, (title, changes) in enumerate(methods):
        progress = Progress(f"restoring the view, {title}", number, len(methods))
        yield Progressed(progress)
        for event in restore_events(view, model, replace(settings, height=False, **changes)):
            if isinstance(event, Restored):
                results.append((title, event.image))
            yield Progressed(progress)
    last = results[-1][1].read().astype(np.float32)
    contrast = float(np.nanstd(last)) or 1.0
    differences = [
        (title, float(np.sqrt(np.nanmean((image.read() - last) ** 2))) / contrast)
        for title, image in results[:-1]
    ]
    yield PatchSizesCompared(
        panels=tuple((title, image.read()) for title, image in results),
        differences=tuple(differences),
        image=results[-1][1],
        progress=Progress("comparing patch sizes", len(methods), len(methods)),
    )
