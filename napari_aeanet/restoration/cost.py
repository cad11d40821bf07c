"""Estimate of the time and memory of a restoration.

Importing this module does not load torch; every function loads it in its own thread.
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
from napari_aeanet.core.words import bytes_in_words
from napari_aeanet.restoration.settings import STREAMED, RestoreSettings, Use

if TYPE_CHECKING:
    from napari_aeanet.models import Model
    from napari_aeanet.restoration.layout import Layout

MEASURED_EDGE = 128  # of the crop for measuring the speed, in pixels of the source
RESULT_SHARE = 0.5  # of the free memory; the rest is for the tiles


def fits_in_memory(*layouts: Layout) -> bool:
    """Return True if the results of all layouts fit into memory together.

    All results are kept. The one that is being computed exists twice, since it is displayed
    meanwhile, with a mask of its finished pixels.
    """
    kept = [result_bytes(layout) for layout in layouts]
    growing = [n + prod(layout.output.shape) for n, layout in zip(kept, layouts, strict=True)]
    return sum(kept) + max(growing) <= RESULT_SHARE * psutil.virtual_memory().available


def result_bytes(layout: Layout) -> int:
    """Return the memory of a result with its height map."""
    heights = () if layout.height is None else (layout.height,)
    return sum(prod(i.shape) * i.dtype.itemsize for i in (layout.output, *heights))


def too_large(size: float) -> str:
    """Return why a result of `size` bytes cannot be made in memory, and what to do."""
    what = f"the result of {bytes_in_words(size)} does not fit into the free memory"
    return f"{what}: name a file that ends in {STREAMED}, which is written as it is computed."


@dataclass(frozen=True)
class Estimate:
    """Time and memory of a restoration.

    Parameters
    ----------
    seconds
        Total time.
    bytes
        Peak memory, including the results if they fit.
    free
        Free memory.
    results
        Size of the results, in memory or on disk.
    needs_file
        True if the results do not fit into memory and must be written as they are computed.
    """

    seconds: float
    bytes: float
    free: float
    results: float = 0.0
    needs_file: bool = False


def estimate(
    images: Sequence[Image], model_path: Path, settings: RestoreSettings
) -> Estimate | None:
    """Estimate the cost of restoring `images` from the speed on a small crop of the first.

    Returns
    -------
    Estimate or None
        None if the images cannot be restored; the restoration itself explains why.
    """
    try:
        return _estimate(images, model_path, settings)
    except (ValueError, OSError):
        return None


def _estimate(images: Sequence[Image], model_path: Path, settings: RestoreSettings) -> Estimate:
    from napari_aeanet.models import load_model
    from napari_aeanet.networks import describe_device
    from napari_aeanet.restoration.preparation import prepare

    model = load_model(model_path)
    layouts, pixels, peak = [], 0.0, 0.0
    for image in images:
        run = prepare(image, model, settings)
        layouts.append(run.layout)
        more, needed = run.workload()
        pixels, peak = pixels + more, max(peak, needed)
    speed = seconds_per_pixel(images[0], model, settings)
    results = float(sum(map(result_bytes, layouts)))
    fits = fits_in_memory(*layouts)
    return Estimate(
        seconds=pixels * speed,
        bytes=peak + results if fits else peak,
        free=float(describe_device(run.device).free),
        results=results,
        needs_file=not fits,
    )


def seconds_per_pixel(image: Image, model: Model, settings: RestoreSettings) -> float:
    """Measure the time per pixel of the model's grid on a crop from the middle of an image."""
    from napari_aeanet.restoration.preparation import prepare
    from napari_aeanet.restoration.run import restore_prepared

    middle = _middle(image, MEASURED_EDGE)
    whole = replace(
        settings,
        use=Use.PATCHES,
        patch_size=4096,
        patch_depth=0,
        symmetries=False,
        height=False,
    )
    run = prepare(middle, model, whole)
    began = perf_counter()
    for _ in restore_prepared(run):
        pass
    return (perf_counter() - began) / prod(run.inputs[0].shape)


def _middle(image: Image, edge: int) -> Image:
    """Crop an image to the middle of its plane, with all planes and one entry of other axes."""
    region: list[slice] = []
    for axis, n in image.sizes.items():
        size = n if axis == "Z" else min(n, edge) if axis in "YX" else 1
        region.append(slice((n - size) // 2, (n - size) // 2 + size))
    return crop_image(image, tuple(region))


def crop_image(image: Image, region: Region) -> Image:
    """Return a region of an image with its origin."""
    spatial = [s for axis, s in zip(image.axes, region, strict=True) if axis in "ZYX"]
    origin = [
        o + s.start * (1.0 if size is None else size)
        for o, s, size in zip(image.origin, spatial, image.pixel_size, strict=True)
    ]
    return image.with_array(image.read(region), origin=tuple(origin))
