"""What the docks run in the background: generators that touch neither Qt nor napari.

The engine, and torch with it, is imported when a generator begins, which is in its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.data.images import Image
from napari_aeanet.data.pair import ImagePair, PairList
from napari_aeanet.data.progress import Progress
from napari_aeanet.data.registration import (
    PairRegistered,
    RegistrationSettings,
    register_from_landmarks,
)
from napari_aeanet.engine.bundle import SUFFIX
from napari_aeanet.engine.plan import TrainEvent, TrainSettings

if TYPE_CHECKING:
    from napari_aeanet.engine.relevance import RelevanceEvent

SQUARES = 10  # of a checkerboard, along its longer side


@dataclass(frozen=True)
class Working:
    """Nothing to show but the progress."""

    progress: Progress


def import_checkpoint(index: Path) -> Path:
    """Turn a published checkpoint into a model file beside it; its path."""
    from napari_aeanet.engine.bundle import save_model
    from napari_aeanet.engine.published import import_model

    path = index.with_suffix(SUFFIX)
    save_model(import_model(index), path)
    return path


def train_model(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> Iterator[TrainEvent]:
    """Train a model in `folder`."""
    from napari_aeanet.engine.training import train

    yield from train(pairs, settings, folder)


@dataclass(frozen=True, eq=False)
class Collected:
    """Pairs were found."""

    found: PairList
    progress: Progress


def collect_pairs(what: str, find: Callable[[], PairList]) -> Iterator[Working | Collected]:
    """Read the files of pairs, which may take a while."""
    yield Working(Progress(what, 0, 0))
    yield Collected(find(), Progress(what, 1, 1))


def register_by_hand(
    pair: ImagePair, source: np.ndarray, target: np.ndarray, settings: RegistrationSettings
) -> Iterator[Working | PairRegistered]:
    """Register one pair by places, (n, 2) each, that a person clicked in both images."""
    what = f"registering {pair.name}"
    yield Working(Progress(what, 0, 0))
    found = register_from_landmarks(source, target, pair.source, pair.target, settings)
    yield PairRegistered(
        index=0, pair=replace(pair, registration=found), progress=Progress(what, 1, 1)
    )


def checkerboard(pair: ImagePair, squares: int = SQUARES) -> np.ndarray:
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


def map_relevance(image: Image, model_path: Path, device: str) -> Iterator[RelevanceEvent]:
    """Relevance maps of every abstract pixel of the model."""
    from napari_aeanet.engine.bundle import load_model
    from napari_aeanet.engine.relevance import relevance
    from napari_aeanet.engine.relevance_settings import RelevanceSettings

    yield from relevance(image, load_model(model_path), RelevanceSettings(device=device))
