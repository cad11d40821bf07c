"""Speed of training beside a bare loop, survival of kills, and the gain it reaches.

    python benchmarks/training.py [--only speed memory start kills real] [--steps 350]

`speed`: our steps per CPU second over those of a bare PyTorch loop on ready-made batches,
interleaved in one process at one thread. `memory`: the same two, each in a process of its own.
`start`: CPU seconds from the start of a process to its first step. `kills`: the process is killed
ten times at random moments and gone on with each time. `real`: registered SEM pairs, images 0-11
learn, 12-14 are restored (with --final, images 15-19, which nothing may be tuned on).
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.core.metrics import gain
from napari_aeanet.io.files import read_images
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.registration.warping import overlap_region
from napari_aeanet.training.run import resume_events, train_events
from napari_aeanet.training.run_folder import RunFolder
from napari_aeanet.training.settings import Finished, Planned, Stepped, TrainSettings, Validated

DATA = Path(__file__).parents[2] / "shared" / "data" / "sem_pairs_wzl"
SEED = 0
PRESET = "aeanet-2d"
BATCH, PATCH = 8, 128
COMPARED_STEPS = 8
KILLS, KILLED_STEPS = 10, 600
BORDER = 24
ACCEPTED = {"speed": 0.95, "memory": 1.10, "start": 7.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS)[:-1])
    parser.add_argument("--preset", default=PRESET)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--final", action="store_true")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.child:
        CHILDREN[args.child](args.folder)
        return
    for name in args.only:
        SECTIONS[name](args)


def pairs_of(count: int = 12, shape: tuple[int, int] = (768, 1280)) -> list[ImagePair]:
    """Smooth blobs, blurred and noisy."""
    rng = np.random.default_rng(SEED)
    pairs = []
    for number in range(count):
        target = gaussian_filter(rng.standard_normal(shape), 2) + 0.5
        source = gaussian_filter(target, 1.5) + rng.normal(0, 0.03, shape)
        images = (
            Image((np.clip(values, 0, 1) * 255).astype(np.uint8), "YX", name=f"S{number}")
            for values in (source, target)
        )
        pairs.append(ImagePair(*images))
    return pairs


def our_steps(pairs: list[ImagePair], folder: Path, preset: str = PRESET) -> Iterator[None]:
    """Return the next step of a run, skipping other events."""
    settings = TrainSettings(preset=preset, steps=10_000, batch=BATCH, patch=PATCH)
    for event in train_events(pairs, settings, folder):
        if isinstance(event, Stepped):
            yield


def bare_steps(preset: str = PRESET) -> Iterator[None]:
    """Run the shortest possible loop, on prepared batches."""
    network = networks.build(presets.quick_config(presets.preset(preset)))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    batches = torch.rand(4, 2, BATCH, 1, PATCH, PATCH)
    for step in range(10_000):
        source, target = batches[step % len(batches)]
        optimiser.zero_grad(set_to_none=True)
        loss = torch.nn.functional.l1_loss(network(source), target)
        loss.backward()
        optimiser.step()
        loss.item()
        yield


def compared_steps(preset: str = PRESET) -> tuple[float, float]:
    """Return the CPU seconds of a step, ours and that of the bare loop, taken in turns."""
    with tempfile.TemporaryDirectory() as folder:
        loops = {
            "ours": our_steps(pairs_of(2), Path(folder) / "run", preset),
            "bare": bare_steps(preset),
        }
        seconds = {name: [] for name in loops}
        for loop in loops.values():
            next(loop)  # the first step is slower
        for _ in range(COMPARED_STEPS):
            for name, loop in loops.items():
                began = time.process_time()
                next(loop)
                seconds[name].append(time.process_time() - began)
        loops["ours"].close()
    return float(np.median(seconds["ours"])), float(np.median(seconds["bare"]))


def speed(args: argparse.Namespace) -> None:
    ours, bare = compared_steps(args.preset)
    print(
        f"speed: {bare / ours:.3f} of a bare loop (accepted {ACCEPTED['speed']}); ours {ours:.2f}, "
        f"bare {bare:.2f} CPU s a step of {BATCH} x {PATCH} x {PATCH}"
    )


def memory(args: argparse.Namespace) -> None:
    ours, bare = (float(run_child(name)) for name in ("our_memory", "bare_memory"))
    print(
        f"memory: {ours / bare:.2f} of a bare loop (accepted {ACCEPTED['memory']}); ours "
        f"{ours / 2**20:.2f} GiB, bare {bare / 2**20:.2f} GiB"
    )


def start(args: argparse.Namespace) -> None:
    print(f"start: {float(run_child('first_step')):.1f} CPU s (accepted {ACCEPTED['start']})")


def kills(args: argparse.Namespace) -> None:
    """Kill the process at random moments; only steps after the last save may be lost."""
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        moments = [_killed(folder, rng) for _ in range(KILLS)]
        interval = RunFolder(folder).read_plan().check_every
        last = [*resume_events(pairs_of(2, (192, 256)), folder)][-1]
        assert isinstance(last, Finished)
        load_model(last.bundle).network()
    lost = max(reached - saved for reached, saved in moments)
    print(f"kills: {KILLS} times, gone on with every time to the end; (reached, saved): {moments}")
    print(f"  at most {lost} steps lost (accepted: one interval, {interval})")


def _killed(folder: Path, rng: random.Random) -> tuple[int, int]:
    """Resume the run, kill it after some steps; return the last reported step and the saved one."""
    child = start_child("go_on", folder)
    assert child.stdout is not None
    told = list(islice(child.stdout, rng.randint(5, 120)))
    time.sleep(rng.uniform(0, 0.05))
    child.kill()
    told += child.stdout.readlines()
    child.wait()
    reached = max(int(line) for line in told if line.endswith("\n"))
    return reached, RunFolder(folder).read_state()[1].step


def real(args: argparse.Namespace) -> None:
    if not DATA.exists():
        sys.exit(f"The real images are not here ({DATA}).")
    sources, targets = read_images(DATA / "lr.tif"), read_images(DATA / "hr.tif")
    tested = range(15, 20) if args.final else range(12, 15)
    pairs = {
        number: ImagePair(
            sources[number],
            targets[number],
            register(sources[number], targets[number]),
            f"{number:02d}",
        )
        for number in (*range(12), *tested)
    }
    settings = TrainSettings(preset=args.preset, steps=args.steps, minutes=5, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        for event in train_events([pairs[n] for n in range(12)], settings, Path(folder) / "run"):
            if isinstance(event, Planned | Validated | Finished):
                shown = {k: v for k, v in asdict(event).items() if k in SHOWN}
                print(f"{time.process_time() - began:6.1f} CPU s", shown, flush=True)
        network = load_model(Path(folder) / "run" / "best.aeanet").network()
        gains = {number: real_gain(network, pairs[number]) for number in tested}
    for number, (psnr, ssim) in gains.items():
        print(f"image {number}: {psnr:+.2f} dB, SSIM {ssim:+.4f}")
    psnr, ssim = np.mean(list(gains.values()), axis=0)
    print(f"real: {args.preset}, seed {args.seed}: mean {psnr:+.2f} dB, SSIM {ssim:+.4f}")


SHOWN = ("summary", "step", "steps", "psnr_gain", "ssim_gain")


def real_gain(network: torch.nn.Module, pair: ImagePair) -> tuple[float, float]:
    """Gain over the registered source, affine-matched, a border left out."""
    source = pair.on_target_grid().read().astype(np.float32)
    with torch.no_grad():
        restored = network(torch.from_numpy(source / 255)[None, None])[0, 0].numpy() * 255
    inside = tuple(
        slice(s.start + BORDER, s.stop - BORDER) for s in overlap_region(pair.registration)
    )
    better = gain(source[inside], restored[inside], pair.target.read()[inside], 255.0)
    return better.psnr, better.ssim


def run_child(name: str, folder: Path | None = None) -> str:
    child = start_child(name, folder)
    said, _ = child.communicate()
    if child.returncode:
        sys.exit(f"{name} failed")
    return said


def start_child(name: str, folder: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--child", name]
    if folder is not None:
        command += ["--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def our_memory(_: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _peak_of(our_steps(pairs_of(2), Path(folder) / "run"))


def bare_memory(_: Path) -> None:
    _peak_of(bare_steps())


def _peak_of(steps: Iterator[None]) -> None:
    for _ in range(4):
        next(steps)
    steps.close()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def first_step(_: Path) -> None:
    """CPU seconds since the process began, less what it took to make the images."""
    before = time.process_time()
    pairs = pairs_of()
    making = time.process_time() - before
    with tempfile.TemporaryDirectory() as folder:
        steps = our_steps(pairs, Path(folder) / "run")
        next(steps)
        print(time.process_time() - making)
        steps.close()


def go_on(folder: Path) -> None:
    """Start or resume the run in `folder`; small steps, so that a kill can happen at any moment."""
    pairs = pairs_of(2, (192, 256))
    settings = TrainSettings(steps=KILLED_STEPS, batch=2, patch=32)
    begun = (folder / "plan.json").exists()
    for event in resume_events(pairs, folder) if begun else train_events(pairs, settings, folder):
        if isinstance(event, Stepped):
            print(event.step, flush=True)


SECTIONS = {"speed": speed, "memory": memory, "start": start, "kills": kills, "real": real}
CHILDREN = {f.__name__: f for f in (our_memory, bare_memory, first_step, go_on)}

if __name__ == "__main__":
    main()
