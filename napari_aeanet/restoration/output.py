"""Stores that are filled with a restored image: in memory, or in a file that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from time import monotonic
from typing import Any
from zlib import crc32

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.tiles import extent, intersection, within
from napari_aeanet.io import (
    Compression,
    create_omezarr,
    open_levels,
    write_chunk,
    write_means,
    written_shape,
)
from napari_aeanet.restoration.partial import Arrays, Index, PartialFolder, explaining

# Interval of saving intermediate sums; later ones are computed again after an interruption.
SECONDS_BETWEEN_SAVES = 30.0


class OutputStore:
    """The result of a restoration, written block by block."""

    def write(self, region: Region, block: np.ndarray) -> None:
        """Write a finished block to its place."""
        raise NotImplementedError

    def finish(self) -> Image:
        """Return the complete image."""
        raise NotImplementedError

    def clean(self) -> None:
        """Remove the notes from a finished file."""

    def close(self, *, discard: bool = False) -> None:
        """Let others use the file, finished or not; with `discard`, remove it if it is new."""

    def is_done(self, region: Region) -> bool:
        """Return True if all of a region was finished before."""
        return False

    def load(self, name: str) -> Arrays | None:
        """Return the arrays saved under a name, by this run or an interrupted one."""
        return None

    def save(self, name: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        """Save intermediate sums; most calls do nothing, so `arrays` makes them on demand."""


class MemoryOutputStore(OutputStore):
    """A result in memory."""

    def __init__(self, output: Image) -> None:
        self._output = output
        self._array = np.zeros(output.shape, output.dtype)

    def write(self, region: Region, block: np.ndarray) -> None:
        self._array[region] = block

    def finish(self) -> Image:
        return self._output.with_array(self._array)


@dataclass(eq=False)
class _Chunk:
    """A chunk of the file that is not complete yet."""

    region: Region
    values: np.ndarray
    missing: int


class FileOutputStore(OutputStore):
    """An OME-Zarr folder, written chunk by chunk and renamed when it is complete.

    A chunk is here what is one file, mostly a shard. It is written once, when all its pixels are
    there. Chunks of an interrupted run are kept if their pixels are those that it wrote.

    Parameters
    ----------
    folder
        The unfinished folder, whose plan is that of this run, or which has none.
    output
        The image, without its pixels.
    plan
        Image, model and settings as JSON text, for a new folder.
    """

    def __init__(
        self,
        folder: PartialFolder,
        output: Image,
        plan: bytes,
        compression: Compression = Compression.AUTOMATIC,
    ) -> None:
        self._folder = folder
        self._output = output
        self._levels = self._begun() or self._begin(plan, compression)
        self._array = self._levels[0]
        self._whole = written_shape(self._array)
        self._done = {i for i, checksum in folder.done().items() if self._is_whole(i, checksum)}
        folder.keep_chunks(self._done)
        for index in self._done if len(self._levels) > 1 else ():
            write_chunk(self._levels, self._region(index), self._array[self._region(index)])
        self._chunks: dict[Index, _Chunk] = {}
        self._saved_at = monotonic()

    def write(self, region: Region, block: np.ndarray) -> None:
        for index in self._chunks_of(region):
            if index in self._done:
                continue
            chunk = self._chunks.get(index) or self._new_chunk(index)
            common = intersection(region, chunk.region)
            assert common is not None
            chunk.values[within(common, chunk.region)] = block[within(common, region)]
            chunk.missing -= prod(extent(common))
            if chunk.missing == 0:
                self._write_chunk(index, chunk)

    def add_written(self, region: Region, checksum: int, means: np.ndarray) -> None:
        """Note a chunk that another process wrote, and write its means to the coarser levels."""
        (index,) = self._chunks_of(region)
        with explaining(self._folder.path):
            write_means(self._levels, region, means)
            self._folder.add_done(index, checksum)
        self._done.add(index)

    def is_done(self, region: Region) -> bool:
        return all(index in self._done for index in self._chunks_of(region))

    def load(self, name: str) -> Arrays | None:
        return self._folder.load(name)

    def save(self, name: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        if now or monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            self._folder.save(name, arrays())
            self._saved_at = monotonic()

    def finish(self) -> Image:
        assert not self._chunks, "every pixel is written exactly once"
        path = self._folder.complete()
        return self._output.with_array(open_levels(path)[0], source=path)

    def clean(self) -> None:
        self._folder.clean()

    def close(self, *, discard: bool = False) -> None:
        self._folder.release(discard=discard)

    def _begun(self) -> list[Any]:
        """Return the arrays of an interrupted run; none if they are not whole."""
        if self._folder.stored_plan() is None:
            return []
        try:
            levels = open_levels(self._folder.path, "r+")
        except (OSError, ValueError, KeyError, TypeError):
            return []
        same = (levels[0].shape, levels[0].dtype) == (self._output.shape, self._output.dtype)
        return levels if same else []

    def _begin(self, plan: bytes, compression: Compression) -> list[Any]:
        self._folder.begin(plan)
        with explaining(self._folder.path):
            return create_omezarr(self._output, self._folder.path, compression=compression)

    def _is_whole(self, index: Index, checksum: int) -> bool:
        """Return True if a finished chunk is as it was written."""
        try:
            return crc32(np.asarray(self._array[self._region(index)]).data) == checksum
        except (OSError, ValueError, RuntimeError):
            return False

    def _region(self, index: Index) -> Region:
        along = zip(index, self._whole, self._array.shape, strict=True)
        return tuple(slice(i * c, min((i + 1) * c, n)) for i, c, n in along)

    def _new_chunk(self, index: Index) -> _Chunk:
        region = self._region(index)
        shape = extent(region)
        self._chunks[index] = _Chunk(region, np.zeros(shape, self._output.dtype), prod(shape))
        return self._chunks[index]

    def _write_chunk(self, index: Index, chunk: _Chunk) -> None:
        with explaining(self._folder.path):
            write_chunk(self._levels, chunk.region, chunk.values)
            self._folder.add_done(index, crc32(chunk.values.data))
        self._done.add(index)
        del self._chunks[index]

    def _chunks_of(self, region: Region) -> Iterator[Index]:
        """Return the indices of the chunks that a region touches."""
        along = zip(region, self._whole, strict=True)
        return product(*(range(s.start // c, -(-s.stop // c)) for s, c in along))
