"""How much memory tiles take, and how large they may therefore be.

Measured on the CPU: the maps alive at one time never exceed the size of about seven full-resolution
maps of a network (650 to 960 bytes a pixel for 32 features), whatever its depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import psutil
import torch

from napari_aeanet.networks import Network, ProjectionConfig, UNetConfig

FLOAT = 4
MAPS_AT_ONCE = 8
# A projecting part has few features, and more maps of them beside the volume itself.
PROJECTION_MAPS_AT_ONCE = 6
# Most pixels of a tile: a GPU wants large ones; on a CPU a tile is what it takes to stop, and one
# of 384 px takes about a second on one core.
MOST_PIXELS = {"cpu": {2: 384**2, 3: 2**20}, "cuda": {2: 2048**2, 3: 2**24}}
# Without a limit by the user, this share of the free memory is used.
SHARE = 0.5
# Of that, tiles may take this much; the rest is for what waits to be used again.
TILE_SHARE = 0.5


@dataclass(frozen=True)
class Memory:
    """What a prediction may take.

    Parameters
    ----------
    bytes
        In all.
    device
        "cpu", "cuda" or "mps".
    """

    bytes: float
    device: str

    @classmethod
    def on(cls, device: torch.device, gigabytes: float = 0.0) -> Memory:
        """As told, or (0) half of what is free on the device."""
        if gigabytes:
            return cls(gigabytes * 1e9, device.type)
        if device.type == "cuda":
            return cls(SHARE * torch.cuda.mem_get_info(device)[0], device.type)
        return cls(SHARE * psutil.virtual_memory().available, device.type)

    def tile_edges(self, shape: Sequence[int], network: Network) -> tuple[int, ...]:
        """The largest tile of a (padded) image: as near to a cube as the image lets it be."""
        tiled = network.tiled_axes
        uncut, cut = tuple(shape[:-tiled]), shape[-tiled:]
        halo = network.halo(network.contexts)
        most = MOST_PIXELS.get(self.device, MOST_PIXELS["cpu"])[len(shape)]
        for edge in range(max(cut), network.grid[-1], -network.grid[-1]):
            edges = (*uncut, *(min(edge, n) for n in cut))
            needed = tile_bytes(network, tile_shape_with_halo(edges, halo, shape))
            if prod(edges) <= most and needed <= TILE_SHARE * self.bytes:
                return edges
        return (*uncut, *(min(network.grid[-1], n) for n in cut))

    def left_beside(self, network: Network, tile: Sequence[int], shape: Sequence[int]) -> float:
        """What is left while a tile of this shape is computed."""
        outer = tile_shape_with_halo(tile, network.halo(network.contexts), shape)
        return max(0.0, self.bytes - tile_bytes(network, outer))


def tile_shape_with_halo(
    tile: Sequence[int], halo: Sequence[int], shape: Sequence[int]
) -> tuple[int, ...]:
    """The shape of a tile with its halo, at most that of the image."""
    return tuple(min(t + 2 * h, n) for t, h, n in zip(tile, halo, shape, strict=True))


def tile_bytes(network: Network, shape: Sequence[int]) -> float:
    """What a pass takes at its peak, for a tile of this shape, halo included."""
    config = network.config
    if isinstance(config, ProjectionConfig):
        volume = prod(shape) * config.projection_features * PROJECTION_MAPS_AT_ONCE
        return FLOAT * (volume + prod(shape[1:]) * config.features * MAPS_AT_ONCE)
    return FLOAT * prod(shape) * config.features * MAPS_AT_ONCE


def waiting_bytes(network: Network, shape: Sequence[int]) -> float:
    """What a tile of this shape keeps while it waits at an attention: skips, and the map itself."""
    config = network.config
    if isinstance(config, ProjectionConfig):
        # The volume, and maps of the projecting part that are at most half as large together.
        return FLOAT * (1.5 * prod(shape) + _skips(config.image, shape[1:]))
    return FLOAT * _skips(config, shape)


def _skips(config: UNetConfig, shape: Sequence[int]) -> float:
    """Numbers in the maps of all levels, and once more the deepest, which attends."""
    levels = [config.features * 2**k * prod(n / 2**k for n in shape) for k in range(config.levels)]
    return prod(shape) + sum(levels) + levels[-1]
