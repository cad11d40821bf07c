"""What the Restore dock runs in the background: restoring, estimating, comparing patch sizes.

The engine, and torch with it, is imported when a function begins, which is in its thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_aeanet.data.files import write_image
from napari_aeanet.data.formats.blocks import blocks
from napari_aeanet.data.images import Image, Region
from napari_aeanet.data.progress import Progress
from napari_aeanet.engine.restoration import Restored, RestoreSettings, TileDone, Use, height_path
from napari_aeanet.gui.work import Working

if TYPE_CHECKING:
    from napari_aeanet.engine.bundle import Model
    from napari_aeanet.engine.tiling.layout import Layout

# Results of more pixels are not filled with the source before they are restored.
LARGEST_FIRST_LOOK = 2**27
# Edge of the crop by which the pace is measured, in pixels of the source.
MEASURED_EDGE = 128
COMPARED_SIZES = (64, 128, 256)
# Views are compared up to this edge (source pixels): around their middle.
COMPARED_EDGE = 320


@dataclass(frozen=True, eq=False)
class RestoreOrder:
    """One image to restore, the file to write the result to, and what of it is on the screen."""

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


RestoreWork = Working | ImageBegun | PieceRestored | ImageRestored | ImageRefused


def restore_images(
    orders: Sequence[RestoreOrder], model_path: Path, settings: RestoreSettings
) -> Iterator[RestoreWork]:
    """Restore image after image; one that does not suit the model does not stop the others."""
    from napari_aeanet.engine.bundle import load_model
    from napari_aeanet.engine.prediction import restore

    model = load_model(model_path)
    for index, order in enumerate(orders):
        latest = Progress(f"restoring {order.image.name}", 0, 0)
        try:
            layout = _layout(order.image, model, settings)
            yield ImageBegun(index, _first_look(order.image, layout), latest)
            for event in restore(order.image, model, settings, order.visible):
                latest = event.progress
                if isinstance(event, Restored):
                    yield _written(index, order, event)
                elif isinstance(event, TileDone):
                    yield PieceRestored(index, event.region, event.block, event.provisional, latest)
                else:
                    yield Working(latest)
        except (ValueError, OSError) as error:
            yield ImageRefused(index, str(error), latest)


def _layout(image: Image, model: Model, settings: RestoreSettings) -> Layout:
    from napari_aeanet.engine.device import choose
    from napari_aeanet.engine.tiling.layout import lay_out
    from napari_aeanet.engine.tiling.memory import Memory

    memory = Memory.on(choose(settings.device), settings.memory)
    return lay_out(image, model.card, model.network(), settings, memory)


def _first_look(image: Image, layout: Layout) -> Image:
    """The result before it is restored: the source, its pixels repeated."""
    output = layout.output
    if prod(output.shape) > LARGEST_FIRST_LOOK:
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
    if saved is not None:
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


@dataclass(frozen=True)
class Estimate:
    """What a restoration will take.

    Parameters
    ----------
    seconds
        In all.
    bytes
        Memory at its peak, results included.
    free
        Memory that is free.
    """

    seconds: float
    bytes: float
    free: float


def estimate(
    images: Sequence[Image], model_path: Path, settings: RestoreSettings
) -> Estimate | None:
    """What restoring `images` will take, from the pace on a small piece of the first.

    None where they cannot be restored: who starts it is told why.
    """
    try:
        return _estimate(images, model_path, settings)
    except (ValueError, OSError):
        return None


def _estimate(images: Sequence[Image], model_path: Path, settings: RestoreSettings) -> Estimate:
    from napari_aeanet.engine.bundle import load_model
    from napari_aeanet.engine.device import choose, describe
    from napari_aeanet.engine.tiling.memory import Memory, tile_bytes, waiting_bytes, with_halo

    model = load_model(model_path)
    network, device = model.network(), choose(settings.device)
    memory = Memory.on(device, settings.memory)
    pixels, peak, results = 0.0, 0.0, 0.0
    for image in images:
        layout = _layout(image, model, settings)
        shape = layout.sheets[0].shape
        if layout.patches:
            outers = [tuple(s.stop - s.start for s in patch.outer) for patch in layout.patches]
            times, waiting = 1.0, 0.0
        else:
            halo = network.halo(network.contexts)
            sizes = [tuple(s.stop - s.start for s in tile) for tile in layout.tiles]
            outers = [with_halo(size, halo, shape) for size in sizes]
            waiting = sum(waiting_bytes(network, outer) for outer in outers)
            room = layout.room(network, memory)
            # Tiles that find no room to wait in are computed again after every attention.
            times = 1.0 + network.contexts * (1 - min(1.0, room / max(waiting, 1.0)))
            waiting = min(waiting, room)
        pixels += len(layout.sheets) * sum(map(prod, outers)) * times
        peak = max(peak, max(tile_bytes(network, outer) for outer in outers) + waiting)
        results += prod(layout.output.shape) * layout.output.dtype.itemsize
    turns = 8 if settings.symmetries else 1
    pace = _seconds_per_pixel(images[0], model, settings)
    return Estimate(turns * pixels * pace, peak + results, float(describe(device).free))


def _seconds_per_pixel(image: Image, model: Model, settings: RestoreSettings) -> float:
    """Of the model's grid, on a piece from the middle of an image."""
    from napari_aeanet.engine.prediction import restore

    piece = _middle(image, MEASURED_EDGE)
    whole = replace(
        settings,
        use=Use.PATCHES,
        patch_size=4096,
        patch_depth=0,
        symmetries=False,
        height=False,
    )
    sheet = _layout(piece, model, whole).sheets[0]
    began = perf_counter()
    for _ in restore(piece, model, whole):
        pass
    return (perf_counter() - began) / prod(sheet.shape)


