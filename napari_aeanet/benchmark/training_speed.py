"""Speed of training, beside the shortest possible loop and the floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
import torch.nn.functional as F

from napari_aeanet.benchmark.busy import busy_share
from napari_aeanet.benchmark.devices import has_bfloat16, wait_for
from napari_aeanet.benchmark.examples import SEED, blurred_pairs
from napari_aeanet.benchmark.floor import Roofline, peaks
from napari_aeanet.benchmark.settings import Measurement, Part
from napari_aeanet.models import presets
from napari_aeanet.networks import build, channels_last, mixed_precision, release_memory
from napari_aeanet.training import Profile, TrainSettings, train_events
from napari_aeanet.training.settings import Stepped

PRESET = "aeanet-2d"
# The two loops take turns, so that other programs slow down both.
TURNS, BUSY_SECONDS = 4, 4.0
PAIRS, PREPARED = 4, 4
PUBLISHED_STEPS = 120_000


class OurLoop:
    """A training of this program, by the recipe of electron micrographs."""

    def __init__(self, device: torch.device, patch: int, batch: int, folder: Path) -> None:
        settings = TrainSettings(
            preset=PRESET,
            profile=Profile.PUBLISHED,
            patch=patch,
            batch=batch,
            device=str(device),
            seed=SEED,
        )
        # The part to train on has to hold a patch, beside what is kept out.
        pairs = blurred_pairs(PAIRS, max(256, 4 * patch))
        self._events = train_events(pairs, settings, folder / "run")
        self._step = 0
        self.run(0.0)

    def run(self, seconds: float) -> tuple[int, float]:
        """Train for so long; return steps and seconds of the steps, without checks and saves."""
        steps, taken, began = 0, 0.0, perf_counter()
        since: float | None = None
        while steps == 0 or perf_counter() - began < seconds:
            event = next(self._events)
            now = perf_counter()
            if not isinstance(event, Stepped):
                since = None
                continue
            if since is not None or seconds == 0:
                steps += event.step - self._step
                taken += now - (since or now)
            since, self._step = now, event.step
        return steps, taken

    def close(self) -> None:
        self._events.close()


class BareLoop:
    """The shortest loop of torch: prepared batches, channels last, bfloat16 on recent CUDA."""

    def __init__(self, device: torch.device, patch: int, batch: int) -> None:
        torch.manual_seed(SEED)
        self.device = device
        self.network = channels_last(build(presets.preset(PRESET).config).to(device))
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=4e-4, fused=device.type == "cuda"
        )
        self.batches = torch.rand(PREPARED, 2, batch, 1, patch, patch, device=device)
        self.step(0)

    def step(self, number: int) -> None:
        """Make one step, without waiting for the device."""
        source, target = self.batches[number % PREPARED]
        self.optimiser.zero_grad(set_to_none=True)
        with mixed_precision(self.device):
            restored = self.network(source)
        F.l1_loss(restored.float(), target).backward()
        self.optimiser.step()

    def run(self, seconds: float) -> tuple[int, float]:
        """Train for so long; return steps and seconds."""
        wait_for(self.device)
        steps, began = 0, perf_counter()
        while steps == 0 or perf_counter() - began < seconds:
            self.step(steps)
            steps += 1
            if steps % 10 == 0:  # or a GPU would be told far more than it does in this time
                wait_for(self.device)
        wait_for(self.device)
        return steps, perf_counter() - began


def training_speed(
    device: torch.device, patch: int, batch: int, seconds: float
) -> Iterator[Measurement | None]:
    """Yield steps a second of this program and of a bare loop, the floor, and the busy share."""

    def figure(name: str, value: float | None, unit: str = "", note: str = "") -> Measurement:
        return Measurement(
            device=str(device), part=Part.TRAINING, name=name, value=value, unit=unit, note=note
        )

    with TemporaryDirectory(prefix="napari-aeanet-", ignore_cleanup_errors=True) as folder:
        ours = OurLoop(device, patch, batch, Path(folder))
        try:
            yield None
            bare = BareLoop(device, patch, batch)
            speeds = {"ours": (0, 0.0), "bare": (0, 0.0)}
            runs: dict[str, Callable[[float], tuple[int, float]]] = {
                "ours": ours.run,
                "bare": bare.run,
            }
            for _ in range(TURNS):
                for name, run in runs.items():
                    before, found = speeds[name], run(seconds / TURNS)
                    speeds[name] = before[0] + found[0], before[1] + found[1]
                    yield None
            share = busy_share(device, lambda: ours.run(min(seconds, BUSY_SECONDS)))
        finally:
            ours.close()
    rates = {name: steps / taken for name, (steps, taken) in speeds.items()}
    kind = "bfloat16" if has_bfloat16(device) else "float32"
    batches = f"{batch} × {patch} × {patch}"
    yield figure("napari-aeanet", rates["ours"], "steps/s", f"{batches}, {kind}")
    yield figure("bare loop", rates["bare"], "steps/s", "prepared batches, channels last")
    yield figure("share of the bare loop", rates["ours"] / rates["bare"])
    hours = PUBLISHED_STEPS / rates["ours"] / 3600
    yield figure(f"{PUBLISHED_STEPS:,} steps", hours, "h", "estimated from the speed")
    yield figure("share of time busy", share, note="" if share is not None else "not measured")
    operations, moved = peaks(device)
    with Roofline(operations, moved) as roofline:
        bare.step(0)
    yield figure(
        "floor",
        1 / roofline.seconds,
        "steps/s",
        f"{roofline.operations / 1e9:.0f} GFLOP at {operations / 1e12:.3g} TFLOP/s and "
        f"{roofline.bytes / 1e9:.1f} GB at {moved / 1e9:.0f} GB/s",
    )
    del bare
    release_memory(device)
