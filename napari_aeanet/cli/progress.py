"""Progress and notes of a command on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from napari_aeanet.core.progress import Event, HasProgress, last_event

# Output that is not a terminal gets one line for every tenth of the work.
LINES_WITHOUT_TERMINAL = 10

Result = TypeVar("Result")


def shown(events: Iterable[Event], step: str) -> Iterator[Event]:
    """Pass `events` on and show their progress on standard error."""
    live = sys.stderr.isatty()
    printed = -1
    for event in events:
        progress = event.progress
        if live:
            print(f"\r\x1b[2K{progress.line(step)}", end="", file=sys.stderr, flush=True)
        else:
            tenth = progress.done * LINES_WITHOUT_TERMINAL // max(1, progress.total)
            if tenth > printed:
                print(progress.line(step), file=sys.stderr, flush=True)
                printed = tenth
        yield event
    if live:
        print("\r\x1b[2K", end="", file=sys.stderr)


def result(events: Iterable[HasProgress], step: str, kind: type[Result]) -> Result:
    """Run a job to its end, show its progress, and return its last event, of type `kind`."""
    last = last_event(shown(events, step))
    if not isinstance(last, kind):
        raise RuntimeError(f"the job ended with {type(last).__name__} instead of {kind.__name__}")
    return last


def print_note(text: object) -> None:
    """Print a remark on standard error."""
    print(f"note: {text}", file=sys.stderr)
