"""Interpolate with a network: in tiles, blended where they overlap.

A large section is padded to a multiple of 32 pixels, so that all tiles lie on the grid of the
network, and divided into overlapping tiles whose weights fade towards each other (`core.tiles`).
The memory is that of a tile. SSAN attends within a tile: its result depends on the tile.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import torch

from napari_aeanet.core.tiles import fading, grid_padding, patches
from napari_aeanet.interpolation.config import GRID
from napari_aeanet.interpolation.flow import WarpedNeighbours
from napari_aeanet.interpolation.guided import GuidedNetwork
from napari_aeanet.interpolation.section_model import SectionModel, SectionNet
from napari_aeanet.interpolation.triplets import network_planes, position
from napari_aeanet.networks import choose_device

#: Edge of a tile and what it drops at each inner edge, in pixels: multiples of `GRID`.
TILE, MARGIN = 512, 64
#: Distance from 0.5 that still counts as the middle.
MIDDLE = 1e-3


class NetworkInterpolator:
    """Makes a section of its neighbours with a network; an `Interpolator`.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    low, high
        Intensities that are 0 and 1 for the network.
    tile
        Edge of a tile, a multiple of 32.
    """

    def __init__(self, network: SectionNet, low: float, high: float, tile: int = TILE) -> None:
        self._network, self._tile = network, tile
        self._low, self._range = low, high - low

    @classmethod
    def of(cls, model: SectionModel, device: str = "auto") -> NetworkInterpolator:
        """Return the interpolator of a model on a device."""
        network = model.network().to(choose_device(device))
        return cls(network, model.card.low, model.card.high)

    def __call__(self, neighbours: WarpedNeighbours) -> np.ndarray:
        """Return the section between both neighbours, float32.

        SSAN makes none but that in the middle; elsewhere it is the blend of the flow.
        """
        at = position(neighbours)
        if not isinstance(self._network, GuidedNetwork) and abs(at - 0.5) > MIDDLE:
            return neighbours.blended()
        planes = (network_planes(neighbours) - self._low) / self._range
        found = self._tiled(planes[: self._network.in_channels], at)
        return found * self._range + self._low

    def _tiled(self, planes: np.ndarray, at: float) -> np.ndarray:
        """Return the section of planes (c, y, x) in the range of the network."""
        height, width = planes.shape[1:]
        padding = grid_padding((height, width), (GRID, GRID))
        padded = np.pad(planes, ((0, 0), *padding), mode="symmetric")
        size = padded.shape[1:]
        edges = [min(self._tile, length) for length in size]
        tiles = [tile.outer for tile in patches(size, edges, (MARGIN, MARGIN))]
        weights = [
            fading([tile[axis] for tile in tiles], size[axis], 2 * MARGIN) for axis in (0, 1)
        ]
        total = np.zeros(size, np.float32)
        for tile in tiles:
            along = [of[s.start, s.stop] for of, s in zip(weights, tile, strict=True)]
            total[tile] += reduce(np.multiply.outer, along) * self._predicted(padded[:, *tile], at)
        (top, _), (left, _) = padding
        return total[top : top + height, left : left + width]

    @torch.inference_mode()
    def _predicted(self, planes: np.ndarray, at: float) -> np.ndarray:
        parameter = next(self._network.parameters())
        x = torch.from_numpy(np.ascontiguousarray(planes, np.float32))[None].to(parameter.device)
        y = self._network(x, at) if isinstance(self._network, GuidedNetwork) else self._network(x)
        return y[0, 0].cpu().numpy()
