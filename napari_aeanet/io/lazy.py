"""Lazy arrays: rearrangement of axes and comparison block by block."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import blocks

# Larger files are not loaded but memory-mapped or read in parts.
LARGE_BYTES = 256 * 2**20

# For every axis of the result the axis of the array, None for an added axis of length 1.
Order = Sequence[int | None]
# Positions along the axes of the array that the result does not have.
Fixed = Mapping[int, int]


def arranged(
    array: Any, order: Order, fixed: Fixed, dtype: np.dtype, path: Path | None = None
) -> Any:
    """Return `array` with its axes in another `order`, some `fixed` at one position, as `dtype`.

    A numpy array gives a numpy array (a view if possible), any other array an `OnDisk`.
    """
    if isinstance(array, np.ndarray):
        return _rearranged(array, order, fixed).astype(dtype, copy=False)
    return OnDisk(array, order, fixed, dtype, path)


class OnDisk:
    """A lazy array with its axes rearranged; indexing reads the requested part as numpy.

    Parameters
    ----------
    array
        Any array that can be indexed with slices, such as a zarr array.
    order, fixed, dtype
        As for `arranged`.
    path
        The file, for messages about pixels that cannot be read.
    """

    def __init__(
        self, array: Any, order: Order, fixed: Fixed, dtype: np.dtype, path: Path | None = None
    ) -> None:
        self.base = array
        self._path = path
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
        source = [slice(None)] * len(self.base.shape)
        for axis, span in zip(self._order, spans, strict=True):
            if axis is not None:
                source[axis] = span
        for fixed, position in self._fixed.items():
            source[fixed] = slice(position, position + 1)
        with nullcontext() if self._path is None else in_one_sentence(self._path, "image file"):
            block = np.asarray(self.base[tuple(source)])
        block = _rearranged(block, self._order, dict.fromkeys(self._fixed, 0))
        return block[steps].astype(self.dtype, copy=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...].astype(dtype or self.dtype, copy=False)

    def _spans(self, index: Any) -> list[tuple[slice, Any]]:
        """Return for every axis the slice to read and the index into it."""
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


def same_values(first: Any, second: Any) -> bool:
    """Return True if two arrays hold equal values; reads up to the first difference."""
    return first.shape == second.shape and all(
        np.array_equal(np.asarray(first[region]), np.asarray(second[region]), equal_nan=True)
        for region in blocks(first.shape)
    )
