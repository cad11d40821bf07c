"""Tables that people write: CSV files with a header, from any spreadsheet program."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

from napari_aeanet.core.boundary import in_one_sentence

LONGEST_NAME, LONGEST_PATH = 255, 4000  # bytes of a file name and a path, on common systems


def read_table(path: Path) -> list[Mapping[str, str]]:
    """Return the rows of a CSV file by the names of their columns, in lower case and stripped.

    Commas, semicolons or tabs separate the columns; cells that are missing are empty.
    """
    with in_one_sentence(path, "table", "save it as CSV in UTF-8"):
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        delimiter = max(",;\t", key=header.count)
        return [
            {key.strip().lower(): value.strip() for key, value in row.items() if key is not None}
            for row in csv.DictReader(text.splitlines(), delimiter=delimiter, restval="")
        ]


def listed_file(name: str, table: Path) -> Path:
    """Return the path of a file named in a table or list, relative to its folder.

    Raises
    ------
    ValueError
        If no file can have such a name.
    """
    longest = max(len(os.fsencode(part)) for part in (*Path(name).parts, ""))
    is_none = not (table.parent / name).name or "\0" in name
    if is_none or longest > LONGEST_NAME or len(name) > LONGEST_PATH:
        msg = f"{table} is damaged (it names a file {name[:20]!r}): correct or export it again."
        raise ValueError(msg)
    return table.parent / name
