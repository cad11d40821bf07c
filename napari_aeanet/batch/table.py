"""The table of outcomes of a batch, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_aeanet.batch.settings import Outcome
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.schema import Document
from napari_aeanet.io import check_place

NAME = "outcomes.csv"
COLUMNS = ("input", "output", "status", "reason", "seconds", "notices")


@dataclass(frozen=True, kw_only=True)
class _Outcomes:
    images: tuple[Outcome, ...]


DOCUMENT = Document(
    kind=_Outcomes, title="table of outcomes", version=1, marker="napari-aeanet outcomes"
)


def check_table(path: Path) -> None:
    """Raise an error if no table can be written to `path`: a table of an earlier run is replaced.

    Raises
    ------
    ValueError
        If the ending is neither .csv nor .json, or no file of this name is possible.
    FileExistsError
        If another file has this name.
    OSError
        If nothing can be written there.
    """
    if path.suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"{path}: the table of outcomes is a file .csv or .json.")
    check_place(path)
    if path.exists() and not _is_table(path):
        msg = f"{path} exists already and is no table of outcomes: choose another (--outcomes)."
        raise FileExistsError(msg)


def save_outcomes(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the outcomes of a batch, a line for each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".json":
        write_bytes_atomically(path, DOCUMENT.dump(_Outcomes(images=tuple(outcomes))))
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in outcomes:
        files = "; ".join(map(str, one.outputs))
        seconds, notices = f"{one.seconds:.1f}", "; ".join(one.notices)
        writer.writerow([one.input, files, str(one.status), one.reason, seconds, notices])
    write_bytes_atomically(path, text.getvalue().encode())


def _is_table(path: Path) -> bool:
    try:
        if path.suffix.lower() == ".csv":
            with path.open(encoding="utf-8-sig") as file:
                return file.readline().strip() == ",".join(COLUMNS)
        DOCUMENT.load(path.read_bytes(), path)
    except (OSError, ValueError):
        return False
    return True
