"""Options, results and events of the repair of a stack."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed


class RepairMethod(StrEnum):
    """How a slice is made from its neighbours."""

    FLOW = "flow"  # both neighbours moved half way along their optical flow, and blended
    LEARNT = "learnt"  # a network guided by the flow, which learns from this stack
    SSAN = "ssan"  # a network with sparse attention, which learns from this stack

    @property
    def learns(self) -> bool:
        """True if a network learns from the stack first."""
        return self is not RepairMethod.FLOW


METHOD_NAMES = {
    RepairMethod.FLOW: "optical flow",
    RepairMethod.LEARNT: "network guided by optical flow, learnt from this stack",
    RepairMethod.SSAN: "SSAN, learnt from this stack",
}


@dataclass(frozen=True, kw_only=True)
class RepairSettings:
    """How to repair slices.

    Parameters
    ----------
    method
        flow: move both neighbours half way along their optical flow and blend them. learnt: a
        network that learns from the good slices of this stack, guided by the flow; ssan: the same
        with sparse attention, for comparison. A network is used only if it is better than the flow
        on slices that it has not seen.
    minutes
        Computing time for a network to learn.
    texture
        Give a repaired slice as much fine structure as its neighbours have. It looks like a
        recorded one; the grain is plausible, not the lost one.
    checks
        Good slices that are hidden and interpolated, to measure how well that works in this stack;
        0 skips it.
    """

    method: RepairMethod = RepairMethod.FLOW
    minutes: float = 2.5
    texture: bool = False
    checks: int = 6

    def __post_init__(self) -> None:
        check_options(self)
        if self.method.learns and not self.minutes:
            raise ValueError("minutes must be more than 0, so that a network can learn.")


class SliceState(StrEnum):
    """Treatment of a slice."""

    KEPT = "kept"
    REPAIRED = "repaired"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class PlannedSlice:
    """A slice to be repaired, and from what.

    Attributes
    ----------
    index
        Number of the slice, counted from 0.
    before, after
        The slices that it is made from; None if it is refused.
    refusal
        The reason why it cannot be repaired; empty if it can.
    """

    index: int
    before: int | None = None
    after: int | None = None
    refusal: str = ""

    @property
    def gap(self) -> int:
        """Number of slices missing in a row; 0 if refused."""
        return 0 if self.before is None or self.after is None else self.after - self.before - 1

    @property
    def at(self) -> float:
        """Position between the two slices, 0 to 1."""
        if self.before is None or self.after is None:
            raise ValueError(f"Slice {self.index} is not repaired: {self.refusal}")
        return (self.index - self.before) / (self.after - self.before)


@dataclass(frozen=True, kw_only=True)
class ExpectedQuality:
    """How well good slices of this stack are interpolated, by hiding them; medians.

    Attributes
    ----------
    gap
        Number of slices that were hidden in a row.
    slices
        The hidden slices that were compared.
    agreement
        Of the membranes with those of the hidden slice: 1 perfect, 0 chance.
    sharpness
        Share of the hidden slice's.
    mean_agreement
        Agreement of the plain mean of the aligned neighbours, for comparison.
    """

    gap: int
    slices: tuple[int, ...]
    agreement: float
    sharpness: float
    mean_agreement: float


@dataclass(frozen=True, kw_only=True)
class SliceOutcome:
    """Treatment of one slice, and the reason.

    Attributes
    ----------
    reason
        Why it was repaired, or refused; empty for a slice that is kept.
    method
        How it was made.
    neighbours
        The slices that it was made from.
    correlation
        Of the coarse structure of those two.
    """

    index: int
    state: SliceState
    reason: str = ""
    method: RepairMethod | None = None
    neighbours: tuple[int, int] | None = None
    correlation: float | None = None


@dataclass(frozen=True, kw_only=True)
class SliceChecked:
    """Good slice `index` was hidden and interpolated."""

    progress: Progress
    index: int


@dataclass(frozen=True, kw_only=True)
class QualityMeasured:
    """The last event of a measurement: the expected quality for each length of a gap."""

    progress: Progress
    quality: tuple[ExpectedQuality, ...]


@dataclass(frozen=True, kw_only=True)
class SliceRepaired:
    """Slice `index` was interpolated or refused."""

    progress: Progress
    index: int


@dataclass(frozen=True, kw_only=True, eq=False)
class RepairedStack:
    """The last event: the repaired stack.

    Attributes
    ----------
    image
        The stack; its pixels lie in the file if it was written to OME-Zarr. `image.interpolated`
        names the repaired slices.
    outcomes
        One per slice.
    method
        How single slices were made: the flow if a network was no better.
    texture
        True if they have the fine structure of their neighbours.
    quality
        Expected quality, measured on this stack, for each length of a gap.
    notices
        Remarks in plain sentences.
    """

    progress: Progress
    image: Image
    outcomes: tuple[SliceOutcome, ...]
    method: RepairMethod
    texture: bool
    quality: tuple[ExpectedQuality, ...]
    notices: tuple[str, ...] = ()

    def indices(self, state: SliceState) -> list[int]:
        """Return the slices in this state, counted from 0."""
        return [one.index for one in self.outcomes if one.state is state]


@dataclass(frozen=True, kw_only=True, eq=False)
class SlicePreview:
    """A slice before and after its repair, with its neighbours; all planes (y, x)."""

    index: int
    damaged: np.ndarray
    repaired: np.ndarray
    before: np.ndarray
    after: np.ndarray
    correlation: float


QualityEvent = Progressed | SliceChecked | QualityMeasured