def _middle(image: Image, edge: int) -> Image:
    """A piece from the middle of the plane, one entry of every other axis but Z."""
    region: list[slice] = []
    for axis, n in image.sizes.items():
        size = n if axis == "Z" else min(n, edge) if axis in "YX" else 1
        region.append(slice((n - size) // 2, (n - size) // 2 + size))
    return crop(image, tuple(region))


def crop(image: Image, region: Region) -> Image:
    """A part of an image, in its place."""
    spatial = [s for axis, s in zip(image.axes, region, strict=True) if axis in "ZYX"]
    origin = [
        o + s.start * (1.0 if size is None else size)
        for o, s, size in zip(image.origin, spatial, image.pixel_size, strict=True)
    ]
    return image.with_array(image.read(region), origin=tuple(origin))


@dataclass(frozen=True, eq=False)
class Compared:
    """A view restored in several ways: a title and pixels for each, and their grid.

    `differences` are those from the last one: root mean square, as a share of its contrast.
    """

    panels: tuple[tuple[str, np.ndarray], ...]
    differences: tuple[tuple[str, float], ...]
    image: Image
    progress: Progress


def compare_sizes(
    view: Image, model_path: Path, settings: RestoreSettings
) -> Iterator[Working | Compared]:
    """Restore a view patch by patch, in patches of several sizes, and with its whole context."""
    from napari_aeanet.engine.bundle import load_model
    from napari_aeanet.engine.prediction import restore

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
        yield Working(Progress(f"restoring the view, {title}", number, len(ways)))
        for event in restore(view, model, replace(settings, height=False, **choice)):
            if isinstance(event, Restored):
                results.append((title, event.image))
            else:
                yield Working(Progress(f"restoring the view, {title}", number, len(ways)))
    last = results[-1][1].read().astype(np.float32)
    contrast = float(np.nanstd(last)) or 1.0
    apart = [
        (title, float(np.sqrt(np.nanmean((image.read() - last) ** 2))) / contrast)
        for title, image in results[:-1]
    ]
    yield Compared(
        panels=tuple((title, image.read()) for title, image in results),
        differences=tuple(apart),
        image=results[-1][1],
        progress=Progress("comparing patch sizes", len(ways), len(ways)),
    )
