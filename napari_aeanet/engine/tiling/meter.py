"""Counting the steps of a long job into `Progress`."""

from __future__ import annotations

from napari_aeanet.data.progress import Pace, Progress


class Meter:
    """Counts `total` steps of about equal length."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._pace = Pace(total)

    def step(self) -> Progress:
        """One more step is done."""
        self._done += 1
        left = self._pace.seconds_left(self._done)
        return Progress(self._what, self._done, self._total, left)

    def skip(self, steps: int) -> None:
        """Steps that were done earlier; they say nothing about the pace."""
        self._done += steps
        self._pace = Pace(self._total)

    def finish(self) -> Progress:
        """Everything is done."""
        return Progress(self._what, self._total, self._total, 0.0)
