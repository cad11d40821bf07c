"""Decide how an image is cut, restored and assembled, before any pixel is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.intensity import Scaling
from napari_aeanet.core.intensity_range import ImageSeries
from napari_aeanet.core.tiles import Tile, check_count, intersection, partition, patches
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import HEIGHT, Network
from napari_aeanet.restoration.intensities import InputIntensities
from napari_aeanet.restoration.memory import Memory
from napari_aeanet.restoration.network_input import NetworkInput, places
from napari_aeanet.restoration.output_dtype import Encoding, encoding_for
from napari_aeanet.restoration.pixel_size import fit_to_model
from napari_aeanet.restoration.settings import RestoreSettings, Seams, Use

# A field smaller than the image consists of so many tiles in each direction.
TILES_PER_FIELD = 3


@dataclass(frozen=True, eq=False)
class Layout:
    """The cuts of an image for a network, and the result to be filled.

    Parameters
    ----------
    inputs
        The planes or stacks that the network restores one by one; all are cut alike.
    intensities
        Scaling of every channel to the range of the network.
    output
        The result without its pixels: axes, shape, number type, pixel size, place.
    height
        The same for the height map; None if none is wanted.
    encoding
        From restored intensities to the number type of the result.
    tiles
        For the whole image's context: the parts that partition an input; else empty.
    patches
        For restoration patch by patch; else empty.
    field
        Shape of the field of a tile's context; None for the whole image.
    seams
        Treatment of overlapping patches.
    notices
        Remarks for the user.
    """

    inputs: tuple[NetworkInput, ...]
    intensities: InputIntensities
    output: Image
    height: Image | None
    encoding: Encoding
    tiles: tuple[Region, ...]
    patches: tuple[Tile, ...]
    field: tuple[int, ...] | None
    seams: Seams
    notices: tuple[str, ...]

    def with_ranges(self, ranges: tuple[tuple[float, float], ...]) -> Layout:
        """Return the layout with these intensity ranges instead of its own, if there are any."""
        intensities = replace(self.intensities, begun_with=ranges, _scalings={})
        inputs = [replace(one, measure=_measure(intensities, one.place)) for one in self.inputs]
        return replace(self, intensities=intensities, inputs=tuple(inputs))


def lay_out(
    image: Image,
    card: ModelCard,
    network: Network,
    settings: RestoreSettings,
    memory: Memory,
    series: ImageSeries | None = None,
) -> Layout:
    """Return the layout of `image`.

    Raises
    ------
    ValueError
        If the image or the settings do not suit the model.
    """
    _check_axes(image, network)
    axes = network.input_axes
    fit = fit_to_model(image, card, axes, resample=settings.resample, force=settings.force)
    intensities = InputIntensities(image, card, settings.range, series)
    inputs = _network_inputs(intensities, network, fit.factors)
    notices = fit.notices
    encoding = encoding_for(image.dtype, settings.output)
    shape = inputs[0].shape
    field = tiles = cut = None
    if settings.use is Use.PATCHES or network.untileable_reason:
        if settings.height and settings.seams is Seams.BLEND:
            msg = (
                f'Heights cannot be blended: choose seams "{Seams.CROP}", or the whole image, or '
                "leave the height out."
            )
            raise ValueError(msg)
        size, margin = _patch(shape, network, settings)
        kept = [s if s >= n else s - 2 * m for n, s, m in zip(shape, size, margin, strict=True)]
        check_count(image.source or image.name, shape, kept)
        cut = patches(shape, size, margin)
        if settings.use is not Use.PATCHES:
            notices += ("This kind of network can only be applied patch by patch.",)
    else:
        field = _field(shape, card, network, settings.context)
        edges = _tile_edges(shape, network, memory, settings.tile, field)
        check_count(image.source or image.name, shape, edges)
        tiles = partition(shape, edges, network.grid)
    output = _output(image, inputs[0], network, encoding)
    return Layout(
        inputs=inputs,
        intensities=intensities,
        output=output,
        height=_height(image, output, card, network) if settings.height else None,
        encoding=encoding,
        tiles=tuple(tiles or ()),
        patches=tuple(cut or ()),
        field=field,
        seams=settings.seams,
        notices=(*notices, *encoding.notices),
    )


def on_input(region: Region, source: NetworkInput) -> Region | None:
    """Return a region of the image in pixels of a padded input; None if it is on another plane."""
    spans = []
    for axis, wanted, place in zip(source.image.axes, region, source.place, strict=True):
        if axis in source.axes:
            number = source.axes.index(axis)
            factor, (before, _) = source.factors[number], source.padding[number]
            start, stop, _ = wanted.indices(source.source_shape[number])
            spans.append(slice(int(start * factor) + before, int(np.ceil(stop * factor)) + before))
        elif place.start not in range(*wanted.indices(source.image.sizes[axis])):
            return None
    return intersection(tuple(spans), tuple(slice(0, n) for n in source.shape))


def along_z(image: Image) -> tuple[float, float]:
    """Return distance of planes and place of the first; (1, 0), which counts planes, if unknown."""
    if not _has_known_planes(image):
        return 1.0, 0.0
    axis = image.spatial_axes.index("Z")
    return image.pixel_size[axis] or 1.0, image.origin[axis]


def _check_axes(image: Image, network: Network) -> None:
    if 0 in image.shape:
        raise ValueError(f"{image.name} holds no pixels (shape {image.shape}).")
    missing = [axis for axis in network.input_axes if axis not in image.axes]
    if missing:
        msg = (
            f"{image.name}: the model restores images with the axes {network.input_axes}, this one "
            f"has {image.axes}. Choose a model for it, or name its axes when opening it"
            f"{' (save the planes of one stack as ZYX)' if missing == ['Z'] else ''}."
        )
        raise ValueError(msg)
    if network.config.in_channels != 1:
        msg = (
            f"The model takes {network.config.in_channels} channels at once, which restoring "
            "images does not support: it works on one channel after the other."
        )
        raise ValueError(msg)


def _network_inputs(
    intensities: InputIntensities, network: Network, factors: tuple[float, ...]
) -> tuple[NetworkInput, ...]:
    """Return the planes or stacks of an image on the model's grid."""
    image = intensities.image
    return tuple(
        NetworkInput(
            image=image,
            place=place,
            axes=network.input_axes,
            measure=_measure(intensities, place),
            factors=factors,
            grid=network.grid,
        )
        for place in places(image, network.input_axes)
    )


