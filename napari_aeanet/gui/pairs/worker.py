"""Background work of the Pairs dock: generators without Qt and napari."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.pairs import ImagePair, PairList, PairRegistered
from napari_aeanet.registration import RegistrationSettings, register_from_landmarks


@dataclass(frozen=True, eq=False)
class Collected:
    """Event with the pairs that were found."""

    found: PairList
    progress: Progress


def collect_pairs(what: str, find: Callable[[], PairList]) -> Iterator[Progressed | Collected]:
    """Read the files of pairs."""
    yield Progressed(Progress(what, 0, 0))
    yield Collected(find(), Progress(what, 1, 1))


def register_by_hand(
    pair: ImagePair, source: np.ndarray, target: np.ndarray, settings: RegistrationSettings
) -> Iterator[Progressed | PairRegistered]:
    """Register one pair by landmarks, (n, 2) each, clicked in both images."""
    what = f"registering {pair.name}"
    yield Progressed(Progress(what, 0, 0))
    found = register_from_landmarks(source, target, pair.source, pair.target, settings)
    yield PairRegistered(
        index=0,
        pair=replace(pair, registration=found, accepted=False),
        progress=Progress(what, 1, 1),
    )
