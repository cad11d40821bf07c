"""Options, results and events of the alignment of a stack."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.registration import Deform, Deformation

#: Farthest sections that are compared.
FARTHEST = 3


@dataclass(frozen=True, kw_only=True)
class AlignSettings:
    """How to align the sections of a stack.

    Parameters
    ----------
    reach
        Sections up to this far apart are compared with each other (1 to 3). Where a section is
        damaged, sections three apart are compared in any case.
    deform
        Follow the local deformation of sections where their neighbours on both sides prove it
        (auto), or only shift and turn them (off).
    """

    reach: int = 2
    deform: Deform = Deform.AUTO

    def __post_init__(self) -> None:
        check_options(self)
        if not 1 <= self.reach <= FARTHEST:
            raise ValueError(f"reach must be 1 to {FARTHEST}, got {self.reach}.")


class SectionState(StrEnum):
    """Where the place of a section comes from."""

    ALIGNED = "aligned"  # from its matches
    BREAK = "no match to those before"  # aligned with those after it, not with those before
    UNSURE = "weak match to those before"  # the same, with nothing but a weak match across
    INTERPOLATED = "interpolated"  # no match: between the places of its neighbours


Row = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class SectionPlace:
    """The place of one section.

    Attributes
    ----------
    matrix
        Rows of a 3x3 matrix: pixel (y, x, 1) of the aligned stack to pixel of the section.
    shift
        How far the centre of the section was moved along y and x, in pixels.
    turn
        How far the section was turned, in degrees (the x axis turns towards y).
    correlation
        Highest correlation with a neighbour.
    error
        Median distance between this place and those that its matches tell, in pixels; None
        without a match.
    deformation
        Displacement u over the field of the aligned stack, which shows at p what the section shows
        at matrix · (p + u(p)); None where nothing proves one. Its `before` and `after` are what
        is left of the motion to the neighbours when it is predicted from the other sections.
    """

    state: SectionState
    matrix: tuple[Row, Row, Row]
    shift: tuple[float, float]
    turn: float
    correlation: float
    error: float | None = None
    deformation: Deformation | None = None

    def array(self) -> np.ndarray:
        """Return the matrix as float64."""
        return np.array(self.matrix, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class StackAlignment:
    """The places of all sections of a stack, in their order.

    Attributes
    ----------
    shape
        Height and width of the sections.
    """

    shape: tuple[int, int]
    sections: tuple[SectionPlace, ...]

    def deformed(self) -> list[int]:
        """Return the sections that follow their local deformation."""
        return [n for n, section in enumerate(self.sections) if section.deformation is not None]

    def followed(self, index: int) -> float:
        """Return the RMS displacement of a section beyond its shift and turn, in pixels."""
        deformation = self.sections[index].deformation
        if deformation is None:
            return 0.0
        rows, columns = (np.linspace(0, n - 1, 20) for n in self.shape)
        y, x = deformation.on_grid(rows, columns, self.shape)
        return float(np.sqrt((y**2 + x**2).mean()))

    def indices(self, state: SectionState) -> list[int]:
        """Return the sections in this state, counted from 0."""
        return [n for n, section in enumerate(self.sections) if section.state is state]


@dataclass(frozen=True, kw_only=True)
class SectionMatched:
    """Section `index` was compared with those before it, up to the reach."""

    progress: Progress
    index: int
    correlation: float


@dataclass(frozen=True, kw_only=True)
class SectionWritten:
    """Section `index` was resampled to its place."""

    progress: Progress
    index: int


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedStack:
    """The last event: the aligned stack.

    Attributes
    ----------
    image
        The stack; its pixels lie in the file if it was written to OME-Zarr.
    notices
        Remarks in plain sentences.
    """

    progress: Progress
    image: Image
    alignment: StackAlignment
    notices: tuple[str, ...] = ()


AlignEvent = Progressed | SectionMatched | SectionWritten | AlignedStack
