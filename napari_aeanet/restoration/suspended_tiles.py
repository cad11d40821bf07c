"""Tiles suspended at an attention, with their intermediate maps, until its context is known.

The contexts of an image are known only when every tile has reached the attention. A tile in the
cache is resumed there; one that does not fit in is computed again from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from napari_aeanet.core.image import Region
from napari_aeanet.networks import Context, Network, PendingAttention, run_program

Place = tuple[object, Region]  # a transform of the source, and a region under it


class SuspendedTile:
    """A forward pass of a tile, halted at an attention."""

    def __init__(self, network: Network, x: Tensor, interior: Region) -> None:
        inside = interior[-network.tiled_axes :]
        self._steps = run_program(network.program(), x, inside, network.contexts)
        self._reached: PendingAttention | Tensor = next(self._steps)
        self._sent: list[Context] = []

    def has_used(self, known: Sequence[Context]) -> bool:
        """Return True if the pass used these contexts up to its present attention."""
        return len(self._sent) <= len(known) and all(
            a is b or (a.count == b.count and torch.equal(a.sum, b.sum))
            for a, b in zip(self._sent, known, strict=False)
        )

    def gather(self, known: Sequence[Context]) -> Context:
        """Return the context, over the interior, of the attention after the `known` ones."""
        reached = self._resume(known)
        assert isinstance(reached, PendingAttention)
        return reached.gather()

    def finish(self, known: Sequence[Context]) -> Tensor:
        """Return the outputs over the interior, with all contexts known."""
        reached = self._resume(known)
        assert isinstance(reached, Tensor)
        return reached

    def _resume(self, known: Sequence[Context]) -> PendingAttention | Tensor:
        for context in known[len(self._sent) :]:
            del self._reached  # with its features, which the network may free
            try:
                self._reached = self._steps.send(context)
            except StopIteration as finished:
                self._reached = finished.value
            self._sent.append(context)
        return self._reached


class SuspendedTileCache:
    """Holds the suspended tiles over some places: the same ones, whatever was run before.

    Kept tiles have another halo, and so another rounding: results must not hang on the room left.
    """

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = {(transform, _corners(region)) for transform, region in places}
        self._tiles: dict[tuple, SuspendedTile] = {}

    def keeps(self, source: object, inner: Region) -> bool:
        """Return True if the tile over `inner` of `source` is one to be kept."""
        return (getattr(source, "transform", None), _corners(inner)) in self._places

    def put(self, source: object, inner: Region, tile: SuspendedTile) -> None:
        """Keep the tile over `inner` of `source`."""
        self._tiles[source, _corners(inner)] = tile

    def take(self, source: object, inner: Region, known: Sequence[Context]) -> SuspendedTile | None:
        """Remove and return the tile over `inner`, if it is here and used these contexts."""
        tile = self._tiles.pop((source, _corners(inner)), None)
        return tile if tile is not None and tile.has_used(known) else None

    def close(self) -> None:
        """Drop all tiles and accept no more."""
        self._places, self._tiles = set(), {}


def _corners(region: Region) -> tuple:
    return tuple((s.start, s.stop) for s in region)
