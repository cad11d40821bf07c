"""Choose from which slices each damaged slice is made, or refuse it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from napari_aeanet.core.image import Image
from napari_aeanet.repair.settings import PlannedSlice

#: Most damaged slices in a row that are repaired.
LONGEST_GAP = 2


def plan_repairs(image: Image, slices: Iterable[int]) -> tuple[PlannedSlice, ...]:
    """Return what each of `slices` is made from: the nearest slices that are not among them.

    The first and the last slice of a stack, and more than two in a row, are refused.

    Raises
    ------
    ValueError
        If a number is no slice of the stack, counted from 0.
    """
    count = image.shape[0]
    chosen = sorted(set(slices))
    for index in chosen:
        if not 0 <= index < count:
            msg = (
                f"{image.name} has no slice {index}: its slices are 0 to {count - 1}, counted from "
                "0 as in napari."
            )
            raise ValueError(msg)
    return tuple(one for run in _runs(chosen) for one in _planned(run, count))


def _runs(indices: Sequence[int]) -> list[list[int]]:
    """Return runs of consecutive numbers."""
    starts = [0, *(n for n, (a, b) in enumerate(pairwise(indices), 1) if b != a + 1)]
    ends = [*starts[1:], len(indices)]
    return [list(indices[a:b]) for a, b in zip(starts, ends, strict=True) if b > a]


def _planned(run: list[int], count: int) -> list[PlannedSlice]:
    before, after = run[0] - 1, run[-1] + 1
    refusal = ""
    if before < 0:
        refusal = "no good slice lies before it"
    elif after == count:
        refusal = "no good slice lies after it"
    elif len(run) > LONGEST_GAP:
        refusal = (
            f"it is one of {len(run)} in a row, {run[0]} to {run[-1]}: too much is lost to make "
            "them from what is left"
        )
    if refusal:
        return [PlannedSlice(index=index, refusal=refusal) for index in run]
    return [PlannedSlice(index=index, before=before, after=after) for index in run]
