"""Match source and target images by their names alone.

A name is split into words of letters and digits. Words such as "lr", "noisy" or "gt" give the
role of an image; the others are the key that it shares with its partner: "S01_lr.tif" and
"hr S01.tif" both have the key ("s01",). Where no keys match, magnifications ("10000", "20kx") are
removed from them as well, then words that all names of a side have ("S01 fast", "S02 fast" beside
"S01 slow", "S02 slow").
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

SOURCE_WORDS = frozenset(
    {"lr", "low", "noisy", "noise", "source", "src", "input", "raw", "lowres"}
    | {"sources", "inputs", "transmitted", "brightfield", "dic"}
)
TARGET_WORDS = frozenset(
    {"hr", "high", "clean", "gt", "target", "tgt", "truth", "output", "label", "highres"}
    | {"targets", "projection", "projections", "projected", "mip"}
)
# No key words: they only qualify others ("low_res", "ground truth", "low snr").
_FILLERS = frozenset(
    {"res", "resolution", "ground", "snr", "image", "images", "img", "volume", "stack"}
)

# Words that programs append to the name of an image for its result ("S01-restored", "S01_pred").
RESULT_WORDS = frozenset(
    {
        "restored",
        "restoration",
        "denoised",
        "denoise",
        "deblurred",
        "deconvolved",
        "enhanced",
        "predicted",
        "prediction",
        "pred",
        "result",
        "results",
        "output",
        "out",
        "sr",
        "superres",
        "upscaled",
        "reconstructed",
        "recon",
        "projected",
        "projection",
        "filtered",
    }
)

_WORD = re.compile(r"[^\W_]+")
_MAGNIFICATION = re.compile(r"x?(\d{2,}00)x?|x?(\d+(?:\.\d+)?)kx?")
_ENDING = re.compile(r"[\W_]+([^\W_]+)$")


class Role(Enum):
    SOURCE = "source"
    TARGET = "target"


@dataclass(frozen=True)
class ParsedName:
    """Words, role and magnification in the name of an image."""

    words: tuple[str, ...]
    role: Role | None
    magnification: float | None

    @property
    def key(self) -> tuple[str, ...]:
        """Words that are not part of the role."""
        roles = SOURCE_WORDS | TARGET_WORDS | _FILLERS
        return tuple(w for w in self.words if w not in roles)

    @property
    def key_without_magnification(self) -> tuple[str, ...]:
        return tuple(w for w in self.key if not _MAGNIFICATION.fullmatch(w))


def parse_name(name: str) -> ParsedName:
    """Parse the name of an image."""
    words = tuple(_WORD.findall(name.lower()))
    roles = {Role.SOURCE} if SOURCE_WORDS & set(words) else set()
    roles |= {Role.TARGET} if TARGET_WORDS & set(words) else set()
    found = [m.groups() for m in map(_MAGNIFICATION.fullmatch, words) if m]
    values = [float(plain) if plain else 1000 * float(kilo) for plain, kilo in found]
    return ParsedName(
        words=words,
        role=roles.pop() if len(roles) == 1 else None,
        magnification=values[-1] if values else None,
    )


def match_names(sources: Sequence[str], targets: Sequence[str]) -> list[tuple[int, int]]:
    """Return index pairs of names that belong together, each index at most once.

    Equal names match first, then equal keys, then equal keys without magnification, then those
    without the words of all names of their side; a key that occurs twice on one side matches
    nothing.
    """
    keys: tuple[Callable[[str], tuple[str, ...]], ...] = (
        lambda name: (name,),
        lambda name: parse_name(name).key,
        lambda name: parse_name(name).key_without_magnification,
    )
    matched: list[tuple[int, int]] = []
    for left_key, right_key in (
        *zip(keys, keys, strict=True),
        (_key_among(sources), _key_among(targets)),
    ):
        left = _unique(sources, {i for i, _ in matched}, left_key)
        right = _unique(targets, {j for _, j in matched}, right_key)
        matched += [(left[k], right[k]) for k in left if k in right]
    return sorted(matched)


def _key_among(names: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return the function that gives the key of a name without the words of all these names."""
    common = set.intersection(*(set(parse_name(name).words) for name in names)) if names else set()

    def key(name: str) -> tuple[str, ...]:
        words = parse_name(name).key_without_magnification
        # A name without words of its own is not matched by what it lacks.
        return tuple(word for word in words if word not in common) or (name,)

    return key


def split_ending(name: str) -> tuple[str, str]:
    """Return the name of an image and the ending that marks a result: "S01", "restored"."""
    words: list[str] = []
    while (found := _ENDING.search(name)) and found[1].lower() in RESULT_WORDS:
        words.insert(0, found[1].lower())
        name = name[: found.start()]
    return name, " ".join(words)


def _unique(
    names: Sequence[str], taken: set[int], key: Callable[[str], tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    """Return the index of each key among the names not yet taken, without repeated keys."""
    by_key = defaultdict(list)
    for index, name in enumerate(names):
        if index not in taken:
            by_key[key(name)].append(index)
    return {k: indices[0] for k, indices in by_key.items() if len(indices) == 1}


def guess_roles(names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the indices of source names and of target names.

    Role words decide; of names without one, the lower of two magnifications is the source. A name
    like that of an image with a role has the other role: "S01" beside "S01_gt".
    """
    parsed = [parse_name(name) for name in names]
    sources = [i for i, p in enumerate(parsed) if p.role is Role.SOURCE]
    targets = [i for i, p in enumerate(parsed) if p.role is Role.TARGET]
    rest = {i: p.magnification for i, p in enumerate(parsed) if p.role is None and p.magnification}
    if len(set(rest.values())) == 2:
        low = min(rest.values())
        sources += [i for i, value in rest.items() if value == low]
        targets += [i for i, value in rest.items() if value != low]
    roleless = set(range(len(names))) - {*sources, *targets}
    alone = {
        role: {parsed[i].key for i in own}
        for role, own in ((Role.SOURCE, sources), (Role.TARGET, targets))
    }
    both = alone[Role.SOURCE] & alone[Role.TARGET]
    found = {i: key for i in roleless if (key := parsed[i].key) not in both}
    sources += [i for i, key in found.items() if key in alone[Role.TARGET]]
    targets += [i for i, key in found.items() if key in alone[Role.SOURCE]]
    return sorted(sources), sorted(targets)


def exposures(names: Sequence[str], target: str) -> list[int]:
    """Return the indices of names that begin as that of a target: "S01_5ms" for "S01_gt"."""
    key = parse_name(target).key
    return [i for i, name in enumerate(names) if key and parse_name(name).key[: len(key)] == key]
