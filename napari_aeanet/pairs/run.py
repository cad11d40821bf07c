"""Register a list of pairs, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from napari_aeanet.core.arguments import check_items, check_type
from napari_aeanet.core.progress import EtaEstimator, Progress, ProgressOption, last_event
from napari_aeanet.pairs.pair import ImagePair, PairList
from napari_aeanet.registration import (
    Registration,
    RegistrationSettings,
    failed_registration,
    register,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairRegistered:
    """Event: pair number `index` (from 0) is registered; `pair` holds the registration."""

    index: int
    pair: ImagePair
    progress: Progress

    @property
    def registration(self) -> Registration:
        assert self.pair.registration is not None
        return self.pair.registration


def register_all(
    pairs: Sequence[ImagePair],
    settings: RegistrationSettings | None = None,
    *,
    progress: ProgressOption = False,
) -> PairList:
    """Register all pairs and return them with their registrations.

    Parameters
    ----------
    pairs
        Pairs of planes or stacks; they are not modified.
    settings
        Options, the same for all pairs.
    progress
        True draws a progress bar in the terminal; a function is called with every `Progress`.

    Returns
    -------
    PairList
        The registered pairs in their order. The verdict of each registration tells if it can be
        used: a pair that cannot be read or registered is returned as failed.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    ValueError
        If there is no pair.
    """
    found = pairs if isinstance(pairs, PairList) else PairList(_checked(pairs))
    if not found.pairs:
        raise ValueError("There is no pair to register: give at least one.")
    done: list[ImagePair] = []

    def collected(events: Iterator[PairRegistered]) -> Iterator[PairRegistered]:
        for event in events:
            done.append(event.pair)
            yield event

    last_event(collected(register_all_events(found.pairs, settings)), progress)
    return replace(found, pairs=tuple(done))


def register_all_events(
    pairs: Sequence[ImagePair], settings: RegistrationSettings | None = None
) -> Iterator[PairRegistered]:
    """Return a generator that registers pair after pair, with an event for each.

    A pair that cannot be read or has other axes is reported as failed, and the rest continues.
    Close the generator to stop. The arguments are checked at once.

    Raises
    ------
    TypeError
        If an argument is of a wrong type.
    """
    pairs = _checked(pairs)
    settings = RegistrationSettings() if settings is None else settings
    check_type("settings", settings, RegistrationSettings)
    return _registered(pairs, settings)


def _checked(pairs: Sequence[ImagePair]) -> tuple[ImagePair, ...]:
    return check_items("pairs", pairs, ImagePair)


def _registered(
    pairs: Sequence[ImagePair], settings: RegistrationSettings
) -> Iterator[PairRegistered]:
    eta = EtaEstimator(len(pairs))
    for index, pair in enumerate(pairs):
        try:
            registration = register(pair.source, pair.target, settings)
        except (ValueError, OSError, MemoryError) as error:
            registration = failed_registration(pair.source, pair.target, settings, str(error))
        done = index + 1
        yield PairRegistered(
            index=index,
            pair=replace(pair, registration=registration, accepted=False),
            progress=Progress("registering", done, len(pairs), eta.seconds_left(done)),
        )
