"""Files beside an aligned stack: the places of the sections as JSON and as a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.schema import Document
from napari_aeanet.io import stem
from napari_aeanet.stacks.settings import StackAlignment

ALIGNMENT = Document(
    kind=StackAlignment,
    title="alignment of a stack",
    version=2,
    marker="napari-aeanet stack alignment",
)
COLUMNS = (
    "section",
    "state",
    "shift_y_px",
    "shift_x_px",
    "turn_degrees",
    "correlation",
    "error_px",
    "follows_px",
    "before_px",
    "after_px",
)


def side_files(path: Path) -> tuple[Path, Path]:
    """Return the names of transforms and table beside the aligned stack `path`."""
    name = stem(path)
    return path.with_name(f"{name}-transforms.json"), path.with_name(f"{name}-sections.csv")


def save_places(alignment: StackAlignment, path: Path) -> None:
    """Write the places of the sections beside the aligned stack `path`, as JSON and as a table."""
    transforms, rows = side_files(path)
    save_alignment(alignment, transforms)
    save_table(alignment, rows)


def save_alignment(alignment: StackAlignment, path: str | Path) -> None:
    """Write the places of the sections as JSON."""
    write_bytes_atomically(path, ALIGNMENT.dump(alignment))


def load_alignment(path: str | Path) -> StackAlignment:
    """Return the places of the sections that `save_alignment` wrote."""
    return ALIGNMENT.load(Path(path).read_bytes(), path)


def table(alignment: StackAlignment) -> str:
    """Return the places of the sections as CSV, a row each; sections are counted from 0."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for index, one in enumerate(alignment.sections):
        numbers = [*one.shift, one.turn, one.correlation]
        last: list[float | None] = [one.error, None, None, None]
        if one.deformation is not None:
            followed = alignment.followed(index)
            last = [one.error, followed, one.deformation.before, one.deformation.after]
        row = ["" if value is None else f"{value:.3f}" for value in (*numbers, *last)]
        writer.writerow([index, one.state, *row])
    return text.getvalue()


def save_table(alignment: StackAlignment, path: Path) -> None:
    """Write `table` as UTF-8."""
    write_bytes_atomically(path, table(alignment).encode("utf-8"))
