"""CARE, GVTNet and AEANet on real volumes with noise of three levels, at equal computing time.

    python benchmarks/volumes.py [--minutes 3] [--seeds 0 1 2] [--methods AEANet]
                                 [--folder volumes-output]

Two light-sheet volumes of one root, membrane and nuclei, are the truth. They are rescaled to
photons, and sources get the noise of their count (Poisson) and of the camera (Gaussian). Columns
0-103 are learnt from and columns 112-159 are tested. Every network is trained once a seed, on both
volumes at all three levels, with the quick profile and the loss of its recipe; nothing is kept out
and the last step is the model, so that all get the same data. The time is CPU time at one thread.
Figures are those of the papers (matching of CARE). Every finished run is a line of runs.jsonl in
the folder, and is not done again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.evaluation.methods import Case, ComparedMethod, Input, NonLocalMeans, Restoration
from napari_aeanet.evaluation.report import in_columns
from napari_aeanet.evaluation.report import test_in_words as in_words
from napari_aeanet.evaluation.run import evaluate
from napari_aeanet.evaluation.scoring import METRICS as SCORED
from napari_aeanet.evaluation.scoring import Matching
from napari_aeanet.evaluation.settings import EvaluateSettings
from napari_aeanet.evaluation.statistics import paired_test
from napari_aeanet.io.files import read_images
from napari_aeanet.models.model_file import load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.training import pace
from napari_aeanet.training.run import resume_events, train_events
from napari_aeanet.training.run_folder import PLAN
from napari_aeanet.training.settings import Finished, Keep, KeptOut, TrainSettings

DATA = Path(__file__).parents[2] / "shared" / "data" / "fluo_3d_plantseg"
STAINS = ("membrane", "nuclei")
LEARNT, TESTED = slice(0, 104), slice(112, 160)
# Photons at the brightest voxels (99.9th percentile), and the deviation of the camera in photons.
LEVELS = {"C1": 40.0, "C2": 12.0, "C3": 4.0}
CAMERA = 1.0
NETWORKS = {"CARE": "care-3d", "GVTNet": "gvtnet-3d", "AEANet": "aeanet-3d"}
CLASSICAL = ("input", "NLM")
METRICS = ("psnr", "ssim", "nrmse")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=[*CLASSICAL, *NETWORKS])
    parser.add_argument("--folder", type=Path, default=Path("volumes-output"))
    args = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: {DATA} is not there")
        return
    torch.set_num_threads(1)
    # Budgets become steps from the time of the first ones: measure CPU time.
    pace.monotonic = time.process_time
    args.folder.mkdir(parents=True, exist_ok=True)
    wanted = [
        (method, seed)
        for seed in args.seeds  # one seed of all methods first
        for method in args.methods
        if method in NETWORKS or seed == args.seeds[0]
    ]
    runs = [result_of(method, seed, args.minutes, args.folder) for method, seed in wanted]
    report(runs, args.minutes)


def pairs_of(columns: slice) -> Iterator[ImagePair]:
    """Yield the pairs of these columns: each volume at each level."""
    for number, stain in enumerate(STAINS):
        (image,) = read_images(DATA / f"lateral_root_lightsheet_{stain}.tif")
        truth = image.read().astype(np.float32)
        photons = truth / np.percentile(truth, 99.9)
        for level, brightest in LEVELS.items():
            # The same noise for all methods and seeds, and other noise in other columns.
            rng = np.random.default_rng([number, int(brightest)])
            noisy = rng.poisson(photons * brightest) + rng.normal(0, CAMERA, truth.shape)
            source, target = (
                Image(np.ascontiguousarray(one[..., columns], np.float32), "ZYX", name=stain)
                for one in (noisy / brightest, truth)
            )
            yield ImagePair(source, target, name=f"{stain} {level}")


def result_of(method: str, seed: int, minutes: float, folder: Path) -> dict:
    """Return the figures of every tested volume, and of the training."""
    key = f"{method}-{seed}-{minutes:g}" if method in NETWORKS else method
    lines = folder / "runs.jsonl"
    if lines.exists():
        for line in lines.read_text().splitlines():
            if (known := json.loads(line))["key"] == key:
                return known
    found = {"key": key, "method": method, "seed": seed, "parameters": 0, "steps": 0}
    began = time.process_time()
    compared = method_of(method, seed, minutes, folder / f"run-{key}", found)
    found["training seconds"] = time.process_time() - began
    cases = [Case.of(pair) for pair in pairs_of(TESTED)]
    began = time.process_time()
    evaluation = evaluate(cases, [compared], EvaluateSettings(matching=Matching.CARE))
    found["testing seconds"] = time.process_time() - began
    found["scores"] = {row.case: asdict(row.scores) for row in evaluation.rows}
    with lines.open("a") as file:
        file.write(json.dumps(found) + "\n")
    print(
        f"{key}: {np.mean(of_level(found, '', 'psnr')):.3f} dB, {found['steps']} steps", flush=True
    )
    return found


def method_of(method: str, seed: int, minutes: float, run: Path, found: dict) -> ComparedMethod:
    if method == "input":
        return Input()
    learn = list(pairs_of(LEARNT))
    if method == "NLM":
        planes = [
            zip(pair.source.read()[::16], pair.target.read()[::16], strict=True) for pair in learn
        ]
        return NonLocalMeans.fitted([pair for one in planes for pair in one])
    settings = TrainSettings(
        preset=NETWORKS[method],
        minutes=minutes,
        seed=seed,
        kept_out=KeptOut.NOTHING,
        keep=Keep.LAST,
    )
    begun = (run / PLAN).exists()
    events = resume_events(learn, run) if begun else train_events(learn, settings, run)
    finished = next(event for event in events if isinstance(event, Finished))
    model = load_model(finished.bundle)
    found["parameters"] = networks.parameter_count(model.card.config)
    plan = model.card.provenance["plan"]
    found["steps"] = plan["replans"][-1][1] if plan["replans"] else plan["steps"]
    return Restoration(method, model)


def of_level(run: dict, level: str, metric: str) -> list[float]:
    """Return a figure for every tested volume of a level, or of all."""
    return [scores[metric] for case, scores in run["scores"].items() if case.endswith(level)]


def report(runs: list[dict], minutes: float) -> None:
    """Print a table for each level, and tests over the volumes, of means over the seeds."""
    methods = list(dict.fromkeys(run["method"] for run in runs))
    for level in (*LEVELS, ""):
        lines = [["method", "parameters", "steps", "PSNR dB (by seed)", "SSIM", "NRMSE"]]
        for method in methods:
            own = [run for run in runs if run["method"] == method]
            by_seed = {m: [float(np.mean(of_level(r, level, m))) for r in own] for m in METRICS}
            seeds = ", ".join(f"{value:.2f}" for value in by_seed["psnr"])
            steps = sorted(run["steps"] for run in own)
            lines.append(
                [
                    method,
                    f"{own[0]['parameters']:,}" if steps[0] else "–",
                    (f"{steps[0]}" + f" to {steps[-1]}" * (steps[0] < steps[-1]))
                    if steps[0]
                    else "–",
                    f"{np.mean(by_seed['psnr']):.2f}" + f" ({seeds})" * (len(own) > 1),
                    spread(by_seed["ssim"]),
                    spread(by_seed["nrmse"]),
                ]
            )
        print(f"\n{level or 'all levels'}, {minutes:g} CPU minutes a network\n")
        print(in_columns(lines))
    networks_ = [method for method in methods if method in NETWORKS]
    for first in networks_:
        for second in networks_[networks_.index(first) + 1 :]:
            values = [
                np.mean([of_level(r, "", "psnr") for r in runs if r["method"] == m], axis=0)
                for m in (first, second)
            ]
            test = paired_test(first, list(values[0]), second, list(values[1]))
            print(in_words(test, SCORED["psnr"]))


def spread(values: list[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{deviation}"


if __name__ == "__main__":
    main()
