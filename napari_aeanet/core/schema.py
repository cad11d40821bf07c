"""Frozen dataclasses as JSON, with one policy for versions, unknown and missing keys.

- A file holds its format and version. A version newer than that of the program is refused.
- Unknown keys are ignored, so that a field can be added without a new version.
- A missing key takes the field's default; without a default the file is refused.
- Every refusal is a ValueError of one sentence that names the file and the key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from napari_aeanet.core.words import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Return a dataclass as the dicts, lists, strings and numbers that JSON holds."""
    return _adapter(cast(Any, type(value))).dump_python(value, mode="json")


def from_plain(kind: type[T], values: Any, where: str) -> T:
    """Return the dataclass `kind` that `to_plain` wrote.

    Raises
    ------
    ValueError
        If a key is missing or a value does not fit; the message begins with `where`.
    """
    try:
        return _adapter(cast(Any, kind)).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ").rstrip(".")
        reason = reason[:1].lower() + reason[1:]
        more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
        said = f"{f'{shortened(key)}: ' if key else ''}{shortened(reason)}{more}"
        raise ValueError(f"{where}: {said}.") from error
    except (TypeError, ArithmeticError, RecursionError) as error:  # of our own validators
        raise ValueError(f"{where}: its values do not fit ({shortened(error)}).") from error


def parse_json(data: bytes | str, where: str) -> Any:
    """Return the content of JSON text.

    Raises
    ------
    ValueError
        If it is not JSON, not UTF-8, nested too deeply, or holds halves of characters; the message
        begins with `where`.
    """
    try:
        values = json.loads(data)
        if (r"\u" if isinstance(data, str) else rb"\u") in data:  # type: ignore[operator]
            json.dumps(values, ensure_ascii=False).encode()  # no file can have half a character
        return values
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is damaged or not JSON ({shortened(error)}).") from error


@dataclass(frozen=True, kw_only=True)
class Document(Generic[T]):
    """A kind of JSON file.

    Parameters
    ----------
    kind
        The dataclass of its content.
    title
        Its name in messages: "pair list".
    version
        The version written, and the newest one read.
    marker
        Identifier of the kind of file, stored as "format" beside "version". Without a marker
        "format" holds the version.
    """

    kind: type[T]
    title: str
    version: int
    marker: str = ""

    @property
    def _version_key(self) -> str:
        return "version" if self.marker else "format"

    def dump(self, value: T) -> bytes:
        """Return the JSON text of `value`, UTF-8."""
        head: dict[str, Any] = {"format": self.marker} if self.marker else {}
        content = head | {self._version_key: self.version} | to_plain(value)
        return json.dumps(content, indent=1, ensure_ascii=False).encode()

    def load(self, data: bytes | str, path: str | Path) -> T:
        """Return the value that `dump` wrote; `path` names the file in messages.

        Raises
        ------
        ValueError
            If it is not such a file, is damaged, or is of a newer version.
        """
        values = parse_json(data, f"{path}")
        return from_plain(self.kind, self._checked(values, path), f"{path}")

    def _checked(self, values: Any, path: str | Path) -> Mapping[str, Any]:
        """Return the content after checking marker and version."""
        if not isinstance(values, dict) or (self.marker and values.get("format") != self.marker):
            raise ValueError(f"{path} is not a {self.title}: choose a file that was saved as one.")
        version = values.get(self._version_key)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise ValueError(
                f"{path} is not a {self.title}: its version is {shortened(repr(version))}."
            )
        if version > self.version:
            msg = (
                f"{path} is a {self.title} of version {shortened(version)}, this program reads up "
                f"to {self.version}: update napari-aeanet."
            )
            raise ValueError(msg)
        return values


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
