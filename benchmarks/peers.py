"""Restoration and training beside CAREamics, MONAI and a bare loop of PyTorch.

    make bench-peers

or `python benchmarks/peers.py [--peers PYTHON] [--rounds 3] [--edge 2048] [--write]`. An image of
noise is restored by each in turn, in a process of its own with one thread: CPU seconds and wall
time of the restoration without imports and warm-up, and the peak memory of the process with them.
The peers run in the environment of `--peers` with untrained U-Nets, ours with untrained presets
(weights do not change how long anything takes). What is not installed there is told and left out.
`--write` puts the table into docs/benchmarks.md. Ends with 1 if something accepted is missed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- peers -->\n", "<!-- end of peers -->\n"
TILE, OVERLAP = 256, 48
WARM_UP = 320
FAST = "aeanet-2d-fast"
OURS = (FAST, "aeanet-2d")
PACKAGES = {"CAREamics": "careamics", "MONAI": "monai", "bare loop": "torch"}
PEERS = tuple(PACKAGES)
ACCEPTED_SHARE, ACCEPTED_BYTES, ACCEPTED_TRAINING = 0.25, 0.8e9, 0.97
TRAINED = (FAST,)

Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default=sys.executable, help="Python of the peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--edge", type=int, default=2048)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.peers = str(Path(args.peers).absolute())  # the children run elsewhere
    if args.one:
        print(json.dumps(CHILDREN[args.one](args)))
        return
    with tempfile.TemporaryDirectory() as folder:
        restored, absent = restorations(args, Path(folder))
    trained = {preset: training(preset, args.rounds) for preset in TRAINED}
    text = "\n".join(report(args, restored, absent, trained))
    print(text)
    if args.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}{text}\n{END}{after}", encoding="utf-8")
    if "missed" in text:
        sys.exit(1)


def restorations(
    args: argparse.Namespace, folder: Path
) -> tuple[dict[str, list[Found]], dict[str, str]]:
    """Return what every round measured, and why some have none."""
    found: dict[str, list[Found]] = {name: [] for name in (*PEERS, *OURS)}
    absent: dict[str, str] = {}
    begin(args, "prepare CAREamics", folder)  # what fails here is told by its first round
    for number in range(args.rounds):
        for name in found:
            if name in absent:
                continue
            result, error = begin(args, name, folder)
            if result is None:
                absent[name] = error
                print(f"{name}: not measured ({error})", flush=True)
                continue
            found[name].append(result)
            print(
                f"round {number + 1}, {name}: {result['cpu']:.2f} CPU s, {result['wall']:.1f} s, "
                f"{result['peak'] / 1e9:.2f} GB",
                flush=True,
            )
    return {name: results for name, results in found.items() if results}, absent


def begin(args: argparse.Namespace, name: str, folder: Path) -> tuple[Found | None, str]:
    """Run a child and return its result, or the last line of what it said instead."""
    python = sys.executable if name in OURS else args.peers
    command = [python, __file__, "--one", name, "--edge", str(args.edge), "--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1]), ""
    return None, (done.stderr.strip().splitlines() or ["no message"])[-1]


def training(preset: str, rounds: int) -> float:
    """Return our training steps a CPU second over those of a bare loop, both in turns."""
    import torch
    from training import compared_steps

    torch.set_num_threads(1)
    ratios = []
    for number in range(rounds):
        ours, bare = compared_steps(preset)
        ratios.append(bare / ours)
        print(
            f"round {number + 1}, training {preset}: ours {ours:.3f}, bare loop {bare:.3f} CPU s "
            f"a step, {bare / ours:.3f}",
            flush=True,
        )
    return sorted(ratios)[rounds // 2]


def report(
    args: argparse.Namespace,
    restored: dict[str, list[Found]],
    absent: dict[str, str],
    trained: dict[str, float],
) -> list[str]:
    """Return the table and what is accepted, as lines of Markdown."""
    from prediction import processor

    lines = [
        f"{processor()}, one thread; {versions(args, absent)}. Restored are {args.edge} × "
        f"{args.edge} pixels in tiles of {TILE} that overlap by {OVERLAP} (the peers), or exactly "
        f"and with the settings that a user finds (ours). Rounds in turns: {args.rounds}; the "
        "smallest, and the largest in brackets. The peak memory is that of the whole process.",
        "",
        "| | kMAC a pixel | CPU s | wall s | peak GB |",
        "|---|---|---|---|---|",
    ]
    for name, rounds in restored.items():
        cells = [f"{spread([r[key] for r in rounds])}" for key in ("cpu", "wall")]
        peak = max(r["peak"] for r in rounds) / 1e9
        title = f"ours, `{name}`" if name in OURS else name
        lines.append(f"| {title} | {rounds[0]['kmac']:.0f} | {' | '.join(cells)} | {peak:.2f} |")
    for name, error in absent.items():
        lines.append(f"| {name} | not measured: {error} | | | |")
    lines += ["", *(f"- {sentence}" for sentence in judged(restored, trained))]
    return lines


def judged(restored: dict[str, list[Found]], trained: dict[str, float]) -> list[str]:
    """Return what is accepted, and whether it is reached."""
    lines = []
    if FAST in restored and "CAREamics" in restored:
        seconds = {name: min(r["cpu"] for r in restored[name]) for name in (FAST, "CAREamics")}
        share = seconds[FAST] / seconds["CAREamics"]
        lines.append(
            f"CPU seconds of `{FAST}` over those of CAREamics: {share:.3f}, accepted "
            f"{ACCEPTED_SHARE}: {verdict(share <= ACCEPTED_SHARE)}"
        )
    else:
        lines.append(f"CPU seconds of `{FAST}` over those of CAREamics: cannot be judged")
    if FAST in restored:
        peak = max(r["peak"] for r in restored[FAST])
        lines.append(
            f"Peak memory of `{FAST}`: {peak / 1e9:.2f} GB, accepted {ACCEPTED_BYTES / 1e9}: "
            f"{verdict(peak <= ACCEPTED_BYTES)}"
        )
    for preset, ratio in trained.items():
        lines.append(
            f"Training steps a CPU second of `{preset}` over those of a bare loop: {ratio:.3f}, "
            f"accepted {ACCEPTED_TRAINING}: {verdict(ratio >= ACCEPTED_TRAINING)}"
        )
    return lines


def verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} ({max(values):.2f})"


def versions(args: argparse.Namespace, absent: dict[str, str]) -> str:
    """Return the versions of what was compared, as their environment has them."""
    names = [PACKAGES[name] for name in PEERS if name not in absent]
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    done = subprocess.run(
        [args.peers, "-c", code, *names], capture_output=True, text=True, check=True
    )
    return ", ".join(f"{n} {v}" for n, v in zip(names, done.stdout.split(), strict=True))


# --- The children


def timed(run: Callable[[Any], Any], edge: int, kmac: float) -> Found:
    """Return time and peak memory of a restoration, after a small one."""
    import numpy as np

    image = np.random.default_rng(0).integers(0, 256, (edge, edge), dtype=np.uint8)
    run(image[:WARM_UP, :WARM_UP])
    cpu, wall = time.process_time(), time.perf_counter()
    result = run(image)
    took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    assert result.shape == image.shape, result.shape
    status = Path("/proc/self/status").read_text()
    peak = float(status.split("VmHWM:")[1].split()[0]) * 1024
    return took | {"peak": peak, "kmac": kmac}


def kmac_per_pixel(network: Any, edge: int = 64) -> float:
    """Return the multiplications a pixel of all convolutions, in thousands."""
    import torch

    total = 0.0

    def count(layer: Any, inputs: Any, output: Any) -> None:
        nonlocal total
        pixels = inputs[0] if "Transpose" in type(layer).__name__ else output
        total += layer.weight.numel() * pixels[0, 0].numel()

    handles = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if "Conv" in type(layer).__name__ and getattr(layer, "weight", None) is not None
    ]
    with torch.inference_mode():
        network(torch.zeros(1, 1, edge, edge))
    for handle in handles:
        handle.remove()
    return total / edge**2 / 1e3


def ours(args: argparse.Namespace) -> Found:
    """Restore exactly, with the settings that a user finds."""
    import torch
    from prediction import example, model_of

    from napari_aeanet.restoration import restore

    torch.set_num_threads(1)
    network, _ = example(args.one, (16, 16))
    model = model_of(network)
    return timed(lambda image: restore(image, model), args.edge, kmac_per_pixel(network))


def prepare_careamics(args: argparse.Namespace) -> Found:
    """Train one step, since CAREamics predicts from a checkpoint only."""
    import numpy as np

    quiet()
    from careamics import CAREamist
    from careamics.config import create_advanced_care_config

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (128, 128)).astype(np.float32) for _ in range(2)]
    config = create_advanced_care_config(
        experiment_name="bench",
        data_type="array",
        axes="YX",
        patch_size=(64, 64),
        batch_size=1,
        num_epochs=1,
        num_steps=1,
        n_val_patches=1,
        num_workers=0,
        trainer_params={"accelerator": "cpu"},
    )
    CAREamist(config, work_dir=args.folder / "careamics", enable_progress_bar=False).train(
        train_data=images[0], train_data_target=images[1]
    )
    return {}


def careamics(args: argparse.Namespace) -> Found:
    import torch

    quiet()
    from careamics import CAREamist

    torch.set_num_threads(1)
    checkpoint = sorted((args.folder / "careamics").rglob("*.ckpt"))[-1]
    careamist = CAREamist(
        checkpoint_path=checkpoint,
        work_dir=args.folder / "careamics",
        enable_progress_bar=False,
    )

    def run(image: Any) -> Any:
        predictions, _ = careamist.predict(
            image,
            batch_size=1,
            tile_size=(TILE, TILE),
            tile_overlap=(OVERLAP, OVERLAP),
            num_workers=0,
            checkpoint=checkpoint,
        )
        return predictions[0].squeeze()

    return timed(run, args.edge, kmac_per_pixel(careamist.model.model.eval()))


def monai(args: argparse.Namespace) -> Found:
    import numpy as np
    import torch
    from monai.inferers import sliding_window_inference

    torch.set_num_threads(1)
    network = unet()

    def run(image: Any) -> Any:
        with torch.inference_mode():
            x = torch.from_numpy(image.astype(np.float32) / 255)[None, None]
            y = sliding_window_inference(x, (TILE, TILE), 1, network, overlap=OVERLAP / TILE)
            return y[0, 0].numpy()

    return timed(run, args.edge, kmac_per_pixel(network))


def bare_loop(args: argparse.Namespace) -> Found:
    """Restore tile by tile, keeping the middle of each: the least that tiles cost."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    network, kept = unet(), TILE - OVERLAP

    def run(image: Any) -> Any:
        result = np.empty(image.shape, np.float32)
        padded = np.pad(image.astype(np.float32) / 255, (OVERLAP // 2, TILE), mode="reflect")
        with torch.inference_mode():
            for y in range(0, image.shape[0], kept):
                for x in range(0, image.shape[1], kept):
                    tile = torch.from_numpy(padded[y : y + TILE, x : x + TILE].copy())[None, None]
                    inside = np.s_[OVERLAP // 2 : OVERLAP // 2 + kept]
                    place = result[y : y + kept, x : x + kept]
                    restored = network(tile)[0, 0, inside, inside].numpy()
                    place[:] = restored[: place.shape[0], : place.shape[1]]
        return result

    return timed(run, args.edge, kmac_per_pixel(network))


def unet() -> Any:
    """Return the U-Net of the bare loop and of MONAI: CAREamics' own of two depths."""
    import torch
    from torch import nn

    def twice(before: int, between: int, after: int) -> nn.Sequential:
        parts: list[nn.Module] = []
        for channels, out in ((before, between), (between, after)):
            convolution = nn.Conv2d(channels, out, 3, padding=1)
            parts += [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        return nn.Sequential(*parts)

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fine, self.coarse = twice(1, 32, 32), twice(32, 64, 64)
            self.bottom = twice(64, 128, 64)
            self.up_coarse, self.up_fine = twice(128, 64, 32), twice(64, 32, 32)
            self.last = nn.Conv2d(32, 1, 1)
            self.pool, self.larger = nn.MaxPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")

        def forward(self, x: Any) -> Any:
            fine = self.fine(x)
            coarse = self.coarse(self.pool(fine))
            x = self.larger(self.bottom(self.pool(coarse)))
            x = self.larger(self.up_coarse(torch.cat((x, coarse), 1)))
            return self.last(self.up_fine(torch.cat((x, fine), 1)))

    torch.manual_seed(0)
    return UNet().eval().to(memory_format=torch.channels_last)


KEPT: list[Any] = []


def quiet() -> None:
    """Silence CAREamics, and let it import a torchvision whose operators do not fit this torch.

    It uses none of them.
    """
    import torch

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        KEPT.append(torch.library.Library("torchvision", "FRAGMENT"))
        for name in ("nms", "qnms"):
            KEPT[-1].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


CHILDREN: dict[str, Callable[[argparse.Namespace], Found]] = {
    "prepare CAREamics": prepare_careamics,
    "CAREamics": careamics,
    "MONAI": monai,
    "bare loop": bare_loop,
    **dict.fromkeys(OURS, ours),
}
if __name__ == "__main__":
    main()
