"""Convert restored intensities to the number type of the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_aeanet.restoration.settings import Output


@dataclass(frozen=True)
class Encoding:
    """stored = value · gain in type `dtype`, rounded and clipped if it is an integer type."""

    dtype: np.dtype
    gain: float = 1.0
    notices: tuple[str, ...] = ()

    def encode(self, values: np.ndarray) -> np.ndarray:
        if self.dtype.kind == "f":
            return values.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        # float32 cannot hold the largest 32-bit whole numbers, so clipping is done in float64.
        scaled = np.rint(values.astype(np.float64) * self.gain)
        return np.clip(scaled, limits.min, limits.max).astype(self.dtype)


def encoding_for(source: np.dtype, output: Output) -> Encoding:
    """Return the encoding of the result of restoring an image of type `source`."""
    if output is Output.AS_INPUT:
        return Encoding(source)
    if output is Output.FLOAT32:
        return Encoding(np.dtype(np.float32))
    if source == np.uint8:
        text = "8-bit grey levels were spread over 16 bit (times 257), so that fine steps are kept."
        return Encoding(np.dtype(np.uint16), 257.0, (text,))
    text = "Stored as whole numbers from 0 to 65535: anything beyond is cut off."
    return Encoding(np.dtype(np.uint16), 1.0, () if source == np.uint16 else (text,))
