"""Recognise results: of which work, and complete or not.

A run file beside each result tells how it was made. It is written before the work with results of
unknown content, and again after it with their digests: so a result that an interrupted run left
behind is never counted as complete, and may be replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Any

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.schema import to_plain
from napari_aeanet.io import (
    RunRecord,
    UsedFile,
    program_versions,
    read_record,
    run_file,
    stem,
    write_record,
)

# Ends of the names of results, before the ending of the format.
RESULTS = (
    "-restored",
    "-restored-height",
    "-relevance",
    "-change",
    "-attention",
    "-structures",
    "-trust",
)


class FoundFiles(Enum):
    """State of the files of a result before the work."""

    NOTHING = "nothing"
    COMPLETE = "complete"  # made by the same work
    UNFINISHED = "unfinished"  # begun by the same work, which was interrupted
    OTHER = "other"


def is_result(path: Path) -> bool:
    """Return True if a file was made by this program, by its name or the run file beside it."""
    name = stem(path)
    return name.endswith(RESULTS) or record_of(path) is not None


def record_of(result: Path) -> RunRecord | None:
    """Return the record of a result; None if there is none."""
    record = _read(record_path(result))
    return record if record is not None and _mentions(record, result) else None


def record_path(result: Path) -> Path:
    """Return the run file of a result: NAME.run.yaml, unless that is of another file."""
    path = run_file(result, stem(result))
    if not path.exists():
        return path
    record = _read(path)
    if record is not None and _mentions(record, result):
        return path
    return run_file(result, result.name)


def new_record(command: str, model: Path, options: Any) -> RunRecord:
    """Return the record of a command with a model file and a dataclass of options."""
    return RunRecord(
        command=command,
        models=(UsedFile.of(model),),
        options=option_values(options),
        versions=program_versions(),
    )


def option_values(options: Any) -> dict[str, Any]:
    """Return a dataclass of options by their names on the command line."""
    return {f.name.replace("_", "-"): getattr(options, f.name) for f in fields(options)}


def look_at(
    outputs: Sequence[Path],
    record: RunRecord,
    neutral: Collection[str],
    defaults: Mapping[str, Any] | None = None,
) -> tuple[FoundFiles, str]:
    """Return the state of the files of a result, and for `Found.OTHER` the reason in words.

    Parameters
    ----------
    outputs
        All files of the result, the main one first.
    record
        The work that is wanted.
    neutral
        Options that do not change the result.
    defaults
        Values of options that a record, of an earlier version, does not have.
    """
    present = [path for path in outputs if path.exists()]
    if not present:
        return FoundFiles.NOTHING, ""
    stored = record_of(outputs[0])
    if stored is None:
        return FoundFiles.OTHER, "and there is no record of how it was made"
    stored = replace(stored, options={**(defaults or {}), **stored.options})
    if not stored.is_same_work(record, neutral):
        return FoundFiles.OTHER, f"made {_difference(stored, record, neutral)}"
    if any(not file.sha256 for file in stored.results) or len(present) < len(outputs):
        return FoundFiles.UNFINISHED, ""
    if not stored.are_results_unchanged():
        return FoundFiles.OTHER, "and was changed after it was made"
    return FoundFiles.COMPLETE, ""


@contextmanager
def recording(outputs: Sequence[Path], record: RunRecord) -> Iterator[list[str]]:
    """Keep a record of the work in the block, which writes `outputs`.

    The block may add remarks to the list. If it raises before anything is written, the record
    that was there before is restored.
    """
    path = record_path(outputs[0])
    before = path.read_bytes() if path.exists() else None
    kept = {output: _state(output) for output in outputs}
    write_record(replace(record, results=tuple(UsedFile(path=o) for o in outputs)), path)
    notes: list[str] = []
    try:
        yield notes
    except BaseException:
        if all(_state(output) == state for output, state in kept.items()):
            if before is None:
                path.unlink(missing_ok=True)
            else:
                write_bytes_atomically(path, before)
        raise
    results = tuple(UsedFile.of(output) for output in outputs)
    write_record(replace(record, results=results, notes=tuple(notes)), path)


def _state(path: Path) -> tuple[int, int] | None:
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _read(path: Path) -> RunRecord | None:
    try:
        return read_record(path)
    except (OSError, ValueError):  # no such file, or another one of this name
        return None


def _mentions(record: RunRecord, result: Path) -> bool:
    return any(file.path.name == result.name for file in record.results)


def _difference(stored: RunRecord, wanted: RunRecord, neutral: Collection[str]) -> str:
    """Return what differs between two records, in words."""
    if stored.command != wanted.command:
        return f"by another command ({stored.command})"
    if [file.sha256 for file in stored.inputs] != [file.sha256 for file in wanted.inputs]:
        return "from another image, or before the image was changed"
    if [file.sha256 for file in stored.models] != [file.sha256 for file in wanted.models]:
        return "with another model"
    ours, theirs = to_plain(dict(wanted.options)), to_plain(dict(stored.options))
    places = {name for name, value in wanted.options.items() if isinstance(value, Path)}
    names = sorted(
        name
        for name in (ours.keys() | theirs.keys()) - {*neutral, *places}
        if ours.get(name) != theirs.get(name)
    )
    return f"with other settings ({', '.join(names)})"
