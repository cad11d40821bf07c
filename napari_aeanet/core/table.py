"""Tables that people write: CSV files with a header, from any spreadsheet program."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


def read_table(path: Path) -> list[Mapping[str, str]]:
    """Return the rows of a CSV file by the names of their columns, in lower case and stripped.

    Commas, semicolons or tabs separate the columns; cells that are missing are empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read as a table ({error}): save it as CSV in UTF-8."
        raise ValueError(msg) from error
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    return [
        {key.strip().lower(): value.strip() for key, value in row.items() if key is not None}
        for row in csv.DictReader(text.splitlines(), delimiter=delimiter, restval="")
    ]
