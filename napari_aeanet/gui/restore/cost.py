"""What a restoration will take, and whether its result fits into memory.

The engine, and torch with it, is imported when a function begins, which is in its thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import psutil

from napari_aeanet.core.image import Image, Region
from napari_aeanet.restoration import RestoreSettings, Use

if TYPE_CHECKING:
    from napari_aeanet.models import Model
    from napari_aeanet.restoration import Layout

# Edge of the crop by which the pace is measured, in pixels of the source.
MEASURED_EDGE = 128
# Results may take this share of the memory that is free; the rest is for the tiles.
SHARE = 0.5


def fits_in_memory(*layouts: Layout) -> bool:
    """Whether the results of these layouts fit into memory together.

    All are kept; the one that is under way is there a second time, to be seen as it grows, with a
    note for every pixel whether it is finished.
    """
    kept = [result_bytes(layout) for layout in layouts]
    growing = [n + prod(layout.output.shape) for n, layout in zip(kept, layouts, strict=True)]
    return sum(kept) + max(growing) <= SHARE * psutil.virtual_memory().available


def result_bytes(layout: Layout) -> int:
    """What a result takes, with its height map."""
    heights = () if layout.height is None else (layout.height,)
    return sum(prod(i.shape) * i.dtype.itemsize for i in (layout.output, *heights))


@dataclass(frozen=True)
class Estimate:
    """What a restoration will take.

    Parameters
    ----------
    seconds
        In all.
    bytes
        Memory at its peak, with the results if those fit in.
    free
        Memory that is free.
    results
        What the results take, wherever they go.
    needs_file
        Whether they do not fit into memory, so that they must be written as they come.
    """

    seconds: float
    bytes: float
    free: float
    results: float = 0.0
    needs_file: bool = False


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
    from napari_aeanet.models import load_model
    from napari_aeanet.networks import describe_device
    from napari_aeanet.restoration import prepare

    model = load_model(model_path)
    layouts, pixels, peak = [], 0.0, 0.0
    for image in images:
        run = prepare(image, model, settings)
        layouts.append(run.layout)
        more, needed = run.workload()
        pixels, peak = pixels + more, max(peak, needed)
    pace = _seconds_per_pixel(images[0], model, settings)
    results = float(sum(map(result_bytes, layouts)))
    fits = fits_in_memory(*layouts)
    return Estimate(
        seconds=pixels * pace,
        bytes=peak + results if fits else peak,
        free=float(describe_device(run.device).free),
        results=results,
        needs_file=not fits,
    )


def _seconds_per_pixel(image: Image, model: Model, settings: RestoreSettings) -> float:
    """Of the model's grid, on a piece from the middle of an image."""
    from napari_aeanet.restoration import prepare, restore_prepared

    piece = _middle(image, MEASURED_EDGE)
    whole = replace(
        settings,
        use=Use.PATCHES,
        patch_size=4096,
        patch_depth=0,
        symmetries=False,
        height=False,
    )
    run = prepare(piece, model, whole)
    began = perf_counter()
    for _ in restore_prepared(run):
        pass
    return (perf_counter() - began) / prod(run.inputs[0].shape)


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
