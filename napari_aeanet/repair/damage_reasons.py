"""Say what is wrong with a slice, in words and with a figure."""

from __future__ import annotations

import math

from napari_aeanet.repair.damage_measures import Marks, SliceMeasures
from napari_aeanet.repair.damage_scores import Finding
from napari_aeanet.repair.damage_settings import DamagedSlice, DamageKind

#: A spot that is larger than this share of the shorter side is more than dirt or a hole.
LARGE_SPOT = 0.25


def damaged_slice(
    index: int, found: Finding, measures: SliceMeasures, marks: Marks | None, shape: tuple[int, int]
) -> DamagedSlice:
    """Return a damaged slice with the reason in words."""
    kind, size = _kind_and_size(found, measures, marks, shape)
    return DamagedSlice(index=index, score=found.score, kind=kind, reason=f"{kind}: {size}")


def _kind_and_size(
    found: Finding, measures: SliceMeasures, marks: Marks | None, shape: tuple[int, int]
) -> tuple[DamageKind, str]:
    """Return the kind of damage and its size in words."""
    assert found.kind is not None
    share = 100 * math.exp(min(found.value - found.usual, 5.0))  # of measures that are logarithms
    match found.measure:
        case "":
            return DamageKind.MISSING, "all one grey level"
        case "mean":
            return found.kind, f"mean grey level {measures.mean:.4g}"
        case "spread" if found.kind is DamageKind.MISSING:
            return found.kind, f"{share:.0f} % of the contrast of its neighbours, and nothing alike"
        case "spread":
            return found.kind, f"{share:.0f} % of the contrast of its neighbours"
        case "detail":
            return found.kind, f"{share:.0f} % of the fine detail of its neighbours"
        case "covered":
            return found.kind, f"data in {100 * found.value:.0f} % of the slice"
    if marks is not None and found.measure in ("dark line", "bright line"):
        line = marks.dark_line if found.measure == "dark line" else marks.bright_line
        return found.kind, f"{found.measure} {line.size:.0f} px long"
    if marks is not None and found.measure == "dark band":
        return found.kind, f"dark band {marks.dark_band.size:.0f} px long"
    if marks is not None and found.measure in ("dark spot", "bright spot"):
        is_dark = found.measure == "dark spot"
        size = (marks.dark if is_dark else marks.bright)[found.column].size
        if size <= LARGE_SPOT * min(shape):
            return found.kind, f"{found.measure} {size:.0f} px across"
        kind = DamageKind.DARK if is_dark else DamageKind.PART_LOST
        return kind, f"{'dark' if is_dark else 'bright'} area {size:.0f} px across"
    part = " in one part" if found.measure == "likeness of a part" else ""
    return found.kind, f"correlation {found.value:.2f}{part}, usually {found.usual:.2f}"
