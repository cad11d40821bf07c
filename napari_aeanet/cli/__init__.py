"""The command line: one documented dataclass with `run()` per subcommand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from importlib import import_module
from typing import Any

__all__ = ["COMMANDS", "main"]

# Only the class of the called command is imported, so that `napari-aeanet info` stays quick.
COMMANDS = {
    "info": "napari_aeanet.cli.info:Info",
    "register": "napari_aeanet.cli.register:Register",
    "train": "napari_aeanet.cli.train:Train",
    "restore": "napari_aeanet.cli.restore:Restore",
    "relevance": "napari_aeanet.cli.relevance:Relevance",
    "trust": "napari_aeanet.cli.trust:Trust",
    "evaluate": "napari_aeanet.cli.evaluate:Evaluate",
    "reproduce": "napari_aeanet.cli.reproduce:Reproduce",
    "presets": "napari_aeanet.cli.presets:Presets",
    "import-published": "napari_aeanet.cli.published:ImportPublished",
    "samples": "napari_aeanet.cli.samples:Samples",
    "demo": "napari_aeanet.cli.demo:Demo",
}

DONE, FAILED, WRONG_USE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code.

    0: done; 1: failed; 2: wrong use or unusable input. Errors are one sentence on standard error;
    `--debug` shows the traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _parse(words).run() or DONE
    except SystemExit as stop:  # from the parser: 0 after --help, 2 after wrong use
        return int(stop.code or 0)
    except BrokenPipeError:  # the reader is gone (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:  # the last handler before the user
        if debug:
            raise
        text, code = _message(error)
        print(f"napari-aeanet: {text}", file=sys.stderr)
        return code


def _parse(words: list[str]) -> Any:
    import tyro

    registry = tyro.constructors.ConstructorRegistry()
    registry.primitive_rule(_lower_case_choices)
    wanted = words[0] if words and words[0] in COMMANDS else None
    if wanted:
        prog = f"napari-aeanet {wanted}"
        return tyro.cli(_load(wanted), prog=prog, args=words[1:], registry=registry)
    commands: dict[str, Callable[..., Any]] = {name: _load(name) for name in COMMANDS}
    return tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="napari-aeanet",
        description="Restore microscopy images: register pairs, train a model, apply it. "
        "--debug shows the traceback of an error.",
        args=words,
        registry=registry,
    )


def _lower_case_choices(type_info: Any) -> Any:
    """Offer the members of an enum as whole-image, patches, ...; their values are read as well."""
    from tyro.constructors import PrimitiveConstructorSpec

    kind = type_info.type
    if not (isinstance(kind, type) and issubclass(kind, Enum)):
        return None
    members = {_choice(text): one for one in kind for text in (str(one.value), one.name)}
    choices = "{" + ",".join(_choice(one.name) for one in kind) + "}"

    def member(words: list[str]) -> Enum:
        if _choice(words[0]) not in members:
            raise ValueError(f"{words[0]} is not one of {choices}")
        return members[_choice(words[0])]

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=choices,
        instance_from_str=member,
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [_choice(value.name)],
    )


def _choice(text: str) -> str:
    return text.lower().replace("_", "-").replace(" ", "-")


def _load(name: str) -> type:
    module, attribute = COMMANDS[name].split(":")
    return getattr(import_module(module), attribute)


def _message(error: BaseException) -> tuple[str, int]:
    """Return the sentence for the user and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return "stopped; finished results are kept.", FAILED
    if isinstance(error, ValueError | OSError):
        return str(error), WRONG_USE
    return f"unexpected {type(error).__name__}: {error} (--debug shows the traceback).", FAILED
