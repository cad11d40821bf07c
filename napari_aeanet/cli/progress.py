"""Progress and notes of a command on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, TextIO, TypeVar, cast

from napari_aeanet.cli.streams import is_quiet, print_error
from napari_aeanet.cluster.settings import ClusterSettings, Connected
from napari_aeanet.core.progress import BAR, Event, HasProgress, Progressed, last_event, show_on

# Output that is not a terminal gets a line for a tenth of the work, and at most one a minute.
LINES_WITHOUT_TERMINAL, SECONDS_BETWEEN_LINES = 10, 60.0

Result = TypeVar("Result")


def shown(events: Iterable[Event], step: str) -> Iterator[Event]:
    """Pass `events` on and show their progress: a bar on a terminal, else a few lines."""
    if is_quiet():
        yield from events
    elif _is_terminal(sys.stderr):
        yield from _with_bar(events, step)
    else:
        yield from _with_lines(events, step)


def result(events: Iterable[HasProgress], step: str, kind: type[Result]) -> Result:
    """Run a job to its end, show its progress, and return its last event, of type `kind`."""
    last = last_event(shown(events, step))
    if not isinstance(last, kind):
        raise RuntimeError(f"the job ended with {type(last).__name__} instead of {kind.__name__}")
    return last


def on_workers(begin: Callable[..., Iterable[Event]], cluster: ClusterSettings) -> Iterable[Event]:
    """Return the events of a job that workers of dask compute, if they are asked for."""
    if not cluster.dask:
        return begin()
    from napari_aeanet.cluster import on_workers_events

    return cast(Iterable[Event], telling(on_workers_events(cast(Any, begin), cluster)))


def telling(events: Iterable[Event]) -> Iterator[Event]:
    """Pass `events` on, and print a note when the workers are there."""
    for event in events:
        if isinstance(event, Connected):
            there = f"{event.workers} workers" if event.workers else "The jobs are in the queue"
            print_note(f"{there} {event.dashboard}".rstrip())
        yield event


def print_note(text: object) -> None:
    """Print a remark on standard error."""
    if not is_quiet():
        print_error(f"note: {text}")


def _is_terminal(stream: TextIO) -> bool:
    """Return True if a line on `stream` can be drawn again."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:
        return False


def _with_bar(events: Iterable[Event], step: str) -> Iterator[Event]:
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread: a bar moves with the events alone
    with tqdm(
        file=sys.stderr, unit=f" {step}", leave=False, dynamic_ncols=True, bar_format=BAR
    ) as bar:
        for event in events:
            show_on(bar, event.progress)
            if isinstance(event, Progressed):
                yield event
                continue
            # The command may print about this event.
            bar.clear()
            yield event
            bar.refresh()


def _with_lines(events: Iterable[Event], step: str) -> Iterator[Event]:
    job, tenth, printed_at = "", -1, -SECONDS_BETWEEN_LINES
    for event in events:
        progress, now = event.progress, monotonic()
        if progress.what != job:
            job, tenth = progress.what, -1
        reached = progress.done * LINES_WITHOUT_TERMINAL // max(1, progress.total)
        if reached > tenth and now - printed_at >= SECONDS_BETWEEN_LINES:
            print_error(progress.line(step))
            tenth, printed_at = reached, now
        yield event
