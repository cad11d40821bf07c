"""Where in an image the abstract pixels of a model speak.

The relevance of abstract pixel j is the map

    M_j(x) = q(x) · k(f_j)

of the dot products between the query of every attention pixel x and the key of the reference
row f_j. It is signed: high where the pixel is relevant, low where it is the opposite. With several
heads the full dot product is the sum over the heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import SPATIAL_AXES, Image, Region
from napari_aeanet.core.progress import Progress
from napari_aeanet.models.model_file import Card, Model
from napari_aeanet.networks.device import choose
from napari_aeanet.relevance.settings import RelevanceSettings
from napari_aeanet.restoration.settings import StepDone
from napari_aeanet.relevance.attention_layers import with_abstract_pixels
from napari_aeanet.restoration.exact import Contexts
from napari_aeanet.restoration.layout import sheets_of, tiles_of
from napari_aeanet.restoration.memory import Memory
from napari_aeanet.core.progress import Meter
from napari_aeanet.restoration.tile_runner import Passes, at_stride
from napari_aeanet.restoration.network_input import Sheet
from napari_aeanet.restoration.symmetries import Turn, TurnedSource
from napari_aeanet.networks.attention import Attention
from napari_aeanet.networks.attention_block import AttentionBlock
from napari_aeanet.networks.network import AttentionGrid, Network
from napari_aeanet.networks.program import Run, attentions


@dataclass(frozen=True, eq=False)
class RelevanceMaps:
    """A map for every abstract pixel, on the grid of the attention.

    Parameters
    ----------
    maps
        Shape (abstract pixels, other axes..., attention grid...), float32, signed.
    axes
        What the axes of `maps` after the first are.
    scale, translate
        Distance of neighbouring map pixels, and the position of the first one, along the spatial
        axes: in the unit of the image where its pixel size is known, else in its pixels. They
        place the maps on the image, at the centres of what the attention looks at.
    image
        What the maps belong to.
    names
        Names that the user gave to abstract pixels, by their number from 0.
    notices
        Remarks in plain words.
    """

    maps: np.ndarray
    axes: str
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    image: Image
    names: dict[int, str]
    notices: tuple[str, ...]
    progress: Progress

    def as_image(self) -> Image:
        """The maps as one image, abstract pixels along C (for each of the image's own channels)."""
        axis = sum(letter in "TC" for letter in self.axes)
        maps = np.moveaxis(self.maps, 0, axis)
        axes = self.axes
        if "C" in axes:
            maps = maps.reshape(*maps.shape[: axis - 1], -1, *maps.shape[axis + 1 :])
        else:
            axes = axes[:axis] + "C" + axes[axis:]
        known = dict(zip(self.image.spatial_axes, self.image.pixel_size, strict=True))
        spatial = [letter for letter in axes if letter in SPATIAL_AXES]
        return Image(
            maps,
            axes,
            pixel_size=tuple(
                None if known[letter] is None else size
                for letter, size in zip(spatial, self.scale, strict=True)
            ),
            unit=self.image.unit,
            origin=self.translate,
            name=f"{self.image.name} relevance",
        )


RelevanceEvent = StepDone | RelevanceMaps
AS_SET = RelevanceSettings()


def relevance(
    image: Image, model: Model, settings: RelevanceSettings = AS_SET
) -> Iterator[RelevanceEvent]:
    """Relevance maps of every abstract pixel; an event for each tile, and the maps at last.

    Images of any size: tiles give the same maps as the whole image. Attentions after the first
    need the contexts of those before, gathered as in prediction.

    Raises
    ------
    ValueError
        If the model has no abstract pixels there, or the image does not suit it.
    """
    network = model.network()
    attention = attention_of(network, model.card, settings.layer)
    channels = _head(attention, model.card, settings.head)
    sheets, notices = sheets_of(
        image, model.card, network, resample=settings.resample, force=settings.force
    )
    device = choose(settings.device)
    passes = Passes(network, device)
    tiles = tiles_of(sheets[0], network, Memory.on(device), settings.tile)
    meter = Meter(f"relevance in {image.name}", len(sheets) * len(tiles) * settings.layer)
    frame = _frame(sheets[0], network.attention_grids()[settings.layer - 1])
    abstract_pixels = len(attention.reference_keys())
    maps = np.empty((abstract_pixels, *frame.shape), np.float32)
    for sheet in sheets:
        work = _sheet_maps(passes, sheet, tiles, settings.layer - 1, channels)
        for tile in work:
            if tile is not None:
                region, values = tile
                maps[(slice(None), *frame.place(sheet, region))] = values
            yield StepDone(meter.step())
    yield RelevanceMaps(
        maps=maps,
        axes=frame.axes,
        scale=frame.scale,
        translate=frame.translate,
        image=image,
        names={int(number): name for number, name in model.card.pixel_names.items()},
        notices=notices,
        progress=meter.finish(),
    )


def _sheet_maps(
    passes: Passes, sheet: Sheet, tiles: Sequence[Region], before: int, channels: slice
) -> Iterator[tuple[Region, np.ndarray] | None]:
    """Maps of the attention that comes after `before` others, tile by tile."""
    contexts = Contexts([TurnedSource(sheet, Turn())], tiles, None)
    yield from contexts.gather(passes, before)
    stride = passes.network.attention_grids()[before].stride
    for inner in tiles:
        values = passes.relevance(sheet, inner, contexts.around(inner, 0), channels)
        yield at_stride(inner, stride), values


@dataclass(frozen=True)
class _Frame:
    """Axes and shape of a map, and where its pixels lie in the world."""

    axes: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    attention_axes: str

    def place(self, sheet: Sheet, region: Region) -> tuple[slice | int, ...]:
        """Where `region` of a sheet's map belongs: a number along the axes that are looped over."""
        spans = dict(zip(self.attention_axes, region, strict=True))
        places = dict(zip(sheet.image.axes, sheet.place, strict=True))
        return tuple(spans[axis] if axis in spans else places[axis].start for axis in self.axes)


def _frame(sheet: Sheet, grid: AttentionGrid) -> _Frame:
    """The place of map pixel i: of the pixel `stride · i + centre` of the padded sheet.

    With p the pixel size of the image and f its factor to the model's grid, grid pixels are p / f
    apart and grid pixel 0 lies at origin + (p / f - p) / 2.
    """
    image = sheet.image
    attention_axes = sheet.axes[-len(grid.stride) :]  # after a projection, Z is gone
    gone = [axis for axis in sheet.axes if axis not in attention_axes]
    axes = "".join(axis for axis in image.axes if axis not in gone)
    lengths = dict(image.sizes)
    size = {a: s or 1.0 for a, s in zip(image.spatial_axes, image.pixel_size, strict=True)}
    origin = dict(zip(image.spatial_axes, image.origin, strict=True))
    for axis, stride, centre in zip(attention_axes, grid.stride, grid.centre, strict=True):
        number = sheet.axes.index(axis)
        fine = size[axis] / sheet.factors[number]
        first = centre - sheet.padding[number][0]
        origin[axis] += (fine - size[axis]) / 2 + first * fine
        size[axis] = stride * fine
        lengths[axis] = sheet.shape[number] // stride
    spatial = [axis for axis in axes if axis in size]
    return _Frame(
        axes=axes,
        shape=tuple(lengths[axis] for axis in axes),
        scale=tuple(size[axis] for axis in spatial),
        translate=tuple(origin[axis] for axis in spatial),
        attention_axes=attention_axes,
    )


def attention_of(network: Network, card: Card, layer: int) -> Attention:
    """The attention number `layer`, counted from 1, if it has abstract pixels."""
    program = network.program()
    found = attentions(program)
    if found and not 1 <= layer <= len(found):
        msg = f"{card.name}: the model has {len(found)} attention layers, got layer {layer}."
        raise ValueError(msg)
    step = program[found[layer - 1]] if found else None
    if not (isinstance(step, Run) and isinstance(step.layer, AttentionBlock)) or (
        step.layer.attention.references is None
    ):
        others = [one.number for one in with_abstract_pixels(network.config)]
        where = f" in layer {layer}, only in {_listed(others)}" if others else ""
        msg = (
            f"{card.name}: the model has no abstract pixels{where or ', which only AEANet has'}. "
            f"Choose another {'layer' if others else 'model'}."
        )
        raise ValueError(msg)
    return step.layer.attention


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _head(attention: Attention, card: Card, head: int) -> slice:
    """The channels of queries and keys that count: those of one head, or all (0)."""
    if not 0 <= head <= attention.heads:
        msg = f"{card.name}: the attention has {attention.heads} heads, got head {head}."
        raise ValueError(msg)
    width = len(attention.k.weight) // attention.heads
    return slice(None) if head == 0 else slice((head - 1) * width, head * width)
