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

    def encode(self, values: np.ndarray, clipped: ClippedPixels | None = None) -> np.ndarray:
        """Return values in the number type; those that are cut off are counted in `clipped`."""
        if self.dtype.kind == "f":
            return values.astype(self.dtype, copy=False)
        limits = np.iinfo(self.dtype)
        # float32 cannot hold the largest 32-bit whole numbers, so clipping is done in float64.
        scaled = np.rint(values.astype(np.float64) * self.gain)
        if clipped is not None:
            clipped.below += int(np.count_nonzero(scaled < limits.min))
            clipped.above += int(np.count_nonzero(scaled > limits.max))
        return np.clip(scaled, limits.min, limits.max).astype(self.dtype)


@dataclass(eq=False)
class ClippedPixels:
    """Numbers of pixels that lay beyond the number type of a result."""

    below: int = 0
    above: int = 0

    def sentence(self, encoding: Encoding) -> str:
        """Return how many pixels were cut off and what to do; an empty text if none were."""
        if not self.below + self.above:
            return ""
        limits = np.iinfo(encoding.dtype)
        sides = [
            f"{count} pixel{'s' * (count != 1)} {where} {limit / encoding.gain:.0f}"
            for count, where, limit in (
                (self.below, "below", limits.min),
                (self.above, "above", limits.max),
            )
            if count
        ]
        return (
            f"{' and '.join(sides)} had to be cut off: to keep such values, choose the output "
            f'"{Output.FLOAT32}".'
        )


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
