"""Forms generated from settings dataclasses: one row per field, help from the docstring."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Generic, TypeVar, get_type_hints

from docstring_parser.numpydoc import parse
from magicgui.widgets import create_widget
from qtpy.QtWidgets import QDoubleSpinBox, QSizePolicy, QWidget
from superqt.utils import signals_blocked

from napari_aeanet.gui.common.widgets import WIDEST_CAPTION, form, label, present

Settings = TypeVar("Settings")

# Wide enough for 120,000 steps and for a learning rate of 1e-5.
LARGEST_WHOLE = 2**31 - 1
SMALLEST_STEP = 1e-5
# Narrowest control in pixels; Qt would leave room for the largest number.
NARROWEST = 90
AUTOMATIC = "automatic"


class SettingsForm(Generic[Settings]):
    """A form of a settings dataclass.

    Parameters
    ----------
    settings
        Initial values; their class defines the fields.
    hidden
        Fields that are set elsewhere in the dock; they keep their value.
    choices
        Allowed values of fields that are plain text.
    automatic
        Fields of which 0 means that another part decides: they show "automatic" instead.
    """

    def __init__(
        self,
        settings: Settings,
        hidden: Iterable[str] = (),
        choices: Mapping[str, Iterable[str]] | None = None,
        automatic: Iterable[str] = (),
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
        # As wide as the captions of the forms around it, unless its own are wider.
        layout = form(
            *captioned, widest=max([WIDEST_CAPTION, *(text for text, _ in captioned)], key=len)
        )
        for (text, _), (name, control) in zip(captioned, self._widgets.items(), strict=True):
            present(layout.labelForField(control.native)).setToolTip(help_texts.get(name, text))
        self._automatic = tuple(automatic)
        for name in self._automatic:
            _show_no_zero(self._widgets[name].native)
        self.show_automatic({})
        if not self._automatic and (
            zero := re.search(r"Zero means: [^.]*\.", " ".join((kind.__doc__ or "").split()))
        ):
            layout.addRow(label(zero[0], "hint"))
        self.native.setLayout(layout)

    def value(self, **others: Any) -> Settings:
        """Return the settings in the form, with `others` set elsewhere."""
        shown = {name: widget.value for name, widget in self._widgets.items()}
        kept = {f.name: getattr(self._settings, f.name) for f in fields(self._settings)}  # type: ignore[arg-type]
        return type(self._settings)(**(kept | shown | others))

    def on_change(self, act: Callable[[], None]) -> None:
        """Call a function whenever a value of the form changes."""
        for widget in self._widgets.values():
            widget.changed.connect(lambda _: act())

    def show_automatic(self, values: Mapping[str, object]) -> None:
        """Show what the automatic values of fields are, where they are known."""
        for name in self._automatic:
            known = f" ({values[name]})" if name in values else ""
            native = self._widgets[name].native
            if isinstance(native, QDoubleSpinBox):
                native.setSpecialValueText(f"{AUTOMATIC}{known}")
            else:
                native.lineEdit().setPlaceholderText(f"{AUTOMATIC}{known}")

    def set(self, name: str, value: Any) -> None:
        self._widgets[name].value = value


def descriptions(kind: type) -> dict[str, str]:
    """Return the description of each parameter in a NumPy-style class docstring, on one line."""
    return {
        name: " ".join((parameter.description or "").split())
        for parameter in parse(kind.__doc__ or "").params
        for name in parameter.arg_name.split(", ")
    }


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
    widget: Any = create_widget(value, annotation=hint, name=name, options=options)
    widget.native.setObjectName(f"setting_{name}")
    if hint is bool:
        widget.text = ""  # the form has a caption
    else:
        widget.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        widget.native.setMinimumWidth(NARROWEST)
    return widget


def _show_no_zero(native: Any) -> None:
    """Show the placeholder of a field of whole numbers instead of 0."""
    if isinstance(native, QDoubleSpinBox):
        return

    def show(_value: object = None) -> None:
        if native.value() == 0:
            with signals_blocked(native.lineEdit()):
                native.lineEdit().clear()

    native.valueChanged.connect(show)
    native.editingFinished.connect(show)
    show()


def _caption(name: str) -> str:
    return name.replace("_", " ").capitalize()
