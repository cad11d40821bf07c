"""Standard output and error: what goes where, on any terminal."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import Any, TextIO

# In the place of characters that a terminal cannot show.
SPELLED = str.maketrans(
    "µ×−–—…→·²³°±Å│─╭╮╰╯",
    "ux---.>.23 +A|-++++",
)

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_data: ContextVar[TextIO | None] = ContextVar("data", default=None)


def prepare() -> None:
    """Make standard output and error usable: open, and never failing on a character."""
    codecs.register_error("napari-aeanet", _spelled)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller (`2>&-`)
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="napari-aeanet")


@contextmanager
def text_to(stream: TextIO, *, quiet: bool = False) -> Iterator[None]:
    """Send what commands print to `stream`; `data_out` stays standard output.

    Parameters
    ----------
    quiet
        Show no notes and no progress either.
    """
    data = _data.set(sys.stdout)
    silent = _quiet.set(quiet)
    try:
        with redirect_stdout(stream):
            yield
    finally:
        _data.reset(data)
        _quiet.reset(silent)


def is_quiet() -> bool:
    """Return True if only errors are wanted."""
    return _quiet.get()


def data_out() -> TextIO:
    """Return the stream for results that were asked for on standard output."""
    return _data.get() or sys.stdout


def print_json(values: Any) -> None:
    """Print plain values as JSON on standard output; what is not a number becomes null."""
    text = json.dumps(_without_nan(values), indent=1, ensure_ascii=False, default=str)
    print(text, file=data_out(), flush=True)


def print_error(text: object) -> None:
    """Print a line on standard error, if anyone reads it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # a full disk, a closed pipe or terminal
        return


def _without_nan(values: Any) -> Any:
    """Return the values with None for NaN and infinity, which JSON cannot hold."""
    if isinstance(values, float):
        return values if abs(values) < float("inf") else None
    if isinstance(values, dict):
        return {key: _without_nan(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_without_nan(value) for value in values]
    return values


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what to write instead of characters that the encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        # A byte of a file name that is not in the encoding of the system: as it is.
        return bytes([ord(letter) - 0xDC00]), error.start + 1
    plain = letter.translate(SPELLED)
    return plain if plain.isascii() else "?", error.start + 1
