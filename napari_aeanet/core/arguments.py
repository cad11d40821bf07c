"""Check the arguments of public functions, so that a mistake is refused at the call."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import fields
from enum import Enum
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, Union, cast, get_origin, get_type_hints

UNIONS = (Union, UnionType)
# Above these a number is a mistake of typing; 32 bits hold such a count and seed.
LARGEST_COUNT, LARGEST_FLOAT = 2**32 - 1, 1e30
# Options that are two grey values, which may be negative.
OF_GREY_VALUES = ("range",)


def check_type(name: str, value: object, *kinds: type) -> None:
    """Refuse an argument of a wrong type.

    Raises
    ------
    TypeError
        If `value` is of none of `kinds`; the message names the argument, what it may be, and
        what was given.
    """
    if not isinstance(value, kinds):
        allowed = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be {allowed}, got {_kind(value)}.")


def check_items(name: str, values: object, *kinds: type) -> tuple[Any, ...]:
    """Return the items of a sequence (or another iterable), all of one of `kinds`.

    Raises
    ------
    TypeError
        If `values` is no such sequence, or the first wrong item, by its number.
    """
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        allowed = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{name} must be a sequence of {allowed}, got {_kind(values)}.")
    items = tuple(values)
    for number, item in enumerate(items):
        check_type(f"{name}[{number}]", item, *kinds)
    return items


def as_path(name: str, value: str | os.PathLike[str]) -> Path:
    """Return a path.

    Raises
    ------
    TypeError
        If `value` is neither text nor a path.
    """
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path, got {_kind(value)}.")
    return Path(value)


def check_options(options: Any) -> None:
    """Check the fields of a dataclass of options, for its `__post_init__`.

    A choice may be given as text ("whole image", "whole-image"), and becomes the member of its
    enumeration. Fields of other types than numbers, text, choices and tuples are not checked.

    Raises
    ------
    TypeError, ValueError
        If a value is of another type than its field, a number is negative (unless it is a grey
        value), not finite or far too large, or there is no such choice.
    """
    for name, kind in _field_types(cast(Any, type(options))).items():
        value = getattr(options, name)
        if isinstance(value, tuple) and name not in OF_GREY_VALUES:
            for item in value:
                if isinstance(item, Real):
                    _check_number(name, item)
        if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(value, str):
            # Past `frozen`; a string that only equals its member would fail every `is`.
            object.__setattr__(options, name, _member(name, kind, value))
        elif isinstance(kind, type):
            _check_field(name, kind, value)


def _check_field(name: str, kind: type, value: Any) -> None:
    numeric = {int: Integral, float: Real}.get(kind)
    is_right = isinstance(value, numeric or kind) and (kind is bool or not isinstance(value, bool))
    if not is_right:
        raise TypeError(f"{name} must be {kind.__name__}, got {_kind(value)}.")
    if numeric:
        _check_number(name, value)


def _check_number(name: str, value: Any) -> None:
    largest = LARGEST_COUNT if isinstance(value, Integral) else LARGEST_FLOAT
    if 0 <= value <= largest:
        return
    what = "not be negative" if value < 0 else "be a finite number"
    if largest < value < math.inf:
        what = f"be at most {largest}"
    raise ValueError(f"{name} must {what}, got {value}.")


def _member(name: str, kind: type[Enum], text: str) -> Enum:
    """Return the member whose value or name is `text`, in any spelling."""
    for member in kind:
        if _plain(text) in (_plain(str(member.value)), _plain(member.name)):
            return member
    *others, last = (f"'{member.value}'" for member in kind)
    raise ValueError(f"{name} must be {', '.join(others)} or {last}, got '{text}'.")


def _plain(text: str) -> str:
    return text.lower().replace("_", " ").replace("-", " ")


@cache
def _field_types(kind: type) -> dict[str, Any]:
    """Return the plain types of a dataclass's fields: tuple for tuple[...], object for unions."""
    hints = get_type_hints(kind)
    plain = {name: get_origin(hint) or hint for name, hint in hints.items()}
    return {f.name: object if plain[f.name] in UNIONS else plain[f.name] for f in fields(kind)}


def _kind(value: object) -> str:
    return type(value).__name__
