"""Register a list of pairs, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from napari_aeanet.core.progress import EtaEstimator, Progress
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration import (
    Registration,
    RegistrationSettings,
    failed_registration,
    register,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairRegistered:
    """Pair number `index` (from 0) is done: `pair` is that pair with its registration."""

    index: int
    pair: ImagePair
    progress: Progress

    @property
    def registration(self) -> Registration:
        assert self.pair.registration is not None
        return self.pair.registration


def register_all_events(
    pairs: Sequence[ImagePair], settings: RegistrationSettings | None = None
) -> Iterator[PairRegistered]:
    """Register pair after pair, yielding an event for each; closing the generator stops it.

    A pair that cannot be read or is of a wrong kind is reported as failed, and the rest goes on.
    """
    settings = settings or RegistrationSettings()
    pace = EtaEstimator(len(pairs))
    for index, pair in enumerate(pairs):
        try:
            registration = register(pair.source, pair.target, settings)
        except (ValueError, OSError, MemoryError) as error:
            registration = failed_registration(pair.source, pair.target, settings, str(error))
        done = index + 1
        yield PairRegistered(
            index=index,
            pair=replace(pair, registration=registration, accepted=False),
            progress=Progress("registering", done, len(pairs), pace.seconds_left(done)),
        )
