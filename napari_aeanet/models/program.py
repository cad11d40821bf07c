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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from napari_aeanet.models.attention import AttentionBlock, Pass
from napari_aeanet.models.blocks import Layer, Margin, take


@dataclass(frozen=True)
class Run:
    """Pass the map, which has `stride` input pixels to each of its own, through a layer."""

    layer: Layer
    stride: int


@dataclass(frozen=True)
class Keep:
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
class Return:
    """Go on with the map kept under a name, and leave the present one."""

    name: str
    stride: int


Step = Run | Keep | Merge | Return


Interior = tuple[slice, ...]
"""The interior of a tile in input pixels along the tiled (the last) axes; () is all of it."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A map, and the pixel of its own grid at which it begins along each tiled axis."""

    values: Tensor
    origin: tuple[int, ...]

    def cut(self, interior: Interior, stride: int, margin: Margin) -> Placed:
        """Only the interior and a margin, as far as the map has it."""
        sizes = self.values.shape[self.values.dim() - len(self.origin) :]
        slices, origin = [], []
        for inside, size, first in zip(interior, sizes, self.origin, strict=True):
            start = max(inside.start // stride - margin.before, first)
            stop = min(inside.stop // stride + margin.after, first + size)
            slices.append(slice(start - first, stop - first))
            origin.append(start)
        return Placed(take(self.values, slices), tuple(origin))

    def local(self, interior: Interior, stride: int) -> Interior:
        """The interior in pixels of this map, counted from where it begins."""
        return tuple(
            slice(inside.start // stride - first, inside.stop // stride - first)
            for inside, first in zip(interior, self.origin, strict=True)
        )

    def become(self, values: Tensor, stride: int, after: int) -> Placed:
        """The map made of this one, with another stride."""
        return Placed(values, tuple(first * stride // after for first in self.origin))


def attentions(program: Sequence[Step]) -> list[int]:
    """The positions of the attentions among the steps."""
    return [
        index
        for index, step in enumerate(program)
        if isinstance(step, Run) and isinstance(step.layer, AttentionBlock)
    ]


def margins(program: Sequence[Step], known: int) -> list[Margin]:
    """What each step needs of its input beyond the interior, up to the goal.

    The goal is attention number `known`, or the output where there are not that many. Margins
    are widened so that cutting there keeps every coarser grid that is still to come.
    """
    goals = [*attentions(program), len(program) - 1]
    needed, coarsest = Margin(), 1
    kept: dict[str, Margin] = {}
    found = []
    for step in reversed(program[: goals[known] + 1]):
        if isinstance(step, Run):
            needed = step.layer.reach(needed)
        elif isinstance(step, Keep):
            needed = needed.union(kept.get(step.name, Margin()))
        else:
            kept[step.name] = needed
            needed = needed if isinstance(step, Merge) else Margin()
        coarsest = max(coarsest, step.stride)
        found.append(round_up(needed, coarsest // step.stride))
    return found[::-1]


def run(program: Sequence[Step], x: Tensor, interior: Interior = (), known: int = -1) -> Pass:
    """The pass through the steps, cut for the goal `known` (-1: the output) where there is an
    interior."""
    here = Placed(x, (0,) * len(interior))
    kept: dict[str, Placed] = {}
    strides = [*(step.stride for step in program[1:]), 1]
    # Nothing runs beyond the goal, so there are margins up to it only.
    for step, margin, after in zip(program, margins(program, known), strides, strict=False):
        if isinstance(step, Return):
            here = kept.pop(step.name)
            continue
        here = here.cut(interior, step.stride, margin)
        if isinstance(step, Keep):
            kept[step.name] = here
            continue
        # No name holds on to a map that is no longer needed: they are large.
        if isinstance(step, Merge):
            values = step.join(
                here.values, kept.pop(step.name).cut(interior, step.stride, margin).values
            )
        elif isinstance(step.layer, AttentionBlock):
            values = yield from step.layer.run(here.values, here.local(interior, step.stride))
        else:
            values = step.layer(here.values)
        here = here.become(values, step.stride, after)
        del values
    return here.cut(interior, 1, Margin()).values


def round_up(margin: Margin, multiple: int) -> Margin:
    """The next multiples, so that a cut stays on the grid."""
    return Margin(*(-(-pixels // multiple) * multiple for pixels in margin))
