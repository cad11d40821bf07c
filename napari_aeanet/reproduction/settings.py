"""Options and events of `reproduce`."""

from __future__ import annotations

from dataclasses import dataclass

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.evaluation import Scores


@dataclass(frozen=True, kw_only=True)
class ReproduceSettings:
    """Options of `reproduce`.

    Parameters
    ----------
    budget
        Minutes of training for each method; in self-training its models share them.
    methods
        Methods to compute; default: all of the table.
    published_sizes
        Train VDSR, EDSR and RCAN in the sizes of their papers instead of small ones.
    steps
        Steps of every training, instead of the budget.
    patch
        Patch size in pixels; 0 for that of the quick profile.
    batch
        Patches per step; 0 for those of the quick profile.
    seed
        Random seed; the same seed gives the same result on the same kind of device.
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    """

    budget: float = 3.0
    methods: tuple[str, ...] = ()
    published_sizes: bool = False
    steps: int = 0
    patch: int = 0
    batch: int = 0
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class CaseScores:
    """Figures of one tested image."""

    case: str
    group: str
    scores: Scores


@dataclass(frozen=True, eq=False)
class UnitResult:
    """Result of a method in a column.

    Parameters
    ----------
    column
        Column of the table; for transfer it names both sets.
    size
        Size of the network: "" as published, or "small".
    seconds
        Time of training and restoring, without that of interrupted attempts.
    """

    method: str
    column: str
    size: str
    seconds: float
    cases: tuple[CaseScores, ...]


@dataclass(frozen=True, eq=False)
class UnitDone:
    """Event: a unit is done, now or in an earlier call (`reused`)."""

    result: UnitResult
    reused: bool
    progress: Progress


@dataclass(frozen=True, eq=False)
class Reproduced:
    """Last event: all results."""

    results: tuple[UnitResult, ...]
    notices: tuple[str, ...]
    progress: Progress


ReproduceEvent = Progressed | UnitDone | Reproduced
