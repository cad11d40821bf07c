"""Recognise whether the pixels of an image are still those that were read before."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.io.lazy import OnDisk

# Of an image that is not in memory so many places of this edge are read.
PLACES, EDGE = 48, 32


@dataclass(frozen=True)
class Fingerprint:
    """Properties that identify an image, and change when its pixels or its file change.

    `content` is a digest of all pixels of an image in memory; else of the sizes and times of all
    files that hold its pixels, and of samples of these. It is empty in notes of version 0.1.0.
    """

    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    source: str
    bytes: int
    modified: int
    content: str = ""

    @classmethod
    def of(cls, image: Image) -> Fingerprint:
        exists = image.source is not None and image.source.exists()
        status = image.source.stat() if exists and image.source is not None else None
        return cls(
            name=image.name,
            axes=image.axes,
            shape=image.shape,
            dtype=str(image.dtype),
            source=str(image.source or ""),
            bytes=status.st_size if status else 0,
            modified=status.st_mtime_ns if status else 0,
            content=_content(image),
        )


def is_in_memory(image: Image) -> bool:
    """Return True if no change of a file can change the pixels."""
    return type(image.array) is np.ndarray


def _content(image: Image) -> str:
    found = hashlib.blake2b(digest_size=20)
    if is_in_memory(image):
        for block in image.read_blocks():
            found.update(np.ascontiguousarray(block).data)
        return found.hexdigest()
    for file in _files(image):
        try:
            status = os.stat(file)  # noqa: PTH116 - a Path takes several times as long
            text = f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n"
        except OSError:
            text = f"{file}\0missing\n"
        found.update(text.encode(errors="surrogateescape"))
    for region in _samples(image.shape):
        found.update(np.ascontiguousarray(image.read(region)).data)
    return found.hexdigest()


def _files(image: Image) -> Iterator[str]:
    """Yield all files that hold the pixels of an image on disk, as far as they are known."""
    array = image.array.base if isinstance(image.array, OnDisk) else image.array
    yield from sorted(_files_of_array(array))
    if image.source is not None and image.source.is_file():
        yield str(image.source)


def _files_of_array(array: Any) -> Iterator[str]:
    store = getattr(array, "store", None)
    root = getattr(store, "root", None)
    if isinstance(root, Path):  # an array of Zarr in a folder
        for folder, _, names in os.walk(root / array.path):
            yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118
    for path in getattr(store, "files", ()):  # planes of several TIFF files
        yield str(path)


def _samples(shape: tuple[int, ...]) -> Iterator[Region]:
    """Yield small regions at places that look random and are always the same."""
    rng = np.random.default_rng(0)
    edges = (*(1 for _ in shape[:-2]), EDGE, EDGE)
    for _ in range(PLACES):
        starts = [
            int(rng.integers(0, max(1, n - e + 1))) for n, e in zip(shape, edges, strict=True)
        ]
        yield tuple(slice(i, min(i + e, n)) for i, e, n in zip(starts, edges, shape, strict=True))
