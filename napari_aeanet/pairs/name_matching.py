"""Which images belong together, by their names alone.

A name is cut into words: letters and numbers apart from what separates them. Words that say what
an image is for ("lr", "noisy", "gt" ...) are its role; the others are the key that it shares with
its partner: "S01_lr.tif" and "hr S01.tif" both have the key ("s01",). Where that is not enough,
magnifications ("10000", "20kx") are left out of the key as well.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

SOURCE_WORDS = frozenset({"lr", "low", "noisy", "noise", "source", "src", "input", "raw", "lowres"})
TARGET_WORDS = frozenset(
    {"hr", "high", "clean", "gt", "target", "tgt", "truth", "output", "label", "highres"}
)
# Say nothing apart from what they qualify: "low_res", "ground truth", "low snr".
_FILLERS = frozenset({"res", "resolution", "ground", "snr", "image", "images", "img"})

_WORD = re.compile(r"[^\W_]+")
_MAGNIFICATION = re.compile(r"x?(\d{2,}00)x?|x?(\d+(?:\.\d+)?)kx?")


class Role(Enum):
    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True)
class Parsed:
    """What the name of an image says."""

    words: tuple[str, ...]
    role: Role | None
    magnification: float | None

    @property
    def key(self) -> tuple[str, ...]:
        """The words without those of the role."""
        roles = SOURCE_WORDS | TARGET_WORDS | _FILLERS
        return tuple(w for w in self.words if w not in roles)

    @property
    def key_without_magnification(self) -> tuple[str, ...]:
        return tuple(w for w in self.key if not _MAGNIFICATION.fullmatch(w))


def parse_name(name: str) -> Parsed:
    """The words of a name, its role and the magnification in it."""
    words = tuple(_WORD.findall(name.lower()))
    roles = {Role.SOURCE} if SOURCE_WORDS & set(words) else set()
    roles |= {Role.TARGET} if TARGET_WORDS & set(words) else set()
    found = [m for m in map(_MAGNIFICATION.fullmatch, words) if m]
    return Parsed(
        words=words,
        role=roles.pop() if len(roles) == 1 else None,
        magnification=_value(found[-1]) if found else None,
    )


def _value(match: re.Match[str]) -> float:
    plain, thousands = match.groups()
    return float(plain) if plain is not None else 1000 * float(thousands)


def match_names(sources: Sequence[str], targets: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of indices of names that belong together, each used at most once.

    The same name first, then the same key, then the same key without magnification; a key that
    two names of one side share matches nothing.
    """
    keys: tuple[Callable[[str], tuple[str, ...]], ...] = (
        lambda name: (name,),
        lambda name: parse_name(name).key,
        lambda name: parse_name(name).key_without_magnification,
    )
    matched: list[tuple[int, int]] = []
    for key in keys:
        left = _unique(sources, {i for i, _ in matched}, key)
        right = _unique(targets, {j for _, j in matched}, key)
        matched += [(left[k], right[k]) for k in left if k in right]
    return sorted(matched)


def _unique(
    names: Sequence[str], taken: set[int], key: Callable[[str], tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    """Index by key of the names that are left, without keys that occur twice."""
    by_key = defaultdict(list)
    for index, name in enumerate(names):
        if index not in taken:
            by_key[key(name)].append(index)
    return {k: indices[0] for k, indices in by_key.items() if len(indices) == 1}


def guess_roles(names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Indices of the names of sources, and of those of targets.

    By role words; among names without one, those of two magnifications: the lower is the source.
    """
    parsed = [parse_name(name) for name in names]
    sources = [i for i, p in enumerate(parsed) if p.role is Role.SOURCE]
    targets = [i for i, p in enumerate(parsed) if p.role is Role.TARGET]
    rest = {i: p.magnification for i, p in enumerate(parsed) if p.role is None and p.magnification}
    if len(set(rest.values())) == 2:
        low = min(rest.values())
        sources += [i for i, value in rest.items() if value == low]
        targets += [i for i, value in rest.items() if value != low]
    return sorted(sources), sorted(targets)


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that puts "S2" before "S10"."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)
