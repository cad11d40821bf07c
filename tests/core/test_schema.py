"""Dataclasses through JSON and back, and the refusals."""

import json
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from napari_aeanet.core.schema import Document, from_plain, parse_json, to_plain


class Kind(StrEnum):
    FIRST = "first"
    SECOND = "second one"


@dataclass(frozen=True, kw_only=True)
class Inner:
    size: tuple[float | None, ...] = (None, 2.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outer:
    kind: Kind
    inner: Inner = Inner()
    others: tuple[Inner, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    matrix: tuple[tuple[float, ...], ...] = ()


DOCUMENT = Document(kind=Outer, title="test file", version=2)
MARKED = Document(kind=Outer, title="test file", version=2, marker="tests")


@pytest.mark.parametrize("document", [DOCUMENT, MARKED])
def test_a_value_comes_back_as_it_was(document):
    value = Outer(
        kind=Kind.SECOND,
        inner=Inner(size=(1.5, None, 3.0)),
        others=(Inner(), Inner(size=())),
        names={"3": "µ rim"},
        matrix=((1.0, 0.25), (-1e-300, 2.0)),
    )
    found = document.load(document.dump(value), "a.json")
    assert (found.kind, found.inner, found.others, found.names) == (
        value.kind,
        value.inner,
        value.others,
        value.names,
    )
    assert isinstance(found.kind, Kind)
    assert found.matrix == value.matrix


def test_unknown_keys_are_ignored_and_missing_ones_take_their_default():
    text = json.dumps({"format": 1, "kind": "first", "added later": 5})
    assert DOCUMENT.load(text, "a.json").inner == Inner()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "a.json is damaged or not JSON"),
        ("[" * 100_000, "a.json is damaged or not JSON"),
        (b"\xff\xfe", "a.json is damaged or not JSON"),
        ("[]", "a.json is not a test file"),
        ('{"kind": "first"}', "a.json is not a test file: its version is None"),
        ('{"format": true, "kind": "first"}', "its version is True"),
        ('{"format": 3, "kind": "first"}', "of version 3, this program reads up to 2: update"),
        ('{"format": 2}', "a.json: kind: "),
        ('{"format": 2, "kind": "third"}', "a.json: kind: "),
        ('{"format": 2, "kind": "first", "inner": {"size": ["x"]}}', "a.json: inner.size.0"),
        ('{"format": 2, "kind": "first", "matrix": [[1], ["x"]]}', "a.json: matrix.1.0: "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(text, expected):
    with pytest.raises(ValueError, match=r"a\.json") as refused:
        DOCUMENT.load(text, "a.json")
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_another_kind_of_file_is_refused():
    with pytest.raises(ValueError, match=r"b\.json is not a test file"):
        MARKED.load(DOCUMENT.dump(Outer(kind=Kind.FIRST)), "b.json")


def test_plain_values_are_what_json_holds():
    plain = to_plain(Outer(kind=Kind.FIRST))
    assert json.loads(json.dumps(plain)) == plain
    assert from_plain(Outer, plain, "here").kind is Kind.FIRST


def test_halves_of_characters_are_refused():
    # A path that holds one ends in an exception of the codec, wherever it is opened.
    with pytest.raises(ValueError, match=r"notes\.json is damaged"):
        parse_json(b'{"file": "\\ud800.tif"}', "notes.json")
    assert parse_json(rb'{"file": "\ud83d\ude00.tif"}', "notes.json") == {"file": "\U0001f600.tif"}
