"""Exact restoration by two workers against one process, with deaths in between.

    python benchmarks/cluster.py
    python benchmarks/cluster.py --only deaths --preset aeanet-2d-fast
    python benchmarks/cluster.py --side 2048

Noise of 8192 x 8192 pixels is restored with random weights, which change no time, in one thread:

- overhead: CPU seconds of two workers and the client against those of one process. What the workers
  load at their start is done before, by a smaller image.
- deaths: a worker is killed while contexts are gathered, and one while pixels are predicted.
- client: the process that sends the work is killed while pixels are predicted, and begun again.

Each result has 32-bit floats and must equal that of one process bit for bit, on all levels. Ends
with 1 if something accepted is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers import model_of, random_network

from napari_aeanet.cluster import ClusterSettings, restore_on_cluster_events
from napari_aeanet.cluster import run as cluster_run
from napari_aeanet.core.image import Image, regions
from napari_aeanet.core.progress import Progressed
from napari_aeanet.io import open_levels, write_image, written_shape
from napari_aeanet.models import all_presets
from napari_aeanet.restoration import RestoreSettings, restore

ACCEPTED_OVERHEAD = 0.15
SETTINGS = RestoreSettings(context="whole", device="cpu", memory=1, tile=256, output="32-bit float")
# Shares of the whole work at which something is killed: gathering takes a half of the steps.
KILLS, CLIENT_KILL = (0.2, 0.7), 0.65

missed: list[str] = []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--preset", default="aeanet-2d")
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = model_with_random_weights(given.preset)
    if given.client:
        as_client(given.client, model)
        return
    print(f"{given.preset}, {given.side} x {given.side}, one thread; torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_noise(folder / "a.ome.zarr", given.side, seed=0)
        write_noise(folder / "small.ome.zarr", min(given.side, 1536), seed=1)
        restore(folder / "small.ome.zarr", model, SETTINGS, out=folder / "first.ome.zarr")
        begun = time.process_time()
        restore(folder / "a.ome.zarr", model, SETTINGS, out=folder / "one.ome.zarr")
        one = time.process_time() - begun
        print(f"one process: {one:.1f} CPU s", flush=True)
        for section in given.only:
            SECTIONS[section](folder, model, given.preset, one)
    sys.exit("missed: " + "; ".join(missed) if missed else 0)


def model_with_random_weights(preset: str):
    config = next(one.config for one in all_presets() if one.name == preset)
    return model_of(random_network(config).float(), preset=preset)


def write_noise(path: Path, side: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    write_image(Image(pixels, "YX"), path)


def overhead(folder: Path, model, preset: str, one: float) -> None:
    with cluster_run.connected(ClusterSettings(dask="local", workers=2)) as workers:
        cluster = ClusterSettings(dask=workers.client.scheduler.address, worker_threads=1)
        processes = [psutil.Process(n) for n in workers.client.run(os.getpid).values()]

        def seconds() -> float:
            times = [process.cpu_times() for process in processes]
            return sum(t.user + t.system for t in times) + time.process_time()

        before = seconds()
        run(folder, model, "small.ome.zarr", "warm.ome.zarr", cluster)
        start, before = seconds() - before, seconds()
        run(folder, model, "a.ome.zarr", "two.ome.zarr", cluster)
        share = (seconds() - before) / one - 1
        print(f"two workers: {seconds() - before:.1f} CPU s with the client, before {start:.1f}")
    judge(f"overhead {100 * share:.1f} %", share <= ACCEPTED_OVERHEAD)
    judge_same(folder, "two")


def deaths(folder: Path, model, preset: str, one: float) -> None:
    killed = 0
    with cluster_run.connected(ClusterSettings(dask="local", workers=2)) as workers:
        cluster = ClusterSettings(dask=workers.client.scheduler.address, worker_threads=1)
        events = restore_on_cluster_events(
            folder / "a.ome.zarr", model, folder / "deaths.ome.zarr", SETTINGS, cluster
        )
        for event in events:
            share = event.progress.done / event.progress.total
            if killed < len(KILLS) and isinstance(event, Progressed) and share >= KILLS[killed]:
                pid = min(workers.client.run(os.getpid, on_error="ignore").values())
                os.kill(pid, signal.SIGKILL)
                killed += 1
                print(f"worker {pid} killed at {100 * share:.0f} %", flush=True)
    judge(f"{killed} workers killed", killed == len(KILLS))
    judge_same(folder, "deaths")


def client(folder: Path, model, preset: str, one: float) -> None:
    words = [sys.executable, __file__, "--preset", preset, "--client", str(folder)]
    for last in (CLIENT_KILL, None):
        began = 0.0
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            family = []
            for line in process.stdout or ():
                share = float(line)
                began = began or share
                if last is not None and share >= last:
                    family = psutil.Process(process.pid).children(recursive=True)
                    process.send_signal(signal.SIGKILL)
                    print(f"client killed at {100 * share:.0f} %", flush=True)
                    break
        for one_of_it in family:  # they would end by themselves after two minutes
            with suppress(psutil.NoSuchProcess):
                one_of_it.kill()
    print(f"resumed at {100 * began:.0f} %")
    judge("client killed and begun again", process.returncode == 0)
    judge_same(folder, "client")


def as_client(folder: Path, model) -> None:
    """Restore on workers of its own, and print the share that is done."""
    cluster = ClusterSettings(dask="local", workers=2, worker_threads=1)
    events = restore_on_cluster_events(
        folder / "a.ome.zarr", model, folder / "client.ome.zarr", SETTINGS, cluster
    )
    for event in events:
        print(event.progress.done / event.progress.total, flush=True)


def run(folder: Path, model, source: str, out: str, cluster: ClusterSettings) -> None:
    for _ in restore_on_cluster_events(folder / source, model, folder / out, SETTINGS, cluster):
        pass


def judge_same(folder: Path, name: str) -> None:
    """Compare all levels of a result with that of one process."""
    found, expected = open_levels(folder / f"{name}.ome.zarr"), open_levels(folder / "one.ome.zarr")
    same = all(
        np.array_equal(ours[region], theirs[region])
        for ours, theirs in zip(found, expected, strict=True)
        for region in regions(ours.shape, written_shape(ours))
    )
    spread = np.ptp(expected[-1][...])
    judge(f"{name}: {len(found)} levels equal bit for bit", same and spread > 0)


def judge(what: str, passed: bool) -> None:
    print(f"{'passed' if passed else 'MISSED'}: {what}", flush=True)
    if not passed:
        missed.append(what)


SECTIONS = {function.__name__: function for function in (overhead, deaths, client)}

if __name__ == "__main__":
    main()
