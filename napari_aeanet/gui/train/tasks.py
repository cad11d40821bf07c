"""Tasks and times of the Train dock, and the folder of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
DEFAULT_TIME = 1  # index: long enough to see a gain, short enough to wait for


def new_folder(parent: Path, name: str) -> Path:
    """Return a folder for a run that does not exist yet: "sem", "sem-2", ..."""
    plain = "".join(c if c.isalnum() or c in "-_ ." else "-" for c in name).strip(" .") or "model"
    taken = {path.name for path in parent.iterdir()} if parent.is_dir() else set()
    number = 1
    while (found := plain if number == 1 else f"{plain}-{number}") in taken:
        number += 1
    return parent / found
