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
        if self.dtype == values.dtype:
            return values
        low, high = self.limits
        # float32 cannot hold the largest 32-bit whole numbers, so clipping is done in float64.
        scaled = values.astype(np.float64) * self.gain
        if self.dtype.kind != "f":
            scaled = np.rint(scaled)
        if clipped is not None:
            clipped.below += int(np.count_nonzero(scaled < low))
            clipped.above += int(np.count_nonzero(scaled > high))
        return np.clip(scaled, low, high).astype(self.dtype)

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest number of the type."""
        found = np.finfo(self.dtype) if self.dtype.kind == "f" else np.iinfo(self.dtype)
        return float(found.min), float(found.max)

    def check(self, name: str, *extremes: float) -> None:
        """Raise a ValueError if decimal numbers cannot hold the extremes of an image."""
        low, high = self.limits
        if self.dtype.kind == "f" and not all(low <= one <= high for one in extremes):
            msg = (
                f"{name}: intensities from {extremes[0]:.3g} to {extremes[-1]:.3g} do not fit into "
                f'numbers of type {self.dtype}: choose the output "{Output.AS_INPUT}".'
            )
            raise ValueError(msg)


@dataclass(eq=False)
class ClippedPixels:
    """Numbers of pixels that lay beyond the number type of a result."""

    below: int = 0
    above: int = 0

    def sentence(self, encoding: Encoding) -> str:
        """Return how many pixels were cut off and what to do; an empty text if none were."""
        if not self.below + self.above:
            return ""
        low, high = encoding.limits
        sides = [
            f"{count} pixel{'s' * (count != 1)} {where} {limit / encoding.gain:.12g}"
            for count, where, limit in ((self.below, "below", low), (self.above, "above", high))
            if count
        ]
        text = f"{' and '.join(sides)} had to be cut off"
        if encoding.dtype.kind == "f" and encoding.dtype.itemsize > 2:
            return f"{text}."
        return f'{text}: to keep such values, choose the output "{Output.FLOAT32}".'


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
