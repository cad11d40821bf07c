"""Two workers that race over sharded OME-Zarr: no shard may be damaged.

    python benchmarks/races.py
    python benchmarks/races.py --runs 5

Each run has an image, tiles and order of work of its own, and two races:

- A restoration by two workers, each of which writes the shards of its tiles. Every other run is
  stopped, forgets most of what is finished, and goes on.
- The same shards written by both workers at once, each twice and in an order of its own, while this
  process reads them: it may see zeros or the values, and nothing else.

Shards are small (64 x 64 of chunks of 16 x 16), so that many are at work at the same time. Ends
with 1 if a result is not that of one process, bit for bit, or a shard lacks a chunk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers import model_of, small_network

from napari_aeanet.cluster import ClusterSettings, restore_on_cluster_events
from napari_aeanet.cluster import run as cluster_run
from napari_aeanet.core.image import Image, regions
from napari_aeanet.core.tiles import extent
from napari_aeanet.io import (
    create_omezarr,
    ome_zarr,
    open_levels,
    read_image,
    write_chunk,
    write_image,
)
from napari_aeanet.restoration import RestoreSettings, prepare, restore_prepared

SHARD = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--first", type=int, default=0, help="number of the first run")
    given = parser.parse_args()
    ome_zarr._SHARD = cluster_run.CHUNK = SHARD
    torch.set_num_threads(1)
    model = model_of(small_network("aeanet-2d", features=2))
    damaged = shards = reads = 0
    with cluster_run.connected(ClusterSettings(dask="local", workers=2)) as workers:
        cluster = ClusterSettings(dask=workers.client.scheduler.address, worker_threads=1)
        for seed in range(given.first, given.first + given.runs):
            with tempfile.TemporaryDirectory() as folder:
                found, wrong = restoration(Path(folder), model, cluster, seed)
                seen, torn = same_shards(Path(folder), workers.client, seed)
            shards, damaged, reads = shards + found, damaged + wrong + torn, reads + seen
            print(f"run {seed}: {found} shards, {seen} reads, {wrong + torn} damaged", flush=True)
    print(f"{given.runs} runs, {shards} shards, {reads} reads meanwhile, {damaged} damaged.")
    sys.exit(int(damaged > 0))


def restoration(folder: Path, model, cluster: ClusterSettings, seed: int) -> tuple[int, int]:
    """Return the shards that two workers wrote, and how many are damaged."""
    rng = np.random.default_rng(seed)
    shape = (2, *rng.integers(150, 300, 2))
    pixels = rng.integers(0, 256, shape).astype(rng.choice([np.uint8, np.uint16]))
    write_image(Image(pixels, "CYX"), folder / "a.ome.zarr")
    tile = int(rng.choice([0, 32, 48, 96]))
    settings = RestoreSettings(tile=tile, context="whole", device="cpu", memory=0.001)
    if rng.random() < 0.3:
        settings = RestoreSettings(use="patches", patch_size=48, margin=8, device="cpu")
    arguments = (folder / "a.ome.zarr", model, folder / "two.ome.zarr", settings, cluster)
    if seed % 2:  # a tenth of the finished shards stays noted; the others are written again
        events = restore_on_cluster_events(*arguments)
        for event in events:
            if event.progress.done > 0.8 * event.progress.total:
                break
        events.close()
        notes = folder / "two.partial.ome.zarr" / "restoration" / "chunks-done.txt"
        if notes.exists():
            lines = notes.read_text().splitlines(keepends=True)
            notes.write_text("".join(lines[: len(lines) // 10]))
    for _ in restore_on_cluster_events(*arguments):
        pass
    prepared = prepare(folder / "a.ome.zarr", model, settings)
    if tile == 0:  # those of the workers, as other tiles round differently
        tiles = cluster_run.tiles_in_chunks(prepared)
        prepared = replace(prepared, layout=replace(prepared.layout, tiles=tiles))
    for _ in restore_prepared(prepared, out=folder / "one.ome.zarr"):
        pass
    two, one = (open_levels(folder / f"{name}.ome.zarr") for name in ("two", "one"))
    places = list(regions(two[0].shape, ome_zarr.written_shape(two[0])))
    damaged = sum(not np.array_equal(_read(two[0], at), one[0][at]) for at in places)
    damaged += sum(
        not np.array_equal(_read(a, ...), b[...]) for a, b in zip(two[1:], one[1:], strict=True)
    )
    return len(places), damaged + len(read_image(folder / "two.ome.zarr").notices)


def same_shards(folder: Path, client, seed: int) -> tuple[int, int]:
    """Let both workers write the same shards; return what was read meanwhile, and what is wrong."""
    path = folder / "same.ome.zarr"
    image = Image(np.zeros((2, 150, 200), np.uint8), "CYX")
    finest = create_omezarr(image, path)[0]
    places = list(regions(finest.shape, ome_zarr.written_shape(finest)))
    addresses = list(client.ncores())
    futures = [
        client.submit(write_all, path, places, 2 * seed + n, workers=[address], pure=False)
        for n, address in enumerate(addresses)
    ]
    rng = np.random.default_rng(seed)
    reads = torn = 0
    while not all(future.done() for future in futures):
        place = places[rng.integers(len(places))]
        part = (*place[:-1], slice(place[-1].start, (place[-1].start + place[-1].stop) // 2))
        for at in (place, part):  # a whole shard is read at once, a part with its index first
            found = _read(finest, at)
            expected = values_at(place)[..., : at[-1].stop - at[-1].start]
            torn += found is None or (found.any() and not np.array_equal(found, expected))
        reads += 2
    for future in futures:
        future.result()
    torn += sum(not np.array_equal(_read(finest, at), values_at(at)) for at in places)
    return reads, torn


def write_all(path: Path, places, seed: int) -> None:
    """Write all shards twice, in an order of its own."""
    order = np.random.default_rng(seed)
    finest = open_levels(path, "r+")[:1]
    for place in [*order.permutation(len(places)), *order.permutation(len(places))]:
        write_chunk(finest, places[place], values_at(places[place]))


def values_at(place) -> np.ndarray:
    """Return the values of a shard, none of which is zero."""
    rng = np.random.default_rng([s.start for s in place])
    return rng.integers(1, 256, extent(place), np.uint8)


def _read(array, place) -> np.ndarray | None:
    """Return what is stored; None if it cannot be decoded."""
    try:
        return array[place]
    except (OSError, ValueError, RuntimeError):
        return None


if __name__ == "__main__":
    main()
