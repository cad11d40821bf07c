"""Progress of a command: a bar on a terminal, a few lines elsewhere."""

import io
import os
from contextlib import redirect_stderr
from dataclasses import dataclass

import pytest

from napari_aeanet.cli import progress as display
from napari_aeanet.cli import streams
from napari_aeanet.core.progress import Progress, Progressed


@dataclass(frozen=True)
class Measured:
    """An event about which the command prints."""

    progress: Progress


def events(total=40, what="restoring S05 µ"):
    for done in range(1, total + 1):
        kind = Measured if done == total // 2 else Progressed
        yield kind(Progress(what, done, total, seconds_left=float(total - done)))


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True

    def fileno(self):
        return 2


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((90, 24)))
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def shown_on(stream, many):
    with redirect_stderr(stream):
        yield from display.shown(many, "tile")


@pytest.fixture
def clock(monkeypatch):
    """Seconds, which pass by hand."""
    now = [0.0]
    monkeypatch.setattr(display, "monotonic", lambda: now[0])
    return now


def test_a_bar_shows_steps_rate_and_time_left(terminal):
    assert len(list(shown_on(terminal, events()))) == 40
    text = terminal.getvalue()
    assert "restoring S05 µ:  50%|" in text
    assert "tile 20 of 40, " in text
    assert "tile/s, 20 s left" in text
    assert "\x1b" not in text  # no codes: \r alone


def test_the_line_is_free_for_what_a_command_prints_about_an_event(terminal):
    for event in shown_on(terminal, events()):
        if isinstance(event, Measured):
            printed_after = terminal.getvalue()
    assert printed_after.endswith("\r")
    assert printed_after.rstrip("\r").endswith("  ")


def test_the_bar_is_gone_at_the_end(terminal):
    list(shown_on(terminal, events()))
    assert terminal.getvalue().endswith("\r")


@pytest.mark.parametrize("kind", ["dumb", "file"])
def test_elsewhere_are_lines_a_tenth_each(kind, terminal, clock, monkeypatch):
    monkeypatch.setenv("TERM", "dumb" if kind == "dumb" else "xterm")
    monkeypatch.setattr(terminal, "isatty", lambda: kind == "dumb")
    for _ in shown_on(terminal, events(400)):
        clock[0] += 60
    lines = terminal.getvalue().splitlines()
    assert lines[0] == "restoring S05 µ: tile 1 of 400, 7 min left"
    assert len(lines) == 11
    assert "\r" not in terminal.getvalue()


def test_short_work_gives_one_line_however_many_images(terminal, clock, monkeypatch):
    monkeypatch.setattr(terminal, "isatty", lambda: False)
    many = (event for number in range(60) for event in events(40, f"restoring S{number}"))
    for _ in shown_on(terminal, many):
        clock[0] += 0.01
    assert len(terminal.getvalue().splitlines()) == 1


def test_quiet_shows_nothing(terminal):
    with redirect_stderr(terminal), streams.text_to(io.StringIO(), quiet=True):
        assert len(list(display.shown(events(), "tile"))) == 40
        display.print_note("a remark")
    assert terminal.getvalue() == ""


def test_a_reader_that_is_gone_does_not_stop_the_work():
    class Broken(Terminal):
        def isatty(self):
            return False

        def write(self, text):
            raise BrokenPipeError

    assert len(list(shown_on(Broken(), events()))) == 40
