"""Stop a command by SIGTERM as by Ctrl+C: what is finished is kept, and said."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM)."""


@contextmanager
def on_sigterm() -> Iterator[None]:
    """Raise `Terminated` in the block when the process is asked to end."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # only there are signals handled
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) == stop:  # unless it is ignored from now on
            signal.signal(signal.SIGTERM, before)


def in_words(stop: KeyboardInterrupt) -> tuple[str, int]:
    """Return the sentence for the user, with what is kept if the command told, and the code."""
    code = TERMINATED if isinstance(stop, Terminated) else STOPPED
    return str(stop) or "stopped.", code
