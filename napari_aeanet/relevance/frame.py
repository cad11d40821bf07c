"""Position of maps on their image: axes, steps, and the map pixel of an image pixel. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.core.image import Image, Region

if TYPE_CHECKING:
    from napari_aeanet.networks import AttentionGrid
    from napari_aeanet.restoration import NetworkInput


@dataclass(frozen=True)
class MapFrame:
    """Axes and shape of a map, and the position of its pixels in the world.

    Parameters
    ----------
    scale, translate
        Distance of neighbouring map pixels and position of the first, along the spatial axes, in
        the unit of the image, or in its pixels where their size is unknown.
    attention_axes
        Axes of the attention; all other axes are looped over.
    """

    axes: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    attention_axes: str

    def place(self, source: NetworkInput, region: Region) -> tuple[slice | int, ...]:
        """Return the place of `region` of an input's map: a number along axes looped over."""
        spans = dict(zip(self.attention_axes, region, strict=True))
        places = dict(zip(source.image.axes, source.place, strict=True))
        return tuple(spans[axis] if axis in spans else places[axis].start for axis in self.axes)

    def nearest(self, image: Image, position: Sequence[float]) -> tuple[int, ...]:
        """Return the map pixel nearest to a position in pixels of the image, one per axis."""
        at = dict(zip(image.axes, position, strict=True))
        size = {a: s or 1.0 for a, s in zip(image.spatial_axes, image.pixel_size, strict=True)}
        origin = dict(zip(image.spatial_axes, image.origin, strict=True))
        spatial = [axis for axis in self.axes if axis in size]
        begin = dict(zip(spatial, zip(self.scale, self.translate, strict=True), strict=True))
        found = []
        for axis, length in zip(self.axes, self.shape, strict=True):
            index = at[axis]
            if axis in begin:
                step, first = begin[axis]
                index = (origin[axis] + size[axis] * at[axis] - first) / step
            found.append(int(np.clip(round(index), 0, length - 1)))
        return tuple(found)


def frame_of(source: NetworkInput, grid: AttentionGrid) -> MapFrame:
    """Return the frame of a map: its pixel i is the pixel `stride · i + centre` of the input.

    With p the pixel size of the image and f its factor to the model's grid, grid pixels are p / f
    apart and grid pixel 0 lies at origin + (p / f - p) / 2.
    """
    image = source.image
    attention_axes = source.axes[-len(grid.stride) :]  # after a projection, Z is gone
    gone = [axis for axis in source.axes if axis not in attention_axes]
    axes = "".join(axis for axis in image.axes if axis not in gone)
    lengths = dict(image.sizes)
    size = {a: s or 1.0 for a, s in zip(image.spatial_axes, image.pixel_size, strict=True)}
    origin = dict(zip(image.spatial_axes, image.origin, strict=True))
    for axis, stride, centre in zip(attention_axes, grid.stride, grid.centre, strict=True):
        number = source.axes.index(axis)
        fine = size[axis] / source.factors[number]
        first = centre - source.padding[number][0]
        origin[axis] += (fine - size[axis]) / 2 + first * fine
        size[axis] = stride * fine
        lengths[axis] = source.shape[number] // stride
    spatial = [axis for axis in axes if axis in size]
    return MapFrame(
        axes=axes,
        shape=tuple(lengths[axis] for axis in axes),
        scale=tuple(size[axis] for axis in spatial),
        translate=tuple(origin[axis] for axis in spatial),
        attention_axes=attention_axes,
    )


def calibrated(
    image: Image,
    values: np.ndarray,
    axes: str,
    scale: Sequence[float],
    translate: Sequence[float],
    name: str,
) -> Image:
    """Return a map as an image with the unit of its source, where the pixel size is known."""
    known = dict(zip(image.spatial_axes, image.pixel_size, strict=True))
    spatial = [axis for axis in axes if axis in known]
    return Image(
        values,
        axes,
        pixel_size=tuple(
            None if known[axis] is None else size for axis, size in zip(spatial, scale, strict=True)
        ),
        unit=image.unit,
        origin=tuple(translate),
        name=name,
    )
