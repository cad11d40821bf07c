"""Recipes of the quick training beside each other, with equal arithmetic.

    python benchmarks/recipes.py [VARIANT ...] [--steps 1500] [--seeds 0] [--judge]
                                 [--folder recipes-output] [--report]

The fast network learns from real SEM pairs, enlarged twice and registered with their local drift:
images 0 to 8 learn, 9 to 11 choose between the variants, and with `--judge` images 12 to 14 are
scored instead, once, for those that were chosen. A variant changes one thing of the recipe. If its
step costs more, it makes fewer, so that all have about the same arithmetic, whatever else the
machine does. A finished run is a line of results.jsonl in the folder and is not done again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fast_networks import BORDER, DATA, RESULTS, finished, pairs_of

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.evaluation.report import in_columns
from napari_aeanet.evaluation.scoring import score
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import load_model
from napari_aeanet.reproduction.data_sets import kept_out_for
from napari_aeanet.restoration.run import restore
from napari_aeanet.training.run import train_events
from napari_aeanet.training.settings import Finished, Loss, TrainSettings

PRESET = "aeanet-2d-fast"
LEARN, CHOOSE = 9, 12  # images before the first learn, those from there to the second choose


@dataclass(frozen=True)
class Variant:
    """Hold what differs from the recipe, and the cost of a step relative to it."""

    settings: dict[str, Any] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    cost: float = 1.0


VARIANTS = {
    "recipe": Variant(),
    "rate 5e-4": Variant({"learning_rate": 5e-4}),
    "rate 2e-3": Variant({"learning_rate": 2e-3}),
    "rate 4e-3": Variant({"learning_rate": 4e-3}),
    "averaged weights": Variant({"average": True}),
    "AdamW .01": Variant({"weight_decay": 0.01}),
    "Charbonnier": Variant({"loss": Loss.CHARBONNIER}),
    "MSE": Variant({"loss": Loss.MSE}),
    "batch 2": Variant({"batch": 2}, cost=0.5),
    "batch 8": Variant({"batch": 8}, cost=2.0),
    "patch 64": Variant({"patch": 64}, cost=(64 / 96) ** 2),
    "patch 128": Variant({"patch": 128}, cost=(128 / 96) ** 2),
    "24 features": Variant(network={"features": 24}, cost=(24 / 32) ** 2),
    "48 features": Variant(network={"features": 48}, cost=(48 / 32) ** 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", default=list(VARIANTS))
    parser.add_argument("--steps", type=int, default=1500, help="of the recipe")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--judge", action="store_true", help="score images 12 to 14")
    parser.add_argument("--folder", type=Path, default=Path("recipes-output"))
    parser.add_argument("--report", action="store_true", help="print the table, train nothing")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    images = "judged" if args.judge else "choosing"
    if not args.report:
        if not DATA.is_dir():
            print(f"skipped: {DATA} is not there")
            return
        torch.set_num_threads(1)
        for seed, name in product(args.seeds, args.variants):
            run_once(args.folder, name, images, seed, args.steps)
    report([r for r in finished(args.folder) if r["images"] == images and r["of"] == args.steps])


def run_once(folder: Path, name: str, images: str, seed: int, steps: int) -> None:
    """Train and score, and add a line to the results, unless it is there."""
    key = {"variant": name, "images": images, "seed": seed, "of": steps}
    if any(key.items() <= run.items() for run in finished(folder)):
        return
    learnt, judged = pairs_of("sem")
    pairs = {"choosing": learnt[LEARN:CHOOSE], "judged": judged}[images]
    variant = VARIANTS[name]
    settings = TrainSettings(
        **{"preset": PRESET, "seed": seed, "structures": False, "device": "cpu"}
        | {"steps": round(steps / variant.cost)}
        | variant.settings
    )
    with tempfile.TemporaryDirectory() as temporary:
        if variant.network:
            config = networks.config_to_json(presets.quick_config(presets.preset(PRESET)))
            path = Path(temporary) / "network.json"
            path.write_text(json.dumps(config | variant.network))
            settings = replace(settings, network=path)
        settings = kept_out_for(settings, learnt[:LEARN])
        events = train_events(learnt[:LEARN], settings, Path(temporary) / "run")
        model = load_model(next(e for e in events if isinstance(e, Finished)).bundle)
    inner = (slice(BORDER, -BORDER),) * 2
    gains = []
    for pair in pairs:
        found: list[Any] = []
        for image in (pair.source, restore(pair.source, model)):
            floats: Image = image.with_array(image.read().astype(np.float32))
            found.append(score(floats, pair.target, regions=[inner]))
        gains.append((found[1].psnr - found[0].psnr, found[1].ssim - found[0].ssim))
    psnr, ssim = np.mean(gains, axis=0)
    line = {**key, "steps": settings.steps, "psnr": float(psnr), "ssim": float(ssim)}
    with (folder / RESULTS).open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{name}, seed {seed}: {settings.steps} steps, {psnr:+.3f} dB, {ssim:+.4f}", flush=True)


def report(runs: list[dict]) -> None:
    """Print the mean over the seeds and its spread, the best first."""
    groups: dict[str, list[dict]] = {}
    for run in runs:
        groups.setdefault(run["variant"], []).append(run)
    lines = []
    for name, own in groups.items():
        psnr, ssim = ([run[metric] for run in own] for metric in ("psnr", "ssim"))
        texts = [
            f"{np.mean(psnr):+.3f} ({np.ptp(psnr):.3f})",
            f"{np.mean(ssim):+.4f} ({np.ptp(ssim):.4f})",
        ]
        lines.append((np.mean(psnr), [name, str(len(own)), str(own[0]["steps"]), *texts]))
    head = ["variant", "seeds", "steps", "gain dB (spread)", "SSIM (spread)"]
    print(in_columns([head, *(line for _, line in sorted(lines, reverse=True))]))


if __name__ == "__main__":
    main()
