"""The command line: one documented dataclass with `run()` per subcommand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

__all__ = ["COMMANDS", "main"]

# Where each subcommand lives. Only the one that is asked for is imported, so that
# `napari-aeanet info` does not wait for what `train` needs.
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
    """Run one subcommand; the return value is the exit code.

    0: done; 1: it failed; 2: wrong use or unusable input. Errors are one sentence on standard
    error; `--debug` shows where they came from.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        return _parse(words).run() or DONE
    except SystemExit as stop:  # the parser's own: 0 after --help, 2 after wrong use
        return int(stop.code or 0)
    except BrokenPipeError:  # the reader went away (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:  # the last line before the user
        if debug:
            raise
        text, code = _in_words(error)
        print(f"napari-aeanet: {text}", file=sys.stderr)
        return code


def _parse(words: list[str]) -> Any:
    import tyro

    wanted = words[0] if words and words[0] in COMMANDS else None
    if wanted:
        return tyro.cli(_load(wanted), prog=f"napari-aeanet {wanted}", args=words[1:])
    commands: dict[str, Callable[..., Any]] = {name: _load(name) for name in COMMANDS}
    return tyro.extras.subcommand_cli_from_dict(
        commands,
        prog="napari-aeanet",
        description="Restore microscopy images: register pairs, train a model, apply it. "
        "--debug shows the full story of an error.",
        args=words,
    )


def _load(name: str) -> type:
    module, attribute = COMMANDS[name].split(":")
    return getattr(import_module(module), attribute)


def _in_words(error: BaseException) -> tuple[str, int]:
    if isinstance(error, KeyboardInterrupt):
        return "stopped. What was finished is kept.", FAILED
    if isinstance(error, ValueError | OSError):
        return str(error), WRONG_USE
    return f"unexpected {type(error).__name__}: {error} (--debug shows where).", FAILED
