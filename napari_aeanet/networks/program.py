"""Networks as lists of steps: run forwards to compute, backwards for the halo of a tile.

A tile is an interior and a halo around it. Run backwards from a goal (one of the attentions, or
the output), the steps give the margin around the interior over which each map must be valid::

    tile      |<------------------- x ------------------->|
    halo      |<-- before -->|               |<-- after -->|
    interior                 |<-- wanted --->|

Run forwards, maps are cropped to this margin, so that nothing unneeded is computed. At the border
of the image there is nothing to crop, and the padding is that of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil, lcm, prod
from typing import cast

import torch
from torch import Tensor

from napari_aeanet.networks.attention_block import AttentionBlock, AttentionWithContext, ForwardPass
from napari_aeanet.networks.blocks import CHANNELS_LAST, Layer, Margin, crop

Stride = int | tuple[int, ...]
"""Input pixels per pixel of a map: one number, or one for each tiled axis."""

BLOCK_PIXELS = {1: 2**16, 2: 384**2, 3: 2**18}
"""Approximate number of input pixels computed at once on a CPU, by spatial dimensions."""


@dataclass(frozen=True)
class Apply:
    """Replace the map, of `stride` input pixels per pixel, by the output of a layer."""

    layer: Layer
    stride: Stride


@dataclass(frozen=True)
class Save:
    """Save the map under a name."""

    name: str
    stride: Stride


@dataclass(frozen=True)
class Merge:
    """Join the map with the one saved under a name."""

    name: str
    stride: Stride
    join: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Load:
    """Replace the map by the one saved under a name."""

    name: str
    stride: Stride


Step = Apply | Save | Merge | Load


def per_axis(stride: Stride, axes: int) -> tuple[int, ...]:
    """Return the stride along each of the axes."""
    return (stride,) * axes if isinstance(stride, int) else stride


Interior = tuple[slice, ...]
"""The interior of a tile in input pixels along the tiled (last) axes; () is the whole tile."""


@dataclass(frozen=True, eq=False)
class PositionedTensor:
    """A map, and the position of its first pixel on its own grid, along each tiled axis."""

    values: Tensor
    origin: tuple[int, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels along each tiled axis."""
        return tuple(self.values.shape[self.values.dim() - len(self.origin) :])

    def crop(self, interior: Interior, stride: Stride, margin: Margin) -> PositionedTensor:
        """Return the interior and a margin, fewer pixels where the map ends."""
        slices, origin = [], []
        axes = zip(interior, self.size, self.origin, self._along(stride), strict=True)
        for inside, size, first, s in axes:
            start = max(inside.start // s - margin.before, first)
            stop = min(-(-inside.stop // s) + margin.after, first + size)
            slices.append(slice(start - first, stop - first))
            origin.append(start)
        return PositionedTensor(crop(self.values, slices), tuple(origin))

    def values_under(self, other: PositionedTensor) -> Tensor:
        """Return a view of the values at the pixels of another map of the same stride."""
        starts = [a - b for a, b in zip(other.origin, self.origin, strict=True)]
        slices = [slice(start, start + n) for start, n in zip(starts, other.size, strict=True)]
        return crop(self.values, slices)

    def own_interior(self, interior: Interior, stride: Stride) -> Interior:
        """Return the interior in pixels of this map, counted from its first."""
        axes = zip(interior, self.origin, self._along(stride), strict=True)
        return tuple(
            slice(inside.start // s - first, inside.stop // s - first) for inside, first, s in axes
        )

    def available(
        self, interior: Interior, stride: Stride, margin: Margin, after: Stride
    ) -> Interior:
        """Return the interior and a margin of stride `after`, fewer pixels where the map ends."""
        strides = zip(self._along(stride), self._along(after), strict=True)
        return tuple(
            slice(
                max(inside.start - margin.before * a, first * s),
                min(inside.stop + margin.after * a, (first + size) * s),
            )
            for inside, first, size, (s, a) in zip(
                interior, self.origin, self.size, strides, strict=True
            )
        )

    def with_values(self, values: Tensor, stride: Stride, after: Stride) -> PositionedTensor:
        """Return values computed from this map, of the stride `after`, at the same position."""
        axes = zip(self.origin, self._along(stride), self._along(after), strict=True)
        return PositionedTensor(values, tuple(first * s // a for first, s, a in axes))

    def _along(self, stride: Stride) -> tuple[int, ...]:
        """Return the stride along each tiled axis: none of them without an interior."""
        return per_axis(stride, len(self.origin)) if self.origin else ()


def attentions(program: Sequence[Step]) -> list[int]:
    """Return the indices of the attentions among the steps."""
    return [
        index
        for index, step in enumerate(program)
        if isinstance(step, Apply) and isinstance(step.layer, AttentionBlock)
    ]


def attention_strides(program: Sequence[Step]) -> list[int]:
    """Return the input pixels per pixel, along the last axis, of the map each attention reads."""
    return [per_axis(program[index].stride, 1)[-1] for index in attentions(program)]


def margins(program: Sequence[Step], known: int, stride: Stride = 1) -> list[Margin]:
    """Return the input margin of each step, up to the goal.

    The goal is attention number `known`, or the output (of this stride) if there are not that
    many. Margins are rounded up to the coarsest grid of all later steps. They are those of the axis
    that needs the widest; where others have smaller strides, less of it is used.
    """
    axes = max(len(per_axis(step.stride, 1)) for step in program)
    goals = [*attentions(program), len(program) - 1]
    needed, coarsest = Margin(), per_axis(stride, axes)
    saved: dict[str, Margin] = {}
    found = []
    for step in reversed(program[: goals[known] + 1]):
        if isinstance(step, Apply):
            needed = step.layer.input_margin(needed)
        elif isinstance(step, Save):
            needed = needed.union(saved.get(step.name, Margin()))
        else:
            saved[step.name] = needed
            needed = needed if isinstance(step, Merge) else Margin()
        own = per_axis(step.stride, axes)
        coarsest = tuple(map(max, coarsest, own))
        found.append(round_up(needed, lcm(*(c // s for c, s in zip(coarsest, own, strict=True)))))
    return found[::-1]


def run_program(
    program: Sequence[Step], x: Tensor, interior: Interior = (), known: int = -1
) -> ForwardPass:
    """Run the steps to the goal `known` (-1: the output), cropped if there is an interior."""
    current = PositionedTensor(x, (0,) * len(interior))
    saved: dict[str, PositionedTensor] = {}
    needed = [*margins(program, known), Margin()]
    strides = [*(step.stride for step in program), 1]
    index, goal = 0, len(needed) - 1
    while index < goal:
        step = program[index]
        if isinstance(step, Load):
            current = saved.pop(step.name)
            index += 1
            continue
        current = current.crop(interior, step.stride, needed[index])
        if isinstance(step, Save):
            saved[step.name] = current
            index += 1
            continue
        steps = _local_steps(program[index:goal])
        if not steps:
            block = cast("AttentionBlock", cast("Apply", step).layer)
            own = current.own_interior(interior, step.stride)
            context = yield block.pending(current.values, own)
            first = Apply(AttentionWithContext(block, context), step.stride)
            steps = [first, *_local_steps(program[index + 1 : goal])]
        index += len(steps)
        current = blockwise(steps, current, saved, interior, (strides[index], needed[index]))
        for merged in steps:  # maps are large: drop those that are no longer needed
            if isinstance(merged, Merge):
                del saved[merged.name]
    return current.crop(interior, 1, Margin()).values


def _local_steps(program: Sequence[Step]) -> list[Apply | Merge]:
    """Return the first steps that depend on nothing beyond their input margin."""
    found: list[Apply | Merge] = []
    for step in program:
        if isinstance(step, Save | Load):
            break
        if (
            isinstance(step, Apply)
            and isinstance(step.layer, AttentionBlock)
            and step.layer.is_tileable
        ):
            break
        found.append(step)
    return found


def blockwise(
    steps: Sequence[Apply | Merge],
    current: PositionedTensor,
    saved: Mapping[str, PositionedTensor],
    interior: Interior,
    goal: tuple[Stride, Margin],
) -> PositionedTensor:
    """Return the map after some local steps, over the interior and the available margin.

    A large map on a CPU is computed block by block. All intermediate maps stay small and reuse
    the same memory, instead of each taking new pages from the system. `goal` is the stride of the
    result and its margin.
    """
    stride, margin = goal
    wanted = current.available(interior, steps[0].stride, margin, stride)
    blocks = _blocks(current, wanted, steps, stride)
    part = _run_steps(steps, current, saved, blocks[0], stride)
    if len(blocks) == 1:
        return part
    strides = per_axis(stride, len(wanted))
    sizes = [(inside.stop - inside.start) // s for inside, s in zip(wanted, strides, strict=True)]
    shape = (*part.values.shape[: -len(sizes)], *sizes)
    layout = CHANNELS_LAST.get(len(shape), torch.contiguous_format)
    values = torch.empty(shape, dtype=part.values.dtype, memory_format=layout)
    origin = (inside.start // s for inside, s in zip(wanted, strides, strict=True))
    whole = PositionedTensor(values, tuple(origin))
    whole.values_under(part).copy_(part.values)
    for block in blocks[1:]:
        part = _run_steps(steps, current, saved, block, stride)
        whole.values_under(part).copy_(part.values)
    return whole


def _run_steps(
    steps: Sequence[Apply | Merge],
    current: PositionedTensor,
    saved: Mapping[str, PositionedTensor],
    interior: Interior,
    after: Stride,
) -> PositionedTensor:
    """Return the map after some local steps, over the interior, cropped before each of them."""
    strides = [*(step.stride for step in steps[1:]), after]
    for step, margin, stride in zip(steps, margins(steps, -1, after), strides, strict=True):
        current = current.crop(interior, step.stride, margin)
        if isinstance(step, Merge):
            values = step.join(current.values, saved[step.name].values_under(current))
        else:
            values = step.layer(current.values)
        current = current.with_values(values, step.stride, stride)
        del values
    return current.crop(interior, after, Margin())


def _blocks(
    current: PositionedTensor, wanted: Interior, steps: Sequence[Apply | Merge], after: Stride
) -> list[Interior]:
    """Return the wanted interior in blocks, or as one block if blocks save nothing."""
    dims, tiled = current.values.dim() - 2, len(wanted)
    budget = BLOCK_PIXELS[dims] / prod(current.values.shape[2 : 2 + dims - tiled])
    pixels = prod(inside.stop - inside.start for inside in wanted)
    on_cpu = current.values.device.type == "cpu"
    if not tiled or not on_cpu or torch.is_grad_enabled() or pixels <= budget:
        return [wanted]
    edge, strides = budget ** (1 / tiled), (after, *(step.stride for step in steps))
    grid = map(max, zip(*(per_axis(stride, tiled) for stride in strides), strict=True))
    return list(product(*(_parts(inside, edge, g) for inside, g in zip(wanted, grid, strict=True))))


def _parts(whole: slice, edge: float, grid: int) -> list[slice]:
    """Return parts of about equal length on the grid, not much longer than `edge`."""
    length = whole.stop - whole.start
    count = ceil(length / edge)
    cuts = {round((whole.start + length * k / count) / grid) * grid for k in range(1, count)}
    inner = sorted(cut for cut in cuts if whole.start < cut < whole.stop)
    return [slice(a, b) for a, b in pairwise([whole.start, *inner, whole.stop])]


def round_up(margin: Margin, multiple: int) -> Margin:
    """Return the next multiples, which keep a crop on the grid."""
    return Margin(*(-(-pixels // multiple) * multiple for pixels in margin))
