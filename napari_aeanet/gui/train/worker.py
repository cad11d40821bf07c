"""Background work of the Train dock: generators without Qt and napari.

torch is imported inside the generators, in their thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.train.earlier_runs import PAIRS, first_of_each
from napari_aeanet.pairs import ImagePair, load_pairs, save_pairs
from napari_aeanet.training import Planned, TrainEvent, TrainSettings

if TYPE_CHECKING:
    from napari_aeanet.training import PreflightReport


def train_model(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> Iterator[TrainEvent]:
    """Train a model in `folder`, and save the pair list there if all images are files."""
    from napari_aeanet.training import train_events

    yield from _with_pairs_saved(pairs, folder, train_events(pairs, settings, folder))


def train_models(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> Iterator[TrainEvent]:
    """Train one model for every pair (self-training), in folders of `folder`."""
    from napari_aeanet.training import train_each_events

    yield from _with_pairs_saved(pairs, folder, train_each_events(pairs, settings, folder))


def _with_pairs_saved(
    pairs: Sequence[ImagePair], folder: Path, events: Iterator[TrainEvent]
) -> Iterator[TrainEvent]:
    is_saved = False
    for event in events:
        if isinstance(event, Planned) and not is_saved:
            is_saved = True
            with suppress(ValueError, OSError):
                # Doubtful pairs are only trained on if the user accepted them.
                save_pairs([replace(pair, accepted=True) for pair in pairs], folder / PAIRS)
        yield event


@dataclass(frozen=True, eq=False)
class PairsOpened:
    """Event with the pairs of a resumed run."""

    pairs: tuple[ImagePair, ...]
    progress: Progress


def resume_model(folder: Path, opened: Sequence[ImagePair]) -> Iterator[TrainEvent | PairsOpened]:
    """Resume what is in `folder` with its own pair list, or else with the pairs `opened`."""
    from napari_aeanet.training import resume_events, train_each_events

    pairs = tuple(opened)
    if (folder / PAIRS).is_file():
        found = load_pairs(folder / PAIRS)
        if found.problems:
            raise ValueError(f"The pairs of {folder.name} cannot be opened: {found.problems[0]}")
        pairs = found.pairs
    if not pairs:
        msg = f"Open the pairs of {folder.name} first, in AEANet: Pairs: its images are not files."
        raise ValueError(msg)
    yield PairsOpened(pairs, Progress("training", 0, 0))
    if first := first_of_each(folder):
        yield from train_each_events(pairs, first.read_plan().settings, folder)
    else:
        yield from resume_events(pairs, folder)


def check(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> PreflightReport | str:
    """Return the result of the check before a training, or why it was not possible."""
    from napari_aeanet.training import check_training

    try:
        return check_training(pairs, settings, folder)
    except Exception as error:  # noqa: BLE001 - without an answer Start would stay disabled
        text = str(error) or type(error).__name__
        return f"The pairs could not be checked: {text}"


@dataclass(frozen=True, eq=False)
class Timed:
    """Event with the result of a check that made a few steps."""

    report: PreflightReport
    progress: Progress


def check_and_time(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> Iterator[Progressed | Timed]:
    """Check everything, and time a few steps."""
    from napari_aeanet.training import check_training

    what = "checking everything, with a few steps of training"
    yield Progressed(Progress(what, 0, 0))
    yield Timed(check_training(pairs, settings, folder, timed=True), Progress(what, 1, 1))
