"""Names of kinds of structure in plain words, from their descriptors."""

from __future__ import annotations

from collections import Counter

import numpy as np

from napari_aeanet.structures.filters import ENERGIES, MEAN

# In standard deviations over the training set.
DARK, VERY_DARK = -0.5, -1.2
FLAT, EVEN, ROUGH = -0.8, 0.0, 0.7
SLOPE = 0.25


def names_of(centres: np.ndarray) -> tuple[str, ...]:
    """Return a name for every kind, none twice.

    Parameters
    ----------
    centres
        Standardised descriptors of the kinds: (kinds, descriptors).
    """
    names = [_name(row) for row in centres]
    number = Counter(names)
    brightness = centres[:, MEAN]
    found = list(names)
    for name, count in number.items():
        if count == 1:
            continue
        members = sorted((k for k, n in enumerate(names) if n == name), key=lambda k: brightness[k])
        for place, kind in enumerate(members):
            found[kind] = f"{name} {place + 1}"
    return tuple(found)


def _name(row: np.ndarray) -> str:
    fine, coarse = row[ENERGIES][:2].mean(), row[ENERGIES][2:].mean()
    strength, brightness = (fine + coarse) / 2, row[MEAN]
    shade = _shade(brightness)
    if strength >= ROUGH and coarse - fine > -SLOPE and shade:
        texture = "gaps" if brightness < 0 else "rims"
    elif strength >= ROUGH:
        texture = "edges" if coarse - fine > SLOPE else "rough"
    elif strength >= EVEN:
        texture = "rough" if fine - coarse > SLOPE else "uneven"
        if coarse - fine > SLOPE:
            texture = "soft edges"
    elif strength >= FLAT:
        texture = "fine grain" if fine - coarse > SLOPE else "fairly smooth"
    else:
        texture = "smooth"
    return f"{shade} {texture}".strip()


def _shade(brightness: float) -> str:
    if abs(brightness) < -DARK:
        return ""
    word = "dark" if brightness < 0 else "bright"
    return f"very {word}" if abs(brightness) >= -VERY_DARK else word
