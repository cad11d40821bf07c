"""From what a network gives for a tile to a block of the result, and of its height map."""

from __future__ import annotations

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import intersection, within
from napari_aeanet.restoration.exact import Part
from napari_aeanet.restoration.layout import Layout, along_z
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.tile_runner import TileRunner


def block_of(layout: Layout, sheet: NetworkInput, passes: TileRunner, part: Part) -> np.ndarray:
    """A part as pixels of the result: cut to the image, unscaled, missing pixels left empty."""
    image_part, region = _on_image(sheet, passes, part.region)
    values = sheet.scaling.undo(part.values[0][image_part])
    if layout.encoding.dtype.kind == sheet.image.dtype.kind == "f":
        values[_missing(sheet, region, passes.network.scale)] = np.nan
    return _with_looped_axes(layout, passes, layout.encoding.encode(values))


def heights_of(layout: Layout, sheet: NetworkInput, passes: TileRunner, part: Part) -> np.ndarray:
    """A part of the height map: where along Z the plane lies that shows each pixel.

    Plane p of the model's grid, which may have other planes than the image, lies at plane
    (p + 1/2) / factor - 1/2 of the image, and that at origin + plane · distance of planes.
    """
    image_part, region = _on_image(sheet, passes, part.region)
    planes = part.values[-1][image_part].astype(np.float64)  # heights are the last channel
    distance, first = along_z(sheet.image)
    heights = first + distance * ((planes + 0.5) / sheet.factors[sheet.axes.index("Z")] - 0.5)
    if sheet.image.dtype.kind == "f":
        heights[_missing(sheet, region, passes.network.scale)] = np.nan
    return _with_looped_axes(layout, passes, heights.astype(np.float32))


def _with_looped_axes(layout: Layout, passes: TileRunner, values: np.ndarray) -> np.ndarray:
    """One plane or stack with the other axes of the result, each of length 1."""
    looped = [i for i, a in enumerate(layout.output.axes) if a not in passes.network.output_axes]
    return np.expand_dims(values, tuple(looped))


def output_region(
    layout: Layout, sheet: NetworkInput, passes: TileRunner, region: Region
) -> Region:
    """Where in the result the block of a tile of the padded sheet belongs."""
    _, on_image = _on_image(sheet, passes, region)
    spans = dict(zip(passes.network.output_axes, on_image, strict=True))
    places = dict(zip(sheet.image.axes, sheet.place, strict=True))
    return tuple(spans.get(axis, places[axis]) for axis in layout.output.axes)


def _on_image(sheet: NetworkInput, passes: TileRunner, region: Region) -> tuple[Region, Region]:
    """What of the output of a tile lies on the image: counted in the tile, and on the image."""
    image = passes.output_region(
        tuple(
            slice(before, before + n)
            for (before, _), n in zip(sheet.padding, sheet.size, strict=True)
        )
    )
    tile = passes.output_region(region)
    common = intersection(tile, image)
    assert common is not None, "padding is shorter than a step of the grid"
    return within(common, tile), within(common, image)


def _missing(sheet: NetworkInput, region: Region, scale: tuple[int, ...]) -> np.ndarray:
    """Which pixels of a region of the output have no number in the source.

    Under a projection that is where no plane has one.
    """
    projected = len(sheet.size) - len(region)
    coarse = tuple(slice(s.start // f, -(-s.stop // f)) for s, f in zip(region, scale, strict=True))
    gone = sheet.missing((*(slice(0, n) for n in sheet.size[:projected]), *coarse))
    gone = np.logical_and.reduce(gone.reshape(-1, *gone.shape[projected:]))
    for axis, (s, c, f) in enumerate(zip(region, coarse, scale, strict=True)):
        gone = gone.repeat(f, axis).take(range(s.start - c.start * f, s.stop - c.start * f), axis)
    return gone
