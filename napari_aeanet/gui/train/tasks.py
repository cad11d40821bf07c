"""Tasks and times of the Train dock, and the folder of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_aeanet.models import presets
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training import Profile

TASKS = {
    "super-resolution": "Sharpen or denoise 2D images",
    "denoising": "Denoise 3D volumes",
    "projection": "Project a surface, 3D to 2D",
    "label-free": "Predict fluorescence, 3D",
}


@dataclass(frozen=True)
class Time:
    """A time to train."""

    text: str
    minutes: float
    profile: Profile = Profile.QUICK


TIMES = (
    Time("about 1 min", 1),
    Time("about 3 min", 3),
    Time("about 10 min", 10),
    Time("about 30 min", 30),
    Time("about 2 h", 120),
    Time("as published (days without a GPU)", 0, Profile.PUBLISHED),
)
# Words in the names of images in transmitted light, from which fluorescence is predicted.
TRANSMITTED_LIGHT = {"transmitted", "brightfield", "bright", "phase", "dic", "bf", "dia"}
DEFAULT_TIME = 1  # index: long enough to see a gain, short enough to wait for


def likely_task(pairs: Sequence[ImagePair]) -> str:
    """Guess the task from the axes of the pairs, and from the names of the sources."""
    if not pairs or "Z" not in pairs[0].source.axes:
        return "super-resolution"
    if "Z" not in pairs[0].target.axes:
        return "projection"
    words = re.split(r"[\W_]+", pairs[0].source.name.lower())
    return "denoising" if TRANSMITTED_LIGHT.isdisjoint(words) else "label-free"


def networks(task: str) -> list[presets.Preset]:
    """Return the presets for a task, the best first."""
    return [preset for preset in presets.all_presets() if preset.task == task]


def new_folder(parent: Path, name: str) -> Path:
    """Return a folder for a run that does not exist yet: "sem", "sem-2", ..."""
    plain = "".join(c if c.isalnum() or c in "-_ ." else "-" for c in name).strip(" .") or "model"
    taken = {path.name for path in parent.iterdir()} if parent.is_dir() else set()
    number = 1
    while (found := plain if number == 1 else f"{plain}-{number}") in taken:
        number += 1
    return parent / found
