"""Forms generated from settings dataclasses: one row a field, its help from the docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Generic, TypeVar, get_type_hints

from magicgui.widgets import create_widget
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_aeanet.gui.common.widgets import form, label

Settings = TypeVar("Settings")

# Wide enough for 120,000 steps and for a learning rate of 1e-5.
LARGEST_WHOLE = 2**31 - 1
SMALLEST_STEP = 1e-5


class SettingsForm(Generic[Settings]):
    """A form of a settings dataclass.

    Parameters
    ----------
    settings
        The values to begin with; their class says which fields there are.
    hidden
        Fields that the dock asks for elsewhere: they keep their value.
    choices
        Allowed values of fields that are plain text.
    """

    def __init__(
        self,
        settings: Settings,
        hidden: Iterable[str] = (),
        choices: Mapping[str, Iterable[str]] | None = None,
    ) -> None:
        self._settings = settings
        kind = type(settings)
        hints, help_texts = get_type_hints(kind), descriptions(kind)
        shown = [f.name for f in fields(settings) if f.name not in set(hidden)]  # type: ignore[arg-type]
        self._widgets = {
            name: _control(
                name,
                getattr(settings, name),
                hints[name],
                help_texts.get(name, ""),
                (choices or {}).get(name),
            )
            for name in shown
        }
        self.native = QWidget()
        captioned = [(_caption(name), control.native) for name, control in self._widgets.items()]
        layout = form(*captioned, widest=max((text for text, _ in captioned), key=len))
        for (text, _), (name, control) in zip(captioned, self._widgets.items(), strict=True):
            layout.labelForField(control.native).setToolTip(help_texts.get(name, text))
        if zero := re.search(r"Zero means: [^.]*\.", " ".join((kind.__doc__ or "").split())):
            layout.addRow(label(zero[0], "hint"))
        self.native.setLayout(layout)

    def value(self, **others: Any) -> Settings:
        """The settings as the form shows them, with `others` from elsewhere."""
        shown = {name: widget.value for name, widget in self._widgets.items()}
        kept = {f.name: getattr(self._settings, f.name) for f in fields(self._settings)}  # type: ignore[arg-type]
        return type(self._settings)(**(kept | shown | others))

    def set(self, name: str, value: Any) -> None:
        self._widgets[name].value = value


def descriptions(kind: type) -> dict[str, str]:
    """What a NumPy-style class docstring says about each parameter, on one line."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in (inspect.getdoc(kind) or "").partition("Parameters\n")[2].splitlines():
        if re.fullmatch(r"\w+(, \w+)*", line):
            names = line.split(", ")
        elif line.startswith(" "):
            for name in names:
                found.setdefault(name, []).append(line.strip())
    return {name: " ".join(lines) for name, lines in found.items()}


def _control(name: str, value: Any, hint: Any, help_text: str, choices: Any) -> Any:
    options: dict[str, Any] = {"tooltip": help_text}
    if choices is not None:
        options["choices"] = list(choices)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        options["choices"] = [(str(member), member) for member in hint]
    elif hint is int:
        options |= {"min": 0, "max": LARGEST_WHOLE}
    elif hint is float:
        options |= {"min": 0.0, "max": 1e6, "step": SMALLEST_STEP if value < 1 else 1.0}
    widget = create_widget(value, annotation=hint, name=name, options=options)
    widget.native.setObjectName(f"setting_{name}")
    if hint is bool:
        widget.text = ""  # the caption says it
    else:
        widget.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return widget


def _caption(name: str) -> str:
    return name.replace("_", " ").capitalize()
