"""Units of length: how files spell them, and how they convert."""

from __future__ import annotations

from collections.abc import Mapping

METRES = {
    "Å": 1e-10,
    "pm": 1e-12,
    "nm": 1e-9,
    "µm": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "m": 1.0,
}

# Spellings in lower case, the micro sign (U+00B5) standing for the Greek mu (U+03BC) as well.
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


def normalise_unit(text: object) -> str | None:
    r"""The unit that `text` spells, or None where it names no length ("pixel", "", ...).

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
    """Lengths of several axes, each with its own unit, in the unit of the last axis that has one.

    Axes without a length are left out. Lengths without a unit are kept only where no axis has
    one: beside calibrated axes they would pretend to be calibrated too.
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
    """`length` in `unit`, expressed in `target`."""
    return length if unit == target else length * METRES[unit] / METRES[target]


def readable_length(metres: float) -> tuple[float, str]:
    """A length in metres in the unit a microscopist would choose: nm below 100 nm, else µm."""
    unit = "nm" if metres < 1e-7 else "µm"
    return metres / METRES[unit], unit
