"""The command line: one documented dataclass with `run()` per subcommand."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr
from pathlib import Path

from napari_aeanet import __version__
from napari_aeanet.cli import stopping, streams
from napari_aeanet.core.memory import is_out_of_memory, memory_sentence, require_memory
from napari_aeanet.processes import is_first, is_told_elsewhere, process_count

__all__ = ["COMMANDS", "main"]

# Only the class of the called command is imported, so that `napari-aeanet info` stays quick.
COMMANDS = {
    "info": "napari_aeanet.cli.info:Info",
    "register": "napari_aeanet.cli.register:Register",
    "align": "napari_aeanet.cli.align:Align",
    "repair": "napari_aeanet.cli.repair:Repair",
    "train": "napari_aeanet.cli.train:Train",
    "restore": "napari_aeanet.cli.restore:Restore",
    "relevance": "napari_aeanet.cli.relevance:Relevance",
    "structures": "napari_aeanet.cli.structures:Structures",
    "teach": "napari_aeanet.cli.teach:Teach",
    "calibrate": "napari_aeanet.cli.calibrate:Calibrate",
    "trust": "napari_aeanet.cli.trust:Trust",
    "evaluate": "napari_aeanet.cli.evaluate:Evaluate",
    "reproduce": "napari_aeanet.cli.reproduce:Reproduce",
    "presets": "napari_aeanet.cli.presets:Presets",
    "import-published": "napari_aeanet.cli.published:ImportPublished",
    "export": "napari_aeanet.cli.exchange:Export",
    "import-bioimageio": "napari_aeanet.cli.exchange:ImportBioimageio",
    "samples": "napari_aeanet.cli.samples:Samples",
    "demo": "napari_aeanet.cli.demo:Demo",
    "doctor": "napari_aeanet.cli.doctor:Doctor",
}

# PyTorch would end the process with less, or fail with the name of one of its parts.
BYTES_OF_TORCH = 900 * 2**20
WITHOUT_TORCH = ("info", "register", "align", "repair", "presets", "samples", "doctor")

DONE, FAILED, WRONG_USE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code.

    0: done; 1: failed, at least in part; 2: wrong use or unusable input; 130: stopped by Ctrl+C;
    143: by SIGTERM. Errors are one sentence on standard error; `--debug` shows the traceback.
    """
    streams.prepare()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if "--version" in words:
            print(f"napari-aeanet {__version__}")
            return DONE
        with stopping.on_sigterm():
            return _run(words)
    except SystemExit as stop:  # from the parser: 0 after --help, 2 after wrong use
        return int(stop.code or 0)
    except BrokenPipeError:  # the reader is gone (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except (Exception, KeyboardInterrupt) as error:  # the last handler before the user
        if "--debug" in words:
            raise
        if is_told_elsewhere(error):
            return DONE  # torchrun would end the process that tells it
        text, code = _message(error)
        streams.print_error(f"napari-aeanet: {text}")
        return code


def _run(words: list[str]) -> int:
    """Run the command with what it prints on the stream where it is wanted."""
    from napari_aeanet.cli.parser import load, parse
    from napari_aeanet.cli.progress import print_note

    with ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        if not is_first():  # of several processes one speaks
            stack.enter_context(redirect_stderr(nowhere))
            stack.enter_context(streams.text_to(nowhere, quiet=True))
        call = parse(words, COMMANDS)
        if {*words} & {*COMMANDS} - {*WITHOUT_TORCH}:
            require_memory(BYTES_OF_TORCH, "to load PyTorch")
        if process_count() > 1:
            if not isinstance(call.command, load(COMMANDS["train"])):
                raise ValueError("Only train works in several processes: leave torchrun out.")
            from napari_aeanet.processes import together

            stack.enter_context(together())
        if call.common.quiet:
            stack.enter_context(streams.text_to(nowhere, quiet=True))
        elif getattr(call.command, "json", False):
            stack.enter_context(streams.text_to(sys.stderr))
        for note in call.notes:
            print_note(note)
        return call.command.run() or DONE


def _message(error: BaseException) -> tuple[str, int]:
    """Return the sentence for the user and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        return stopping.in_words(error)
    if is_out_of_memory(error):
        return memory_sentence(error), FAILED
    if isinstance(error, ValueError | OSError):
        return str(error), WRONG_USE
    return f"unexpected {type(error).__name__}: {error} (--debug shows the traceback).", FAILED
