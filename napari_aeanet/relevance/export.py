"""Export relevance maps as figures, tables and stacks; no GUI toolkit, no torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.figures import write_figure
from napari_aeanet.io import WRITABLE, write_image

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image
    from napari_aeanet.relevance.settings import RelevanceMaps

FIGURES = (".png", ".svg", ".pdf")
TABLES = (".csv",)
EXPORTS = (*FIGURES, ".ome.tif", ".csv")
# The panels of a wider figure would be too small.
MOST_COLUMNS = 8
PANEL_INCHES, RESOLUTION = 2.2, 200
# Blue for negative relevance, orange for positive; zero is transparent and shows the image below.
AGAINST, FOR = (0.13, 0.44, 1.0), (1.0, 0.5, 0.0)
# Percentile of absolute values with the full colour; a few outliers lie beyond.
FULL_COLOUR = 99.5


class PlacedMaps(Protocol):
    """Maps of an image with their place on it, such as `RelevanceMaps`."""

    @property
    def maps(self) -> np.ndarray: ...
    @property
    def axes(self) -> str: ...
    @property
    def scale(self) -> tuple[float, ...]: ...
    @property
    def translate(self) -> tuple[float, ...]: ...
    @property
    def image(self) -> Image: ...


def contrast_limit(*values: np.ndarray) -> float:
    """Return the absolute value with the full colour, for all of these arrays together."""
    flat = [np.abs(one).ravel() for one in values]
    return float(np.percentile(np.concatenate(flat), FULL_COLOUR)) or 1.0


def plane_of(maps: PlacedMaps) -> np.ndarray:
    """Return one plane of every map: the middle one of stacks, the first of series."""
    values = maps.maps
    for axis in maps.axes[:-2]:
        values = values[:, values.shape[1] // 2 if axis == "Z" else 0]
    return values


def centred_planes(shown: Sequence[RelevanceMaps], pixels: Sequence[int]) -> list[np.ndarray]:
    """Return planes of some maps of several images, each map minus its mean over all of them.

    One mean for all images, so that they can be compared.
    """
    planes = [plane_of(maps)[list(pixels)] for maps in shown]
    sums = np.sum([plane.sum(axis=(1, 2), dtype=np.float64) for plane in planes], axis=0)
    mean = sums / sum(plane[0].size for plane in planes)
    return [plane - mean[:, None, None].astype(plane.dtype) for plane in planes]


def image_plane(maps: PlacedMaps) -> np.ndarray:
    """Return the plane of the image that `plane_of` shows; the maximum over projected planes."""
    image = maps.image
    if "Z" in image.axes and "Z" not in maps.axes:
        index = [slice(None) if axis in "ZYX" else 0 for axis in image.axes]
        return image.read(tuple(index)).max(axis=0)
    middle = [
        slice(None) if axis in "YX" else (n // 2 if axis == "Z" else 0)
        for axis, n in image.sizes.items()
    ]
    return image.read(tuple(middle))


@dataclass(frozen=True)
class RegionRow:
    """Statistics of one relevance map inside one region."""

    region: int
    pixel: int
    name: str
    places: int
    mean: float
    deviation: float
    share_for: float

    HEADER = (
        "region",
        "abstract pixel",
        "name",
        "map pixels",
        "mean",
        "deviation",
        "share above 0",
    )

    def cells(self) -> tuple[Any, ...]:
        numbers = (f"{self.mean:.6g}", f"{self.deviation:.6g}", f"{self.share_for:.4f}")
        return (self.region, self.pixel + 1, self.name, self.places, *numbers)


def region_rows(
    maps: np.ndarray, labels: np.ndarray, names: Mapping[int, str] | None = None
) -> list[RegionRow]:
    """Return statistics of every map inside every region, the most distinct first in a region.

    Parameters
    ----------
    maps
        Shape (abstract pixels, other axes...).
    labels
        Region of every place of a map, 0 for none: (other axes...).
    """
    rows = []
    spread = np.maximum(maps.reshape(len(maps), -1).std(axis=1), 1e-12)
    middle = maps.reshape(len(maps), -1).mean(axis=1)
    for region in np.unique(labels[labels > 0]):
        inside = maps[:, labels == region].astype(np.float64)  # (abstract pixels, places)
        mean = inside.mean(axis=1)
        for pixel in np.argsort(-np.abs(mean - middle) / spread, kind="stable"):
            rows.append(
                RegionRow(
                    region=int(region),
                    pixel=int(pixel),
                    name=(names or {}).get(int(pixel), ""),
                    places=inside.shape[1],
                    mean=float(mean[pixel]),
                    deviation=float(inside[pixel].std()),
                    share_for=float(np.mean(inside[pixel] > 0)),
                )
            )
    return rows


def save_rows(header: Sequence[str], rows: Sequence[Sequence[Any]], path: Path) -> None:
    """Write a CSV table, completely or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_bytes_atomically(path, text.getvalue().encode())


