"""Tiles that wait at an attention until its context is known, with what they have computed.

The contexts of an image are known only when every tile has been as far as the attention. A tile
that waits there goes on later from where it was; one for which there was no room starts again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_aeanet.core.image import Region
from napari_aeanet.networks import Context, Network, PendingAttention, run_program


class SuspendedTile:
    """A tile on its way through a network, halted at an attention."""

    def __init__(self, network: Network, x: Tensor, interior: Region) -> None:
        inside = interior[-network.tiled_axes :]
        self._steps = run_program(network.program(), x, inside, network.contexts)
        self._reached: PendingAttention | Tensor = next(self._steps)
        self._sent: list[Context] = []

    def has_seen(self, known: Sequence[Context]) -> bool:
        """Whether it came here with these contexts, as far as it has come."""
        return len(self._sent) <= len(known) and all(
            _same(a, b) for a, b in zip(self._sent, known, strict=False)
        )

    def gather(self, known: Sequence[Context]) -> Context:
        """The context, over the interior, of the attention that comes after the `known` ones."""
        reached = self._follow(known)
        assert isinstance(reached, PendingAttention)
        return reached.gather()

    def finish(self, known: Sequence[Context]) -> Tensor:
        """The outputs over the interior, with all contexts known."""
        reached = self._follow(known)
        assert isinstance(reached, Tensor)
        return reached

    def _follow(self, known: Sequence[Context]) -> PendingAttention | Tensor:
        for context in known[len(self._sent) :]:
            del self._reached  # with its features, which the network may free
            try:
                self._reached = self._steps.send(context)
            except StopIteration as finished:
                self._reached = finished.value
            self._sent.append(context)
        return self._reached


class SuspendedTileCache:
    """Holds journeys of known size in `room` bytes."""

    def __init__(self, room: float) -> None:
        self._room = room
        self._journeys: dict[tuple, tuple[SuspendedTile, float]] = {}

    def has_room_for(self, size: float) -> bool:
        return size <= self._room

    def put(self, source: object, inner: Region, journey: SuspendedTile, size: float) -> None:
        """Let the tile `inner` of `source` wait here."""
        self._journeys[_key(source, inner)] = journey, size
        self._room -= size

    def take(self, source: object, inner: Region, known: Sequence[Context]) -> SuspendedTile | None:
        """The journey of a tile, if it waits here and came here with these contexts."""
        journey, size = self._journeys.pop(_key(source, inner), (None, 0.0))
        self._room += size
        return journey if journey is not None and journey.has_seen(known) else None

    def close(self) -> None:
        """Send all away and let nobody in again."""
        self._journeys.clear()
        self._room = 0.0


def _key(source: object, inner: Region) -> tuple:
    return (source, *((s.start, s.stop) for s in inner))


def _same(a: Context, b: Context) -> bool:
    return a is b or (a.count == b.count and torch.equal(a.sum, b.sum))
