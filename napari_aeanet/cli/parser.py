"""From words to the command with its options."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, make_dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import DisallowNone, FlagCreatePairsOff, arg

from napari_aeanet.cli.options import changed_files, choice, choices, recorded
from napari_aeanet.core.arguments import check_options

DESCRIPTION = """\
Restore microscopy images: register pairs, train a model, apply it.

napari-aeanet COMMAND --help explains a command; --version prints the version."""


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """Options of every command.

    Parameters
    ----------
    config
        Run file (NAME.run.yaml) with inputs, model and options; those on the command line win.
    quiet
        Print errors only.
    debug
        Show the traceback of an error.
    """

    config: Path | None = None
    quiet: Annotated[FlagCreatePairsOff[bool], arg(aliases=["-q"])] = False
    debug: FlagCreatePairsOff[bool] = False


@dataclass(frozen=True, kw_only=True)
class Call:
    """A command with its options, the common options, and remarks about the run file."""

    command: Any
    common: CommonOptions
    notes: Sequence[str] = ()


def parse(words: Sequence[str], commands: Mapping[str, str]) -> Call:
    """Return the command that is meant.

    Parameters
    ----------
    commands
        "module:Class" of every command.

    Raises
    ------
    SystemExit
        After --help (code 0) and wrong use (2).
    OSError, ValueError
        If a run file cannot be used.
    """
    import tyro

    words = _command_first(words, commands)
    registry = tyro.constructors.ConstructorRegistry()
    registry.primitive_rule(_lower_case_choices)
    options: dict[str, Any] = {"args": words, "registry": registry, "config": (DisallowNone,)}
    if words and words[0] not in commands and not words[0].startswith("-"):
        raise ValueError(f"{words[0]} is no command: choose one of {', '.join(commands)}.")
    if not words or words[0] not in commands:
        known: dict[str, Callable[..., Any]] = {
            name: _call(load(place), brief=True) for name, place in commands.items()
        }
        with _plain_text():
            call = tyro.extras.subcommand_cli_from_dict(
                known, prog="napari-aeanet", description=DESCRIPTION, **options
            )
        return Call(command=call.command, common=call.common)
    name, options["args"] = words[0], words[1:]
    kind = load(commands[name])
    default: Any = None
    record = None
    if (path := _config_of(words)) is not None:
        default, record = recorded(kind, name, path)
    try:
        with _plain_text():
            call = tyro.cli(_call(kind, default), prog=f"napari-aeanet {name}", **options)
    except SystemExit as stop:
        if not stop.code and {"-h", "--help"} & {*words}:
            print(f"Examples:\n\n{examples(kind)}")
        raise
    check_options(call.command)
    if hasattr(call.command, "check_given"):
        call.command.check_given(_given(words, record.options if record is not None else ()))
    notes = changed_files(record) if record is not None else []
    return Call(command=call.command, common=call.common, notes=notes)


@contextmanager
def _plain_text() -> Iterator[None]:
    """Let the parser write no control codes where there is no terminal, or with NO_COLOR."""
    if "NO_COLOR" not in os.environ and sys.stdout.isatty() and sys.stderr.isatty():
        yield
        return
    before = os.environ.get("TERM")
    os.environ["TERM"] = "dumb"  # what the parser looks at
    try:
        yield
    finally:
        if before is None:
            del os.environ["TERM"]
        else:
            os.environ["TERM"] = before


def load(place: str) -> type:
    """Return the class at "module:Class"."""
    module, attribute = place.split(":")
    return getattr(import_module(module), attribute)


def examples(kind: type) -> str:
    """Return the examples in the docstring of a command, a command each line."""
    _, _, found = (inspect.getdoc(kind) or "").partition("Examples\n--------\n")
    return found.strip()


def _command_first(words: Sequence[str], commands: Mapping[str, str]) -> list[str]:
    """Return the words with the command before the options of every command."""
    for place, word in enumerate(words):
        if word in commands:
            return [word, *words[:place], *words[place + 1 :]]
        if word not in ("-q", "--quiet", "--debug"):
            break
    return list(words)


def _given(words: Sequence[str], recorded: Iterable[str]) -> dict[str, str]:
    """Return the words that give options, also those of a run file, by the options' names."""
    found = [f"--{name}" for name in recorded]
    found += [word.partition("=")[0] for word in words if word.startswith("--")]
    return {word[2:].replace("-", "_").removeprefix("no_"): word for word in found}


def _config_of(words: Sequence[str]) -> Path | None:
    """Return the run file among the words."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--config" and (value or following):
            return Path(value if equals else following)
    return None


def _call(kind: type, default: Any = None, *, brief: bool = False) -> type:
    """Return a class that the parser makes options from: those of a command and the common ones.

    With `brief` its description is the first sentence.
    """
    given = field() if default is None else field(default=default)
    call = make_dataclass(
        "Call",
        [
            ("command", Annotated[kind, arg(name="")], given),
            ("common", Annotated[CommonOptions, arg(name="")], field(default=CommonOptions())),
        ],
        frozen=True,
    )
    end = "\n\n" if brief else "Parameters\n"
    call.__doc__ = (inspect.getdoc(kind) or "").partition(end)[0]
    return call


def _lower_case_choices(type_info: Any) -> Any:
    """Offer the members of an enum as whole-image, patches, ...; their values are read as well."""
    from tyro.constructors import PrimitiveConstructorSpec

    kind = type_info.type
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        return None
    members = choices(kind)
    listed = "{" + ",".join(choice(one.name) for one in kind) + "}"

    def member(words: list[str]) -> Enum:
        if choice(words[0]) not in members:
            raise ValueError(f"{words[0]} is not one of {listed}")
        return members[choice(words[0])]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=listed,
        instance_from_str=member,
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [choice(value.name)],
    )
