"""Base class of all networks: padding to the grid, forward passes, tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_aeanet.core.image import Region
from napari_aeanet.core.tiles import grid_padding, reflected
from napari_aeanet.networks.attention import Context
from napari_aeanet.networks.attention_block import ForwardPass, PendingAttention
from napari_aeanet.networks.blocks import crop, is_evaluating
from napari_aeanet.networks.program import Step, attentions, margins, round_up, run_program

HEIGHT = "height"


@dataclass(frozen=True)
class AttentionGrid:
    """Position of the map of queries, or of keys, of an attention.

    Along an input axis, the receptive field of its pixel i is centred on the input pixel
    `stride · i + centre`, counted from the first pixel of the padded input.
    """

    stride: tuple[int, ...]
    centre: tuple[float, ...]


class Network(nn.Module):
    """A network that predicts images as a whole or tile by tile.

    Subclasses set `grid`, `tiled_axes` and `extras`, and provide `program`.

    Attributes
    ----------
    config
        Configuration of the network.
    input_axes, output_axes
        Spatial axes, "YX" or "ZYX".
    grid
        Every input axis must be a multiple of this, in pixels.
    scale
        Output pixels per input pixel, for each output axis.
    tiled_axes
        Number of last axes that tiles may divide.
    extras
        Outputs besides the prediction: "sigma", "height". Heights, the plane with the largest
        contribution to each pixel, are one channel and come last.
    untileable_reason
        Sentence about the cause if tiles would not give the same result, otherwise None.
    """

    grid: tuple[int, ...]
    tiled_axes: int
    extras: tuple[str, ...] = ()
    untileable_reason: str | None = None

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.input_axes: str = config.input_axes
        self.output_axes: str = config.output_axes
        self.scale = (1,) * len(self.output_axes)

    def program(self) -> list[Step]:
        """Return the steps from the padded input to the stacked outputs."""
        raise NotImplementedError

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        """Return the position of the query map of each attention on the padded input."""
        raise NotImplementedError

    def key_grids(self) -> tuple[AttentionGrid, ...]:
        """Return the position of the key map of each attention on the padded input.

        An attention that changes the size has its queries on another grid.
        """
        raise NotImplementedError

    @property
    def contexts(self) -> int:
        """The number of attentions, each with a context of its own."""
        return len(attentions(self.program()))

    # Whole images -------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """Return the prediction for images (N, C, pixels...) of any size."""
        return self.outputs(x)["prediction"]

    def outputs(self, x: Tensor) -> dict[str, Tensor]:
        """Return the prediction and the other outputs by name ("sigma", "height")."""
        size = x.shape[2:]
        x = pad_to_grid(x, self.grid)
        # In evaluation the whole image is one tile, which may be computed in blocks.
        tileable = is_evaluating(self) and not self.untileable_reason
        interior = tuple(slice(0, n) for n in x.shape[-self.tiled_axes :]) if tileable else ()
        y = _run_with_own_contexts(run_program(self.program(), x, interior))
        return self.split(self._crop(y, size))

    def split(self, stacked: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name, from the stacked outputs of `advance`."""
        names = ("prediction", *self.extras)
        parts = stacked.split(self.config.out_channels, dim=1)
        return dict(zip(names, parts, strict=True))

    # Tiles --------------------------------------------------------------------------------

    def advance(
        self, x: Tensor, contexts: Sequence[Context] = (), interior: Sequence[slice] | None = None
    ) -> Context | Tensor:
        """Run one pass over a tile, to the next attention or, with all contexts, to the end.

        Parameters
        ----------
        x
            A tile (N, C, pixels...) on the grid: an interior and at least `halo(len(contexts))`
            pixels around it, fewer only at the border of the (padded) image.
        contexts
            The first contexts, in the order of the attentions.
        interior
            The interior in input pixels of the tile, on the grid; None for the whole tile.

        Returns
        -------
        Context
            The context of the next attention over the interior, if there is one; otherwise
        Tensor
            the outputs over the interior, stacked along the channels: the prediction and the
            `extras` (see `split`).
        """
        result = self._run_tile(x, contexts, interior)
        return result.gather() if isinstance(result, PendingAttention) else result

    def attend(
        self, x: Tensor, contexts: Sequence[Context] = (), interior: Sequence[slice] | None = None
    ) -> PendingAttention:
        """Return attention number `len(contexts)` on a tile, with its query map and its keys."""
        result = self._run_tile(x, contexts, interior)
        if not isinstance(result, PendingAttention):
            msg = f"there is no attention number {len(contexts)}: the network has {self.contexts}."
            raise ValueError(msg)
        return result

    def output_region(self, region: Region) -> Region:
        """Return the place of the output of `region`, in pixels of the output."""
        axes = len(self.output_axes)
        return tuple(
            slice(s.start * f, s.stop * f) for s, f in zip(region[-axes:], self.scale, strict=True)
        )

    def halo(self, known: int) -> tuple[int, ...]:
        """Return the halo of a pass with `known` contexts, in pixels along each input axis.

        With `known == contexts` the pass predicts. Axes that are not tiled need no halo.
        """
        self._check_tiles()
        if not 0 <= known <= self.contexts:
            msg = f"known must lie between 0 and {self.contexts} contexts, got {known}."
            raise ValueError(msg)
        uncut, coarsest = len(self.grid) - self.tiled_axes, max(self.grid)
        steps = max(round_up(margins(self.program(), known)[0], coarsest)) // coarsest
        return (0,) * uncut + tuple(steps * edge for edge in self.grid[uncut:])

    def _run_tile(
        self, x: Tensor, contexts: Sequence[Context], interior: Sequence[slice] | None
    ) -> PendingAttention | Tensor:
        self._check_tiles()
        if len(contexts) > self.contexts:
            msg = f"This network has {self.contexts} contexts, got {len(contexts)}."
            raise ValueError(msg)
        _check_grid(x.shape[2:], self.grid, self.tiled_axes, interior)
        inside = () if interior is None else tuple(interior)[-self.tiled_axes :]
        return _run(run_program(self.program(), x, inside, len(contexts)), contexts)

    def _check_tiles(self) -> None:
        if self.untileable_reason is not None:
            raise ValueError(self.untileable_reason)
        if self.training:
            msg = "Tiles are for prediction: call eval() on the network first."
            raise ValueError(msg)

    def _crop(self, y: Tensor, input_size: Sequence[int]) -> Tensor:
        axes = len(self.output_axes)
        pads = grid_padding(input_size, self.grid)[-axes:]
        kept = [
            slice(before * s, (before + n) * s)
            for (before, _), n, s in zip(pads, input_size[-axes:], self.scale, strict=True)
        ]
        return crop(y, kept)


