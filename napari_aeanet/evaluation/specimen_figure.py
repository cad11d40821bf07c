"""Figure of specimens, for the demo: input, result, truth and a relevance map of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.figures import write_figure

# Edge of the cut-out that panels show, in pixels.
CUT = 256


@dataclass(frozen=True, eq=False)
class Specimen:
    """Images of one held-out specimen, on one grid.

    `heat` is one relevance map, on a coarser grid over the same field.
    """

    name: str
    source: np.ndarray
    restored: np.ndarray
    truth: np.ndarray
    heat: np.ndarray
    heat_pixel: int
    source_psnr: float
    restored_psnr: float


def save_specimens(specimens: Sequence[Specimen], title: str, path: Path) -> None:
    """Write the figure: a row per specimen, with equal grey levels within a row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(specimens)
    figure = Figure(figsize=(14, 3.75 * rows + 0.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13)
    axes = figure.subplots(rows, 4, squeeze=False)
    for row, specimen in zip(axes, specimens, strict=True):
        cut = busiest_cut(specimen.truth)
        low, high = np.percentile(specimen.truth[cut], [0.5, 99.5])
        gain = specimen.restored_psnr - specimen.source_psnr
        panels = (
            (specimen.source, f"{specimen.name}: input, {specimen.source_psnr:.1f} dB"),
            (specimen.restored, f"restored, {specimen.restored_psnr:.1f} dB ({gain:+.1f})"),
            (specimen.truth, "high-resolution image"),
        )
        for axis, (image, text) in zip(row, panels, strict=False):
            axis.imshow(image[cut], cmap="gray", vmin=low, vmax=high)
            axis.set_title(text, fontsize=10)
        _draw_heat(row[3], specimen, cut)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    write_figure(figure, path)


def _draw_heat(axis: Any, specimen: Specimen, cut: tuple[slice, slice]) -> None:
    height, width = specimen.truth.shape
    limit = float(np.abs(specimen.heat).max()) or 1.0
    axis.imshow(specimen.truth, cmap="gray")
    axis.imshow(
        specimen.heat,
        cmap="coolwarm",
        vmin=-limit,
        vmax=limit,
        alpha=0.55,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
    axis.set_xlim(cut[1].start, cut[1].stop)
    axis.set_ylim(cut[0].stop, cut[0].start)
    axis.set_title(f"relevance of abstract pixel {specimen.heat_pixel + 1}", fontsize=10)


def busiest_cut(image: np.ndarray) -> tuple[slice, slice]:
    """Return the square with the highest contrast, on a coarse raster of squares."""
    edge = min(CUT, *image.shape)
    starts = [range(0, n - edge + 1, max(1, edge // 2)) for n in image.shape]
    squares = [(slice(y, y + edge), slice(x, x + edge)) for y, x in product(*starts)]
    return max(squares, key=lambda square: float(image[square].std()))
