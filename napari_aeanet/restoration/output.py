"""Where a restored image takes shape: in memory, or in a file that survives an interruption."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import numpy as np

from napari_aeanet.core.atomic import replacing, write_bytes_atomically
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.tiles import extent, intersection, within
from napari_aeanet.io import create_omezarr, open_levels, write_chunk
from napari_aeanet.restoration.settings import STREAMED

# Of a file under way.
PARTIAL_ENDING = ".partial.ome.zarr"
# Beside the pixels in an unfinished file: what is being done, and how far it is.
NOTES, PLAN, DONE = "restoration", "plan.json", "chunks-done.txt"
# How often intermediate sums are saved; what came after is computed again.
SECONDS_BETWEEN_SAVES = 30.0

Arrays = Mapping[str, np.ndarray]


class OutputStore(Protocol):
    """What a restoration writes to."""

    def write(self, region: Region, block: np.ndarray) -> None:
        """Put a finished block in its place."""

    def is_done(self, region: Region) -> bool:
        """Whether everything there was finished before."""

    def recall(self, name: str) -> Arrays | None:
        """What was remembered under a name, by this run or an interrupted one."""

    def remember(self, name: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        """Keep intermediate sums; called often, they are asked for and kept now and then."""

    def finish(self) -> Image:
        """The complete image."""


class MemoryOutputStore:
    """An array in memory."""

    def __init__(self, output: Image) -> None:
        self._output = output
        self._array = np.zeros(output.shape, output.dtype)

    def write(self, region: Region, block: np.ndarray) -> None:
        self._array[region] = block

    def is_done(self, region: Region) -> bool:
        return False

    def recall(self, name: str) -> Arrays | None:
        return None

    def remember(self, name: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        pass

    def finish(self) -> Image:
        return self._output.with_array(self._array)


@dataclass(eq=False)
class _Chunk:
    """A chunk of the file whose pixels are still coming in."""

    region: Region
    values: np.ndarray
    missing: int


class FileOutputStore:
    """An OME-Zarr folder that is written as it goes and gets its name when it is complete.

    Until then it is called NAME.partial.ome.zarr and holds notes: the plan, which chunks are
    done, and intermediate sums. A chunk is written once, when all its pixels are there.

    Parameters
    ----------
    path
        NAME.ome.zarr.
    output
        What the file will hold, without its pixels.
    plan
        What is being done, as plain values: kept in the notes of a new file. Whether the plan of
        an unfinished file (`stored_plan`) is the same is for the caller to check.
    """

    def __init__(self, path: Path, output: Image, plan: Mapping[str, Any]) -> None:
        self._path = path
        self._partial = partial_path(path)
        self._notes = self._partial / NOTES
        self._output = output
        if stored_plan(path) is None:
            self._notes.mkdir(parents=True, exist_ok=True)
            write_bytes_atomically(self._notes / PLAN, json.dumps(plan).encode())
        self._levels = _open_or_create(self._partial, output)
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

    def recall(self, name: str) -> Arrays | None:
        file = self._notes / f"{name}.npz"
        if not file.exists():
            return None
        with np.load(file) as arrays:
            return dict(arrays)

    def remember(self, name: str, arrays: Callable[[], Arrays], *, now: bool = False) -> None:
        if not now and monotonic() - self._saved_at < SECONDS_BETWEEN_SAVES:
            return
        with self._telling(), replacing(self._notes / f"{name}.npz") as temporary:
            np.savez(temporary, **arrays())  # type: ignore[arg-type]
        self._saved_at = monotonic()

    def finish(self) -> Image:
        assert not self._chunks, "every pixel is written exactly once"
        with self._telling():
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
        with self._telling():
            write_chunk(self._levels, chunk.region, chunk.values)
            with (self._notes / DONE).open("a") as file:
                file.write(" ".join(map(str, index)) + "\n")
        self._done.add(index)
        del self._chunks[index]

    def _chunks_of(self, region: Region) -> Iterator[tuple[int, ...]]:
        """The numbers of the chunks that a region touches."""
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
    def _telling(self) -> Iterator[None]:
        """Say what to do where the disk refuses."""
        try:
            yield
        except OSError as error:
            msg = (
                f"{self._partial} cannot be written ({error}). Once that is mended, restore again "
                "with the same settings: what is finished is kept."
            )
            raise OSError(msg) from error


def partial_path(path: Path) -> Path:
    """The name of a file that is not complete yet."""
    if not path.name.endswith(STREAMED):
        raise ValueError(f"{path.name}: results are streamed to files that end in {STREAMED}.")
    return path.with_name(path.name.removesuffix(STREAMED) + PARTIAL_ENDING)


def stored_plan(path: Path) -> dict[str, Any] | None:
    """The plan of the unfinished file that is to become `path`, if there is one."""
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another name, or remove it first.")
    file = partial_path(path) / NOTES / PLAN
    return json.loads(file.read_text()) if file.exists() else None


def _open_or_create(folder: Path, output: Image) -> list[Any]:
    if (folder / "zarr.json").exists() and (folder / "0" / "zarr.json").exists():
        return open_levels(folder, "r+")
    return create_omezarr(output, folder)
