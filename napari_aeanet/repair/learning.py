"""Let a network learn from the good slices of the stack, and use it only if it is better.

A network that was trained on other tissue, or for too short a time, makes slices that look smooth
and are wrong. So it is compared with the optical flow on slices that were kept out of the learning,
and the flow stays unless the membranes of the network agree better.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from napari_aeanet.core.image import Image
from napari_aeanet.interpolation import (
    Interpolator,
    LearnCompared,
    LearnEvent,
    LearnSettings,
    LearnStepped,
    SectionNetwork,
    SectionPrepared,
    SectionsLearnt,
    WarpedNeighbours,
)
from napari_aeanet.repair.settings import PlannedSlice, RepairMethod, RepairSettings

NETWORKS = {
    RepairMethod.LEARNT: SectionNetwork.GUIDED,
    RepairMethod.SSAN: SectionNetwork.SSAN,
}
#: Share of the learning that prepares the slices.
PREPARATION = 0.1


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Method that makes the slices, with its comparison.

    Attributes
    ----------
    method
        The method in use: the flow if a network was no better.
    words
        The comparison of the network with the flow as a sentence; empty without a network.
    kept_out
        Slices that the network has not seen; None if every slice may be hidden for a check.
    """

    method: RepairMethod = RepairMethod.FLOW
    interpolator: Interpolator = WarpedNeighbours.blended
    words: str = ""
    kept_out: tuple[int, ...] | None = None

    def for_gap(self, gap: int) -> Maker:
        """Return what makes slices of which so many are missing in a row.

        Networks learn, and are compared, for single slices; of others the flow makes all.
        """
        return self if gap == 1 else Maker()


def learnt_maker(
    image: Image, planned: Iterable[PlannedSlice], settings: RepairSettings, folder: Path
) -> Generator[LearnEvent, None, Maker]:
    """Learn from the slices that are not planned to be repaired; go on where a run stopped.

    Yields the events of the learning; the share of their progress rises from 0 to 1.
    """
    from napari_aeanet import interpolation  # with torch, which the flow does not need

    options = LearnSettings(network=NETWORKS[settings.method], cpu_seconds=60 * settings.minutes)
    skip = [one.index for one in planned]
    events = interpolation.learn_or_resume_events(image, folder, options, skip=skip)
    last: LearnEvent | None = None
    for last in events:
        yield _shared(last)
    if not isinstance(last, SectionsLearnt):
        raise RuntimeError("the learning ended without a result")
    if not last.scores.is_better:
        return Maker(words=last.scores.words)
    return Maker(
        method=settings.method,
        interpolator=interpolation.NetworkInterpolator.of(
            interpolation.load_section_model(last.model)
        ),
        words=last.scores.words,
        kept_out=last.kept_out,
    )


def _shared(event: LearnEvent) -> LearnEvent:
    """Return an event with its share of the whole learning."""
    fraction = event.progress.fraction
    if isinstance(event, SectionPrepared):
        progress = replace(event.progress, share=PREPARATION * fraction, unit="slice")
        return replace(event, progress=progress)
    share = PREPARATION + (1 - PREPARATION) * fraction
    progress = replace(event.progress, share=share, unit="step")
    assert isinstance(event, LearnStepped | LearnCompared | SectionsLearnt)
    return replace(event, progress=progress)