def _measure(intensities: InputIntensities, place: Region) -> Callable[[], Scaling]:
    """Return the function that gives the scaling of the channel at a place."""
    channel = intensities.image.axes.find("C")
    return partial(intensities.scaling, place[channel].start if channel >= 0 else 0)


def _output(image: Image, source: NetworkInput, network: Network, encoding: Encoding) -> Image:
    """Return the result's axes, shape and place; its array is a placeholder without memory."""
    gone = [axis for axis in network.input_axes if axis not in network.output_axes]
    kept = "".join(axis for axis in image.axes if axis not in gone)
    first = len(gone)  # Z comes before Y and X
    factors = [f * s for f, s in zip(source.factors[first:], network.scale, strict=True)]
    sizes = dict(zip(network.output_axes, source.size[first:], strict=True))
    scale = dict(zip(network.output_axes, network.scale, strict=True))
    shape = [sizes[a] * scale[a] if a in sizes else image.sizes[a] for a in kept]
    spatial = [i for i, axis in enumerate(image.spatial_axes) if axis in kept]
    flat = replace(
        image,
        array=np.broadcast_to(np.zeros((), encoding.dtype), shape),
        axes=kept,
        pixel_size=tuple(image.pixel_size[i] for i in spatial),
        origin=tuple(image.origin[i] for i in spatial),
        name=f"{image.name} restored",
        source=None,
        notices=(),
    )
    along = dict(zip(network.output_axes, factors, strict=True))
    return flat.regridded(flat.array, [along.get(axis, 1.0) for axis in flat.spatial_axes])


def _height(image: Image, output: Image, card: ModelCard, network: Network) -> Image:
    """Return the height map without its pixels; its name holds its unit."""
    if HEIGHT not in network.extras:
        msg = (
            f"{card.name} gives no height map: only models that project a stack to a plane do. "
            "Leave the height out."
        )
        raise ValueError(msg)
    unit = image.unit if _has_known_planes(image) else "plane"
    pixels = np.broadcast_to(np.zeros((), np.float32), output.shape)
    return output.with_array(pixels, name=f"{image.name} height ({unit})")


def _has_known_planes(image: Image) -> bool:
    return image.unit is not None and image.pixel_size[image.spatial_axes.index("Z")] is not None


def _field(
    shape: Sequence[int], card: ModelCard, network: Network, context: str
) -> tuple[int, ...] | None:
    """Return the shape of the context's field in pixels of the input; None for all of it."""
    if context in ("best", "whole"):
        edge = card.context if context == "best" else None
    else:
        edge = int(context)
    if edge is None or network.contexts == 0:
        return None
    field = (*shape[:-2], *(min(edge, n) for n in shape[-2:]))
    return None if field == tuple(shape) else field


def _tile_edges(
    shape: Sequence[int],
    network: Network,
    memory: Memory,
    edge: int,
    field: tuple[int, ...] | None,
) -> tuple[int, ...]:
    """Return the edges of tiles of an input: those wanted, or (0) as memory allows."""
    tiled = network.tiled_axes
    if edge:
        edges = (*shape[:-tiled], *(min(edge, n) for n in shape[-tiled:]))
    else:
        edges = memory.tile_edges(shape, network)
    if field is not None:
        plane = (min(e, f // TILES_PER_FIELD) for e, f in zip(edges[-2:], field[-2:], strict=True))
        edges = (*edges[:-2], *plane)
    return tuple(edges)


def _patch(
    shape: Sequence[int], network: Network, settings: RestoreSettings
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return size and margin of patches on the network's grid, for each axis.

    A margin along Z as wide as in the plane would leave nothing of a few planes: it is at most a
    quarter of the patch.
    """
    wanted = {"Y": settings.patch_size, "X": settings.patch_size, "Z": settings.patch_depth}
    size, margin = [], []
    for axis, n, grid in zip(network.input_axes, shape, network.grid, strict=True):
        whole = axis == "Z" and (not wanted[axis] or network.tiled_axes == 2)
        size.append(n if whole else min(n, _on_grid(wanted[axis], grid)))
        most = size[-1] // 4 // grid * grid if axis == "Z" else n
        margin.append(min(most, _on_grid(settings.margin, grid)))
    return tuple(size), tuple(margin)


def _on_grid(pixels: int, grid: int) -> int:
    return -(-pixels // grid) * grid
