"""What the docks run in the background: generators that touch neither Qt nor napari.

The engine, and torch with it, is imported when a generator begins, which is in its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.train.earlier_runs import PAIRS
from napari_aeanet.models import SUFFIX
from napari_aeanet.pairs import ImagePair, PairList, PairRegistered, load_pairs, save_pairs
from napari_aeanet.registration import RegistrationSettings, register_from_landmarks
from napari_aeanet.training import Planned, TrainEvent, TrainSettings

SQUARES = 10  # of a checkerboard, along its longer side


def import_checkpoint(index: Path) -> Path:
    """Turn a published checkpoint into a model file beside it; its path."""
    from napari_aeanet.models import import_model, save_model

    path = index.with_suffix(SUFFIX)
    save_model(import_model(index), path)
    return path


def train_model(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> Iterator[TrainEvent]:
    """Train a model in `folder`; where the pairs lie in files, their list is kept there too."""
    from napari_aeanet.training import train_events

    for event in train_events(pairs, settings, folder):
        if isinstance(event, Planned):
            with suppress(ValueError, OSError):
                # Who trains on doubtful pairs has accepted them.
                save_pairs([replace(pair, accepted=True) for pair in pairs], folder / PAIRS)
        yield event


@dataclass(frozen=True, eq=False)
class PairsOpened:
    """These are the pairs of the run that goes on."""

    pairs: tuple[ImagePair, ...]
    progress: Progress


def resume_model(folder: Path, opened: Sequence[ImagePair]) -> Iterator[TrainEvent | PairsOpened]:
    """Go on with the run in `folder`, with the pairs that it kept, else with those `opened`."""
    from napari_aeanet.training import resume_events

    pairs = tuple(opened)
    if (folder / PAIRS).is_file():
        found = load_pairs(folder / PAIRS)
        if found.problems:
            raise ValueError(f"The pairs of {folder.name} are not there: {found.problems[0]}")
        pairs = found.pairs
    if not pairs:
        msg = f"Open the pairs of {folder.name} first, in AEANet: Pairs: they lay in no files."
        raise ValueError(msg)
    yield PairsOpened(pairs, Progress("training", 0, 0))
    yield from resume_events(pairs, folder)


@dataclass(frozen=True, eq=False)
class Checked:
    """What a full check before a training found."""

    sentences: tuple[str, ...]
    can_start: bool
    summary: str
    progress: Progress


def check_in_full(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> Iterator[Progressed | Checked]:
    """Alignment, leakage, memory, disk, and a few steps on time."""
    from napari_aeanet.training import check_training

    what = "checking everything, with a few steps of training"
    yield Progressed(Progress(what, 0, 0))
    found = check_training(pairs, settings, folder, timed=True)
    yield Checked(tuple(found.sentences()), found.can_start, found.summary, Progress(what, 1, 1))


@dataclass(frozen=True, eq=False)
class Collected:
    """Pairs were found."""

    found: PairList
    progress: Progress


def collect_pairs(what: str, find: Callable[[], PairList]) -> Iterator[Progressed | Collected]:
    """Read the files of pairs, which may take a while."""
    yield Progressed(Progress(what, 0, 0))
    yield Collected(find(), Progress(what, 1, 1))


def register_by_hand(
    pair: ImagePair, source: np.ndarray, target: np.ndarray, settings: RegistrationSettings
) -> Iterator[Progressed | PairRegistered]:
    """Register one pair by places, (n, 2) each, that a person clicked in both images."""
    what = f"registering {pair.name}"
    yield Progressed(Progress(what, 0, 0))
    found = register_from_landmarks(source, target, pair.source, pair.target, settings)
    yield PairRegistered(
        index=0,
        pair=replace(pair, registration=found, accepted=False),
        progress=Progress(what, 1, 1),
    )


def pair_checkerboard(pair: ImagePair, squares: int = SQUARES) -> np.ndarray:
    """Source and target in turn, `squares` along the longer side: edges run on where it fits.

    The source is shown in the contrast and brightness of the target.
    """
    target = pair.target.read().astype(np.float32)
    source = pair.on_target_grid().read().astype(np.float32)
    sign = -1 if pair.registration is not None and pair.registration.inverted else 1
    source = sign * (source - source.mean()) / (source.std() or 1.0)
    height, width = target.shape[-2:]
    edge = max(1, max(height, width) // squares)
    rows, columns = np.ogrid[:height, :width]
    from_source = (rows // edge + columns // edge) % 2 == 0
    return np.where(from_source, source * target.std() + target.mean(), target)
