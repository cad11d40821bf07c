"""Options and events of `reproduce`."""

from __future__ import annotations

from dataclasses import dataclass

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.evaluation import Scores


@dataclass(frozen=True, kw_only=True)
class ReproduceSettings:
    """How much is done.

    Parameters
    ----------
    budget
        Minutes of training for each method. With one model for every image they share them.
    methods
        Only these methods; nothing for all of the table.
    published_sizes
        Train VDSR, EDSR and RCAN in the sizes of their papers instead of small ones.
    steps
        Steps of every training, instead of the budget.
    patch, batch
        Patch size in pixels and patches per step; 0 as the quick profile has them.
    seed
        The same seed gives the same result on the same kind of device.
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


@dataclass(frozen=True)
class CaseScores:
    """The figures of one tested image."""

    case: str
    group: str
    scores: Scores


@dataclass(frozen=True, eq=False)
class UnitResult:
    """What a method reached in a column.

    Parameters
    ----------
    column
        Of the table; where sets are mixed it names both.
    size
        Of the network: "" as published, or "small".
    seconds
        Time of the training and restoring, in the sitting in which it was finished.
    """

    method: str
    column: str
    size: str
    seconds: float
    cases: tuple[CaseScores, ...]


@dataclass(frozen=True, eq=False)
class UnitDone:
    """A unit is done, or had been before."""

    result: UnitResult
    reused: bool
    progress: Progress


@dataclass(frozen=True, eq=False)
class Reproduced:
    """All units are done."""

    results: tuple[UnitResult, ...]
    notices: tuple[str, ...]
    progress: Progress


ReproduceEvent = Progressed | UnitDone | Reproduced
