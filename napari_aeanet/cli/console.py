"""What the commands share: progress on the terminal, and finding pairs from their arguments."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from napari_aeanet.core.progress import Event, HasProgress
from napari_aeanet.pairs import (
    PairList,
    load_pairs,
    pairs_from_csv,
    pairs_from_folders,
    pairs_from_npz,
    pairs_from_stacks,
)

# Where there is no terminal to redraw, one line for every tenth of the work is enough.
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
    """Show the progress of a job to its end; the event of `kind`, which it ends with."""
    *_, last = shown(events, step)
    if not isinstance(last, kind):
        raise RuntimeError(f"the job ended with {type(last).__name__} instead of {kind.__name__}")
    return last


def collect_pairs(inputs: tuple[Path, ...]) -> PairList:
    """Pairs from a pair list, a CSV or an NPZ file, or from two folders or two image files."""
    if len(inputs) == 1:
        readers = {".json": load_pairs, ".csv": pairs_from_csv, ".npz": pairs_from_npz}
        if inputs[0].suffix.lower() in readers:
            return readers[inputs[0].suffix.lower()](inputs[0])
    elif len(inputs) == 2:
        if all(path.is_dir() and path.suffix != ".zarr" for path in inputs):
            return pairs_from_folders(*inputs)
        return pairs_from_stacks(*inputs)
    raise ValueError(
        "pairs are given as a pair list (.json), a table (.csv), an .npz file, two folders, or two "
        f"image files: got {', '.join(map(str, inputs)) or 'nothing'}."
    )


def report_pairs(pairs: PairList) -> None:
    """Say what could not be paired; refuse to go on with nothing."""
    for problem in (*pairs.unmatched, *pairs.problems):
        print(f"note: {problem}", file=sys.stderr)
    if not pairs.pairs:
        raise ValueError("no pairs were found.")
