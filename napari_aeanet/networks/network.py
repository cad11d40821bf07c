"""What all tileable networks share: padding to the grid, passes, and what tiles need to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_aeanet.core.tiles import grid_padding
from napari_aeanet.networks.attention import Context
from napari_aeanet.networks.attention_block import Pass, PendingAttention
from napari_aeanet.networks.blocks import crop, is_evaluating
from napari_aeanet.networks.program import Step, attentions, margins, round_up, run_program

HEIGHT = "height"


@dataclass(frozen=True)
class AttentionGrid:
    """Where the query map of an attention lies.

    Its pixel i looks, along an input axis, at the input pixels around `stride · i + centre`
    (counted from the first pixel of the padded input).
    """

    stride: tuple[int, ...]
    centre: tuple[float, ...]


class Network(nn.Module):
    """A network that predicts images, all at once or tile by tile.

    Subclasses set the attributes below and provide `program`.

    Attributes
    ----------
    config
        What the network was built from.
    input_axes, output_axes
        Spatial axes, "YX" or "ZYX".
    grid
        The multiple that each input axis must have.
    scale
        Output pixels per input pixel, for each output axis.
    tiled_axes
        How many of the last axes tiles may cut.
    extras
        What `advance` and `outputs` give besides the prediction: "sigma", "height". Heights, the
        plane that contributes most to each pixel, are one channel and come last.
    """

    config: Any
    input_axes: str
    output_axes: str
    grid: tuple[int, ...]
    scale: tuple[int, ...]
    tiled_axes: int
    extras: tuple[str, ...] = ()
    untileable_reason: str | None = None
    """Why this network cannot be cut into tiles exactly, if so."""

    def program(self) -> list[Step]:
        """The steps from the padded input to the stacked outputs."""
        raise NotImplementedError

    def attention_grids(self) -> tuple[AttentionGrid, ...]:
        """Where the query map of each attention lies on the padded input."""
        raise NotImplementedError

    @property
    def contexts(self) -> int:
        """How many attentions there are, each with a context of its own."""
        return len(attentions(self.program()))

    # Whole images -------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        """The prediction for images (N, C, pixels...) of any size."""
        return self.outputs(x)["prediction"]

    def outputs(self, x: Tensor) -> dict[str, Tensor]:
        """The prediction and what else the network gives, by name ("sigma", "height")."""
        size = x.shape[2:]
        x = pad_to_grid(x, self.grid)
        # All of a tile that is the whole image: in evaluation it may be computed in blocks.
        cuttable = is_evaluating(self) and not self.untileable_reason
        inside = tuple(slice(0, n) for n in x.shape[-self.tiled_axes :]) if cuttable else ()
        y = _play_all(run_program(self.program(), x, inside))
        return self.split(self._crop(y, size))

    def split(self, stacked: Tensor) -> dict[str, Tensor]:
        """The outputs by name, from what the predicting pass of `advance` returns."""
        names = ("prediction", *self.extras)
        parts = stacked.split(self.config.out_channels, dim=1)
        return dict(zip(names, parts, strict=True))

    # Tiles --------------------------------------------------------------------------------

    def advance(
        self, x: Tensor, contexts: Sequence[Context] = (), interior: Sequence[slice] | None = None
    ) -> Context | Tensor:
        """Run one pass over a tile: to the next attention, or with all contexts to the end.

        Parameters
        ----------
        x
            A tile (N, C, pixels...) on the grid: an interior, and around it at least
            `halo(len(contexts))` pixels, fewer only where the (padded) image ends.
        contexts
            The contexts known so far, in the order of the attentions.
        interior
            What counts of the tile, in its input pixels and on the grid; None for all.

        Returns
        -------
        Context
            Of the next attention over the interior, as long as not all are known; then
        Tensor
            the outputs over the interior, stacked along the channels: prediction first, then the
            `extras` (see `split`).
        """
        reached = self._reach(x, contexts, interior)
        return reached.gather() if isinstance(reached, PendingAttention) else reached

    def attend(
        self, x: Tensor, contexts: Sequence[Context] = (), interior: Sequence[slice] | None = None
    ) -> PendingAttention:
        """The attention number `len(contexts)` on a tile, with its query map and its keys."""
        reached = self._reach(x, contexts, interior)
        if not isinstance(reached, PendingAttention):
            msg = (
                f"This network has {self.contexts} attentions; there is no number {len(contexts)}."
            )
            raise ValueError(msg)
        return reached

    def halo(self, known: int) -> tuple[int, ...]:
        """Pixels around an interior that the pass knowing `known` contexts needs, per input axis.

        `known == contexts` is the predicting pass. Axes that are never cut need none.
        """
        self._check_tiles()
        if not 0 <= known <= self.contexts:
            msg = f"known must lie between 0 and {self.contexts} contexts, got {known}."
            raise ValueError(msg)
        width = max(round_up(margins(self.program(), known)[0], self.grid[-1]))
        uncut = len(self.grid) - self.tiled_axes
        return (0,) * uncut + (width,) * self.tiled_axes

    def _reach(
        self, x: Tensor, contexts: Sequence[Context], interior: Sequence[slice] | None
    ) -> PendingAttention | Tensor:
        self._check_tiles()
        if len(contexts) > self.contexts:
            msg = f"This network has {self.contexts} contexts, got {len(contexts)}."
            raise ValueError(msg)
        _check_grid(x.shape[2:], self.grid, self.tiled_axes, interior)
        inside = () if interior is None else tuple(interior)[-self.tiled_axes :]
        return _play(run_program(self.program(), x, inside, len(contexts)), contexts)

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
    """Reflect (N, C, pixels...) about its outermost pixels until every axis is on the grid.

    Small images are reflected to and fro as often as it takes.
    """
    for axis, (before, after) in enumerate(grid_padding(x.shape[2:], grid), start=2):
        if before or after:
            size = x.shape[axis]
            period = max(2 * (size - 1), 1)
            index = torch.arange(-before, size + after, device=x.device) % period
            x = x.index_select(axis, torch.minimum(index, period - index) if size > 1 else index)
    return x


def query_grid(stride: int, centre: float, dims: int, tiled: int) -> AttentionGrid:
    """The same stride and centre along all tiled axes; the others keep the input's grid."""
    uncut = dims - tiled
    return AttentionGrid((1,) * uncut + (stride,) * tiled, (0.0,) * uncut + (centre,) * tiled)


def _play(steps: Pass, contexts: Sequence[Context]) -> PendingAttention | Tensor:
    """Send the known contexts; the next attention, or the output."""
    try:
        pending = next(steps)
        for context in contexts:
            pending = steps.send(context)
    except StopIteration as finished:
        return finished.value
    return pending


def _play_all(steps: Pass) -> Tensor:
    """Let every attention gather its own context."""
    try:
        pending = next(steps)
        while True:
            context = pending.gather()
            del pending  # with its features, which the steps may free before the next attention
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
        msg = f"The first {cut} axes of this network are never cut: an interior is whole there."
        raise ValueError(msg)
    for inside, n, g in zip(interior, size, grid, strict=True):
        if not 0 <= inside.start < inside.stop <= n or inside.start % g or inside.stop % g:
            msg = (
                f"An interior must lie inside the tile and on the grid {tuple(grid)}, "
                f"got {inside.start}:{inside.stop} of {n} pixels."
            )
            raise ValueError(msg)
