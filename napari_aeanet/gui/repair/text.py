"""Text of the Repair dock: slices and the reasons why nothing can be done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from napari.layers import Layer

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.text import TIMES, count
from napari_aeanet.gui.viewer.layers import layer_to_image, unusable_because
from napari_aeanet.repair import PlannedSlice, RepairedStack, SliceOutcome, SliceState
from napari_aeanet.stacks import as_stack

# A slice needs one on either side.
FEWEST_SLICES = 3
LISTED = 8  # numbers of slices in a sentence


def why_no_stack(layer: Layer | None) -> str:
    """Return why a layer is no stack that can be repaired; empty if it is one."""
    if layer is None:
        return "Open a stack of sections: drop a file here, or open the sample."
    if reason := unusable_because(layer):
        return reason
    image = layer_to_image(layer)
    if image.axes == "YX":
        return f"{layer.name} is a single image: choose a stack of sections."
    try:
        slices = as_stack(image).shape[0]
    except ValueError as error:
        return str(error)
    if slices < FEWEST_SLICES:
        return (
            f"{layer.name} has {count(slices, 'slice')}: a repair needs at least {FEWEST_SLICES}."
        )
    return ""


def stack_text(image: Image) -> str:
    """Return "20 slices (0 to 19) of 256 × 256", and what was taken for slices."""
    stack = as_stack(image)
    slices, height, width = stack.shape
    text = f"{count(slices, 'slice')} (0 to {slices - 1}) of {height} {TIMES} {width}"
    remarks = stack.notices[len(image.notices) :]
    return " ".join([f"{text}.", *remarks]) if remarks else text


def slice_text(
    index: int,
    reason: str,
    planned: PlannedSlice | None,
    doubtful: Collection[int],
    outcome: SliceOutcome | None,
) -> str:
    """Return the entry of a slice, with a second line where there is more to say.

    Parameters
    ----------
    planned
        From what it is to be made; None if it is not ticked.
    doubtful
        Slices that look damaged and are not ticked.
    outcome
        What became of it in the result that is shown.
    """
    text = f"{index} – {reason}"
    if planned is not None and planned.refusal:
        return f"{text}\n✗ cannot be repaired: {planned.refusal}"
    if outcome is not None and outcome.state is SliceState.REFUSED:
        return f"{text}\n✗ left as it is: {outcome.reason}"
    if outcome is not None and outcome.neighbours is not None:
        return f"{text}\n✓ repaired from {outcome.neighbours[0]} and {outcome.neighbours[1]}"
    if planned is None:
        return text
    neighbours = (planned.before, planned.after)
    bad = [str(one) for one in neighbours if one in doubtful]
    if bad:
        return f"{text}\n! would be made from {' and '.join(bad)}, which may be damaged"
    if planned.gap > 1:
        return f"{text}\n! two in a row, less certain: from {neighbours[0]} and {neighbours[1]}"
    return text


def proposed_words(number: int) -> str:
    """Return what to do with the slices that were found."""
    if number == 1:
        return "1 slice proposed: look at it, and untick it if it is good."
    return f"{number} slices proposed: look at them, and untick good ones."


def repaired_words(name: str, repaired: RepairedStack, saved: Path | None) -> str:
    """Return "✓ 3 slices repaired: 2, 10 and 14. The stack is not saved."."""
    made = repaired.indices(SliceState.REPAIRED)
    refused = repaired.indices(SliceState.REFUSED)
    if not made:
        return "✗ No slice could be repaired: the list says why."
    where = f"saved as {saved.name}" if saved is not None else "not saved yet"
    text = f"✓ {count(len(made), 'slice')} repaired ({_listed(made)}): {name}, {where}."
    return f"{text} {count(len(refused), 'slice')} left as before." if refused else text


def _listed(indices: Sequence[int]) -> str:
    """Return "2, 10, 14"; of many the first ones."""
    more = f" and {len(indices) - LISTED} more" if len(indices) > LISTED else ""
    return ", ".join(map(str, indices[:LISTED])) + more
