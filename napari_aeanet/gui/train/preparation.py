"""The check before a training, in the background; no old result stays after a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_aeanet.gui.common.preferences import output_folder
from napari_aeanet.gui.common.session import Decision, Session
from napari_aeanet.gui.train.check_panel import CheckPanel
from napari_aeanet.gui.train.choices import TrainChoices
from napari_aeanet.gui.train.worker import check
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training import TrainSettings

if TYPE_CHECKING:
    from napari_aeanet.training import PreflightReport

# The check begins when nothing has been changed for so long.
CHECK_AFTER_MS = 300
# Settings that the check does not depend on.
UNRELATED = (
    "minutes",
    "learning_rate",
    "loss",
    "seed",
    "average",
    "weight_decay",
    "jitter",
    "patience",
)


@dataclass(frozen=True)
class Question:
    """Pairs and settings that are checked together; equal ones have the same answer."""

    pairs: tuple[ImagePair, ...]
    settings: TrainSettings

    @classmethod
    def about(cls, pairs: tuple[ImagePair, ...], settings: TrainSettings) -> Question:
        defaults = TrainSettings()
        return cls(pairs, replace(settings, **{n: getattr(defaults, n) for n in UNRELATED}))


class BackgroundCheck:
    """Checks the pairs and settings of a dock whenever they change, one check at a time.

    Parameters
    ----------
    parent
        The dock.
    in_background
        Function that calls another one in a thread.
    on_answer
        Called when a result is shown.
    """

    def __init__(
        self,
        parent: QObject,
        session: Session,
        choices: TrainChoices,
        panel: CheckPanel,
        in_background: Callable[..., None],
        on_answer: Callable[[], Any],
    ) -> None:
        self._session, self._choices, self._panel = session, choices, panel
        self._in_background, self._on_answer = in_background, on_answer
        self._asked: Question | None = None  # being checked
        self._answered: Question | None = None
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_AFTER_MS)
        self._timer.timeout.connect(self._begin)

    @property
    def is_running(self) -> bool:
        return self._asked is not None

    def ask(self, is_training: bool) -> None:
        """Drop a result that is not about the present pairs and settings, and check them.

        Parameters
        ----------
        is_training
            True while the panel shows notices of a training.
        """
        question = self._question()
        if question is not None and question == self._answered and not is_training:
            return
        self._answered = None
        if is_training:
            return
        self._panel.show_pending(question is not None)
        if not self._session.usable_pairs:
            self._panel.offer_registration(len(self._unregistered()))
        self.begin_soon()

    def begin_soon(self) -> None:
        """Begin a check if one is missing and nothing else runs."""
        if self._is_missing():
            self._timer.start()

    def _is_missing(self) -> bool:
        is_free = self._asked is None and not self._session.is_busy
        question = self._question() if is_free else None
        return question is not None and question != self._answered

    def _question(self) -> Question | None:
        """Return what is to be checked; None if there is nothing that could be."""
        usable = self._session.usable_pairs
        if not usable or self._choices.wrong or self._choices.lacks_region:
            return None
        return Question.about(usable, self._choices.settings())

    def _begin(self) -> None:
        question = self._question()
        if question is None or not self._is_missing():
            return
        self._asked = question
        settings, show = self._choices.settings(), partial(self._show, question)
        self._in_background(
            "checking the pairs", check, question.pairs, settings, output_folder(), then=show
        )

    def _show(self, question: Question, found: PreflightReport | str) -> None:
        self._asked = None
        if question == self._question() and not self._session.is_busy:
            self._answered = question
            if isinstance(found, str):
                self._panel.show_failure(found)
            else:
                self._panel.show_report(found)
                self._choices.show_planned(found)
        self._on_answer()  # begins the next check, if something has been changed since

    def _unregistered(self) -> list[ImagePair]:
        entries = [e for e in self._session.pairs if e.decision is not Decision.REJECTED]
        return [entry.pair for entry in entries if entry.pair.registration is None]
