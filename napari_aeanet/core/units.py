"""Units of length and time: their spellings in files, and conversion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

# Pixel sizes closer than this (relative) are equal: microscopes state them no more precisely.
TOLERANCE = 0.05
METRES = {
    "Å": 1e-10,
    "pm": 1e-12,
    "nm": 1e-9,
    "µm": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "m": 1.0,
}

# Names in OME-Zarr and in packages of bioimage.io.
LONG_NAMES = {
    "Å": "angstrom",
    "pm": "picometer",
    "nm": "nanometer",
    "µm": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
}

# Spellings in lower case, the Greek mu (U+03BC) replaced by the micro sign (U+00B5).
_SPELLINGS = {
    "å": "Å",
    "a": "Å",
    "angstrom": "Å",
    "ångström": "Å",
    "pm": "pm",
    "picometer": "pm",
    "nm": "nm",
    "nanometer": "nm",
    "µm": "µm",
    "um": "µm",
    "µ": "µm",
    "micron": "µm",
    "micrometer": "µm",
    "mm": "mm",
    "millimeter": "mm",
    "cm": "cm",
    "centimeter": "cm",
    "m": "m",
    "meter": "m",
}

# Seconds per unit of time, by its spellings in ImageJ, OME and OME-Zarr, without a plural "s".
_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "µs": 1e-6,
    "us": 1e-6,
    "microsecond": 1e-6,
    "ns": 1e-9,
    "nanosecond": 1e-9,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}


def normalise_unit(text: object) -> str | None:
    r"""Return the unit of length that `text` names, or None ("pixel", "", not a string, ...).

    Accepts the spellings of ImageJ, OME and OME-Zarr: "um", "micron", "micrometer",
    "\\u00B5m" (escaped), "µm" with either mu, "nanometre", "Angstrom", ...
    """
    if not isinstance(text, str):
        return None
    plain = text.strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ").replace("\\u00C5", "Å")
    plain = plain.replace("\u212b", "Å").lower().replace("\u03bc", "µ")
    if plain.endswith("metre") or plain.endswith("metres"):
        plain = plain.replace("metre", "meter")
    return _SPELLINGS.get(plain) or _SPELLINGS.get(plain.removesuffix("s"))


def in_one_unit(
    lengths: Mapping[str, tuple[float | None, str | None]],
) -> tuple[dict[str, float], str | None]:
    """Convert the lengths of several axes to the unit of the last axis that has one.

    Axes without a length are left out. Lengths without a unit are kept only if no axis has a
    unit: beside calibrated axes they would count as calibrated.
    """
    known = {axis: (size, unit) for axis, (size, unit) in lengths.items() if size is not None}
    units = [unit for _, unit in known.values() if unit is not None]
    if not units:
        return {axis: size for axis, (size, _) in known.items()}, None
    target = units[-1]
    converted = {
        axis: convert(size, unit, target)
        for axis, (size, unit) in known.items()
        if unit is not None
    }
    return converted, target


def convert(length: float, unit: str, target: str) -> float:
    """Convert a length from `unit` to `target`."""
    return length if unit == target else length * METRES[unit] / METRES[target]


def readable_length(metres: float) -> tuple[float, str]:
    """Return a length in metres as (value, unit): in nm below 100 nm, else in µm."""
    unit = "nm" if metres < 1e-7 else "µm"
    return metres / METRES[unit], unit


def shown_unit(length: float | None, unit: str | None) -> str | None:
    """Return the unit in which to show a length: nm, µm or mm; another that is not known, as is."""
    if length is None or unit not in METRES or not 0 < length < math.inf:
        return unit
    metres = length * METRES[unit]
    return "mm" if metres >= METRES["mm"] else readable_length(metres)[1]


def lengths_in_words(lengths: Sequence[float | None], unit: str | None) -> str:
    """Return for instance "5 nm", or "5 × 5 × 4 nm" where known lengths along the axes differ."""
    known = [length for length in lengths if length is not None]
    if known and all(math.isclose(one, known[0], rel_tol=TOLERANCE) for one in known):
        known = known[:1]
    shown = shown_unit(known[-1] if known else None, unit)
    if unit is not None and shown is not None:
        known = [convert(length, unit, shown) for length in known]
    return f"{' × '.join(f'{length:.3g}' for length in known)} {shown}"


def in_seconds(interval: float | None, unit: object) -> float | None:
    """Return an interval of time in seconds; None if it is not positive or its unit is none."""
    if interval is None or not isinstance(unit, str) or not 0 < interval < math.inf:
        return None
    plain = unit.strip().replace("\\u00B5", "µ").lower().replace("\u03bc", "µ")
    seconds = _SECONDS.get(plain) or _SECONDS.get(plain.removesuffix("s"))
    return None if seconds is None else interval * seconds
