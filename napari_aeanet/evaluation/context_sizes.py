"""Gain by size of the context, for patch-wise and exact restoration of one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_aeanet.core.figures import write_figure
from napari_aeanet.core.metrics import gain
from napari_aeanet.core.progress import Progress, last_event
from napari_aeanet.models import Model
from napari_aeanet.pairs import ImagePair
from napari_aeanet.restoration import Restored, RestoreSettings, Use, restore_events

SIZES = (64, 128, 256, 512)
# Margin of the papers; for small patches a quarter of their size.
MARGIN = 32
# Largest tile of an exact restoration; small fields need small tiles.
LARGEST_TILE = 256


@dataclass(frozen=True)
class SizeMeasured:
    """Gain over the input (PSNR, dB) with a context of one size.

    `size` is in pixels; None is the whole image, where both ways give the same.
    """

    size: int | None
    patches: float
    exact: float
    progress: Progress


def gains_by_size(
    pair: ImagePair, model: Model, border: int, sizes: Sequence[int] = SIZES
) -> Iterator[SizeMeasured]:
    """Restore the registered source of a pair with every context, and measure the gains.

    `border` pixels at every side are left out. The context of a patch is the patch itself, as
    published; the context of a tile in exact restoration is the field of that size around it.
    """
    source = pair.on_target_grid()
    inside = (slice(border, -border),) * 2
    truth = pair.target.read()[inside].astype(np.float64)
    before = source.read()[inside].astype(np.float64)

    def measured(settings: RestoreSettings) -> float:
        restored = last_event(restore_events(source, model, settings))
        assert isinstance(restored, Restored)
        return gain(before, restored.image.read()[inside].astype(np.float64), truth, 255.0).psnr

    title, steps = f"context sizes of {pair.name}", len(sizes) + 1
    for step, size in enumerate(sizes, 1):
        patches = RestoreSettings(use=Use.PATCHES, patch_size=size, margin=min(MARGIN, size // 4))
        field = RestoreSettings(context=str(size), tile=min(size, LARGEST_TILE))
        progress = Progress(title, step, steps)
        yield SizeMeasured(size, measured(patches), measured(field), progress)
    whole = measured(RestoreSettings(context="whole"))
    yield SizeMeasured(None, whole, whole, Progress(title, steps, steps))


def save_sizes(found: Sequence[SizeMeasured], title: str, path: Path) -> None:
    """Draw the curves."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    positions = range(len(found))
    axis.plot(positions, [f.patches for f in found], "o-", label="patch by patch, as published")
    axis.plot(positions, [f.exact for f in found], "s-", label="exact, context of this size")
    axis.set_xticks(positions, [str(f.size or "whole image") for f in found])
    axis.set_xlabel("size in pixels")
    axis.set_ylabel("gain over the input (dB)")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3)
    axis.legend()
    write_figure(figure, path)
