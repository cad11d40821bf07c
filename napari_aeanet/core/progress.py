"""Progress of long jobs: steps done, remaining time, and their text."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar, cast

# Estimates from fewer steps or a shorter time would jump.
EARLIEST_STEPS, EARLIEST_SECONDS = 2, 1.0
# Appearance of a bar of tqdm: the time left is ours, the rate is measured by tqdm.
BAR = "{desc}{percentage:3.0f}%|{bar}|{unit} {n_fmt} of {total_fmt}, {rate_fmt}{postfix}"
# The same for a job in several phases: the bar is that of the whole job, the steps are a phase's.
BAR_OF_PHASES = "{desc}{percentage:3.0f}%|{bar}| "


@dataclass(frozen=True)
class Progress:
    """State of a long job, carried by each of its events.

    Parameters
    ----------
    what
        The task as a phrase ("restoring S05").
    done, total
        Steps, tiles or pairs.
    seconds_left
        Remaining time; None while it cannot be estimated.
    share
        Share of the whole job that is done, of a job in several phases with steps of their own.
    unit
        Name of a step of this phase ("pair"), where it is not that of the job.
    """

    what: str
    done: int
    total: int
    seconds_left: float | None = None
    share: float | None = None
    unit: str = ""

    @property
    def fraction(self) -> float:
        """Share of the whole job that is done, from 0 to 1."""
        return self.done / max(1, self.total) if self.share is None else self.share

    def line(self, step: str) -> str:
        """Return for instance "restoring S05: tile 12 of 40, 28 s left"."""
        left = "" if self.seconds_left is None else f", {in_words(self.seconds_left)} left"
        return f"{self.what}: {self.unit or step} {self.done} of {self.total}{left}"


@dataclass(frozen=True)
class Progressed:
    """Event of a long job with nothing but its progress."""

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


def result_of(
    kind: type[Returned], events: Iterable[HasProgress], progress: ProgressOption = False
) -> Returned:
    """Run a job to its end and return its last event, the result, which is of this kind."""
    found = last_event(events, progress)
    assert isinstance(found, kind)
    return found


def returned(generator: Generator[Yielded, None, Returned]) -> Returned:
    """Run a generator to its end and return its return value."""
    while True:
        try:
            next(generator)
        except StopIteration as finished:
            return finished.value


def with_share(event: Event, start: float, end: float) -> Event:
    """Return an event of a part of a job, from `start` to `end`, with its share of the whole."""
    share = start + (end - start) * event.progress.fraction
    changed = replace(event.progress, share=share)
    return cast(Event, replace(cast(Any, event), progress=changed))


def scaled(
    events: Generator[Event, None, Returned], start: float, end: float
) -> Generator[Event, None, Returned]:
    """Pass events on with their share of the whole job; return what the generator returns."""
    with closing(events):
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                return finished.value
            yield with_share(event, start, end)


@contextmanager
def _reporter(progress: ProgressOption) -> Iterator[Callable[[Progress], None]]:
    """Yield the function to call with every progress."""
    if not isinstance(progress, bool) and not callable(progress):
        kind = type(progress).__name__
        raise TypeError(f"progress must be True, False or a function, got {kind}.")
    if progress is not True:
        yield progress or (lambda _: None)
        return
    from tqdm.auto import tqdm

    with tqdm(unit=" step", bar_format=BAR) as bar:
        yield partial(show_on, bar)


def show_on(bar: Any, progress: Progress) -> None:
    """Show a progress on a bar of tqdm made with `bar_format=BAR`."""
    is_new = bar.desc != f"{progress.what}: "
    if is_new and progress.share is None:  # the rate is that of this task
        bar.reset(progress.total)
    left = "" if progress.seconds_left is None else f"{in_words(progress.seconds_left)} left"
    bar.set_description(progress.what, refresh=False)
    if progress.share is None:
        bar.set_postfix_str(left, refresh=False)
        bar.total = progress.total
        bar.update(progress.done - bar.n)
        return
    step = f"{progress.unit or bar.unit.strip()} {progress.done} of {progress.total}"
    parts = [step if progress.total else "", left]
    bar.bar_format = BAR_OF_PHASES + ", ".join(filter(None, parts))
    bar.total = 1.0
    bar.update(progress.share - bar.n)
    if is_new:
        bar.refresh()


class EtaEstimator:
    """Estimator of the remaining time of `total` equal steps, without the slower first one."""

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
    """Return a time in the precision of an estimate: "28 s", "6 min", "1 h 20 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class StepCounter:
    """Counter of `total` steps of about equal duration; `unit` is the name of a step."""

    def __init__(self, what: str, total: int, unit: str = "") -> None:
        self._what, self._total, self._unit, self._done = what, total, unit, 0
        self._left: float | None = None
        self._eta = EtaEstimator(total)

    def begin(self) -> Progress:
        """Return the progress before the first step."""
        return Progress(self._what, self._done, self._total, unit=self._unit)

    def step(self) -> Progress:
        """Count one more step and return the progress."""
        self._done += 1
        self._left = self._eta.seconds_left(self._done)
        return self.unchanged()

    def unchanged(self) -> Progress:
        """Return the progress as it was, for a job that waits."""
        return Progress(self._what, self._done, self._total, self._left, unit=self._unit)

    def skip(self, steps: int) -> None:
        """Count steps done earlier, which do not enter the estimate of the remaining time."""
        self._done += steps
        self._left = None
        self._eta = EtaEstimator(self._total)

    def finish(self) -> Progress:
        """Return the progress of the finished job."""
        return Progress(self._what, self._total, self._total, 0.0, unit=self._unit)
