"""Text of the Restore dock: costs, axes and differences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import in_words
from napari_aeanet.core.words import bytes_in_words
from napari_aeanet.gui.common.text import TIMES, count, input_axes
from napari_aeanet.models import ModelCard
from napari_aeanet.restoration import Estimate

LONGEST_NAME = 35
_ENTRIES = {"T": "time points", "C": "channels", "Z": "planes"}


def axes_choices(shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """Return the possible axes of a stack as letters and text: "12 planes of 512 × 512"."""
    letters = {3: ("ZYX", "TYX", "CYX"), 4: ("TZYX", "CZYX", "TCYX"), 5: ("TCZYX",)}
    found = []
    for axes in letters.get(len(shape), ()):
        entries = [f"{n} {_ENTRIES[a]}" for a, n in zip(axes[:-2], shape, strict=False)]
        found.append((axes, " of ".join([*entries, f"{shape[-2]} {TIMES} {shape[-1]}"])))
    return found


def cost_words(cost: Estimate) -> str:
    """Return "About 40 s, 0.6 GB", with a warning if more memory is needed than free."""
    words = f"About {in_words(cost.seconds)}, {bytes_in_words(cost.bytes)}"
    if cost.bytes <= cost.free:
        if not cost.needs_file:
            return words
        return (
            f"{words}. The result of {bytes_in_words(cost.results)} does not fit into the free "
            "memory: it needs an OME-Zarr folder, to which it is written as it is computed."
        )
    free = bytes_in_words(cost.free)
    return f"⚠ {words}, and only {free} are free: set memory under More settings."


def too_large_words(results: float) -> str:
    """Return why a result must be saved, and what to do."""
    return (
        f"The result of {bytes_in_words(results)} does not fit into the free memory. Choose under "
        "Save where to write it: it will be an OME-Zarr folder, written during the restoration."
    )


def writing_words(file: Path, workers: int, dashboard: str) -> str:
    """Return where a result is written to, by how many processes, and where these are shown."""
    by = f" by {count(workers, 'worker')}" if workers else ""
    words = f"The result is written to {file.name}{by}, and shown when it is complete."
    return f"{words} The workers are shown at {dashboard}" if dashboard else words


def restored_words(name: str, saved: Path | None) -> str:
    """Return "✓ S05 is restored, saved as S05-restored.ome.tif in results."."""
    done = f"✓ {shortened(name)} is restored"
    if saved is None:
        return f"{done}, not saved."
    return f"{done}, saved as {shortened(saved.name)} in {shortened(saved.parent.name)}."


def truth_words(name: str, result: str) -> str:
    """Return why an image that was opened is not to be restored."""
    return (
        f"{name} lies on {result} as its truth would, and is not ticked. Evaluate … compares the "
        "two."
    )


def stopped_words(file: str) -> str:
    return (
        f"Stopped: the finished part of {file} is kept. Restore again with the same choices to "
        "continue."
    )


def shortened(name: str) -> str:
    """Return a name without its middle if it is longer than a line of a narrow dock."""
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def differences_words(differences: tuple[tuple[str, float], ...]) -> str:
    """Return the differences of patches of several sizes from the whole view."""
    if not differences:
        return "The view is too small to compare patches on: look at more of the image."
    listed = ", ".join(f"{title}: {100 * share:.1f} %" for title, share in differences)
    return f"✓ Side by side, the whole view last. Difference from it, of the contrast: {listed}."


def axes_problem(card: ModelCard | None, images: Iterable[Image]) -> str:
    """Return why the axes of an image do not suit a model; empty if those of all do."""
    if card is None or "Z" not in input_axes(card):
        return ""
    unfit = next((image for image in images if "Z" not in image.axes), None)
    if unfit is None:
        return ""
    begin = f"{card.name} restores stacks of planes, and {unfit.name}"
    if len(unfit.axes) == 2:
        return f"{begin} is a single plane: untick it, or choose another model."
    return f"{begin} has none. Choose under Axes what are its planes, or another model."


def gives_height(card: ModelCard) -> bool:
    """Return True if the model projects a stack and gives the plane of each pixel."""
    return card.config.is_projection
