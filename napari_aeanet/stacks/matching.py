"""Match sections of a stack with those before them; a few sections are in memory at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from napari_aeanet.core.image import Image
from napari_aeanet.stacks.placing import LOWEST_WEAK_CORRELATION
from napari_aeanet.stacks.sections import SectionMatch, register_sections

Pair = tuple[int, int]
Found = dict[Pair, SectionMatch]


def near_matches(
    image: Image, indices: Iterable[int], *, reach: int
) -> Generator[tuple[int, Found], None, None]:
    """Yield the matches of each section with those up to `reach` before it."""
    recent: dict[int, Image] = {}
    for index in indices:
        before = range(index - 1, max(-1, index - reach - 1), -1)
        recent = {
            one: recent[one] if one in recent else _section(image, one) for one in (*before, index)
        }
        yield index, {(first, index): _match(recent[first], recent[index]) for first in before}


def far_matches(
    image: Image, pairs: Iterable[Pair]
) -> Generator[tuple[Pair, SectionMatch], None, None]:
    """Yield each pair of sections with its match."""
    for first, last in pairs:
        yield (first, last), _match(_section(image, first), _section(image, last))


def _section(image: Image, index: int) -> Image:
    return Image(image.read((index,)), "YX", name=f"section {index}")


def _match(first: Image, last: Image) -> SectionMatch:
    return register_sections(first, last, lowest=LOWEST_WEAK_CORRELATION)
