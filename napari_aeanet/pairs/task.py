"""The task that pairs are for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from napari_aeanet.models import Task
from napari_aeanet.pairs.pair import ImagePair

# Words in the names of images in transmitted light, from which fluorescence is predicted.
TRANSMITTED_LIGHT = {"transmitted", "brightfield", "bright", "phase", "dic", "bf", "dia"}

# Target pixels per source pixel from which a source counts as enlarged.
ENLARGED_FROM = 1.5


def are_enlarged(pairs: Sequence[ImagePair]) -> bool:
    """Return True if most sources are enlarged onto a much finer grid before they are restored."""
    found = [
        pair.factors[-1] if pair.registration is None else pair.registration.scale for pair in pairs
    ]
    return 2 * sum(ratio >= ENLARGED_FROM for ratio in found) > len(found)


def kind_in_words(source_axes: str, target_axes: str) -> str:
    """Return what a pair is of: "images", "stacks", "a stack and its projection"."""
    deep = ["Z" in axes for axes in (source_axes, target_axes)]
    if deep[0] == deep[1]:
        return "stacks" if deep[0] else "images"
    return "a stack and its projection" if deep[0] else "an image and a stack"


def likely_task(pairs: Sequence[ImagePair]) -> Task:
    """Guess the task of most pairs, by the axes of the images and the name of the source."""
    tasks = Counter(map(_task, pairs)).most_common(1)
    return tasks[0][0] if tasks else "super-resolution"


def _task(pair: ImagePair) -> Task:
    if "Z" not in pair.source.axes:
        return "super-resolution"
    if "Z" not in pair.target.axes:
        return "projection"
    words = re.split(r"[\W_]+", pair.source.name.lower())
    return "denoising" if TRANSMITTED_LIGHT.isdisjoint(words) else "label-free"
