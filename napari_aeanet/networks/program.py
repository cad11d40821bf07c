"""A network as a list of steps: walked forwards to compute, backwards to know what a tile needs.

A tile is an interior and a halo around it. Walking the steps backwards from a goal - one of the
attentions, or the output - tells how far beyond the interior each step must still be right::

    tile      |<------------------- x ------------------->|
    halo      |<-- before -->|               |<-- after -->|
    interior                 |<-- wanted --->|

Walking forwards, maps are cut to just that, so that a tile wastes no work. Where a tile ends at
the border of the image there is nothing to cut and the padding is that of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, prod
from typing import cast

import torch
from torch import Tensor

from napari_aeanet.networks.attention_block import AttentionBlock, Pass
from napari_aeanet.networks.blocks import CHANNELS_LAST, Layer, Margin, crop

BLOCK_PIXELS = {1: 2**16, 2: 384**2, 3: 2**18}
"""About so many pixels of the input are computed at a time on a CPU, by spatial dimensions."""


@dataclass(frozen=True)
class Apply:
    """Pass the map, which has `stride` input pixels to each of its own, through a layer."""

    layer: Layer
    stride: int


@dataclass(frozen=True)
class Save:
    """Remember the map under a name."""

    name: str
    stride: int


@dataclass(frozen=True)
class Merge:
    """Join the map with the one kept under a name."""

    name: str
    stride: int
    join: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Load:
    """Go on with the map kept under a name, and leave the present one."""

    name: str
    stride: int


Step = Apply | Save | Merge | Load


Interior = tuple[slice, ...]
"""The interior of a tile in input pixels along the tiled (the last) axes; () is all of it."""


@dataclass(frozen=True, eq=False)
class PositionedTensor:
    """A map, and the pixel of its own grid at which it begins along each tiled axis."""

    values: Tensor
    origin: tuple[int, ...]

    def cut(self, interior: Interior, stride: int, margin: Margin) -> PositionedTensor:
        """Only the interior and a margin, as far as the map has it."""
        sizes = self.values.shape[self.values.dim() - len(self.origin) :]
        slices, origin = [], []
        for inside, size, first in zip(interior, sizes, self.origin, strict=True):
            start = max(inside.start // stride - margin.before, first)
            stop = min(-(-inside.stop // stride) + margin.after, first + size)
            slices.append(slice(start - first, stop - first))
            origin.append(start)
        return PositionedTensor(crop(self.values, slices), tuple(origin))

    def under(self, other: PositionedTensor) -> PositionedTensor:
        """What lies under another map of the same stride."""
        sizes = other.values.shape[other.values.dim() - len(other.origin) :]
        starts = [a - b for a, b in zip(other.origin, self.origin, strict=True)]
        slices = [slice(start, start + n) for start, n in zip(starts, sizes, strict=True)]
        return PositionedTensor(crop(self.values, slices), other.origin)

    def local(self, interior: Interior, stride: int) -> Interior:
        """The interior in pixels of this map, counted from where it begins."""
        return tuple(
            slice(inside.start // stride - first, inside.stop // stride - first)
            for inside, first in zip(interior, self.origin, strict=True)
        )

    def covered(self, interior: Interior, stride: int, margin: Margin, after: int) -> Interior:
        """The interior and a margin of pixels of stride `after`, as far as this map reaches."""
        sizes = self.values.shape[self.values.dim() - len(self.origin) :]
        return tuple(
            slice(
                max(inside.start - margin.before * after, first * stride),
                min(inside.stop + margin.after * after, (first + size) * stride),
            )
            for inside, first, size in zip(interior, self.origin, sizes, strict=True)
        )

    def become(self, values: Tensor, stride: int, after: int) -> PositionedTensor:
        """The map made of this one, with another stride."""
        return PositionedTensor(values, tuple(first * stride // after for first in self.origin))


def attentions(program: Sequence[Step]) -> list[int]:
    """The positions of the attentions among the steps."""
    return [
        index
        for index, step in enumerate(program)
        if isinstance(step, Apply) and isinstance(step.layer, AttentionBlock)
    ]


def margins(program: Sequence[Step], known: int, stride: int = 1) -> list[Margin]:
    """What each step needs of its input beyond the interior, up to the goal.

    The goal is attention number `known`, or the output, of this stride, where there are not that
    many. Margins are widened so that cutting there keeps every coarser grid still to come.
    """
    goals = [*attentions(program), len(program) - 1]
    needed, coarsest = Margin(), stride
    kept: dict[str, Margin] = {}
    found = []
    for step in reversed(program[: goals[known] + 1]):
        if isinstance(step, Apply):
            needed = step.layer.input_margin(needed)
        elif isinstance(step, Save):
            needed = needed.union(kept.get(step.name, Margin()))
        else:
            kept[step.name] = needed
            needed = needed if isinstance(step, Merge) else Margin()
        coarsest = max(coarsest, step.stride)
        found.append(round_up(needed, coarsest // step.stride))
    return found[::-1]


def run_program(
    program: Sequence[Step], x: Tensor, interior: Interior = (), known: int = -1
) -> Pass:
    """The pass through the steps, cut for the goal `known` (-1: the output) where there is an
    interior."""
    here = PositionedTensor(x, (0,) * len(interior))
    kept: dict[str, PositionedTensor] = {}
    needed = [*margins(program, known), Margin()]
    strides = [*(step.stride for step in program), 1]
    at, goal = 0, len(needed) - 1
    while at < goal:
        step = program[at]
        if isinstance(step, Load):
            here = kept.pop(step.name)
            at += 1
            continue
        here = here.cut(interior, step.stride, needed[at])
        if isinstance(step, Save):
            kept[step.name] = here
            at += 1
            continue
        steps = _local(program[at:goal])
        if not steps:
            block = cast("AttentionBlock", cast("Apply", step).layer)
            context = yield block.pending(here.values, here.local(interior, step.stride))
            steps = [Apply(block.given(context), step.stride), *_local(program[at + 1 : goal])]
        at += len(steps)
        here = blockwise(steps, here, kept, interior, (strides[at], needed[at]))
        for merged in steps:  # no name holds on to a map that is no longer needed: they are large
            if isinstance(merged, Merge):
                del kept[merged.name]
    return here.cut(interior, 1, Margin()).values


def _local(program: Sequence[Step]) -> list[Apply | Merge]:
    """The first steps, as far as they look at nothing beyond their reach."""
    found: list[Apply | Merge] = []
    for step in program:
        if isinstance(step, Save | Load) or (isinstance(step, Apply) and _waits(step.layer)):
            break
        found.append(step)
    return found


def _waits(layer: Layer) -> bool:
    return isinstance(layer, AttentionBlock) and layer.waits


def blockwise(
    steps: Sequence[Apply | Merge],
    here: PositionedTensor,
    kept: Mapping[str, PositionedTensor],
    interior: Interior,
    goal: tuple[int, Margin],
) -> PositionedTensor:
    """The map after some local steps, over the interior and a margin as far as that exists.

    A large map on a CPU is made block by block: all maps on the way stay small, in memory that
    is used again, instead of each claiming new pages from the system. `goal` is the stride
    of the result and the margin wanted of it.
    """
    stride, margin = goal
    wanted = here.covered(interior, steps[0].stride, margin, stride)
    blocks = _blocks(here, wanted, steps, stride)
    part = _walk(steps, here, kept, blocks[0], stride)
    if len(blocks) == 1:
        return part
    sizes = [(inside.stop - inside.start) // stride for inside in wanted]
    shape = (*part.values.shape[: -len(sizes)], *sizes)
    layout = CHANNELS_LAST.get(len(shape), torch.contiguous_format)
    values = torch.empty(shape, dtype=part.values.dtype, memory_format=layout)
    whole = PositionedTensor(values, tuple(inside.start // stride for inside in wanted))
    for number, block in enumerate(blocks):
        part = part if number == 0 else _walk(steps, here, kept, block, stride)
        whole.under(part).values.copy_(part.values)
    return whole


def _walk(
    steps: Sequence[Apply | Merge],
    here: PositionedTensor,
    kept: Mapping[str, PositionedTensor],
    interior: Interior,
    after: int,
) -> PositionedTensor:
    """The map after some local steps, over the interior, cutting all that it does not need."""
    strides = [*(step.stride for step in steps[1:]), after]
    for step, margin, stride in zip(steps, margins(steps, -1, after), strides, strict=True):
        here = here.cut(interior, step.stride, margin)
        if isinstance(step, Merge):
            values = step.join(here.values, kept[step.name].under(here).values)
        else:
            values = step.layer(here.values)
        here = here.become(values, step.stride, stride)
        del values
    return here.cut(interior, after, Margin())


def _blocks(
    here: PositionedTensor, wanted: Interior, steps: Sequence[Apply | Merge], after: int
) -> list[Interior]:
    """What is wanted, in blocks; all at once where nothing is gained by blocks."""
    dims, tiled = here.values.dim() - 2, len(wanted)
    budget = BLOCK_PIXELS[dims] / prod(here.values.shape[2 : 2 + dims - tiled])
    pixels = prod(inside.stop - inside.start for inside in wanted)
    if not tiled or here.values.device.type != "cpu" or torch.is_grad_enabled() or pixels <= budget:
        return [wanted]
    edge, grid = budget ** (1 / tiled), max(after, *(step.stride for step in steps))
    return list(product(*(_pieces(inside, edge, grid) for inside in wanted)))


def _pieces(whole: slice, edge: float, grid: int) -> list[slice]:
    """About equal pieces, cut on the grid and not much longer than `edge`."""
    length = whole.stop - whole.start
    count = ceil(length / edge)
    cuts = {round((whole.start + length * k / count) / grid) * grid for k in range(1, count)}
    inner = sorted(cut for cut in cuts if whole.start < cut < whole.stop)
    return [slice(a, b) for a, b in pairwise([whole.start, *inner, whole.stop])]


def round_up(margin: Margin, multiple: int) -> Margin:
    """The next multiples, so that a cut stays on the grid."""
    return Margin(*(-(-pixels // multiple) * multiple for pixels in margin))
