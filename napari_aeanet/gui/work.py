"""What the docks run in the background: generators that touch neither Qt nor napari.

The engine, and torch with it, is imported when a generator begins, which is in its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.data.files import write_image
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
from napari_aeanet.engine.restoration import Restored, RestoreSettings

if TYPE_CHECKING:
    from napari_aeanet.engine.relevance import RelevanceEvent

SQUARES = 10  # of a checkerboard, along its longer side


@dataclass(frozen=True)
class Working:
    """Nothing to show but the progress."""

    progress: Progress


@dataclass(frozen=True, eq=False)
class RestoreOrder:
    """One image to restore, and the file to write the result to, if any."""

    image: Image
    path: Path | None = None


@dataclass(frozen=True, eq=False)
class ImageRestored:
    """The result of order number `index`. `saved` is where it was written, if it was."""

    index: int
    image: Image
    saved: Path | None
    notices: tuple[str, ...]
    progress: Progress


@dataclass(frozen=True)
class ImageRefused:
    """Order number `index` could not be restored; the others go on."""

    index: int
    reason: str
    progress: Progress


RestoreWork = Working | ImageRestored | ImageRefused


def import_checkpoint(index: Path) -> Path:
    """Turn a published checkpoint into a model file beside it; its path."""
    from napari_aeanet.engine.bundle import save_model
    from napari_aeanet.engine.published import import_model

    path = index.with_suffix(SUFFIX)
    save_model(import_model(index), path)
    return path


def restore_images(
    orders: Sequence[RestoreOrder], model_path: Path, settings: RestoreSettings
) -> Iterator[RestoreWork]:
    """Restore image after image; one that does not suit the model does not stop the others."""
    from napari_aeanet.engine.bundle import load_model
    from napari_aeanet.engine.prediction import restore

    model = load_model(model_path)
    for index, order in enumerate(orders):
        latest = Progress(f"restoring {order.image.name}", 0, 1)
        try:
            for event in restore(order.image, model, settings):
                latest = event.progress
                if isinstance(event, Restored):
                    yield _written(index, order, event)
                else:
                    yield Working(latest)
        except (ValueError, OSError) as error:
            yield ImageRefused(index, str(error), latest)


def _written(index: int, order: RestoreOrder, event: Restored) -> ImageRestored:
    """The result in its file; a file that cannot be written does not cost the result."""
    saved, notices = order.path, event.notices
    if saved is not None:
        try:
            saved.parent.mkdir(parents=True, exist_ok=True)
            write_image(event.image, saved)
        except OSError as error:
            notices = (*notices, f"It could not be saved: {error}")
            saved = None
    return ImageRestored(index, event.image, saved, notices, event.progress)


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
    from napari_aeanet.engine.relevance import RelevanceSettings, relevance

    yield from relevance(image, load_model(model_path), RelevanceSettings(device=device))
