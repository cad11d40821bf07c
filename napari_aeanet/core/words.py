"""Lists in sentences."""

from __future__ import annotations

from collections.abc import Iterable


def listed(items: Iterable[object], most: int = 12) -> str:
    """Return "3, 7 and 9"; of more than `most` the first ones and the number of the others."""
    words = [str(item) for item in items]
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
