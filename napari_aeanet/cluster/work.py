"""Work of one worker: gather contexts, predict tiles or patches, write whole chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch

from napari_aeanet.cluster.process import one_at_a_time, set_up
from napari_aeanet.core.image import Region
from napari_aeanet.core.pieces import Piece, Work
from napari_aeanet.core.tiles import Tile, extent, intersection, within
from napari_aeanet.io import coarser, open_levels, read_images, write_chunk, written_shape
from napari_aeanet.networks import Context
from napari_aeanet.relevance import OpenRun, gather_tiles
from napari_aeanet.restoration import (
    ClippedPixels,
    Place,
    RestoredPart,
    RestoreSettings,
    TileRunner,
    cropped_parts,
    explaining,
    mean,
    prepare,
)

Corner = tuple[int, ...]
Known = list[list[Context]]
"""For each view the contexts of all attentions that are known, for one tile."""


@dataclass(frozen=True)
class SharedRun:
    """Everything that a worker needs to know; image, model and result are files that it reaches.

    Parameters
    ----------
    image, number
        The file of the image, and which of the images in it.
    model
        Model file.
    settings
        How to restore.
    tiles
        In the order in which their contexts are added.
    kept
        Those that wait at an attention, as in one process: another choice rounds otherwise.
    ranges
        Intensity range of each channel.
    results
        The unfinished result and, if wanted, the height map; none for an analysis.
    threads
        Threads of PyTorch.
    key
        Unlike that of every other job.
    """

    image: Path
    number: int
    model: Path
    settings: RestoreSettings
    tiles: tuple[Region, ...]
    kept: tuple[Place, ...]
    ranges: tuple[tuple[float, float], ...]
    results: tuple[Path, ...]
    threads: int
    key: str


@dataclass(frozen=True, eq=False)
class Written:
    """A chunk that a worker wrote: its checksum, and its means for the coarser levels."""

    region: Region
    checksum: int
    means: np.ndarray


@dataclass(frozen=True, eq=False)
class StoredTiles:
    """Pixels of a group of tiles in one file: written, or left for others.

    Parameters
    ----------
    written
        The chunks that lie in these tiles as a whole.
    blocks
        Parts of other chunks, for the one who has the rest.
    """

    written: list[Written] = field(default_factory=list)
    blocks: list[tuple[Region, np.ndarray]] = field(default_factory=list)


@dataclass(eq=False)
class Predicted:
    """The outcome of a group of tiles.

    Parameters
    ----------
    count
        The number of tiles.
    stored
        In the result and, if wanted, in the height map.
    """

    count: int = 0
    stored: list[StoredTiles] = field(default_factory=list)
    clipped: ClippedPixels = field(default_factory=ClippedPixels)
    times_halved: int = 0


_LATEST: dict[str, OpenRun] = {}


@one_at_a_time
def gather(
    job: SharedRun, number: int, tiles: Sequence[Region], known: Sequence[Known]
) -> tuple[str, list[list[Context]]]:
    """Return the context of the next attention for each tile and view, and who gathered it."""
    return _address(), list(gather_tiles(number, opened_here(job), zip(tiles, known, strict=True)))


@one_at_a_time
def predict(
    job: SharedRun, number: int, tiles: Sequence[Region], known: Sequence[Known]
) -> Predicted:
    """Predict tiles with all contexts known, and write the chunks that lie in them."""
    worker = opened_here(job)
    views = worker.views(number)

    def parts() -> Iterator[RestoredPart]:
        for tile, of_tile in zip(tiles, known, strict=True):
            predictions = (
                view.transform.undo(worker.runner.predict(view, view.region(tile), of_view))
                for view, of_view in zip(views, of_tile, strict=True)
            )
            yield RestoredPart(tile, mean(predictions, len(views), worker.runner.index_channels))

    return _stored(job, worker, number, parts())


@one_at_a_time
def predict_patches(job: SharedRun, number: int, patches: Sequence[Tile]) -> Predicted:
    """Predict patches by themselves, and write the chunks that lie in them."""
    worker = opened_here(job)
    views = worker.views(number)
    return _stored(job, worker, number, cropped_parts(worker.runner, views, patches))


def opened_here(job: SharedRun) -> OpenRun:
    """Return the run of a job as this process has opened it; suspended tiles stay in it."""
    if job.key not in _LATEST:
        _LATEST.clear()
        set_up(job.threads)
        image = read_images(job.image)[job.number]
        device = device_here(job.settings.device)
        prepared = prepare(image, job.model, replace(job.settings, device=device))
        layout = replace(prepared.layout, tiles=job.tiles).with_ranges(job.ranges)
        prepared = replace(prepared, layout=layout)
        runner = TileRunner(prepared.network, prepared.device, job.kept)
        _LATEST[job.key] = OpenRun(prepared, runner, job.kept)
    return _LATEST[job.key]


@one_at_a_time
def compute_tiles(
    job: SharedRun, work: Work[OpenRun, Piece, Any], pieces: list[Piece]
) -> list[Any]:
    """Compute some pieces of work on the tiles of an image."""
    return list(work(opened_here(job), pieces))


def _stored(
    job: SharedRun, worker: OpenRun, number: int, parts: Iterator[RestoredPart]
) -> Predicted:
    """Write the chunks that are complete, and return the rest."""
    source, assembler = worker.prepared.inputs[number], worker.prepared.assembler
    files = [_ChunkWriter(path) for path in job.results]
    found = Predicted()
    for part in parts:
        found.count += 1
        place = assembler.region(source, part.region)
        files[0].add(place, assembler.block(source, part.region, part.values, found.clipped))
        for heights in files[1:]:
            heights.add(place, assembler.heights(source, part.region, part.values))
    found.stored = [file.finish() for file in files]
    found.times_halved = worker.runner.times_halved
    return found


class _ChunkWriter:
    """Collects the blocks of a file, and writes the chunks that they fill."""

    def __init__(self, path: Path) -> None:
        self._path, self._levels = path, open_levels(path, "r+")[:1]
        self._chunks: dict[Corner, tuple[Region, list[tuple[Region, np.ndarray]]]] = {}

    def add(self, place: Region, block: np.ndarray) -> None:
        array = self._levels[0]
        for chunk in chunks_of(place, written_shape(array), array.shape):
            common = intersection(place, chunk)
            assert common is not None
            _, blocks = self._chunks.setdefault(corner(chunk), (chunk, []))
            blocks.append((common, block[within(common, place)]))

    def finish(self) -> StoredTiles:
        """Write the chunks that are complete, and return what was written and the rest."""
        found = StoredTiles()
        for chunk, blocks in self._chunks.values():
            if sum(prod(extent(region)) for region, _ in blocks) < prod(extent(chunk)):
                found.blocks.extend(blocks)
                continue
            values = np.empty(extent(chunk), self._levels[0].dtype)
            for region, block in blocks:
                values[within(region, chunk)] = block
            with explaining(self._path):
                write_chunk(self._levels, chunk, values)
            found.written.append(Written(chunk, crc32(values.data), coarser(values)))
        return found


def chunks_of(region: Region, chunks: Sequence[int], shape: Sequence[int]) -> list[Region]:
    """Return the chunks of an array that a region touches."""
    spans = [
        [slice(start, min(start + c, n)) for start in range(s.start // c * c, s.stop, c)]
        for s, c, n in zip(region, chunks, shape, strict=True)
    ]
    return list(product(*spans))


def corner(region: Region) -> Corner:
    """Return the first pixel of a region, which tells it from others of its kind."""
    return tuple(s.start for s in region)


def device_here(name: str) -> str:
    """Return the device of this worker where `name` was asked for.

    Workers that were started together on one computer, and are numbered, share out its GPUs.
    """
    number, gpus = getattr(_worker(), "name", None), torch.cuda.device_count()
    if name in ("auto", "cuda") and gpus > 1 and isinstance(number, int):
        return f"cuda:{number % gpus}"
    return name


def _address() -> str:
    """Return the address of this worker; empty if this process is none."""
    return getattr(_worker(), "address", "")


def _worker() -> Any:
    """Return this worker; None if this process is none."""
    from distributed import get_worker

    try:
        return get_worker()
    except ValueError:
        return None
