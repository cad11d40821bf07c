"""Arrays put end to end into one flat array, in memory or, where that is too small, in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil

# Pixels may take up this share of the memory that is free; the rest is for the work.
SHARE = 0.5


class ScratchArray:
    """Room for `size` float32 numbers, filled from the beginning.

    Parameters
    ----------
    size
        How many numbers there will be.
    file
        Where they go if they do not fit into memory; the operating system then keeps in memory
        what is used most.
    """

    def __init__(self, size: int, file: Path) -> None:
        self._filled = 0
        if 4 * size < SHARE * psutil.virtual_memory().available:
            self.flat = np.empty(size, np.float32)
        else:
            self.flat = np.memmap(file, np.float32, "w+", shape=(size,))

    def put(self, values: np.ndarray) -> np.ndarray:
        """Copy an array onto the shelf; the copy, as a view of `flat`."""
        start, self._filled = self._filled, self._filled + values.size
        view = self.flat[start : self._filled].reshape(values.shape)
        view[...] = values
        return view
