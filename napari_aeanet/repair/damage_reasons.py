"""Say what is wrong with a slice, in words and with a figure."""

from __future__ import annotations

import math

from napari_aeanet.repair.damage_measures import SliceMeasures
from napari_aeanet.repair.damage_scores import Finding
from napari_aeanet.repair.damage_settings import DamagedSlice, DamageKind

#: A spot that is larger than this share of the shorter side is more than dirt or a hole.
LARGE_SPOT = 0.25
#: A slice with less than this share of the usual contrast and nothing in common with its
#: neighbours is missing.
BARE = 0.5


def damaged_slice(
    index: int, found: Finding, measures: SliceMeasures, shape: tuple[int, int]
) -> DamagedSlice:
    """Return a damaged slice with the reason in words."""
    kind, size = _kind_and_size(found, measures, shape)
    return DamagedSlice(index=index, score=found.score, kind=kind, reason=f"{kind}: {size}")


def _kind_and_size(
    found: Finding, measures: SliceMeasures, shape: tuple[int, int]
) -> tuple[DamageKind, str]:
    """Return the kind of damage and its size in words."""
    assert found.kind is not None
    share = 100 * math.exp(min(found.value - found.usual, 5.0))  # of measures that are logarithms
    match found.measure:
        case "":
            return DamageKind.MISSING, "all one grey level"
        case "mean":
            return found.kind, f"mean grey level {measures.mean:.4g}"
        case "spread":
            return found.kind, f"{share:.0f} % of the contrast of its neighbours"
        case "detail":
            return found.kind, f"{share:.0f} % of the fine detail of its neighbours"
        case "dark line":
            return found.kind, f"dark line {measures.dark_line.size:.0f} px long"
        case "bright line":
            return found.kind, f"bright line {measures.bright_line.size:.0f} px long"
        case "dark spot" | "large dark spot":
            size = measures.dark[found.measure.startswith("large")].size
            if size > LARGE_SPOT * min(shape):
                return DamageKind.DARK, f"dark area {size:.0f} px across"
            return found.kind, f"dark spot {size:.0f} px across"
        case "bright spot" | "large bright spot":
            size = measures.bright[found.measure.startswith("large")].size
            if size > LARGE_SPOT * min(shape):
                return DamageKind.PART_LOST, f"bright area {size:.0f} px across"
            return found.kind, f"bright spot {size:.0f} px across"
        case "covered":
            return found.kind, f"data in {100 * found.value:.0f} % of the slice"
    part = " in one part" if found.measure == "likeness of a part" else ""
    return found.kind, f"correlation {found.value:.2f}{part}, usually {found.usual:.2f}"
