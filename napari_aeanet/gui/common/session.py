"""State shared by the docks of one viewer: pairs, models and the running job.

Docks do not refer to each other: they change the session and listen to its signals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

from psygnal import Signal

from napari_aeanet.gui.common.job import Job, State
from napari_aeanet.gui.common.preferences import output_folder
from napari_aeanet.gui.common.text import why_register
from napari_aeanet.models import SUFFIX, ModelCard, demo_model, read_card
from napari_aeanet.pairs import ImagePair, likely_task
from napari_aeanet.registration import Verdict

# Earlier models in the output folder that a chooser lists, newest first.
LISTED_MODELS = 20


class Decision(StrEnum):
    """Decision of the user about a pair; without one its registration decides."""

    NONE = "none"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EVALUATION = "for evaluation"  # it is not trained on until it is accepted


@dataclass(frozen=True, eq=False)
class PairEntry:
    """A pair in the list, with the user's decision about it."""

    pair: ImagePair
    decision: Decision = Decision.NONE

    @classmethod
    def of(cls, pair: ImagePair) -> PairEntry:
        """Return a new entry with the saved decision of the pair."""
        return cls(pair, Decision.ACCEPTED if pair.accepted else Decision.NONE)

    def as_decided(self) -> ImagePair:
        """Return the pair with the decision, to be saved."""
        return replace(self.pair, accepted=self.decision is Decision.ACCEPTED)

    @property
    def is_usable(self) -> bool:
        """True for aligned pairs, and for doubtful ones that were accepted.

        No network makes a stack of an image.
        """
        if self.is_left_out or self.pair.swapped().projects:
            return False
        registration = self.pair.registration
        if registration is None:
            return not why_register(self.pair)
        if registration.verdict is Verdict.DOUBTFUL:
            return self.decision is Decision.ACCEPTED
        return registration.verdict.is_usable

    @property
    def is_left_out(self) -> bool:
        """True for pairs that the user has left out, or that are for evaluation only."""
        return self.decision in (Decision.REJECTED, Decision.EVALUATION)

    @property
    def is_evaluable(self) -> bool:
        """True for pairs that models can be evaluated on: usable, or kept for evaluation."""
        is_kept = self.decision is Decision.EVALUATION
        return (PairEntry(self.pair) if is_kept else self).is_usable

    @property
    def is_to_register(self) -> bool:
        """True for pairs that can only be used when they are registered."""
        is_settled = self.is_usable or self.is_left_out
        return not is_settled and self.pair.registration is None

    @property
    def could_be_accepted(self) -> bool:
        """True if accepting the pair would make it usable."""
        return not self.is_usable and self.accepted().is_usable

    def accepted(self) -> PairEntry:
        """Return the entry as accepted: a pair that could not be registered, as its images lie."""
        failed = self.pair.has_failed
        pair = replace(self.pair, registration=None) if failed else self.pair
        return PairEntry(pair, Decision.ACCEPTED)

    @property
    def is_settled(self) -> bool:
        """True if nothing is left to register: registered, accepted, or of two kinds of light."""
        if self.pair.registration is not None or self.decision is Decision.ACCEPTED:
            return True
        return self.is_usable and likely_task([self.pair]) == "label-free"


