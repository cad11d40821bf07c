"""Background work of the Pairs dock: generators without Qt and napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.pairs import ImagePair, PairList, PairRegistered
from napari_aeanet.registration import RegistrationSettings, register_from_landmarks

SQUARES = 10  # of a checkerboard, along its longer side


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
