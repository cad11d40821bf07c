"""Memory for a restoration, and the tile sizes that fit into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import psutil
import torch

from napari_aeanet.core.tiles import with_halo_shape
from napari_aeanet.networks import Network

# Most pixels of a tile on the finest maps: large for a GPU; a CPU stops after a tile (about 1 s).
MOST_PIXELS = {"cpu": {2: 384**2, 3: 2**20}, "cuda": {2: 2048**2, 3: 2**24}}
# Share of the free memory, and most bytes of a host, used without a limit by the user.
SHARE, MOST_BYTES = 0.5, 3e9
# Of that, tiles may take this share. Suspended ones take the rest, of planes at most so many bytes.
TILE_SHARE, MOST_SUSPENDED = 0.5, {("cpu", 2): 0.26e9}


@dataclass(frozen=True)
class Memory:
    """The memory that a restoration may take.

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
        """Return the given limit, or (0) half of what is free, up to 3 GB on a host."""
        if gigabytes:
            return cls(gigabytes * 1e9, device.type)
        if device.type == "cuda":
            return cls(SHARE * torch.cuda.mem_get_info(device)[0], device.type)
        return cls(min(SHARE * psutil.virtual_memory().available, MOST_BYTES), device.type)

    def tile_edges(self, shape: Sequence[int], network: Network) -> tuple[int, ...]:
        """Return the largest tile of a (padded) image: as near to a cube as the image permits."""
        tiled = network.tiled_axes
        uncut, cut = tuple(shape[:-tiled]), shape[-tiled:]
        halo = network.halo(network.contexts)
        unshuffled = np.broadcast_to(getattr(network.config, "unshuffle", 1), len(shape))
        most = MOST_PIXELS.get(self.device, MOST_PIXELS["cpu"])[len(shape)] * int(unshuffled.prod())
        for edge in range(min(max(cut), most), network.grid[-1], -network.grid[-1]):
            edges = (*uncut, *(min(edge, n) for n in cut))
            outer = with_halo_shape(edges, halo, shape)
            if prod(edges) <= most and network.config.tile_bytes(outer) <= TILE_SHARE * self.bytes:
                return edges
        return (*uncut, *(min(network.grid[-1], n) for n in cut))
