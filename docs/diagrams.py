"""Draw the diagrams of the pages about concepts.

python docs/diagrams.py [--to docs/images]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from napari_aeanet.core.figures import write_figure

BLUE, ORANGE, GREY = "#0072b2", "#e69f00", "0.85"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "images")
    folder = parser.parse_args().to
    for name, (draw, size) in DIAGRAMS.items():
        figure = Figure(figsize=size, dpi=100)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_aspect("equal")
        draw(axes)
        axes.autoscale_view()
        write_figure(figure, folder / f"{name}.png", bbox_inches="tight")


def box(axes: Any, x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="0.3", alpha=0.6))
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9)


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color="0.3"))


def attention(axes: Any) -> None:
    """Draw k and v of all places and of the abstract pixels, their sum S, and a query."""
    box(axes, 0, 0, 0.8, 4, "k", GREY)
    box(axes, 1, 0, 0.8, 4, "v", GREY)
    box(axes, 0, 4.1, 0.8, 0.9, "k(f)", ORANGE)
    box(axes, 1, 4.1, 0.8, 0.9, "v(f)", ORANGE)
    axes.text(0.9, -0.4, "s places of the image", ha="center", va="top", fontsize=9)
    axes.text(0.9, 5.2, "r abstract pixels", ha="center", va="bottom", fontsize=9)
    arrow(axes, (2, 2.4), (3.4, 2.4))
    axes.text(2.7, 2.6, "sum of kᵀv", ha="center", va="bottom", fontsize=9)
    box(axes, 3.5, 1.8, 1.2, 1.2, "S\nc × c", BLUE)
    arrow(axes, (4.9, 2.4), (6.6, 2.4))
    axes.text(5.75, 2.6, "q(x) · S / (s + r)", ha="center", va="bottom", fontsize=9)
    box(axes, 6.7, 0, 0.8, 4, "A", GREY)
    axes.text(7.1, -0.4, "every place", ha="center", va="top", fontsize=9)


def tiles(axes: Any) -> None:
    """Draw an image in tiles, their sums, and the prediction."""
    for row in range(3):
        for column in range(4):
            box(axes, column, row, 1, 1, "", GREY)
            box(axes, column + 8.5, row, 1, 1, "", ORANGE)
    box(axes, 1, 1, 1, 1, "tile", BLUE)
    axes.add_patch(Rectangle((0.7, 0.7), 1.6, 1.6, fill=False, edgecolor=BLUE, linestyle="--"))
    axes.text(2, -0.3, "1. gather: every tile, with its halo", ha="center", va="top", fontsize=9)
    arrow(axes, (4.2, 1.5), (5.4, 1.5))
    box(axes, 5.5, 0.9, 1.2, 1.2, "S =\nΣ tiles", BLUE)
    arrow(axes, (6.9, 1.5), (8.3, 1.5))
    axes.text(
        10.5, -0.3, "2. predict: every tile, with the whole S", ha="center", va="top", fontsize=9
    )


def grids(axes: Any) -> None:
    """Draw the pixels of a coarse and of a fine grid over one field, with their indices."""
    for index in range(4):
        box(axes, 2 * index, 1.4, 2, 1, "", GREY)
        axes.plot(2 * index + 1, 1.9, "o", color=BLUE, ms=5)
        axes.text(2 * index + 1, 2.5, str(index), ha="center", va="bottom", fontsize=9)
    for index in range(8):
        box(axes, index, 0, 1, 1, "", GREY)
        axes.plot(index + 0.5, 0.5, "o", color=ORANGE, ms=4)
        axes.text(index + 0.5, -0.1, str(index), ha="center", va="top", fontsize=9)
    axes.plot((1, 1), (1.9, 0.5), ":", color="0.3")
    axes.text(8.3, 1.9, "source: centre of pixel 0", va="center", fontsize=9)
    axes.text(8.3, 0.5, "target: lies at 2 · 0 + 0.5 = 0.5", va="center", fontsize=9)


DIAGRAMS = {
    "concept-attention": (attention, (7, 4.5)),
    "concept-tiles": (tiles, (9, 3)),
    "concept-grids": (grids, (9, 2.5)),
}

if __name__ == "__main__":
    main()
