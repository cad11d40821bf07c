"""What the context is worth: one image restored with contexts of several sizes, in both ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_aeanet.core.atomic import replacing
from napari_aeanet.core.metrics import gain
from napari_aeanet.core.progress import Progress
from napari_aeanet.models import Model
from napari_aeanet.pairs import ImagePair
from napari_aeanet.restoration import Restored, RestoreSettings, Use, restore_events

SIZES = (64, 128, 256, 512)
#: The papers' margin; of small patches a quarter.
MARGIN = 32
#: Tiles of an exact restoration are at most this large, so that small fields are possible.
LARGEST_TILE = 256


@dataclass(frozen=True, kw_only=True)
class SizeMeasured:
    """How much better than its input (PSNR, dB) an image is with the context of one size.

    `size` is in pixels; None is the whole image, of which both ways make the same.
    """

    size: int | None
    patches: float
    exact: float
    progress: Progress


def gains_by_size(
    pair: ImagePair, model: Model, border: int, sizes: Sequence[int] = SIZES
) -> Iterator[SizeMeasured]:
    """Restore the registered source of a pair with every context; a rim of the image is left out.

    Patches see nothing but themselves, as published. Exactly, a tile's context is gathered from
    the field of that size around it.
    """
    source = pair.on_target_grid()
    inside = (slice(border, -border),) * 2
    truth = pair.target.read()[inside].astype(np.float64)
    before = source.read()[inside].astype(np.float64)

    def measured(settings: RestoreSettings) -> float:
        for event in restore_events(source, model, settings):
            if isinstance(event, Restored):
                after = event.image.read()[inside].astype(np.float64)
                return gain(before, after, truth, 255.0).psnr
        raise AssertionError("a restoration ends with its result")

    title, steps = f"context sizes of {pair.name}", len(sizes) + 1
    for step, size in enumerate(sizes, 1):
        patches = RestoreSettings(use=Use.PATCHES, patch_size=size, margin=min(MARGIN, size // 4))
        field = RestoreSettings(context=str(size), tile=min(size, LARGEST_TILE))
        yield SizeMeasured(
            size=size,
            patches=measured(patches),
            exact=measured(field),
            progress=Progress(title, step, steps),
        )
    whole = measured(RestoreSettings(context="whole"))
    yield SizeMeasured(
        size=None, patches=whole, exact=whole, progress=Progress(title, steps, steps)
    )


def save_sizes(found: Sequence[SizeMeasured], title: str, path: Path) -> None:
    """Write the curves as a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    places = range(len(found))
    axis.plot(places, [f.patches for f in found], "o-", label="patch by patch, as published")
    axis.plot(places, [f.exact for f in found], "s-", label="exact, context of this size")
    axis.set_xticks(places, [str(f.size or "whole image") for f in found])
    axis.set_xlabel("size in pixels")
    axis.set_ylabel("better than the input by (dB)")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary)
