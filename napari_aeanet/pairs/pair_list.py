"""A pair list on disk: a small JSON file with the paths of the images and their registrations.

The images stay where they are, with paths relative to the list, so that a folder with both can be
moved. Shape and axes are kept to read an image as it was read before (a stack as a volume, a text
band cropped), and to notice a changed file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from napari_aeanet.core.arguments import as_path, check_items
from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.image import Image
from napari_aeanet.core.schema import Document, from_plain, to_plain
from napari_aeanet.core.table import listed_file
from napari_aeanet.core.words import shortened
from napari_aeanet.io import StackAxis, read_images, read_npz
from napari_aeanet.pairs.pair import ImagePair, PairList, PairProblem
from napari_aeanet.registration import Registration

# Evidence that is kept of a registration: so many of its matches, spread over all, to 0.01 pixels.
MATCHES_KEPT, DECIMALS = 150, 2

_Read = Callable[[Path, StackAxis | None, str], list[Image]]


@dataclass(frozen=True, kw_only=True)
class _ImageEntry:
    file: str
    index: int
    axes: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _PairEntry:
    name: str
    source: _ImageEntry
    target: _ImageEntry
    registration: Registration | None = None
    accepted: bool = False


@dataclass(frozen=True, kw_only=True)
class _Content:
    """Entries as plain values: each is parsed on its own, so that a damaged one stays alone."""

    pairs: list[Any]


# A list of numbers, or of such lists.
_NUMBERS = re.compile(rb"\[\n[-+.\deE,\s\[\]]*\](?=[,\s])")

DOCUMENT = Document(kind=_Content, title="pair list", version=2, marker="napari-aeanet pairs")


def save_pairs(pairs: Iterable[ImagePair], path: str | Path) -> None:
    """Write a pair list, with registrations and their acceptance. Images must have files."""
    path = as_path("path", path)
    pairs = check_items("pairs", pairs, ImagePair)
    unsaved = [i.name for p in pairs for i in (p.source, p.target) if i.source is None]
    if unsaved:
        msg = f"{path} was not written: save {', '.join(unsaved)} as image files first."
        raise ValueError(msg)
    entries = [
        _PairEntry(
            name=pair.name,
            source=_image_entry(pair.source, path.parent),
            target=_image_entry(pair.target, path.parent),
            registration=pair.registration and _shortened(pair.registration),
            accepted=pair.accepted,
        )
        for pair in pairs
    ]
    content = DOCUMENT.dump(_Content(pairs=[to_plain(entry) for entry in entries]))
    write_bytes_atomically(path, _NUMBERS.sub(_on_one_line, content))


def load_pairs(path: str | Path) -> PairList:
    """Read a pair list; pairs with missing or changed images are listed as its problems."""
    path = as_path("path", path)
    with in_one_sentence(path, "pair list", "copy it again, or register the pairs again"):
        return _loaded(path)


def _loaded(path: Path) -> PairList:
    data = path.read_bytes()
    read = cache(_read_file)  # page stacks hold many pairs
    pairs: list[ImagePair] = []
    problems: list[PairProblem] = []
    for number, values in enumerate(DOCUMENT.load(data, path).pairs):
        name = f"pair {number}"
        if isinstance(values, dict):
            name = values["name"] = str(values.get("name", name))
        try:
            entry = from_plain(_PairEntry, values, f"{path} is damaged")
            source = _image(entry.source, path, "source", read)
            target = _image(entry.target, path, "target", read)
        except (ValueError, OSError, MemoryError) as error:
            problems.append(PairProblem(name, str(error)))
        else:
            pairs.append(ImagePair(source, target, entry.registration, name, entry.accepted))
    return PairList(tuple(pairs), (), tuple(problems))


def _shortened(registration: Registration, matches: int = MATCHES_KEPT) -> Registration:
    """Return the registration with a part of its evidence, enough to be looked at."""
    found = registration.matches
    kept = np.unique(np.linspace(0, len(found) - 1, min(matches, len(found))).round().astype(int))
    return replace(
        registration,
        matches=found[kept].round(DECIMALS),
        matched=registration.inliers,
        drift_vectors=registration.drift_vectors.round(DECIMALS)[: None if matches else 0],
        remaining_vectors=registration.remaining_vectors.round(DECIMALS)[: None if matches else 0],
        slices=tuple(_shortened(plane, matches=0) for plane in registration.slices),
    )


def _on_one_line(numbers: re.Match[bytes]) -> bytes:
    return b" ".join(numbers.group().split()).replace(b"[ ", b"[").replace(b" ]", b"]")


def _image_entry(image: Image, folder: Path) -> _ImageEntry:
    assert image.source is not None
    file = image.source.resolve()
    try:
        name = Path(os.path.relpath(file, folder.resolve())).as_posix()
    except ValueError:  # on another drive
        name = file.as_posix()
    return _ImageEntry(file=name, index=image.source_index, axes=image.axes, shape=image.shape)


def _image(entry: _ImageEntry, path: Path, side: str, read: _Read) -> Image:
    """Read and crop the image of an entry as it was when the list was saved."""
    file = listed_file(entry.file, path)
    images = read(file, None, side)
    stacked = set(entry.axes) - set(images[0].axes)
    if len(stacked) == 1 and stacked <= set(get_args(StackAxis)):
        images = read(file, cast(StackAxis, stacked.pop()), side)
    if entry.index >= len(images):
        msg = f"{file} holds {len(images)} images, fewer than when the pair list was saved."
        raise ValueError(msg + " Make the pairs anew.")
    image = images[entry.index]
    shape, now = entry.shape, image.shape
    if image.axes == "YX" and shape[1:] == now[1:] and 0 < shape[0] < now[0]:
        image = image.with_array(image.array[: shape[0]])  # its text band was cropped
    if (image.axes, image.shape) != (entry.axes, shape):
        was = shortened(shape)
        msg = f"{file} has changed since the pair list was saved (was {was}, is {now})."
        raise ValueError(msg + " Make the pair anew.")
    return image


def _read_file(file: Path, stack_axis: StackAxis | None, side: str) -> list[Image]:
    if file.suffix.lower() == ".npz":
        sources, targets = read_npz(file)
        return sources if side == "source" else targets
    return read_images(file, stack_axis=stack_axis)