def pad_to_grid(x: Tensor, grid: Sequence[int]) -> Tensor:
    """Reflect (N, C, pixels...) about its outermost pixels until every axis is on the grid."""
    for axis, (before, after) in enumerate(grid_padding(x.shape[2:], grid), start=2):
        if before or after:
            index = reflected(np.arange(-before, x.shape[axis] + after), x.shape[axis])
            x = x.index_select(axis, torch.from_numpy(index).to(x.device))
    return x


def grid_at(stride: int, centre: float, dims: int, tiled: int) -> AttentionGrid:
    """Return a grid with this stride and centre on all tiled axes, the input's on the others."""
    uncut = dims - tiled
    return AttentionGrid((1,) * uncut + (stride,) * tiled, (0.0,) * uncut + (centre,) * tiled)


def _run(steps: ForwardPass, contexts: Sequence[Context]) -> PendingAttention | Tensor:
    """Send the contexts and return the next attention, or the output."""
    try:
        pending = next(steps)
        for context in contexts:
            pending = steps.send(context)
    except StopIteration as finished:
        return finished.value
    return pending


def _run_with_own_contexts(steps: ForwardPass) -> Tensor:
    """Send every attention its own context, and return the output."""
    try:
        pending = next(steps)
        while True:
            context = pending.gather()
            del pending  # frees its features before the next attention
            pending = steps.send(context)
    except StopIteration as finished:
        return finished.value


def _check_grid(
    size: Sequence[int],
    grid: Sequence[int],
    tiled_axes: int,
    interior: Sequence[slice] | None,
) -> None:
    if any(n % g for n, g in zip(size, grid, strict=True)):
        msg = f"A tile must be a multiple of {tuple(grid)} pixels, got {tuple(size)}."
        raise ValueError(msg)
    if interior is None:
        return
    cut = len(grid) - tiled_axes
    if any(s != slice(0, n) for s, n in zip(interior[:cut], size[:cut], strict=True)):
        msg = f"An interior must contain the first {cut} axes whole, since they are not tiled."
        raise ValueError(msg)
    for inside, n, g in zip(interior, size, grid, strict=True):
        if not 0 <= inside.start < inside.stop <= n or inside.start % g or inside.stop % g:
            msg = (
                f"An interior must lie inside the tile and on the grid {tuple(grid)}, "
                f"got {inside.start}:{inside.stop} of {n} pixels."
            )
            raise ValueError(msg)
