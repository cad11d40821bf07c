"""Chunks of a Zarr array that are not stored, and so read as its fill value.

Only names of files and indices of shards are looked at, no pixels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import zarr

_KEY = re.compile(r"(?:c[/.])?(\d+(?:[/.]\d+)*)")
_NOT_STORED = 2**64 - 1  # as offset and length in the index of a shard
_CHECKSUM_BYTES = 4


def notice_of_missing_chunks(array: zarr.Array) -> tuple[str, ...]:
    """Return a sentence with the number of chunks that are not stored; nothing if all are."""
    total = prod(_ceil(array.shape, array.chunks))
    missing = total - _stored_chunks(array)
    if missing <= 0:
        return ()
    what = f"{missing} of {total} chunks are" if total > 1 else "Its only chunk is"
    return (
        f"{what} not stored and read as {array.fill_value}: copy the whole folder again, unless "
        "the program that wrote it leaves out empty chunks.",
    )


def _stored_chunks(array: zarr.Array) -> int:
    folder = Path(getattr(array.store, "root", "")) / array.path
    if array.shards is None:
        return sum(1 for _ in _keys(folder, _ceil(array.shape, array.chunks)))
    return sum(
        _stored_in_shard(array, file, position)
        for file, position in _keys(folder, _ceil(array.shape, array.shards))
    )


def _keys(folder: Path, grid: Sequence[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the files of chunks or shards that lie within the array, with their positions."""
    for parent, _, names in os.walk(folder):
        for name in names:
            file = os.path.join(parent, name)  # noqa: PTH118 - a Path takes ten times as long
            found = _KEY.fullmatch(file[len(str(folder)) + 1 :].replace(os.sep, "/"))
            if found:
                position = tuple(map(int, found[1].replace("/", ".").split(".")))
                if len(position) == len(grid) and all(map(int.__lt__, position, grid)):
                    yield file, position


def _stored_in_shard(array: zarr.Array, file: str, position: Sequence[int]) -> int:
    """Return the number of chunks in a shard; all of them if its index is not understood."""
    assert array.shards is not None
    inner = _ceil(array.shards, array.chunks)
    left = [n - p * s for n, p, s in zip(array.shape, position, array.shards, strict=True)]
    wanted = [min(i, -(-n // c)) for i, n, c in zip(inner, left, array.chunks, strict=True)]
    sharding = array.metadata.to_dict()["codecs"][0]["configuration"]
    kinds = [codec["name"] for codec in sharding["index_codecs"]]
    if kinds not in (["bytes"], ["bytes", "crc32c"]):
        return prod(wanted)
    size = 16 * prod(inner)
    whole = size + (_CHECKSUM_BYTES if "crc32c" in kinds else 0)
    if Path(file).stat().st_size < whole:  # emptied, and then read as if it was not there
        return 0
    with Path(file).open("rb") as opened:
        if sharding.get("index_location", "end") == "end":
            opened.seek(-whole, os.SEEK_END)
        index = np.frombuffer(opened.read(size), "<u8").reshape(*inner, 2)
    index = index[tuple(slice(n) for n in wanted)]
    return prod(wanted) - int((index == _NOT_STORED).all(axis=-1).sum())


def _ceil(shape: Sequence[int], size: Sequence[int]) -> list[int]:
    return [-(-n // s) for n, s in zip(shape, size, strict=True)]
