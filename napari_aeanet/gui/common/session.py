"""What the docks of one viewer share: pairs, models and the running job.

Docks never know each other. They change the session and listen to its signals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_aeanet.gui.common.job import Job, State
from napari_aeanet.gui.common.preferences import output_folder
from napari_aeanet.gui.common.text import why_register
from napari_aeanet.models import SUFFIX, ModelCard, read_card
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import Verdict

# Earlier models in the output folder that a chooser lists, newest first.
LISTED_MODELS = 20


class Decision(StrEnum):
    """What the user says about a pair; until then its registration decides."""

    NONE = "none"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, eq=False)
class PairEntry:
    """A pair in the list, with the user's decision about it."""

    pair: ImagePair
    decision: Decision = Decision.NONE

    @classmethod
    def of(cls, pair: ImagePair) -> PairEntry:
        """A new entry; that the pair was accepted earlier is remembered."""
        return cls(pair, Decision.ACCEPTED if pair.accepted else Decision.NONE)

    def as_decided(self) -> ImagePair:
        """The pair to be saved: it says whether it was accepted."""
        return replace(self.pair, accepted=self.decision is Decision.ACCEPTED)

    @property
    def is_usable(self) -> bool:
        """Whether it is trained on: pairs that fit, and doubtful ones that were accepted."""
        if self.decision is Decision.REJECTED:
            return False
        registration = self.pair.registration
        if registration is None:
            return not why_register(self.pair)
        if registration.verdict is Verdict.DOUBTFUL:
            return self.decision is Decision.ACCEPTED
        return registration.verdict.is_usable

    @property
    def could_be_accepted(self) -> bool:
        """Whether accepting the pair would change anything."""
        return not self.is_usable and replace(self, decision=Decision.ACCEPTED).is_usable


class Session:
    """Pairs, models and the one running job of a viewer.

    Attributes
    ----------
    pairs
        In the order in which they were added.
    models
        Path and card of every model that can be chosen, the newest first.
    model
        The chosen one.
    job
        The running job, or the last one.
    """

    pairs_changed = Signal()
    models_changed = Signal()
    job_changed = Signal()

    def __init__(self) -> None:
        self.pairs: tuple[PairEntry, ...] = ()
        self.models: dict[Path, ModelCard] = {}
        self.model: Path | None = None
        self.job: Job | None = None

    # --- pairs

    def add_pairs(self, pairs: Iterable[ImagePair]) -> None:
        """Add pairs that are not in the list yet."""
        known = [entry.pair for entry in self.pairs]
        new = [pair for pair in pairs if not any(is_same(pair, other) for other in known)]
        self.set_pairs((*self.pairs, *map(PairEntry.of, new)))

    def set_pairs(self, entries: Iterable[PairEntry]) -> None:
        self.pairs = tuple(entries)
        self.pairs_changed.emit()

    def replace_pair(self, old: ImagePair, new: ImagePair) -> None:
        """Put the registered `new` in the place of `old`; an earlier decision is void."""
        self.set_pairs(PairEntry(new) if e.pair is old else e for e in self.pairs)

    def decide(self, entry: PairEntry, decision: Decision) -> None:
        self.set_pairs(replace(e, decision=decision) if e is entry else e for e in self.pairs)

    @property
    def usable_pairs(self) -> tuple[ImagePair, ...]:
        return tuple(entry.pair for entry in self.pairs if entry.is_usable)

    # --- models

    def find_models(self) -> None:
        """List the demo model and those that earlier runs left in the output folder."""
        found = [p for p in output_folder().glob(f"*/*{SUFFIX}") if p.is_file()]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in [*found[:LISTED_MODELS], demo_model()]:
            try:
                self.models.setdefault(path, read_card(path))
            except (ValueError, OSError):
                continue  # a damaged file among many is not worth a message here
        if self.model is None:
            self.model = next(iter(reversed(self.models)), None)
        self.models_changed.emit()

    def add_model(self, path: Path) -> ModelCard:
        """List the model in `path` first and choose it; an unusable file is an error."""
        path = Path(path)
        card = read_card(path)
        self.models = {path: card, **{p: c for p, c in self.models.items() if p != path}}
        self.choose_model(path)
        return card

    def choose_model(self, path: Path) -> None:
        self.model = path
        self.models_changed.emit()

    @property
    def card(self) -> ModelCard | None:
        """Of the chosen model."""
        return None if self.model is None else self.models[self.model]

    # --- the job

    @property
    def is_busy(self) -> bool:
        return self.job is not None and self.job.state.is_active

    def start(self, job: Job) -> None:
        """Start `job`, unless another is running: one computer, one job at a time."""
        if self.job is not None and self.job.state.is_active:
            msg = f"AEANet is busy {self.job.title}. Wait until it is done, or stop it first."
            raise RuntimeError(msg)
        self.job = job
        job.state_changed.connect(self._on_job_state)
        job.start()

    def _on_job_state(self, state: State) -> None:
        self.job_changed.emit()


def is_same(first: ImagePair, second: ImagePair) -> bool:
    """Whether two pairs are of the same images: the same arrays, or from the same files."""
    sides = ((first.source, second.source), (first.target, second.target))
    return all(
        a.array is b.array or (a.source is not None and (a.source, a.name) == (b.source, b.name))
        for a, b in sides
    )


def demo_model() -> Path:
    """The small model that comes with the package, for the samples only."""
    return Path(str(files("napari_aeanet") / "resources" / f"demo-sem{SUFFIX}"))


_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """The session of a viewer, made at the first call; it lives as long as the viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # plugins are sometimes given a proxy
    if viewer not in _sessions:
        _sessions[viewer] = Session()
    return _sessions[viewer]
