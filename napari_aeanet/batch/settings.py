"""Options and events of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """Options of all work on a number of images.

    Parameters
    ----------
    recursive
        Also take the images in the folders below a given folder.
    skip_existing
        Skip results that exist and were made from the same image with the same model and settings
        (of several images, this is always done).
    overwrite
        Make results again that exist, and replace them.
    accept_missing
        Read planes that are missing in the middle of a TIFF file, or of its set of files, as zeros,
        with a remark that names them; without this such a file is refused.
    outcomes
        Table of the outcomes, .csv or .json; default: outcomes.csv in the folder for the results
        of several images, if one is given.
    """

    recursive: bool = False
    skip_existing: bool = False
    overwrite: bool = False
    accept_missing: bool = False
    outcomes: Path | None = None

    def __post_init__(self) -> None:
        check_options(self)
        if self.skip_existing and self.overwrite:
            raise ValueError("choose to skip existing results or to overwrite them, not both.")


class Status(StrEnum):
    """End of the work on one image."""

    DONE = "done"
    SKIPPED = "skipped"  # the result was there already, complete
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of the work on one image.

    Parameters
    ----------
    input
        The file, with the number of its page where it has several.
    outputs
        The files of the result: written, or found complete; for a failure, those that were meant.
    reason
        Why it failed, in one sentence.
    seconds
        Time taken.
    notices
        Remarks for the user.
    """

    input: str
    outputs: tuple[Path, ...] = ()
    status: Status = Status.DONE
    reason: str = ""
    seconds: float = 0.0
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemFinished:
    """The work on one image ended."""

    outcome: Outcome
    progress: Progress


@dataclass(frozen=True)
class BatchFinished:
    """The work on all images ended; `table` is the file of the outcomes, if one was written."""

    outcomes: tuple[Outcome, ...]
    table: Path | None
    progress: Progress


BatchEvent = Progressed | ItemFinished | BatchFinished
