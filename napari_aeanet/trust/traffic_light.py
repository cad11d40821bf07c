"""Combine several measures of doubt to one light for every pixel and a sentence. No torch here.

Every measure has a limit from which on it counts against a pixel. Doubt is the largest of the
measures in units of their limits,

    doubt(x) = max over measures of measure(x) / limit,

and the light is green below 1/2, amber up to 1 and red from 1 on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum

import numpy as np


class Measure(StrEnum):
    """Measures that can count against a restored pixel."""

    ERROR = "expected error"  # from uncertainty and disagreement, in units of the image's contrast
    CONTRADICTION = "contradiction of the input"  # -log10 of a p-value
    UNLIKE = "unlike the training"


class Light(IntEnum):
    """Colour of a pixel."""

    GREEN = 0
    AMBER = 1
    RED = 2


# An error as large as the image's contrast; a p-value of one in a million (an image has thousands
# of regions; from one in a thousand on, amber); twice the distance that 1 % of the training pixels
# exceed.
LIMITS = {Measure.ERROR: 1.0, Measure.CONTRADICTION: 6.0, Measure.UNLIKE: 2.0}

MEANING = {
    Light.GREEN: "no measure counts against it",
    Light.AMBER: "with caution",
    Light.RED: "do not rely on it",
}
BECAUSE = {
    Measure.ERROR: "the expected error is large there",
    Measure.CONTRADICTION: "the result contradicts the input there",
    Measure.UNLIKE: "it is unlike the training images of the model",
}
DISCLAIMER = (
    "Green does not mean correct: errors without any of these signs are possible. Check important "
    "details against the input, or against another image of the same place."
)


def doubt(measures: Mapping[Measure, np.ndarray]) -> np.ndarray:
    """Return the largest of the measures in units of their limits."""
    scaled = [values / LIMITS[measure] for measure, values in measures.items()]
    return np.maximum.reduce(scaled).astype(np.float32)


def lights(doubts: np.ndarray) -> np.ndarray:
    """Return the light of every pixel, as 0, 1, 2; pixels without a number are red."""
    found = np.digitize(doubts, (0.5, 1.0)).astype(np.uint8)
    found[~np.isfinite(doubts)] = Light.RED
    return found


def sentence(measures: Mapping[Measure, np.ndarray], doubts: np.ndarray) -> str:
    """Return the share of each light, and the main reason against the pixels not green."""
    shown = lights(doubts)
    shares = {light: float(np.mean(shown == light)) for light in Light}
    parts = [f"{_percent(shares[Light.GREEN])} of the image: {MEANING[Light.GREEN]}"]
    for light in (Light.AMBER, Light.RED):
        if shares[light] > 0:
            why = BECAUSE[_main_reason(measures, shown == light)]
            mostly = "" if len(measures) == 1 else "mostly "
            parts.append(f"{_percent(shares[light])}: {MEANING[light]}, {mostly}because {why}")
    return "; ".join(parts) + "."


def _main_reason(measures: Mapping[Measure, np.ndarray], where: np.ndarray) -> Measure:
    """Return the measure that decides most of these pixels."""
    names = list(measures)
    scaled = np.stack([measures[name][where] / LIMITS[name] for name in names])
    decides = np.argmax(np.nan_to_num(scaled, nan=-1.0), axis=0)
    return names[int(np.argmax(np.bincount(decides, minlength=len(names))))]


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return "less than 1 %"
    if 0.99 < share < 1:
        return "more than 99 %"
    return f"{share * 100:.0f} %"
