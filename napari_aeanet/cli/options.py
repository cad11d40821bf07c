"""Options of a command: as plain values for a run file, and from one (--config)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from napari_aeanet.core.schema import from_plain
from napari_aeanet.io import (
    RunRecord,
    UsedFile,
    program_versions,
    read_record,
    refuse_unknown_keys,
    run_file,
    stem,
    write_record,
)
from napari_aeanet.models import find_model

# Fields of commands that a run file holds outside of the options, with digests.
FILE_FIELDS = {"inputs": "inputs", "model": "models"}

Command = TypeVar("Command")


def choice(text: str) -> str:
    """Return a member of an enum as it is written on the command line: "whole-image"."""
    return text.lower().replace("_", "-").replace(" ", "-")


def choices(kind: type[Enum]) -> dict[str, Enum]:
    """Return the members of an enum by all spellings that are read: their names and values."""
    members = kind.__members__.items()
    return {choice(text): one for name, one in members for text in (str(one.value), name)}


def plain_options(command: object) -> dict[str, Any]:
    """Return all options of a command but its inputs and models, by their names."""
    found: dict[str, Any] = {}
    for field in fields(command):  # type: ignore[arg-type]
        value = getattr(command, field.name)
        if is_dataclass(value):
            found |= plain_options(value)
        elif field.name not in FILE_FIELDS:
            found[_option(field)] = value
    return found


def save_run_file(
    name: str,
    command: object,
    results: Sequence[Path],
    *,
    inputs: Sequence[Path] = (),
    models: Sequence[Path] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write how results were made beside the first one: by command `name` with its options."""
    record = RunRecord(
        command=name,
        inputs=tuple(map(UsedFile.of, inputs)),
        models=tuple(UsedFile.of(find_model(model)) for model in models),
        results=tuple(map(UsedFile.of, results)),
        options=plain_options(command),
        notes=tuple(notes),
        versions=program_versions(),
    )
    write_record(record, run_file(results[0], stem(results[0])))


def update_results(result: Path) -> None:
    """Store the present content of `result` in its run file, if it has one."""
    path = run_file(result, stem(result))
    if path.exists() and result.exists():
        record = read_record(path)
        write_record(replace(record, results=(UsedFile.of(result),)), path)


def recorded(kind: type[Command], name: str, path: Path) -> tuple[Command, RunRecord]:
    """Return the command that a run file describes, and its record.

    Required options that it does not mention are `tyro.MISSING`.

    Raises
    ------
    OSError, ValueError
        If it is no run file of this command, or has options that are unknown or do not fit.
    """
    record = read_record(path)
    if record.command not in ("", name):
        msg = (
            f"{path} tells how to {record.command[:20]}: call napari-aeanet {record.command[:20]} "
            f"--config {path}."
        )
        raise ValueError(msg)
    options = {str(key).replace("_", "-"): value for key, value in record.options.items()}
    refuse_unknown_keys(options, sorted(_option_names(kind)), f"{path}: options")
    try:
        return _filled(kind, options, record, path), record
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from error


def changed_files(record: RunRecord) -> list[str]:
    """Return a sentence for every input and model that is not the one that was recorded."""
    return [
        f"{file.path} was changed since: the result will be another one."
        for file in (*record.inputs, *record.models)
        if file.sha256 and file.path.exists() and UsedFile.of(file.path) != file
    ]


def _option(field: Field[Any]) -> str:
    return field.name.replace("_", "-")


def _option_names(kind: Any) -> list[str]:
    hints = get_type_hints(kind)
    found = []
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            found += _option_names(hints[field.name])
        elif field.name not in FILE_FIELDS:
            found.append(_option(field))
    return found


def _filled(kind: Any, options: Mapping[str, Any], record: RunRecord, path: Path) -> Any:
    """Return the dataclass `kind` with its values in the run file, and its defaults."""
    import tyro

    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in fields(kind):
        hint, name = hints[field.name], _option(field)
        files = getattr(record, FILE_FIELDS.get(field.name, ""), ())
        if is_dataclass(hint):
            values[field.name] = _filled(hint, options, record, path)
        elif files:
            paths = tuple(file.path for file in files)
            values[field.name] = paths if get_origin(hint) is tuple else paths[0]
        elif name in options:
            values[field.name] = _value(hint, options[name], f"{path}: {name}", path.parent)
        elif field.default is MISSING and field.default_factory is MISSING:
            values[field.name] = tyro.MISSING
    return kind(**values)


def _value(hint: Any, plain: Any, where: str, folder: Path) -> Any:
    """Return the value of an option; paths are relative to `folder`."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        known = choices(hint)
        if choice(str(plain)) not in known:
            listed = ", ".join(choice(one.name) for one in hint)
            given = " ".join(str(plain).split())[:40]
            raise ValueError(f"{where}: {given} is not one of {listed}.")
        return known[choice(str(plain))]
    if hint is str and isinstance(plain, int | float):  # context: 512
        plain = str(plain)
    return _placed(from_plain(hint, plain, where), folder)


def _placed(value: Any, folder: Path) -> Any:
    """Return paths, alone or in a tuple, below `folder`; other values unchanged."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_placed(one, folder) for one in value)
    return value
