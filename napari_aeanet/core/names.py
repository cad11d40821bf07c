"""Order of names."""

from __future__ import annotations

import re


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts "S2" before "S10"."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)
