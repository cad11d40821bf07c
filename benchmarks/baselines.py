"""All methods on real SEM pairs, with the same computing time each.

    python benchmarks/baselines.py [--minutes 3] [--seeds 0 1 2] [--methods U-Net AEANet]
                                   [--final] [--folder baselines-output]

Images 0-11 are learnt from and 12-14 are tested; with --final it is 15-19, which nothing may be
tuned on. The time is CPU time at one thread, so that other programs on the machine do not matter.
Pairs are registered first. Figures are after the best gain and offset, since the two acquisitions
differ in both. What is done is kept in the folder, and not done again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from napari_aeanet import networks
from napari_aeanet.evaluation.methods import (
    Case,
    ComparedMethod,
    Input,
    NeighbourMethod,
    NonLocalMeans,
    Restoration,
)
from napari_aeanet.evaluation.patch_library import build_library
from napari_aeanet.evaluation.report import in_columns, save_page, tests_in_words
from napari_aeanet.evaluation.run import evaluate
from napari_aeanet.evaluation.scoring import Scores
from napari_aeanet.evaluation.settings import EvaluateSettings, Evaluation, ScoreRow
from napari_aeanet.evaluation.statistics import mean_of
from napari_aeanet.io.files import read_images, write_image
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.registration.warping import crop_to_overlap
from napari_aeanet.reproduction.data_sets import kept_out_for
from napari_aeanet.training import pace
from napari_aeanet.training.run import resume_events, train_events
from napari_aeanet.training.run_folder import PLAN
from napari_aeanet.training.settings import Finished, TrainSettings

DATA = Path(__file__).parents[2] / "shared" / "data" / "sem_pairs_wzl"
LEARNT, TUNED, SEALED = range(12), range(12, 15), range(15, 20)
BORDER = 16
CLASSICAL = ("input", "NLM", "LB-NLM")
NETWORKS = {
    "VDSR (small)": "vdsr-2d-small",
    "EDSR (small)": "edsr-2d-small",
    "RCAN (small)": "rcan-2d-small",
    "U-Net": "unet-2d",
    "GVTNet": "gvtnet-2d",
    "AEANet": "aeanet-2d",
    "U-Net, fast": "unet-2d-fast",
    "GVTNet, fast": "gvtnet-2d-fast",
    "AEANet, fast": "aeanet-2d-fast",
}
SEVERAL_SEEDS = tuple(NETWORKS)[3:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=[*CLASSICAL, *NETWORKS])
    parser.add_argument("--final", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path("baselines-output"))
    args = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: {DATA} is not there")
        return
    torch.set_num_threads(1)
    # Budgets become steps from the time of the first ones: measure CPU time.
    pace.monotonic = time.process_time
    args.folder.mkdir(parents=True, exist_ok=True)
    tested = SEALED if args.final else TUNED
    rows, lines = (
        [],
        [["method", "seed", "parameters", "steps", "ΔPSNR dB", "ΔSSIM", "worst ΔPSNR"]],
    )
    for method in args.methods:
        seeds = args.seeds if method in SEVERAL_SEEDS else args.seeds[:1]
        for seed in seeds:
            found = result_of(method, seed, args.minutes, tested, args.folder)
            rows.append((method, seed, found))
            print(f"{method}, seed {seed}: {np.mean(values(found, 'psnr')):.3f} dB", flush=True)
    base = next((found for method, _, found in rows if method == "input"), None)
    if base is None:
        base = result_of("input", 0, args.minutes, tested, args.folder)
    for method, seed, found in rows:
        psnr, ssim = (np.subtract(values(found, n), values(base, n)) for n in ("psnr", "ssim"))
        lines.append(
            [
                method,
                str(seed),
                f"{found['parameters']:,}" if found["parameters"] else "–",
                str(found["steps"] or "–"),
                f"{psnr.mean():+.2f} ± {mean_of(list(psnr)).half_width:.2f}",
                f"{ssim.mean():+.4f}",
                f"{psnr.min():+.2f}",
            ]
        )
    print(f"\n{args.minutes:g} CPU minutes a method; images {tested[0]} to {tested[-1]} tested\n")
    print(in_columns(lines))
    evaluation = as_evaluation(rows)
    print("\n".join(tests_in_words(evaluation)))
    name = f"{'final' if args.final else 'tuned'}-{args.minutes:g}"
    save_page(evaluation, args.folder / f"{name}.pdf", "SEM pairs, equal time")
    save_figure(evaluation, as_evaluation([("input", 0, base)]), args.folder / f"{name}.png")


def prepared(numbers: Sequence[int], folder: Path) -> list[ImagePair]:
    """Return pairs on one grid, cut to their common field; registered once."""
    pairs = []
    for number in numbers:
        paths = [folder / f"pair-{number:02d}-{side}.tif" for side in ("lr", "hr")]
        if not all(path.exists() for path in paths):
            source, target = (read_images(DATA / f"{side}.tif")[number] for side in ("lr", "hr"))
            found = register(source, target)
            print(f"{number}: {found.sentence()}", flush=True)
            for image, path in zip(crop_to_overlap(source, found, target), paths, strict=True):
                write_image(image, path)
        source, target = (read_images(path)[0] for path in paths)
        pairs.append(ImagePair(source, target, name=f"pair {number}"))
    return pairs


def result_of(method: str, seed: int, minutes: float, tested: range, folder: Path) -> dict:
    """Return the figures of every tested image, and of the training."""
    key = f"{method}-{seed}-{minutes:g}".replace(" ", "-")
    path = folder / f"{key}-{tested[0]}to{tested[-1]}.json"
    if path.exists():
        return json.loads(path.read_text())
    learn = prepared(LEARNT, folder)
    began = time.process_time()
    compared, found = method_of(method, seed, minutes, learn, folder / f"run-{key}")
    found["training seconds"] = time.process_time() - began
    cases = [Case.of(pair) for pair in prepared(tested, folder)]
    evaluation = evaluate(cases, [compared], EvaluateSettings(border=BORDER))
    found["scores"] = {row.case: asdict(row.scores) for row in evaluation.rows}
    path.write_text(json.dumps(found, indent=1))
    return found


def method_of(
    method: str, seed: int, minutes: float, learn: Sequence[ImagePair], run: Path
) -> tuple[ComparedMethod, dict]:
    found = {"parameters": 0, "steps": 0, "own gain": {}}
    if method == "input":
        return Input(), found
    planes = [(pair.source.read(), pair.target.read()) for pair in learn]
    if method == "NLM":
        return NonLocalMeans.fitted(planes[:3]), found
    if method == "LB-NLM":
        return NeighbourMethod(build_library(planes)), found
    preset = NETWORKS[method]
    settings = kept_out_for(TrainSettings(preset=preset, minutes=minutes, seed=seed), learn)
    begun = (run / PLAN).exists()
    events = resume_events(learn, run) if begun else train_events(learn, settings, run)
    finished = next(event for event in events if isinstance(event, Finished))
    model = load_model(finished.bundle)
    config = model.card.config
    found["parameters"] = networks.parameter_count(config)
    found["steps"] = model.card.provenance["plan"]["steps"]
    found["own gain"] = dict(model.card.gain)
    assert presets.preset(preset).name == model.card.preset
    return Restoration(method, model), found


def save_figure(evaluation: Evaluation, base: Evaluation, path: Path) -> None:
    """Draw the gain over the input of each method: a dot for every image, a bar for the mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    methods = [name for name in evaluation.methods if name != "input"]
    figure = Figure(figsize=(7, 3.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, metric in zip(figure.subplots(1, 2), ("psnr", "ssim"), strict=True):
        before = np.array(base.values("input", metric))
        for place, method in enumerate(methods):
            gains = np.array(evaluation.values(method, metric)) - before
            axes.barh(place, gains.mean(), color="0.8", height=0.6)
            axes.plot(gains, [place] * len(gains), "o", ms=3, color="#0072b2")
        axes.set_yticks(range(len(methods)), methods if metric == "psnr" else [])
        axes.set_xlabel("better than the input by (dB PSNR)" if metric == "psnr" else "SSIM")
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def values(found: dict, name: str) -> list[float]:
    return [scores[name] for scores in found["scores"].values()]


def as_evaluation(rows: Sequence[tuple[str, int, dict]]) -> Evaluation:
    """Return the figures of every method, averaged over its seeds."""
    scored = []
    for method in dict.fromkeys(method for method, _, _ in rows):
        own = [found["scores"] for name, _, found in rows if name == method]
        for case in own[0]:
            means = {name: float(np.mean([o[case][name] for o in own])) for name in own[0][case]}
            scored.append(ScoreRow(case, method, Scores(**means)))
    return Evaluation(EvaluateSettings(border=BORDER), tuple(scored))


if __name__ == "__main__":
    main()
