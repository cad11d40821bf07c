"""The training chosen in the dock as a command and as Python code."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QMenu, QPushButton

from napari_aeanet.gui.common.widgets import named
from napari_aeanet.training import TrainSettings

# Text that does what was clicked: of settings, pair list, run folder, and True for a model a pair.
Recipe = Callable[[TrainSettings, Path, Path, bool], str]


def copy_button(copy: Callable[[Recipe], None]) -> QPushButton:
    """Return a button with a menu of the recipes; `copy` is called with the chosen one."""
    made = QPushButton("Copy as")
    named(made, "train_copy", "This training as a command, or as Python, to the clipboard")
    menu = QMenu(made)
    menu.addAction("Command", partial(copy, train_command))
    menu.addAction("Python", partial(copy, train_python))
    made.setMenu(menu)
    return made


def train_command(settings: TrainSettings, pairs: Path, folder: Path, each: bool = False) -> str:
    """Return the command that trains on the pair list `pairs`, into `folder`."""
    words = ["napari-aeanet", "train", str(pairs), "-o", str(folder), *_flags(settings)]
    return shlex.join([*words, "--each"] if each else words)


def train_python(settings: TrainSettings, pairs: Path, folder: Path, each: bool = False) -> str:
    """Return Python code that trains on the pair list `pairs`, into `folder`."""
    train = "train_each" if each else "train"
    return f"""\
from pathlib import Path

from napari_aeanet import TrainSettings, load_pairs, {train}
{_imports(settings)}
pairs = load_pairs({str(pairs)!r}).pairs
settings = {_call(settings)}
{train}(pairs, settings, Path({str(folder)!r}), progress=True)
"""


def _changed(settings: TrainSettings) -> dict[str, Any]:
    """Return the fields that differ from the defaults."""
    default = type(settings)()
    return {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if getattr(settings, field.name) != getattr(default, field.name)
    }


def _flags(settings: TrainSettings) -> list[str]:
    words: list[str] = []
    for name, value in _changed(settings).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, tuple):
            words += [f"--{flag}", *map(str, value)]
        else:
            words += [f"--{flag}", value.name if isinstance(value, Enum) else str(value)]
    return words


def _call(settings: TrainSettings) -> str:
    arguments = [f"{name}={_literal(value)}" for name, value in _changed(settings).items()]
    return f"{type(settings).__name__}({', '.join(arguments)})"


def _literal(value: Any) -> str:
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


def _imports(settings: TrainSettings) -> str:
    kinds = {type(v) for v in _changed(settings).values() if isinstance(v, Enum)}
    lines = [f"from {kind.__module__} import {kind.__name__}" for kind in kinds]
    return "".join(f"{line}\n" for line in sorted(lines))
