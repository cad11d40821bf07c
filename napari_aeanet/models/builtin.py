"""Models that come with the program, called by name: "demo"."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SUFFIX = ".aeanet"
DEMO = "demo"
# A message names at most so many files.
MOST_NAMES = 5


def demo_model() -> Path:
    """Return the path of the small model in the package, for the samples only."""
    return Path(str(files("napari_aeanet") / "resources" / f"demo-sem{SUFFIX}"))


def find_model(path: Path) -> Path:
    """Return the file of a model, which may be named by its path, or "demo".

    Raises
    ------
    FileNotFoundError
        If there is none; the message lists the models there are.
    """
    if path.is_file():
        return path
    # A run file of another computer holds the path in the package there.
    if str(path) == DEMO or path.name == demo_model().name:
        return demo_model()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the model file in it (.aeanet).")
    there = sorted(path.parent.glob(f"*{SUFFIX}")) if path.parent.is_dir() else []
    listed = [str(file) for file in there[:MOST_NAMES]] + ["..."] * (len(there) > MOST_NAMES)
    raise FileNotFoundError(
        f"{path}: there is no such model file; there are {', '.join(listed)} and {DEMO}, the model "
        "for the samples."
        if listed
        else f"{path}: there is no such model file; {DEMO} is the model for the samples."
    )
