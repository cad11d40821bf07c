"""Stores that are filled with a restored image: in memory, or in a file that can be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from napari_aeanet.core.atomic import replacing, write_bytes_atomically
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.tiles import extent, intersection, within
from napari_aeanet.io import Compression, create_omezarr, open_levels, write_chunk
from napari_aeanet.restoration.settings import STREAMED

# Ending of an unfinished file.
PARTIAL_ENDING = ".partial.ome.zarr"
# Folder and files beside the pixels of an unfinished file: the plan and the finished chunks.
NOTES, PLAN, DONE = "restoration", "plan.json", "chunks-done.txt"
# Interval of saving intermediate sums; later ones are computed again after an interruption.
SECONDS_BETWEEN_SAVES = 30.0

Arrays = Mapping[str, np.ndarray]


class OutputStore:
    """The result of a restoration, written block by block."""

    def write(self, region: Region, block: np.ndarray) -> None:
        """Write a finished block to its place."""
        raise NotImplementedError

    def finish(self) -> Image:
        """Return the complete image."""
        raise NotImplementedError

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

    Until then it is called NAME.partial.ome.zarr and holds notes: the plan, the finished chunks,
    and intermediate sums. A chunk is written once, when all its pixels are there.

    Parameters
    ----------
    path
        NAME.ome.zarr.
    output
        The image, without its pixels.
    plan
        Image, model and settings as JSON text, stored in the notes of a new file. The caller must
        check that the plan of an unfinished file (`stored_plan`) is the same.
    """

    def __init__(
        self,
        path: Path,
        output: Image,
        plan: bytes,
        compression: Compression = Compression.AUTOMATIC,
    ) -> None:
        self._path = path
        self._partial = partial_path(path)
        self._notes = self._partial / NOTES
        self._output = output
        if stored_plan(path) is None:
            self._notes.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(self._notes / PLAN, plan)
        begun = all((self._partial / part / "zarr.json").exists() for part in ("", "0"))
        self._levels: list[Any] = (
            open_levels(self._partial, "r+")
            if begun
            else create_omezarr(output, self._partial, compression=compression)
        )
        self._array = self._levels[0]
        self._done = self._read_done()
        self._chunks: dict[tuple[int, ...], _Chunk] = {}
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

    def is_done(self, region: Region) -> bool:
        return all(index in self._done for index in self._chunks_of(region))

    def load(self, name: str) -> Arrays | None:
        file = self._notes / f"{name}.npz"
        if not file.exists():
            return None
        with np.load(file) as arrays:
            return dict(arrays)

    def save(self, name: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        if not now and monotonic() - self._saved_at < SECONDS_BETWEEN_SAVES:
            return
        with self._explaining(), replacing(self._notes / f"{name}.npz") as temporary:
            np.savez(temporary, **arrays())  # type: ignore[arg-type]
        self._saved_at = monotonic()

    def finish(self) -> Image:
        assert not self._chunks, "every pixel is written exactly once"
        with self._explaining():
            shutil.rmtree(self._notes)
            for leftover in self._partial.rglob("*.partial"):  # of writes that were interrupted
                leftover.unlink()
            self._partial.replace(self._path)
        return self._output.with_array(open_levels(self._path)[0], source=self._path)

    def _new_chunk(self, index: tuple[int, ...]) -> _Chunk:
        region = tuple(
            slice(i * c, min((i + 1) * c, n))
            for i, c, n in zip(index, self._array.chunks, self._array.shape, strict=True)
        )
        shape = extent(region)
        self._chunks[index] = _Chunk(region, np.zeros(shape, self._output.dtype), prod(shape))
        return self._chunks[index]

    def _write_chunk(self, index: tuple[int, ...], chunk: _Chunk) -> None:
        with self._explaining():
            write_chunk(self._levels, chunk.region, chunk.values)
            with (self._notes / DONE).open("a") as file:
                file.write(" ".join(map(str, index)) + "\n")
        self._done.add(index)
        del self._chunks[index]

    def _chunks_of(self, region: Region) -> Iterator[tuple[int, ...]]:
        """Return the indices of the chunks that a region touches."""
        return product(
            *(
                range(s.start // c, -(-s.stop // c))
                for s, c in zip(region, self._array.chunks, strict=True)
            )
        )

    def _read_done(self) -> set[tuple[int, ...]]:
        file = self._notes / DONE
        lines = file.read_text().split("\n")[:-1] if file.exists() else []  # the last may be cut
        return {tuple(int(number) for number in line.split()) for line in lines}

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Add the remedy to an error of the disk."""
        try:
            yield
        except OSError as error:
            msg = (
                f"{self._partial} cannot be written ({error}). Solve this, then restore again with "
                "the same settings: what is finished is kept."
            )
            raise OSError(msg) from error


def partial_path(path: Path) -> Path:
    """Return the name of a result until it is complete."""
    if not path.name.endswith(STREAMED):
        raise ValueError(f"{path.name}: results are streamed to files that end in {STREAMED}.")
    return path.with_name(path.name.removesuffix(STREAMED) + PARTIAL_ENDING)


def check_is_free(path: Path) -> None:
    """Refuse a name that exists, or that is not of the kind that is written block by block."""
    partial_path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another name, or remove it first.")


def stored_plan(path: Path) -> bytes | None:
    """Return the plan of the unfinished file that is to become `path`, if there is one."""
    check_is_free(path)
    file = partial_path(path) / NOTES / PLAN
    return file.read_bytes() if file.exists() else None
