"""How far a long job is, in the words that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

# A remaining time from fewer steps or less time than this would jump about.
EARLIEST_STEPS, EARLIEST_SECONDS = 2, 1.0


@dataclass(frozen=True)
class Progress:
    """One line for a job row or a terminal; every event of a long job carries one.

    Parameters
    ----------
    what
        What is being done, as a phrase ("restoring S05").
    done, total
        Steps, tiles or pairs.
    seconds_left
        Remaining time, None while it cannot be told.
    """

    what: str
    done: int
    total: int
    seconds_left: float | None = None

    def line(self, step: str) -> str:
        """For instance "restoring S05: tile 12 of 40, 28 s left"."""
        left = "" if self.seconds_left is None else f", {in_words(self.seconds_left)} left"
        return f"{self.what}: {step} {self.done} of {self.total}{left}"


class EtaEstimator:
    """Tells the remaining time of `total` equal steps; the first step is left out (warming up)."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._first: tuple[int, float] | None = None

    def seconds_left(self, done: int) -> float | None:
        now = monotonic()
        if self._first is None:
            self._first = (done, now)
            return None
        steps, elapsed = done - self._first[0], now - self._first[1]
        if steps < EARLIEST_STEPS or elapsed < EARLIEST_SECONDS:
            return None
        return elapsed / steps * (self._total - done)


def in_words(seconds: float) -> str:
    """A time with the precision that an estimate has: "28 s", "6 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class StepCounter:
    """Counts `total` steps of about equal length."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._pace = EtaEstimator(total)

    def step(self) -> Progress:
        """One more step is done."""
        self._done += 1
        left = self._pace.seconds_left(self._done)
        return Progress(self._what, self._done, self._total, left)

    def skip(self, steps: int) -> None:
        """Steps that were done earlier; they say nothing about the pace."""
        self._done += steps
        self._pace = EtaEstimator(self._total)

    def finish(self) -> Progress:
        """Everything is done."""
        return Progress(self._what, self._total, self._total, 0.0)
