"""Say in plain sentences what was done and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

from napari_aeanet.core.words import listed
from napari_aeanet.repair.settings import (
    METHOD_NAMES,
    ExpectedQuality,
    PlannedSlice,
    RepairMethod,
    RepairSettings,
    SliceOutcome,
    SliceState,
)


def how_made(
    planned: PlannedSlice,
    method: RepairMethod,
    settings: RepairSettings,
    quality: Sequence[ExpectedQuality],
) -> str:
    """Return how a slice was made: "optical flow between slices 6 and 8; expected ..."."""
    name = METHOD_NAMES[method] + (", with texture" if settings.texture else "")
    text = f"{name} between slices {planned.before} and {planned.after}"
    expected = expected_for(planned.gap, quality)
    if expected is not None:
        text += f"; expected membrane agreement {expected.agreement:.2f}"
    return text


def expected_for(gap: int, quality: Sequence[ExpectedQuality]) -> ExpectedQuality | None:
    """Return the expected quality of slices in a gap of this length; None if not measured."""
    return next((one for one in quality if one.gap == gap), None)


def quality_in_words(quality: ExpectedQuality) -> str:
    """Return the expected quality as a sentence."""
    count = len(quality.slices)
    slices = f"{count} good slice{'s' * (count != 1)}"
    row = "" if quality.gap == 1 else f", {quality.gap} hidden in a row"
    return (
        f"Measured on {slices} of this stack{row}: membranes agree by {quality.agreement:.2f} "
        f"(1 perfect, 0 chance; plain mean of the neighbours {quality.mean_agreement:.2f}), "
        f"sharpness {quality.sharpness:.0%} of a recorded slice."
    )


def remarks(
    outcomes: Sequence[SliceOutcome],
    planned: Sequence[PlannedSlice],
    quality: Sequence[ExpectedQuality],
) -> list[str]:
    """Return what the user should know about the repaired stack."""
    found = []
    repaired = [one.index for one in outcomes if one.state is SliceState.REPAIRED]
    gaps = {one.index: one.gap for one in planned}
    doubled = [index for index in repaired if gaps[index] > 1]
    if doubled:
        found.append(
            f"Slices {listed(doubled)} lie two in a row: they were made from slices three apart by "
            "optical flow, and are less certain than single ones."
        )
    for outcome in outcomes:
        if outcome.state is SliceState.REFUSED:
            found.append(f"Slice {outcome.index} was left as it is: {outcome.reason}.")
    found += [quality_in_words(one) for one in quality]
    if repaired and not quality:
        found.append("The quality to be expected was not measured.")
    return found
