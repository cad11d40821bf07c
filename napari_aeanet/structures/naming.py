"""Names of kinds of structure in plain words, from their descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from napari_aeanet.structures.filters import ENERGIES, MEAN

# In standard deviations over the training set.
DARK, VERY_DARK = -0.5, -1.2
VERY_SMOOTH, FLAT, EVEN, ROUGH, VERY_ROUGH = -1.4, -0.8, 0.0, 0.7, 1.4
SLOPE = 0.25
Words = tuple[str, str, str, str]
# What tells kinds of one name apart: word for the lowest and the highest of two, and of more.
BRIGHTNESS = ("darker", "brighter", "darkest", "brightest")
SCALE = ("finer", "coarser", "finest", "coarsest")
STRENGTH = ("fainter", "stronger", "faintest", "strongest")
MIDDLE = "middle"  # of three
ORDINALS = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def names_of(centres: np.ndarray) -> tuple[str, ...]:
    """Return a name for every kind, none twice.

    Kinds that would have the same name are told apart by what differs most between them: "rough
    (finer)", "rough (coarser)". A number stands only behind kinds that differ in nothing.

    Parameters
    ----------
    centres
        Standardised descriptors of the kinds: (kinds, descriptors).
    """
    names = [_name(row) for row in centres]
    values = np.round([_properties(row) for row in centres], 9)
    properties = dict(zip((BRIGHTNESS, SCALE, STRENGTH), values.T, strict=True))
    found = list(names)
    for name in dict.fromkeys(names):
        members = [kind for kind, one in enumerate(names) if one == name]
        for kind, details in _told_apart(members, properties).items():
            found[kind] = f"{name} ({', '.join(details)})" if details else name
    return tuple(found)


def _properties(row: np.ndarray) -> tuple[float, float, float]:
    """Return brightness, scale (the more, the coarser) and strength of a texture."""
    fine, coarse = row[ENERGIES][:2].mean(), row[ENERGIES][2:].mean()
    return row[MEAN], coarse - fine, (fine + coarse) / 2


def _name(row: np.ndarray) -> str:
    brightness, slope, strength = _properties(row)
    shade = _shade(brightness)
    if strength >= ROUGH and slope > -SLOPE and shade:
        texture = "gaps" if brightness < 0 else "rims"
    elif strength >= ROUGH:
        texture = "edges" if slope > SLOPE else "rough"
        texture = "very rough" if texture == "rough" and strength >= VERY_ROUGH else texture
    elif strength >= EVEN:
        texture = "rough" if slope < -SLOPE else "uneven"
        if slope > SLOPE:
            texture = "soft edges"
    elif strength >= FLAT:
        texture = "fine grain" if slope < -SLOPE else "fairly smooth"
    else:
        texture = "smooth" if strength >= VERY_SMOOTH else "very smooth"
    return f"{shade} {texture}".strip()


def _shade(brightness: float) -> str:
    if abs(brightness) < -DARK:
        return ""
    word = "dark" if brightness < 0 else "bright"
    return f"very {word}" if abs(brightness) >= -VERY_DARK else word


def _told_apart(
    members: Sequence[int], properties: Mapping[Words, np.ndarray]
) -> dict[int, tuple[str, ...]]:
    """Return the words that tell kinds of one name apart; none for a single kind."""
    if len(members) == 1:
        return {members[0]: ()}
    levels = {words: np.unique(values[list(members)]) for words, values in properties.items()}
    levels = {words: values for words, values in levels.items() if len(values) > 1}
    if not levels:
        return {kind: (str(number),) for number, kind in enumerate(members, start=1)}
    # Best is what tells most of them apart, and among those what keeps neighbours farthest apart.
    words = max(levels, key=lambda words: (len(levels[words]), np.diff(levels[words]).min()))
    others = {one: values for one, values in properties.items() if one != words}
    found: dict[int, tuple[str, ...]] = {}
    for place, level in enumerate(levels[words]):
        alike = [kind for kind in members if properties[words][kind] == level]
        word = _word(words, place, len(levels[words]))
        found |= {kind: (word, *more) for kind, more in _told_apart(alike, others).items()}
    return found


def _word(words: Words, place: int, count: int) -> str:
    """Return "darker" or "brighter" for one of two, "darkest", "second darkest" ... for more."""
    if count == 2:
        return words[place]
    if place in (0, count - 1):
        return words[2 if place == 0 else 3]
    if count == 3:
        return MIDDLE
    from_end = count - 1 - place
    nearest, end = (place, words[2]) if place <= from_end else (from_end, words[3])
    nth = ORDINALS[nearest - 1] if nearest <= len(ORDINALS) else f"{nearest + 1}th"
    return f"{nth} {end}"
