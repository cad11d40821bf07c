"""The coloured map of kinds: colours, an overlay in colours, and a figure with its legend."""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_aeanet.core.figures import write_figure
from napari_aeanet.relevance import extent_on, image_plane, plane_of
from napari_aeanet.structures.settings import StructureMaps

# From dark to bright, as kinds are; further kinds get hues in equal steps.
COLOURS = (
    "#2b2d8c", "#7f3c8d", "#0b6b3a", "#3969ac", "#d62728", "#8c6d31", "#c7388b", "#1f9fd0",
    "#e68310", "#11c07a", "#f89c74", "#80ba5a", "#66c5cc", "#dcb0f2", "#f6cf71", "#f0f34e",
)  # fmt: skip
OPACITY = 0.6
WIDTH, LEGEND, RESOLUTION = 7.0, 2.6, 150  # inches, and dots in one


@dataclass(frozen=True)
class LegendRow:
    """A kind of structure in a legend; its number is counted from 0."""

    kind: int
    name: str
    colour: str
    share: float

    @property
    def words(self) -> str:
        """Return for instance "dark gaps, 12 %"."""
        percent = 100 * self.share
        return f"{self.name}, {percent:.0f} %" if percent >= 1 else f"{self.name}, under 1 %"


def colour_of(kind: int) -> str:
    """Return the colour of a kind as "#rrggbb"."""
    if kind < len(COLOURS):
        return COLOURS[kind]
    rgb = hsv_to_rgb(kind * 0.618 % 1, 0.8, 0.9)
    return "#" + "".join(f"{round(255 * one):02x}" for one in rgb)


def legend(maps: StructureMaps) -> tuple[LegendRow, ...]:
    """Return the kinds that are found in the image, the most frequent first."""
    rows = [
        LegendRow(kind, name, colour_of(kind), float(share))
        for kind, (name, share) in enumerate(zip(maps.names, maps.shares, strict=True))
        if share > 0
    ]
    return tuple(sorted(rows, key=lambda row: -row.share))


def coloured(labels: np.ndarray, kinds: int) -> np.ndarray:
    """Return labels (from 1) in the colours of their kinds: (..., 3), uint8."""
    return rgb_of([colour_of(kind) for kind in range(kinds)])[labels - 1]


def rgb_of(colours: Sequence[str]) -> np.ndarray:
    """Return colours "#rrggbb" as numbers: (colours, 3), uint8."""
    return np.array([list(bytes.fromhex(one[1:])) for one in colours], np.uint8)


def save_structures(maps: StructureMaps, path: Path) -> None:
    """Draw the image, beside it the coloured map of kinds over it, and the legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    grey, plane = image_plane(maps), plane_of(maps)
    labels = (np.argmax(plane, axis=0) + 1).astype(np.uint8)
    tall = grey.shape[0] / grey.shape[1]
    figure = Figure(
        figsize=(2 * WIDTH + LEGEND, max(WIDTH * tall, 3.5)), dpi=RESOLUTION, layout="constrained"
    )
    FigureCanvasAgg(figure)
    low, high = np.percentile(grey[np.isfinite(grey)], (0.5, 99.5))
    axes = figure.subplots(1, 2)
    for axis in axes:
        axis.imshow(grey, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
        axis.set_xticks([])
        axis.set_yticks([])
    axes[1].imshow(
        coloured(labels, len(maps.names)),
        alpha=OPACITY,
        extent=extent_on(maps, labels.shape),
        interpolation="nearest",
    )
    for axis in axes:
        axis.set_xlim(-0.5, grey.shape[1] - 0.5)
        axis.set_ylim(grey.shape[0] - 0.5, -0.5)
    axes[0].set_title(maps.image.name, fontsize=9)
    axes[1].set_title("structures", fontsize=9)
    figure.legend(
        handles=[Patch(color=row.colour, label=row.words) for row in legend(maps)],
        loc="outside right center",
        fontsize=9,
        frameon=False,
        title="kind, share of the image",
        title_fontsize=9,
    )
    write_figure(figure, path)
