"""Arrays that stay on disk: other axes than the stored ones, and reading block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from napari_aeanet.core.image import Region

# Above this a file is left on disk (memory-mapped or read piece by piece) instead of loaded.
LARGE_BYTES = 256 * 2**20
BLOCK_PIXELS = 2**22

# For every axis of the view the axis of the array, None for an additional one of length 1.
Order = Sequence[int | None]
# Position by axis of the array, for axes that the view does not have.
Fixed = Mapping[int, int]


def arranged(array: Any, order: Order, fixed: Fixed, dtype: np.dtype) -> Any:
    """`array` with its axes in another `order`, some `fixed` at one position, as `dtype`.

    A numpy array gives a numpy array (a view where it can), anything else an `OnDisk`.
    """
    if isinstance(array, np.ndarray):
        return _rearranged(array, order, fixed).astype(dtype, copy=False)
    return OnDisk(array, order, fixed, dtype)


class OnDisk:
    """An array on disk with its axes rearranged; indexing reads what is asked for, as numpy.

    Parameters
    ----------
    array
        Anything that can be indexed with slices, above all a zarr array.
    order, fixed, dtype
        As for `arranged`.
    """

    def __init__(self, array: Any, order: Order, fixed: Fixed, dtype: np.dtype) -> None:
        self._array = array
        self._order = tuple(order)
        self._fixed = dict(fixed)
        self.dtype = dtype
        self.shape = tuple(1 if axis is None else int(array.shape[axis]) for axis in order)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        spans, steps = zip(*self._spans(index), strict=True)
        source = [slice(None)] * len(self._array.shape)
        for axis, span in zip(self._order, spans, strict=True):
            if axis is not None:
                source[axis] = span
        for fixed, position in self._fixed.items():
            source[fixed] = slice(position, position + 1)
        block = np.asarray(self._array[tuple(source)])
        block = _rearranged(block, self._order, dict.fromkeys(self._fixed, 0))
        return block[steps].astype(self.dtype, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...].astype(dtype or self.dtype, copy=False)

    def _spans(self, index: Any) -> list[tuple[slice, Any]]:
        """For every axis what to read, and how to index what was read."""
        index = index if isinstance(index, tuple) else (index,)
        missing = (slice(None),) * (self.ndim - len(index) + (Ellipsis in index))
        at = index.index(Ellipsis) if Ellipsis in index else len(index)
        index = (*index[:at], *missing, *index[at + 1 :])
        spans: list[tuple[slice, Any]] = []
        for part, length in zip(index, self.shape, strict=True):
            wanted = range(length)[part]
            if isinstance(wanted, int):
                spans.append((slice(wanted, wanted + 1), 0))
            elif len(wanted) == 0:
                spans.append((slice(0, 0), slice(None)))
            else:
                low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
                spans.append((slice(low, high + 1), slice(None, None, wanted.step)))
        return spans


def _rearranged(block: np.ndarray, order: Order, fixed: Fixed) -> np.ndarray:
    kept = [axis for axis in range(block.ndim) if axis not in fixed]
    block = block[tuple(fixed.get(axis, slice(None)) for axis in range(block.ndim))]
    block = block.transpose([kept.index(axis) for axis in order if axis is not None])
    return block[tuple(None if axis is None else slice(None) for axis in order)]


def blocks(shape: Sequence[int]) -> Iterator[Region]:
    """Regions of a few million pixels that together cover an array once: bands of its rows."""
    *stack, height, width = shape
    rows = max(1, BLOCK_PIXELS // width)
    for *position, top in product(*map(range, stack), range(0, height, rows)):
        yield (*(slice(i, i + 1) for i in position), slice(top, top + rows), slice(None))


def same_values(first: Any, second: Any) -> bool:
    """Whether two arrays of any kind hold the same values; reads up to the first difference."""
    return first.shape == second.shape and all(
        np.array_equal(np.asarray(first[region]), np.asarray(second[region]), equal_nan=True)
        for region in blocks(first.shape)
    )
