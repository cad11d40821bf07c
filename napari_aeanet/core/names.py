"""Names: their order, and many of them in one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

# More names than these are only counted.
NAMES_SHOWN = 4


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts "S2" before "S10"."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


def names_in_words(names: Sequence[str]) -> str:
    """Return "S1", "S1 and S2", or "S1, S2, S3, S4 and 7 more"."""
    more = len(names) - NAMES_SHOWN
    shown = names if more <= 1 else [*names[:NAMES_SHOWN], f"{more} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
