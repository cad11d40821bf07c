"""Say what is wrong with a slice, in words and with a figure."""

from __future__ import annotations

import math

from napari_aeanet.repair.damage_measures import BAND, Marks, SliceMeasures
from napari_aeanet.repair.damage_scores import UnusualMeasure
from napari_aeanet.repair.damage_settings import DamagedSlice, DamageKind

#: A spot that is larger than this share of the shorter side is more than dirt or a hole.
LARGE_SPOT = 0.25
#: A dark line of at least this share of the shorter side is no row of grains.
LONG_LINE = 0.26
#: Marks that are dark: one damage mostly shows in several of them.
DARK_MARKS = ("dark line", "dark band", "dark spot")
#: The spots with the same blur as bands.
BAND_SPOT = BAND - 1


def damaged_slice(
    index: int,
    found: UnusualMeasure,
    measures: SliceMeasures,
    marks: Marks | None,
    shape: tuple[int, int],
) -> DamagedSlice:
    """Return a damaged slice with the reason in words."""
    kind, size = _kind_and_size(index, found, measures, marks, shape)
    return DamagedSlice(index=index, score=found.score, kind=kind, reason=f"{kind}: {size}")


def _kind_and_size(
    index: int,
    found: UnusualMeasure,
    measures: SliceMeasures,
    marks: Marks | None,
    shape: tuple[int, int],
) -> tuple[DamageKind, str]:
    """Return the kind of damage and its size in words."""
    assert found.kind is not None
    if marks is not None and found.measure in DARK_MARKS:
        return _dark_mark(found, marks, min(shape))
    share = 100 * math.exp(min(found.value - found.usual, 5.0))  # of measures that are logarithms
    match found.measure:
        case "":
            return DamageKind.MISSING, "all one grey level"
        case "repeat":
            return DamageKind.REPEATED, f"the same as slice {index - 1}, was it exported twice?"
        case "mean":
            return found.kind, f"mean grey level {measures.mean:.4g}"
        case "spread" if found.kind is DamageKind.MISSING:
            return found.kind, f"{share:.0f} % of the contrast of its neighbours, and unlike them"
        case "spread":
            return found.kind, f"{share:.0f} % of the contrast of its neighbours"
        case "detail":
            return found.kind, f"{share:.0f} % of the fine detail of its neighbours"
        case "covered":
            return found.kind, f"data in {100 * found.value:.0f} % of the slice"
    if marks is not None and found.measure == "bright line":
        return found.kind, f"bright line, at least {marks.bright_line.size:.0f} px long"
    if marks is not None and found.measure == "bright spot":
        size = marks.bright[found.column].size
        if size <= LARGE_SPOT * min(shape):
            return found.kind, f"bright spot {size:.0f} px across"
        return DamageKind.PART_LOST, f"bright area {size:.0f} px across"
    part = " in one part" if found.measure == "likeness of a part" else ""
    return found.kind, f"correlation {found.value:.2f}{part}, usually {found.usual:.2f}"


def _dark_mark(found: UnusualMeasure, marks: Marks, side: int) -> tuple[DamageKind, str]:
    """Return what a dark mark is by its shape: a line, a band, grains or a large area."""
    line = marks.dark_line.size
    is_long = line >= LONG_LINE * side
    if found.measure == "dark band" and is_long:
        return DamageKind.DARK, f"dark band, at least {marks.dark_band.size:.0f} px long"
    spot = marks.dark[found.column if found.measure == "dark spot" else BAND_SPOT].size
    is_large = spot > LARGE_SPOT * side
    if found.measure == "dark line" or (is_long and not is_large):
        return DamageKind.FOLD, f"dark line, at least {line:.0f} px long"
    if is_large:
        return DamageKind.DARK, f"dark area {spot:.0f} px across"
    return DamageKind.DIRT, f"dark spot {spot:.0f} px across"
