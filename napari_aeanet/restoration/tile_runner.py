"""Run one network on one device over parts of a source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from napari_aeanet.core.image import Region
from napari_aeanet.core.memory import is_out_of_memory
from napari_aeanet.core.tiles import Tile, at_stride, extent, halves, joined, with_halo
from napari_aeanet.networks import (
    HEIGHT,
    Context,
    Network,
    PendingAttention,
    channels_last,
    release_memory,
)
from napari_aeanet.restoration.suspended_tiles import Place, SuspendedTile, SuspendedTileCache

Result = TypeVar("Result")


class Source(Protocol):
    """Pixels on the network's grid, read in parts."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self, region: Region) -> np.ndarray: ...


class TileRunner:
    """Runs a network over tiles, in smaller parts where a tile does not fit into memory.

    After a tile ran out of memory, it and all later ones are cut in halves along every axis;
    finished tiles are kept. The result is the same to rounding. As a context manager it gives
    back the memory of the device at the end.

    Parameters
    ----------
    network
        In evaluation mode; it is moved to `device`.
    device
        Where to run.
    kept
        Transform and region of the tiles that are suspended at an attention, where a later pass
        resumes them instead of computing them again.
    """

    def __init__(self, network: Network, device: torch.device, kept: Iterable[Place] = ()) -> None:
        self.network = channels_last(network.to(device))
        self.device = device
        self.dtype = next(network.parameters()).dtype
        # The last channels that hold argmax plane indices, which cannot be averaged.
        self.index_channels = int(HEIGHT in network.extras)
        self.times_halved = 0
        self._cache = SuspendedTileCache(kept)

    def __enter__(self) -> TileRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cache.close()
        self.network.cpu()
        release_memory(self.device)

    def gather(self, source: Source, inner: Region, known: Sequence[Context]) -> Context:
        """Return the context of the next attention over `inner`, in float64 on the host."""
        parts = self._in_parts(inner, lambda part: self._gathered(source, part, known))
        total = parts[0][1]
        for _, context in parts[1:]:
            total += context
        return total

    def predict(self, source: Source, inner: Region, known: Sequence[Context]) -> np.ndarray:
        """Return all outputs over `inner` with all contexts known: (channels, pixels...)."""
        parts = self._in_parts(inner, lambda part: self._predicted(source, part, known))
        return joined(parts, self.output_region(inner), self.output_region)

    @torch.inference_mode()
    def predict_alone(self, source: Source, region: Region) -> np.ndarray:
        """Return all outputs over `region`, ignoring all other pixels: (channels, pixels...)."""
        outputs = self.network.outputs(self._on_device(source.read(region)))
        return _checked(torch.cat(list(outputs.values()), dim=1)[0].cpu().numpy())

    def relevance(
        self, source: Source, inner: Region, known: Sequence[Context], channels: slice
    ) -> np.ndarray:
        """Return q · k(f_j) of the next attention over `inner`, for every abstract pixel j.

        Shape (references, query pixels...); only `channels` of q and k count.
        """
        stride = self.network.attention_grids()[len(known)].stride

        def products(pending: PendingAttention) -> np.ndarray:
            query = pending.query()[0, channels]  # (c_key, query pixels...)
            keys = pending.reference_keys()[:, channels]  # (references, c_key)
            return torch.tensordot(keys, query, dims=1).cpu().numpy()

        parts = self.at_attention(source, inner, known, products)
        return joined(parts, at_stride(inner, stride), lambda part: at_stride(part, stride))

    @torch.inference_mode()
    def at_attention(
        self,
        source: Source,
        inner: Region,
        known: Sequence[Context],
        evaluate: Callable[[PendingAttention], Result],
    ) -> list[tuple[Region, Result]]:
        """Return `evaluate` of the next attention over `inner`, for every part of it."""
        return self._in_parts(
            inner, lambda part: evaluate(self.network.attend(*self._tile(source, part, known)))
        )

    def output_region(self, region: Region) -> Region:
        """Return the place of the output of `region`, in pixels of the output."""
        return self.network.output_region(region)

    @torch.inference_mode()
    def _gathered(self, source: Source, inner: Region, known: Sequence[Context]) -> Context:
        tile = self._cache.take(source, inner, known)
        if tile is None and self._cache.keeps(source, inner):
            # It goes as far as the output, so with the halo of the last pass.
            cut = self._cut(source, inner, self.network.contexts)
            x = self._on_device(source.read(cut.outer))
            tile = SuspendedTile(self.network, x, cut.inside)
        if tile is None:
            context = self.network.advance(*self._tile(source, inner, known))
            assert isinstance(context, Context)
            return context.on_host()
        context = tile.gather(known).on_host()
        self._cache.put(source, inner, tile)
        return context

    @torch.inference_mode()
    def _predicted(self, source: Source, inner: Region, known: Sequence[Context]) -> np.ndarray:
        tile = self._cache.take(source, inner, known)
        if tile is None:
            outputs = self.network.advance(*self._tile(source, inner, known))
        else:
            outputs = tile.finish(known)
        assert isinstance(outputs, Tensor)
        return _checked(outputs[0].cpu().numpy())

    def _tile(
        self, source: Source, inner: Region, known: Sequence[Context]
    ) -> tuple[Tensor, Sequence[Context], Region]:
        """Return the arguments of the network's next pass: the tile, contexts, the interior."""
        tile = self._cut(source, inner, len(known))
        return self._on_device(source.read(tile.outer)), known, tile.inside

    def _cut(self, source: Source, inner: Region, known: int) -> Tile:
        """Return the tile of the pass with `known` contexts."""
        halo = tuple((width, width) for width in self.network.halo(known))
        return with_halo(inner, halo, source.shape, self.network.grid)

    def _on_device(self, values: np.ndarray) -> Tensor:
        # A copy, because the values may be read-only, flipped, or a view of a large array.
        x = torch.from_numpy(np.array(values, order="C"))
        return x.to(self.device, self.dtype)[None, None]

    def _in_parts(
        self, inner: Region, run: Callable[[Region], Result]
    ) -> list[tuple[Region, Result]]:
        try:
            return [(part, run(part)) for part in self._parts(inner)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or not self._can_be_cut(inner):
                raise
        # Outside the handler, because the error keeps the tensors alive that have to go.
        self.times_halved += 1
        self._cache.close()
        release_memory(self.device)
        return self._in_parts(inner, run)

    def _parts(self, inner: Region) -> list[Region]:
        parts = [inner]
        for _ in range(self.times_halved):
            parts = [half for part in parts for half in halves(part, self._cuts(part))]
        return parts

    def _can_be_cut(self, inner: Region) -> bool:
        smallest = self._parts(inner)[0]
        return len(halves(smallest, self._cuts(smallest))) > 1

    def _cuts(self, region: Region) -> tuple[int, ...]:
        """Return the grid of possible cuts: axes that are never tiled are one grid step long."""
        tiled = self.network.tiled_axes
        return (*extent(region)[:-tiled], *self.network.grid[-tiled:])


def _checked(values: np.ndarray) -> np.ndarray:
    """Return the output for a tile; raise a ValueError if it is not finite."""
    if not np.isfinite(values).all():
        msg = (
            "the network gave numbers that are not finite: its weights are damaged, or the image "
            "lies far outside of the intensity range that was taken."
        )
        raise ValueError(msg)
    return values
