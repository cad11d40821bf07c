"""A flat float32 array in memory or, where that is too small, in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil

# Pixels may take up this share of the free memory; the rest is for the computation.
SHARE = 0.5


class ScratchArray:
    """A flat array of `size` float32 numbers, filled from the beginning.

    Parameters
    ----------
    size
        Number of values.
    file
        File for values that do not fit into memory; the operating system then caches the parts in
        use.
    """

    def __init__(self, size: int, file: Path) -> None:
        self._filled = 0
        if 4 * size < SHARE * psutil.virtual_memory().available:
            self.flat = np.empty(size, np.float32)
        else:
            self.flat = np.memmap(file, np.float32, "w+", shape=(size,))

    def put(self, values: np.ndarray) -> np.ndarray:
        """Append an array and return the copy, a view of `flat`."""
        start, self._filled = self._filled, self._filled + values.size
        view = self.flat[start : self._filled].reshape(values.shape)
        view[...] = values
        return view
