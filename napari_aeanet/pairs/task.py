"""The task that pairs are for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from napari_aeanet.models import Task
from napari_aeanet.pairs.pair import ImagePair

# Words in the names of images in transmitted light, from which fluorescence is predicted.
TRANSMITTED_LIGHT = {"transmitted", "brightfield", "bright", "phase", "dic", "bf", "dia"}


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
