"""Options, results and events of the search for damaged slices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed


@dataclass(frozen=True, kw_only=True)
class DamageSettings:
    """How to find damaged slices.

    Parameters
    ----------
    limit
        Score above which a slice is proposed. A lower limit finds weaker damage and proposes more
        good slices.
    """

    limit: float = 3.5

    def __post_init__(self) -> None:
        check_options(self)
        if self.limit == 0:
            raise ValueError("limit must be above 0: every slice would be called damaged.")


class DamageKind(StrEnum):
    """Kind of damage."""

    MISSING = "missing"
    REPEATED = "repeated"
    PART_LOST = "part lost"
    BLURRED = "blurred"
    NOISY = "noisy"
    DARK = "dark"
    BRIGHT = "bright"
    LOW_CONTRAST = "low contrast"
    HIGH_CONTRAST = "high contrast"
    FOLD = "fold"
    CRACK = "crack"
    DIRT = "dirt"
    HOLE = "hole"
    UNLIKE = "unlike its neighbours"


@dataclass(frozen=True, kw_only=True)
class DamagedSlice:
    """A slice that looks damaged.

    Attributes
    ----------
    index
        Number of the slice, counted from 0.
    score
        Its score, above the limit.
    reason
        Kind and size of the damage in words: "fold: dark line, at least 210 px long".
    """

    index: int
    score: float
    kind: DamageKind
    reason: str


@dataclass(frozen=True, kw_only=True)
class SliceMeasured:
    """Slice `index` was measured."""

    progress: Progress
    index: int


@dataclass(frozen=True, kw_only=True)
class DamageFound:
    """The last event: a score for every slice, and the slices that look damaged.

    Attributes
    ----------
    scores
        One per slice: its largest deviation from the stack in robust standard deviations, over
        all measures; 0 for a slice that is in no way unusual.
    slices
        The slices with a score above the limit, in ascending order.
    """

    progress: Progress
    scores: tuple[float, ...]
    slices: tuple[DamagedSlice, ...]
    limit: float

    @property
    def indices(self) -> tuple[int, ...]:
        """Numbers of the damaged slices, counted from 0."""
        return tuple(one.index for one in self.slices)


DamageEvent = Progressed | SliceMeasured | DamageFound