def save_table(maps: RelevanceMaps, path: Path, influence: np.ndarray | None = None) -> None:
    """Write a line for every abstract pixel: name, mean, deviation, extremes, and influence."""
    header = ["abstract pixel", "name", "mean", "deviation", "lowest", "highest", "share above 0"]
    rows = []
    for number, values in enumerate(maps.maps):
        figures = (values.mean(), values.std(), values.min(), values.max(), np.mean(values > 0))
        row = [number + 1, maps.names.get(number, ""), *(f"{figure:.6g}" for figure in figures)]
        rows.append(row if influence is None else [*row, f"{influence[number]:.6g}"])
    save_rows(header if influence is None else [*header, "influence"], rows, path)


def save_figure(shown: Sequence[RelevanceMaps], pixels: Sequence[int], path: Path) -> None:
    """Draw rows of images and columns of abstract pixels over the grey image, on one scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    pixels = list(pixels)[:MOST_COLUMNS]
    planes = centred_planes(shown, pixels)
    most, names = contrast_limit(*planes), shown[0].names
    height, width = image_plane(shown[0]).shape
    size = (PANEL_INCHES * (len(pixels) + 1.3), PANEL_INCHES * len(shown) * height / width + 0.5)
    figure = Figure(figsize=size, dpi=RESOLUTION, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(shown), len(pixels) + 1, squeeze=False)
    drawn = None
    for row, maps, plane in zip(axes, shown, planes, strict=True):
        grey = image_plane(maps)
        low, high = np.percentile(grey[np.isfinite(grey)], (0.5, 99.5))
        for number, axis in enumerate(row):
            axis.imshow(grey, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
            axis.set_xticks([])
            axis.set_yticks([])
            if number:
                drawn = _draw_map(axis, maps, plane[number - 1], grey.shape, most)
        row[0].set_ylabel(maps.image.name, fontsize=7)
    for axis, pixel in zip(axes[0][1:], pixels, strict=True):
        name = f": {names[pixel]}" if pixel in names else ""
        axis.set_title(f"{pixel + 1}{name}", fontsize=8)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, aspect=25)
    bar.ax.tick_params(labelsize=6)
    bar.set_label("relevance, minus the mean over the images", fontsize=7)
    write_figure(figure, path)


def export_maps(
    shown: Sequence[RelevanceMaps],
    pixels: Sequence[int],
    path: Path,
    influence: np.ndarray | None = None,
) -> Path:
    """Write a figure, a calibrated stack or a table, by the ending of `path`; return the path.

    Of several images, stacks and tables hold the first.
    """
    ending = path.suffix.lower()
    if ending in FIGURES:
        save_figure(shown, pixels, path)
    elif ending in TABLES:
        save_table(shown[0], path, influence)
    elif path.name.lower().endswith(WRITABLE):
        write_image(shown[0].as_image(), path)
    else:
        known = ", ".join(EXPORTS)
        raise ValueError(f"{path.name}: choose a name that ends in one of {known}.")
    return path


def _draw_map(
    axis: Any, maps: RelevanceMaps, plane: np.ndarray, shape: tuple[int, int], most: float
) -> Any:
    """Draw a map in its place over an image drawn in its own pixels."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = [(*AGAINST, 0.85), (*AGAINST, 0), (*FOR, 0), (*FOR, 0.85)]
    stops = [0, 0.499, 0.501, 1]
    colormap = LinearSegmentedColormap.from_list(
        "relevance", list(zip(stops, colours, strict=True))
    )
    drawn = axis.imshow(
        plane,
        cmap=colormap,
        vmin=-most,
        vmax=most,
        extent=extent_on(maps, plane.shape),
        interpolation="bilinear",
    )
    axis.set_xlim(-0.5, shape[1] - 0.5)
    axis.set_ylim(shape[0] - 0.5, -0.5)
    return drawn


def extent_on(maps: PlacedMaps, shape: Sequence[int]) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of a plane of a map, in pixels of its image."""
    sizes = [size or 1.0 for size in maps.image.pixel_size[-2:]]
    corners = zip(maps.translate[-2:], maps.image.origin[-2:], sizes, strict=True)
    first = [(t - o) / s for t, o, s in corners]
    step = [scale / s for scale, s in zip(maps.scale[-2:], sizes, strict=True)]
    top, left = (f - d / 2 for f, d in zip(first, step, strict=True))
    bottom, right = (a + d * n for a, d, n in zip((top, left), step, shape, strict=True))
    return left, right, bottom, top
