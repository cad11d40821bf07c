"""Ranges of intensities that metadata state, and the bit depths that images have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Bit depths of cameras and detectors; files may hold any of them in a wider number type.
FEWEST_BITS = 8


@dataclass(frozen=True)
class DeclaredRange:
    """The full range of intensities as the metadata of a file state it.

    Parameters
    ----------
    low, high
        Intensities of black and white.
    stated_by
        Name of the entry in the metadata, for messages.
    is_display
        True for the contrast of a display: it counts only if no pixel lies outside.
    """

    low: float
    high: float
    stated_by: str
    is_display: bool = False


def declared_range(
    low: float | None,
    high: float | None,
    dtype: np.dtype,
    stated_by: str,
    *,
    is_display: bool = False,
) -> DeclaredRange | None:
    """Return the range of an entry of the metadata, or None if it says nothing.

    Only ranges of a whole bit depth (0 to 4095) and, for decimal numbers, 0 to 1 are taken: others
    are the contrast of a display or the extremes of the pixels. The range of the number type says
    nothing either, since programs write it unasked.
    """
    if low is None or high is None or dtype.kind not in "iuf" or dtype.itemsize == 1:
        return None
    is_unit = dtype.kind == "f" and (low, high) == (0.0, 1.0)
    bits = bits_of(low, high)
    narrower = bits is not None and (dtype.kind == "f" or high < np.iinfo(dtype).max)
    return DeclaredRange(low, high, stated_by, is_display) if is_unit or narrower else None


def significant_bits(bits: object, dtype: np.dtype) -> DeclaredRange | None:
    """Return the range of OME's `SignificantBits`; None if it only repeats the number type."""
    text = str(bits).strip()
    if dtype.kind not in "iu" or not text.isdigit():
        return None
    return declared_range(0.0, 2.0 ** min(int(text), 64) - 1, dtype, "SignificantBits")


def bits_of(low: float, high: float) -> int | None:
    """Return the bit depth of a range 0 to 2ⁿ - 1, or None if it is none of 8 bits or more."""
    bits = int(np.log2(high + 1)) if high >= 1 and np.isfinite(high) else 0
    return bits if bits >= FEWEST_BITS and low == 0 and high == 2.0**bits - 1 else None
