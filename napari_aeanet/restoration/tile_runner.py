"""One network on one device, running its passes over pieces of a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import Tile, extent, halves, with_halo, within
from napari_aeanet.networks import (
    HEIGHT,
    Context,
    Network,
    PendingAttention,
    channels_last,
    is_out_of_memory,
    release_memory,
)
from napari_aeanet.restoration.memory import waiting_bytes
from napari_aeanet.restoration.suspended_tiles import SuspendedTile, SuspendedTileCache

Result = TypeVar("Result")


class Source(Protocol):
    """What a network reads: pixels on its grid, in parts."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self, region: Region) -> np.ndarray: ...


class TileRunner:
    """Runs the passes of a network, in smaller pieces where a tile does not fit into memory.

    After a tile ran out of memory, it and all later ones are cut in halves along every axis;
    what was finished before stays. The result is the same to rounding.

    Parameters
    ----------
    network
        In evaluation mode; it is moved to `device`.
    device
        Where to run.
    room
        Bytes in which tiles may keep what they computed on the way to an attention, so that a
        later pass need not start again.
    """

    def __init__(self, network: Network, device: torch.device, room: float = 0.0) -> None:
        self.network = channels_last(network.to(device))
        self.device = device
        self.dtype = next(network.parameters()).dtype
        # How many of the last channels are choices among planes, which cannot be averaged.
        self.choices = int(HEIGHT in network.extras)
        self.times_halved = 0
        self._waiting = SuspendedTileCache(room)

    def gather(self, source: Source, inner: Region, known: Sequence[Context]) -> Context:
        """The context of the next attention over `inner`, in float64 on the host."""
        pieces = self._in_pieces(inner, lambda piece: self._gathered(source, piece, known))
        total = pieces[0][1]
        for _, context in pieces[1:]:
            total += context
        return total

    def predict(self, source: Source, inner: Region, known: Sequence[Context]) -> np.ndarray:
        """All outputs over `inner` with all contexts known: (channels, pixels...)."""
        pieces = self._in_pieces(inner, lambda piece: self._predicted(source, piece, known))
        return joined(pieces, self.output_region(inner), self.output_region)

    @torch.inference_mode()
    def predict_alone(self, source: Source, region: Region) -> np.ndarray:
        """All outputs over `region` as if there were no other pixels: (channels, pixels...)."""
        outputs = self.network.outputs(self._on_device(source.read(region)))
        return torch.cat(list(outputs.values()), dim=1)[0].cpu().numpy()

    def relevance(
        self, source: Source, inner: Region, known: Sequence[Context], channels: slice
    ) -> np.ndarray:
        """q · k(f_j) of the next attention over `inner`, for every abstract pixel j.

        Shape (references, query pixels...); only `channels` of q and k count.
        """
        stride = self.network.attention_grids()[len(known)].stride

        def products(pending: PendingAttention) -> np.ndarray:
            query = pending.query()[0, channels]  # (c_key, query pixels...)
            keys = pending.reference_keys()[:, channels]  # (references, c_key)
            return torch.tensordot(keys, query, dims=1).cpu().numpy()

        pieces = self.at_attention(source, inner, known, products)
        return joined(pieces, at_stride(inner, stride), lambda piece: at_stride(piece, stride))

    @torch.inference_mode()
    def at_attention(
        self,
        source: Source,
        inner: Region,
        known: Sequence[Context],
        look: Callable[[PendingAttention], Result],
    ) -> list[tuple[Region, Result]]:
        """What `look` finds at the next attention over `inner`, for every piece of it."""
        return self._in_pieces(
            inner, lambda piece: look(self.network.attend(*self._tile(source, piece, known)))
        )

    def output_region(self, region: Region) -> Region:
        """Where the output of `region` lies, in pixels of the output."""
        axes = len(self.network.output_axes)
        return tuple(
            slice(s.start * f, s.stop * f)
            for s, f in zip(region[-axes:], self.network.scale, strict=True)
        )

    @torch.inference_mode()
    def _gathered(self, source: Source, inner: Region, known: Sequence[Context]) -> Context:
        journey = self._waiting.take(source, inner, known) or self._set_out(source, inner)
        if journey is None:
            context = self.network.advance(*self._tile(source, inner, known))
            assert isinstance(context, Context)
            return context.on_host()
        context = journey.gather(known).on_host()
        self._waiting.put(source, inner, journey, self._size_waiting(source, inner))
        return context

    @torch.inference_mode()
    def _predicted(self, source: Source, inner: Region, known: Sequence[Context]) -> np.ndarray:
        journey = self._waiting.take(source, inner, known)
        if journey is None:
            outputs = self.network.advance(*self._tile(source, inner, known))
        else:
            outputs = journey.finish(known)
        assert isinstance(outputs, Tensor)
        return outputs[0].cpu().numpy()

    def _set_out(self, source: Source, inner: Region) -> SuspendedTile | None:
        """Begin a journey that can be interrupted, if there will be room to wait."""
        if not self._waiting.has_room_for(self._size_waiting(source, inner)):
            return None
        # All the way to the output at once, so with the halo of the last pass.
        tile = self._cut(source, inner, self.network.contexts)
        x = self._on_device(source.read(tile.outer))
        return SuspendedTile(self.network, x, tile.inside)

    def _size_waiting(self, source: Source, inner: Region) -> float:
        return waiting_bytes(
            self.network, extent(self._cut(source, inner, self.network.contexts).outer)
        )

    def _tile(
        self, source: Source, inner: Region, known: Sequence[Context]
    ) -> tuple[Tensor, Sequence[Context], Region]:
        """What the network's next pass takes for `inner`: the tile, the contexts, the interior."""
        tile = self._cut(source, inner, len(known))
        return self._on_device(source.read(tile.outer)), known, tile.inside

    def _cut(self, source: Source, inner: Region, known: int) -> Tile:
        """The tile of the pass that knows `known` contexts."""
        halo = tuple((width, width) for width in self.network.halo(known))
        return with_halo(inner, halo, source.shape, self.network.grid)

    def _on_device(self, values: np.ndarray) -> Tensor:
        # A copy of its own: what was read may be read-only, flipped, or a view of something large.
        x = torch.from_numpy(np.array(values, order="C"))
        return x.to(self.device, self.dtype)[None, None]

    def _in_pieces(
        self, inner: Region, run: Callable[[Region], Result]
    ) -> list[tuple[Region, Result]]:
        try:
            return [(piece, run(piece)) for piece in self._pieces(inner)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not self._can_be_cut(inner):
                raise
        # Outside the handler: the error would keep the tensors alive that have to go.
        self.times_halved += 1
        self._waiting.close()
        release_memory(self.device)
        return self._in_pieces(inner, run)

    def _pieces(self, inner: Region) -> list[Region]:
        pieces = [inner]
        for _ in range(self.times_halved):
            pieces = [part for piece in pieces for part in halves(piece, self._cuts(piece))]
        return pieces

    def _can_be_cut(self, inner: Region) -> bool:
        smallest = self._pieces(inner)[0]
        return len(halves(smallest, self._cuts(smallest))) > 1

    def _cuts(self, region: Region) -> tuple[int, ...]:
        """The grid of possible cuts: axes that are never tiled are one grid step long."""
        tiled = self.network.tiled_axes
        return (*extent(region)[:-tiled], *self.network.grid[-tiled:])


def at_stride(region: Region, stride: Sequence[int]) -> Region:
    """A region of the input on a coarser grid, which may have fewer axes (after a projection)."""
    return tuple(
        slice(s.start // f, s.stop // f)
        for s, f in zip(region[-len(stride) :], stride, strict=True)
    )


def joined(
    pieces: Sequence[tuple[Region, np.ndarray]],
    frame: Region,
    place: Callable[[Region], Region] = lambda region: region,
) -> np.ndarray:
    """Arrays (channels, pixels...) put together to one over `frame`."""
    if len(pieces) == 1:
        return pieces[0][1]
    first = pieces[0][1]
    whole = np.empty((len(first), *extent(frame)), first.dtype)
    for region, values in pieces:
        whole[(slice(None), *within(place(region), frame))] = values
    return whole
