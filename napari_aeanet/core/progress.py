"""How far a long job is, in the words that are shown."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Protocol, TypeVar

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


@dataclass(frozen=True)
class Progressed:
    """Event of a long job that has nothing to show but its progress."""

    progress: Progress


class HasProgress(Protocol):
    """Any event of a long job."""

    @property
    def progress(self) -> Progress: ...


Event = TypeVar("Event", bound=HasProgress)
Yielded = TypeVar("Yielded")
Returned = TypeVar("Returned")
# Called with every progress of a blocking function; True draws a bar in the terminal (tqdm).
ProgressOption = Callable[[Progress], None] | bool


def last_event(events: Iterable[Event], progress: ProgressOption = False) -> Event:
    """Run a job to its end, report its progress, and return its last event, the result."""
    last: Event | None = None
    with _reporter(progress) as report:
        for last in events:
            report(last.progress)
    if last is None:
        raise RuntimeError("the job ended without a result.")
    return last


def returned(generator: Generator[Yielded, None, Returned]) -> Returned:
    """Run a generator to its end and return its return value."""
    while True:
        try:
            next(generator)
        except StopIteration as finished:
            return finished.value


@contextmanager
def _reporter(progress: ProgressOption) -> Iterator[Callable[[Progress], None]]:
    """Yield the function to call with every progress."""
    if progress is not True:
        yield progress or (lambda _: None)
        return
    from tqdm.auto import tqdm

    with tqdm() as bar:

        def show(now: Progress) -> None:
            bar.set_description(now.what, refresh=False)
            bar.total, bar.n = now.total, now.done
            bar.refresh()

        yield show


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
