"""`python -m napari_aeanet.benchmark.short_memory DEVICE`: work with too little memory, for real.

In a process of its own: a limit of memory holds for a process, and a library that runs out of
memory may end it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import torch

from napari_aeanet.benchmark.devices import memory_in_use, tensor_float_32
from napari_aeanet.benchmark.examples import blurred_pairs, noise, random_model
from napari_aeanet.benchmark.settings import LIMIT_EXACT, Measurement, Part
from napari_aeanet.models import presets
from napari_aeanet.networks import choose_device
from napari_aeanet.restoration import Output, Restored, RestoreSettings, restore_events
from napari_aeanet.training import Noticed, TrainSettings, train_events
from napari_aeanet.training.settings import Stepped

MODULE = "napari_aeanet.benchmark.short_memory"
PRESET = "aeanet-2d"
# The image and its tile; of these bytes, ever smaller shares are allowed until memory runs out.
EDGE, TILE, FULL_BYTES = {"cuda": 2048, "cpu": 512}, 128, {"cuda": 2e9, "cpu": 1e8}
SHRINK, MOST_TRIES = 0.6, 8
PATCH, BATCH = {"cuda": 256, "cpu": 96}, 8
SECONDS = 150.0
# Large blocks are given back to the system at once, or the limit would not be felt.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


def short_memory(device: torch.device) -> Iterator[Measurement]:
    """Yield what comes of restoring and training at a limit of memory that is too low."""
    where = str(device)
    restoring = "restoring, against the result with enough memory"
    training = "training, at a limit of"
    if device.type != "cuda" and sys.platform != "linux":
        for name in (restoring, training):
            yield Measurement(
                device=where,
                part=Part.SHORT_MEMORY,
                name=name,
                value=None,
                note="not tried: this system has no limit of memory for a process",
            )
        return
    found = _in_own_process(where)
    yield Measurement(
        device=where,
        part=Part.SHORT_MEMORY,
        name=restoring,
        value=found["difference"],
        limit=LIMIT_EXACT,
        note=found["restoring"],
    )
    yield Measurement(
        device=where,
        part=Part.SHORT_MEMORY,
        name=training,
        value=found["training_room"],
        unit="MB",
        note=found["training"],
    )


def _in_own_process(device: str) -> dict[str, Any]:
    command = [sys.executable, "-m", MODULE, device]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, **ALLOCATOR},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(last)
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def limited(device: torch.device, room: float) -> Iterator[None]:
    """Allow this process `room` bytes more than it has, while the block lasts."""
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        allowed = min(1.0, (memory_in_use(device) + room) / total)
        torch.cuda.set_per_process_memory_fraction(allowed, device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return
    import resource

    used = psutil.Process().memory_info().vms
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(used + room), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def shrinking(
    device: torch.device, attempt: Callable[[], tuple[str, Any]]
) -> tuple[float, str, Any]:
    """Call `attempt` with less and less memory until it tells what it did for want of it."""
    room = FULL_BYTES[device.type]
    for _ in range(MOST_TRIES):
        with limited(device, room):
            told, result = attempt()
        if told:
            return room, told, result
        room *= SHRINK
    raise RuntimeError("memory did not run out")


def restore_short_of_memory(device: torch.device) -> dict[str, Any]:
    """Return the difference of a result made with too little memory from the right one."""
    model = random_model(PRESET, presets.preset(PRESET).config)
    edge = EDGE[device.type]
    image = noise((edge, edge))

    def restored(tile: int) -> tuple[str, np.ndarray]:
        settings = RestoreSettings(output=Output.FLOAT32, tile=tile, device=str(device))
        *_, last = restore_events(image, model, settings)
        assert isinstance(last, Restored)
        told = [notice for notice in last.notices if notice.startswith("Memory ran short")]
        return "".join(told), last.image.read()

    with tensor_float_32(allowed=False):
        _, right = restored(TILE)
        room, _, found = shrinking(device, lambda: restored(edge))
    difference = float(np.abs(found - right).max() / np.ptp(right))
    note = f"smaller tiles were taken at a limit of {room / 1e6:.0f} MB"
    return {"difference": difference, "restoring": note}


def train_short_of_memory(device: torch.device) -> dict[str, Any]:
    """Return the limit of memory at which a training went on in smaller parts."""
    patch = PATCH[device.type]
    pairs = blurred_pairs(2, 4 * patch)
    settings = TrainSettings(
        preset=PRESET, steps=4, patch=patch, batch=BATCH, device=str(device), seed=0
    )

    def trained() -> tuple[str, None]:
        with TemporaryDirectory(prefix="napari-aeanet-") as folder:
            try:
                for event in train_events(pairs, settings, Path(folder) / "run"):
                    if isinstance(event, Noticed) and event.text.startswith("Memory ran out"):
                        return "every step was made in smaller parts", None
                    if isinstance(event, Stepped):
                        break
            except MemoryError:  # a CPU refuses before the first step
                return "refused in one sentence", None
        return "", None

    room, told, _ = shrinking(device, trained)
    return {"training_room": room / 1e6, "training": told}


if __name__ == "__main__":
    chosen = choose_device(sys.argv[1])
    made = restore_short_of_memory(chosen) | train_short_of_memory(chosen)
    sys.stdout.write(json.dumps(made) + "\n")
