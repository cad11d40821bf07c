"""Progress of the preparation of a run, as a share of the whole run."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TypeVar

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.training import pace
from napari_aeanet.training.pace import MOST_WHILE_RUNNING
from napari_aeanet.training.settings import TrainEvent

Returned = TypeVar("Returned")


class Preparation:
    """Clock of the preparation.

    Parameters
    ----------
    budget
        Time budget of the run in seconds; 0 where a number of steps decides.
    earlier
        Seconds of earlier sittings.
    is_counted
        True if the preparation is part of the time budget.
    """

    def __init__(self, budget: float, earlier: float = 0.0, *, is_counted: bool = True) -> None:
        self._budget, self._earlier, self._is_counted = budget, earlier, is_counted
        self._began = pace.now()

    @property
    def seconds(self) -> float:
        """Seconds of the run so far."""
        return self._earlier + (pace.now() - self._began if self._is_counted else 0.0)

    def of_whole(self, progress: Progress) -> Progress:
        """Return the progress with the share of the whole run, and the time that is left of it."""
        if not self._budget:
            return replace(progress, share=0.0)
        left = max(0.0, self._budget - self.seconds)
        return replace(
            progress,
            share=min(MOST_WHILE_RUNNING, self.seconds / self._budget),
            seconds_left=left or None,
        )

    def reported(
        self, work: Generator[Progress, None, Returned]
    ) -> Generator[TrainEvent, None, Returned]:
        """Yield an event for every progress, and return what the work returns."""
        while True:
            try:
                progress = next(work)
            except StopIteration as done:
                return done.value
            yield Progressed(self.of_whole(progress))