class Session:
    """Pairs, models and the single running job of a viewer.

    Attributes
    ----------
    pairs
        Pairs in the order of their addition.
    models
        Path and card of every available model, the newest first.
    model
        Path of the chosen model.
    job
        The running job, or the last one.
    restored_layer
        The layer that was restored last, while it exists.
    closed_docks
        Docks that the user closed while their job ran, which still handle its events.
    beside
        Short work beside the job that must not be forgotten before its end: files being opened.
    """

    pairs_changed = Signal()
    models_changed = Signal()
    job_changed = Signal()

    def __init__(self) -> None:
        self.pairs: tuple[PairEntry, ...] = ()
        self.models: dict[Path, ModelCard] = {}
        self.model: Path | None = None
        self.job: Job | None = None
        self._restored_layer: ref[Any] | None = None
        self.closed_docks: set[Any] = set()
        self.beside: set[Any] = set()

    # --- pairs

    def add_pairs(self, pairs: Iterable[ImagePair]) -> None:
        """Add pairs that are not in the list yet."""
        new = (PairEntry.of(pair) for pair in pairs if self._entry_of(pair) is None)
        self.set_pairs((*self.pairs, *new))

    def add_for_evaluation(self, pair: ImagePair) -> None:
        """Add a pair that is not in the list yet, and is not trained on."""
        if self._entry_of(pair) is None:
            self.set_pairs((*self.pairs, PairEntry(pair, Decision.EVALUATION)))

    def _entry_of(self, pair: ImagePair) -> PairEntry | None:
        """Return the entry with the images of a pair."""
        return next((entry for entry in self.pairs if is_same(entry.pair, pair)), None)

    def set_pairs(self, entries: Iterable[PairEntry]) -> None:
        self.pairs = tuple(entries)
        self.pairs_changed.emit()

    def replace_pair(self, old: ImagePair, new: ImagePair) -> None:
        """Replace `old` by the registered `new` and reset the decision, if it was about that."""
        kept = {Decision.EVALUATION: Decision.EVALUATION}
        self.set_pairs(
            PairEntry(new, kept.get(e.decision, Decision.NONE)) if e.pair is old else e
            for e in self.pairs
        )

    def decide(self, entry: PairEntry, decision: Decision) -> None:
        accepts = decision is Decision.ACCEPTED
        new = entry.accepted() if accepts else replace(entry, decision=decision)
        self.set_pairs(new if e is entry else e for e in self.pairs)

    @property
    def usable_pairs(self) -> tuple[ImagePair, ...]:
        return tuple(entry.pair for entry in self.pairs if entry.is_usable)

    @property
    def evaluable_pairs(self) -> tuple[ImagePair, ...]:
        return tuple(entry.pair for entry in self.pairs if entry.is_evaluable)

    def registered(self, pair: ImagePair) -> ImagePair | None:
        """Return the pair of these images that is registered and can be evaluated on."""
        entry = self._entry_of(pair)
        is_found = entry is not None and entry.pair.registration is not None and entry.is_evaluable
        return entry.pair if entry is not None and is_found else None

    # --- models

    def find_models(self) -> None:
        """List the demo model and those of earlier runs in the output folder."""
        found = [p for p in output_folder().glob(f"*/*{SUFFIX}") if p.is_file()]
        found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in [*found[:LISTED_MODELS], demo_model()]:
            try:
                self.models.setdefault(path, read_card(path))
            except (ValueError, OSError):
                continue  # a damaged file among many needs no message
        if self.model is None:
            self.model = next(iter(reversed(self.models)), None)
        self.models_changed.emit()

    def add_model(self, path: Path) -> ModelCard:
        """List the model in `path` first and choose it; raise for an unusable file."""
        path = Path(path)
        card = read_card(path)
        self.models = {path: card, **{p: c for p, c in self.models.items() if p != path}}
        self.choose_model(path)
        return card

    def choose_model(self, path: Path) -> None:
        self.model = path
        self.models_changed.emit()

    @property
    def model_names(self) -> dict[Path, str]:
        """The name of every model, with that of its folder where several are called the same."""
        times = Counter(card.name for card in self.models.values())
        return {
            path: card.name if times[card.name] == 1 else f"{card.name} ({path.parent.name})"
            for path, card in self.models.items()
        }

    @property
    def card(self) -> ModelCard | None:
        """Card of the chosen model."""
        return None if self.model is None else self.models[self.model]

    @property
    def restored_layer(self) -> Any:
        return None if self._restored_layer is None else self._restored_layer()

    @restored_layer.setter
    def restored_layer(self, layer: Any) -> None:
        self._restored_layer = ref(layer)

    # --- the job

    @property
    def is_busy(self) -> bool:
        return self.job is not None and self.job.state.is_active

    @property
    def wait_reason(self) -> str:
        """Reason why no job can be started now; empty if one can."""
        return "Wait for the end of the job, or stop it." if self.is_busy else ""

    def start(self, job: Job) -> None:
        """Start `job`; raise RuntimeError if another one runs."""
        if self.job is not None and self.job.state.is_active:
            msg = f"AEANet is busy {self.job.title}. Wait for the end, or stop it first."
            raise RuntimeError(msg)
        self.job = job
        job.state_changed.connect(self._on_job_state)
        job.start()

    def _on_job_state(self, state: State) -> None:
        self.job_changed.emit()


def is_same(first: ImagePair, second: ImagePair) -> bool:
    """Return True if two pairs have the same images: the same arrays or the same files."""
    sides = ((first.source, second.source), (first.target, second.target))
    return all(
        a.array is b.array or (a.source is not None and (a.source, a.name) == (b.source, b.name))
        for a, b in sides
    )


_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Return the session of a viewer, which is created at the first call."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari passes a proxy to some plugins
    if viewer not in _sessions:
        _sessions[viewer] = Session()
    return _sessions[viewer]
