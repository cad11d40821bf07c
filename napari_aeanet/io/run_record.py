"""Run files, NAME.run.yaml beside each result: how it was made, in a form that can be run again.

A run file may also be written by hand; everything but the options that are wanted may be left out.
Paths in it are relative to its folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

import napari_aeanet
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.schema import from_plain, to_plain
from napari_aeanet.core.words import shortened

MARKER, VERSION = "napari-aeanet run", 1
ENDING = ".run.yaml"
PACKAGE = Path(napari_aeanet.__file__).resolve().parent
LARGEST, DEEPEST = 2**20, 50  # bytes of a YAML file, and brackets within brackets
# Fields of a record that hold files.
FILES = ("inputs", "models", "results")
HEAD = """\
# Origin of {result}. To make it again:
#   napari-aeanet {command} --config {name}
"""


@dataclass(frozen=True, kw_only=True)
class UsedFile:
    """A file (or OME-Zarr folder) and a digest of its content."""

    path: Path
    sha256: str = ""

    @classmethod
    def of(cls, path: str | Path) -> UsedFile:
        """Return the file at `path` with its digest; without one if there is none (a glob)."""
        path = Path(path)
        return cls(path=path, sha256=content_digest(path) if path.exists() else "")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """Origin of a result.

    Parameters
    ----------
    command
        Name of the command: "restore".
    inputs, models
        The files it was made from, and the models.
    results
        The files that were written.
    options
        All other options by their names on the command line ("patch-size"), as plain values or
        paths.
    notes
        Remarks of the program.
    versions
        Versions of this program and its libraries.
    """

    command: str = ""
    inputs: tuple[UsedFile, ...] = ()
    models: tuple[UsedFile, ...] = ()
    results: tuple[UsedFile, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def is_same_work(self, other: RunRecord, neutral: Collection[str] = ()) -> bool:
        """Return True if both make the same result: same command, contents and options.

        Names and places of files do not matter, nor do the options in `neutral`.
        """
        paths = {name for record in (self, other) for name in record._path_options()}
        without = {*neutral, *paths}
        return self._work(without) == other._work(without)

    def _path_options(self) -> list[str]:
        return [name for name, value in self.options.items() if _paths_in(value)]

    def _work(self, without: Collection[str]) -> tuple[Any, ...]:
        options = {name: value for name, value in self.options.items() if name not in without}
        contents = [[file.sha256 for file in group] for group in (self.inputs, self.models)]
        return self.command, contents, to_plain(options)

    def are_results_unchanged(self) -> bool:
        """Return True if all results are where they were written, with the same content."""
        return all(
            file.path.exists() and content_digest(file.path) == file.sha256 for file in self.results
        )


def program_versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {name: version(name) for name in ("napari-aeanet", "numpy", "torch")}


def run_file(result: Path, name: str) -> Path:
    """Return the run file of a result called `name` without its ending."""
    return result.with_name(f"{name}{ENDING}")


def write_record(record: RunRecord, path: Path) -> None:
    """Write a run file atomically; paths become relative to its folder where possible."""
    values = to_plain(_with_paths(record, lambda file: _relative(file, path.parent)))
    options = {name: _relative_option(value, path.parent) for name, value in record.options.items()}
    values["options"] = to_plain(options)
    filled = {key: value for key, value in values.items() if value}
    text = yaml.safe_dump(
        {"format": MARKER, "version": VERSION} | filled, sort_keys=False, allow_unicode=True
    )
    results = ", ".join(file.path.name for file in record.results) or "this"
    head = HEAD.format(result=results, command=record.command, name=path.name)
    write_bytes_atomically(path, (head + text).encode())


def read_record(path: Path) -> RunRecord:
    """Read a run file. Paths of files are resolved; options are returned as they are written.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no run file, has keys that are unknown, or is of a newer version.
    """
    values = read_yaml(path, "a run file")
    if not isinstance(values, dict) or values.pop("format", MARKER) != MARKER:
        raise ValueError(f"{path} is not a run file: choose a file NAME{ENDING}.")
    found = values.pop("version", VERSION)
    if found != VERSION:
        version = shortened(found)
        msg = f"{path} is a run file of version {version}, this program reads {VERSION}."
        raise ValueError(msg)
    refuse_unknown_keys(values, [f.name for f in fields(RunRecord)], f"{path}")
    record = from_plain(RunRecord, {k: v for k, v in values.items() if v is not None}, f"{path}")
    for group in FILES:
        for file in values.get(group) or ():
            refuse_unknown_keys(file, [f.name for f in fields(UsedFile)], f"{path}: {group}")
    return _with_paths(record, lambda file: path.parent / file)


def read_yaml(path: Path, kind: str) -> Any:
    """Return what a YAML file of some kind ("a run file") holds.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not YAML, or would take minutes to parse.
    """
    try:
        return yaml.safe_load(_text_of(path))
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror or error}): check the path."
        raise type(error)(msg) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise ValueError(f"{path} is not {kind}: it is not YAML{line}.") from error


def _text_of(path: Path) -> str:
    """Return the text of a YAML file; refuse one that would take minutes to parse."""
    with path.open("rb") as file:
        text = file.read(LARGEST + 1).decode()
    steps = (1 if letter in "[{" else -1 for letter in text if letter in "[]{}")
    if len(text) > LARGEST or max(accumulate(steps), default=0) > DEEPEST:
        raise ValueError
    return text


def refuse_unknown_keys(values: Any, known: Iterable[str], where: str) -> None:
    """Raise ValueError if `values` is a mapping with keys other than the known ones."""
    unknown = [str(key) for key in values if key not in known] if isinstance(values, dict) else []
    if unknown:
        listed = ", ".join(known)
        raise ValueError(f"{where}: unknown {', '.join(unknown)[:100]}; known are {listed}.")


def content_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file; of a folder, of the names and contents of all files in it."""
    path = Path(path)
    if path.is_file():
        status = path.stat()
        return _file_digest(path.resolve(), status.st_size, status.st_mtime_ns)
    found = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        found.update(f"{file.relative_to(path).as_posix()}\0{content_digest(file)}\n".encode())
    return found.hexdigest()


# The model of a batch is one file for many results.
@lru_cache(maxsize=64)
def _file_digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _with_paths(record: RunRecord, change: Any) -> RunRecord:
    groups: dict[str, Any] = {
        name: tuple(replace(file, path=Path(change(file.path))) for file in getattr(record, name))
        for name in FILES
    }
    return replace(record, **groups)


def _paths_in(value: Any) -> bool:
    values = value if isinstance(value, list | tuple) else [value]
    return any(isinstance(one, Path) for one in values)


def _relative_option(value: Any, folder: Path) -> Any:
    """Return paths, alone or in a list, relative to `folder`; other values unchanged."""
    if isinstance(value, Path):
        return _relative(value, folder)
    if isinstance(value, list | tuple):
        return [_relative_option(one, folder) for one in value]
    return value


def _relative(path: Path, folder: Path) -> str:
    if PACKAGE in path.resolve().parents:  # the built-in model: known by its name anywhere
        return path.name
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.resolve().as_posix()
