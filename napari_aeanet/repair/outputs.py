"""The table beside a repaired stack: a row for every slice."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.io import stem
from napari_aeanet.repair.remarks import expected_for
from napari_aeanet.repair.settings import RepairedStack, SliceState

COLUMNS = (
    "slice",
    "state",
    "reason",
    "method",
    "texture",
    "before",
    "after",
    "correlation",
    "expected_agreement",
    "expected_sharpness",
)


def table_file(path: Path) -> Path:
    """Return the name of the table beside the repaired stack `path`."""
    return path.with_name(f"{stem(path)}-slices.csv")


def table(repaired: RepairedStack) -> str:
    """Return what became of each slice as CSV; slices are counted from 0."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for one in repaired.outcomes:
        row = {"slice": one.index, "state": one.state, "reason": one.reason}
        if one.state is SliceState.REPAIRED and one.neighbours is not None:
            before, after = one.neighbours
            row |= {
                "method": one.method,
                "texture": "yes" if repaired.texture else "no",
                "before": before,
                "after": after,
                "correlation": f"{one.correlation:.3f}",
            }
            expected = expected_for(after - before - 1, repaired.quality)
            if expected is not None:
                row["expected_agreement"] = f"{expected.agreement:.3f}"
                row["expected_sharpness"] = f"{expected.sharpness:.3f}"
        writer.writerow(row)
    return text.getvalue()


def save_table(repaired: RepairedStack, path: Path) -> None:
    """Write `table` as UTF-8."""
    write_bytes_atomically(path, table(repaired).encode("utf-8"))
