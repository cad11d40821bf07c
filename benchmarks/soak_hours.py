"""Train, stop, resume, restore, and look at a result again and again, and measure what is kept.

    python benchmarks/soak_hours.py [--minutes 120] [--seed 0] [--size 512]

Every round trains the same network on the same pairs, stops it at random moments and resumes it,
then restores an image to TIFF and OME-Zarr, stopped once, and computes relevance and trust. Model
and restored pixels have to be those of the first round. Memory, open files and threads are
measured after each round; the first tenth of the time is the warm-up. Ends with 1 if a round gave
something else, the memory grew by 3 % or more, or files or threads were left. See
docs/reliability.md.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import hashlib
import os
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import blurred_pairs

MOST_GROWTH = 0.03
WARM_UP = 0.1
STEPS = 60
# Events after which a training is stopped: some before the first step, some after the last.
LONGEST_PART = 90


@dataclass(frozen=True)
class Kept:
    """Record memory, open files and threads of the process after a round."""

    minutes: float
    megabytes: float
    files: int
    threads: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    began, first, kept, wrong, stops = time.monotonic(), "", [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        while not kept or kept[-1].minutes < options.minutes:
            found, count = work(Path(folder), options.size, chance)
            stops += count
            first = first or found
            wrong += found != first
            kept.append(held((time.monotonic() - began) / 60))
            print(f"round {len(kept)}: {kept[-1]}, {count} stops, {found[:12]}", flush=True)
    return judge(kept, wrong, stops)


def work(folder: Path, size: int, chance: random.Random) -> tuple[str, int]:
    """Do a round in an empty folder; return the digest of its results and how often it stopped."""
    from napari_aeanet import relevance_maps, restore, trust_maps, write_image

    with tempfile.TemporaryDirectory(dir=folder) as name:
        place = Path(name)
        pairs = blurred_pairs(3, (size, size))
        model, stops = train(pairs, place / "run", chance)
        image = pairs[0].source
        digest = hashlib.sha256(weights(model))
        stops += stream(image, model, place / "restored.ome.zarr", chance)
        write_image(restore(image, model), place / "restored.tif")
        for file in ("restored.ome.zarr", "restored.tif"):
            digest.update(pixels(place / file))
        digest.update(relevance_maps(image, model).maps.tobytes())
        trust_maps(image, model)
    return digest.hexdigest(), stops


def train(pairs: Any, folder: Path, chance: random.Random) -> tuple[Path, int]:
    """Train with stops at random events; return the model and how often it was stopped."""
    from napari_aeanet.training.run import resume_events, train_events
    from napari_aeanet.training.settings import Finished, TrainSettings

    settings = TrainSettings(preset="aeanet-2d-fast", steps=STEPS, batch=2, patch=64, seed=1)
    stops = 0
    while True:
        started = (folder / "plan.json").exists()
        events = resume_events(pairs, folder) if started else train_events(pairs, settings, folder)
        last = last_of(events, chance.randrange(3, LONGEST_PART))
        if isinstance(last, Finished):
            return last.bundle, stops
        stops += 1


def stream(image: Any, model: Path, out: Path, chance: random.Random) -> int:
    """Restore an image to OME-Zarr, stopped once at a random tile if it has so many."""
    from napari_aeanet.restoration.run import restore_events
    from napari_aeanet.restoration.settings import RestoreSettings

    settings = RestoreSettings(tile=128)
    last_of(restore_events(image, model, settings, out=out), chance.randrange(1, 12))
    stopped = not out.exists()
    if stopped:
        last_of(restore_events(image, model, settings, out=out), None)
    return int(stopped)


def last_of(events: Iterable[Any], most: int | None) -> Any:
    """Return the last of at most so many events, and stop the work."""
    with closing(as_generator(events)) as running:
        return deque(islice(running, most), maxlen=1).pop()


def as_generator(events: Iterable[Any]) -> Generator[Any, None, None]:
    yield from events


def weights(model: Path) -> bytes:
    from napari_aeanet import load_model

    kept = load_model(model).weights
    return b"".join(kept[key].tobytes() for key in sorted(kept))


def pixels(path: Path) -> bytes:
    import numpy as np

    from napari_aeanet import read_image

    return np.asarray(read_image(path).array).tobytes()


def held(minutes: float) -> Kept:
    """Return what the process holds, without what the allocator could give back."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    status = Path("/proc/self")
    pages = int((status / "statm").read_text().split()[1])
    return Kept(
        round(minutes, 2),
        round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        sum(1 for _ in files(status / "fd")),
        sum(1 for _ in files(status / "task")),
    )


def files(folder: Path) -> Iterator[Path]:
    return folder.iterdir()


def judge(kept: list[Kept], wrong: int, stops: int) -> int:
    """Print what was found, and return 1 if it is not accepted."""
    settled = [one for one in kept if one.minutes >= WARM_UP * kept[-1].minutes]
    tenth = max(1, len(settled) // 10)
    before = sum(one.megabytes for one in settled[:tenth]) / tenth
    after = sum(one.megabytes for one in settled[-tenth:]) / tenth
    grown = after / before - 1
    files_left = settled[-1].files - settled[0].files
    threads_left = settled[-1].threads - settled[0].threads
    print(
        f"{kept[-1].minutes:.0f} min, {len(kept)} rounds, {stops} stops, {wrong} other results; "
        f"{before:.0f} MB after the warm-up, {after:.0f} MB at the end ({grown:+.1%}); "
        f"{files_left:+} files, {threads_left:+} threads"
    )
    return int(wrong > 0 or grown >= MOST_GROWTH or files_left > 0 or threads_left > 0)


if __name__ == "__main__":
    sys.exit(main())
