"""Large arrays looked at block by block, so that they may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from napari_aeanet.data.images import Region

BLOCK_PIXELS = 2**22


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
