"""Lists, amounts of memory and contents of files in sentences."""

from __future__ import annotations

from collections.abc import Iterable


def listed(items: Iterable[object], most: int = 12) -> str:
    """Return "3, 7 and 9"; of more than `most` the first ones and the number of the others."""
    words = [str(item) for item in items]
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def shortened(value: object, most: int = 200) -> str:
    """Return the beginning of what a message repeats from a file, in one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else f"{text[:most]}..."


def bytes_in_words(count: float) -> str:
    """Return "38 kB", "5.2 MB" or "12 GB": two digits at least."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = 0
    while round(count) >= 1000 and power < len(units) - 1:
        count, power = count / 1000, power + 1
    decimals = 1 if power and count < 9.95 else 0
    return f"{count:.{decimals}f} {units[power]}"
