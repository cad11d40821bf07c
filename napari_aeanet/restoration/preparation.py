"""Prepare a model and an image for everything that runs a network over an image.

`prepare` sets up network, device, memory and layout once; restoration, relevance and trust all
begin with it. No pixel is read and nothing is moved to a GPU before the first tile is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import torch

from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity_range import ImageSeries
from napari_aeanet.core.nan_fill import count_missing
from napari_aeanet.core.tiles import extent, with_halo_shape
from napari_aeanet.io import ImageSource, as_image
from napari_aeanet.models import Model, load_model
from napari_aeanet.networks import Network, choose_device
from napari_aeanet.restoration.assemble import Assembler
from napari_aeanet.restoration.exact import Contexts
from napari_aeanet.restoration.layout import Layout, lay_out
from napari_aeanet.restoration.memory import MOST_SUSPENDED, Memory
from napari_aeanet.restoration.network_input import NetworkInput
from napari_aeanet.restoration.settings import AnalysisSettings, Output, RestoreSettings
from napari_aeanet.restoration.suspended_tiles import Place
from napari_aeanet.restoration.symmetries import ALL, IDENTITY, DihedralTransform, TransformedSource
from napari_aeanet.restoration.tile_runner import TileRunner

ModelSource = Model | Path | str
# Fields of `AnalysisSettings` that are those of `RestoreSettings`.
SHARED_SETTINGS = ("range", "resample", "force", "tile", "device")


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """An image, laid out for a model. The network stays on the CPU until `runner` is called."""

    image: Image
    model: Model
    settings: RestoreSettings
    network: Network
    device: torch.device
    memory: Memory
    layout: Layout

    @property
    def inputs(self) -> tuple[NetworkInput, ...]:
        return self.layout.inputs

    @property
    def transforms(self) -> tuple[DihedralTransform, ...]:
        """The symmetries of the settings."""
        return ALL if self.settings.symmetries else IDENTITY

    @cached_property
    def notices(self) -> tuple[str, ...]:
        """Remarks for the user. Their making may read the whole image."""
        layout = self.layout
        notices = (*self.model.card.remarks, *layout.notices, *layout.intensities.notices())
        count = count_missing(self.image)
        missing = (
            f"{count} pixels of {self.image.name} hold no number: they were filled from their "
            "neighbourhood for the restoration, and stay empty (NaN) in a result of decimal "
            "numbers."
        )
        return (*notices, missing) if count else notices

    @cached_property
    def assembler(self) -> Assembler:
        return Assembler(self.layout, self.network)

    def runner(self, *, suspends: bool = True) -> TileRunner:
        """Return a context manager that runs tiles on the device and gives back its memory.

        With `suspends`, free memory is used for tiles suspended at an attention.
        """
        return TileRunner(self.network, self.device, self.suspended_tiles() if suspends else ())

    def suspended_tiles(self) -> Iterator[Place]:
        """Yield the first tiles that fit into the memory together, with their transforms."""
        free, contexts = self._cache_bytes(), self.network.contexts
        halo = self.network.halo(contexts) if self.layout.tiles else ()
        for tile in self.layout.tiles:
            for view in self.views(self.inputs[0]):
                region = view.region(tile)
                outer = with_halo_shape(extent(region), halo, view.shape)
                if (size := self.network.config.suspended_bytes(outer)) <= free:
                    free -= size
                    yield view.transform, region

    def views(self, source: NetworkInput) -> list[TransformedSource]:
        """Return one input under every symmetry."""
        return [TransformedSource(source, transform) for transform in self.transforms]

    def contexts(self, source: NetworkInput) -> Contexts:
        """Return the contexts of all tiles of one input, to be gathered."""
        return Contexts(self.views(source), self.layout.tiles, self.layout.field)

    def with_model(self, model: Model) -> PreparedRun:
        """Return the same run with another model of the same architecture and card."""
        return replace(self, model=model, network=model.network())

    def workload(self) -> tuple[float, float]:
        """Return the pixels to be computed, halos included, and the peak memory in bytes."""
        layout, network, shape = self.layout, self.network, self.inputs[0].shape
        repeats, suspended = 1.0, 0.0
        if layout.patches:
            outers = [extent(patch.outer) for patch in layout.patches]
        else:
            halo = network.halo(network.contexts)
            outers = [with_halo_shape(extent(tile), halo, shape) for tile in layout.tiles]
            wanted = sum(network.config.suspended_bytes(outer) for outer in outers)
            suspended = min(wanted, self._cache_bytes())
            # Tiles that do not fit into the cache are computed again after every attention.
            repeats += network.contexts * (1 - suspended / max(wanted, 1.0))
        pixels = len(layout.inputs) * sum(map(prod, outers)) * repeats * len(self.transforms)
        return pixels, max(network.config.tile_bytes(outer) for outer in outers) + suspended

    def _cache_bytes(self) -> float:
        """Return the memory beside the largest tile, at most what is worth it."""
        if not self.layout.tiles:
            return 0.0
        largest = max((extent(tile) for tile in self.layout.tiles), key=prod)
        halo = self.network.halo(self.network.contexts)
        outer = with_halo_shape(largest, halo, self.inputs[0].shape)
        beside = self.memory.bytes - self.network.config.tile_bytes(outer)
        most = MOST_SUSPENDED.get((self.device.type, len(outer)), beside)
        return max(0.0, beside if self.settings.memory else min(beside, most))


def prepare(
    image: ImageSource,
    model: ModelSource,
    settings: RestoreSettings,
    series: ImageSeries | None = None,
) -> PreparedRun:
    """Return `image` laid out for `model`.

    `series`, made by `common_range`, holds the images that share one intensity range with it.

    Raises
    ------
    TypeError, ValueError
        If the image or the settings do not suit the model, with the remedy; or if this machine
        has no such device.
    """
    check_type("settings", settings, RestoreSettings)
    image, model = as_image(image, "image"), as_model(model)
    network, device = model.network(), choose_device(settings.device)
    memory = Memory.on(device, settings.memory)
    layout = lay_out(image, model.card, network, settings, memory, series)
    return PreparedRun(image, model, settings, network, device, memory, layout)


def prepare_analysis(
    image: ImageSource, model: ModelSource, settings: AnalysisSettings, **changes: Any
) -> PreparedRun:
    """Return `image` laid out for an analysis of the whole image, in decimal numbers.

    `changes` are further fields of `RestoreSettings`.

    Raises
    ------
    TypeError, ValueError
        As `prepare`; also if the model can only be applied patch by patch.
    """
    shared = {name: getattr(settings, name) for name in SHARED_SETTINGS}
    chosen = RestoreSettings(output=Output.FLOAT32, **shared, **changes)
    prepared = prepare(image, model, chosen)
    if prepared.network.untileable_reason:
        msg = (
            f"{prepared.model.card.name}: this kind of network can only be applied patch by patch, "
            "and the analysis needs the whole image. Choose another model."
        )
        raise ValueError(msg)
    return prepared


def as_model(model: ModelSource) -> Model:
    """Return a model as it is, or read it from its file."""
    check_type("model", model, Model, Path, str)
    return model if isinstance(model, Model) else load_model(Path(model))
