"""Fast networks beside those of full resolution, at equal CPU time.

    python benchmarks/fast_networks.py [--seconds 180] [--sets sem w2s vnc plantseg]
                                       [--networks aeanet] [--seeds 0 1 2]
                                       [--folder fast-output] [--report]

Every run trains for the same CPU time at one thread, as the quick task does, and restores the
judged images, of which nothing is learnt or chosen. Sets:

sem       real SEM pairs, enlarged twice: images 0 to 11 learn, 12 to 14 are judged. Both are
          registered with their local drift, so that the truth is aligned everywhere.
w2s       widefield images, one exposure and the mean of 400: four fields of three channels learn,
          the fifth field is judged.
vnc       sections of serial EM with noise added: 0 to 13 learn, 16 to 19 are judged.
plantseg  stacks of a root in two stains with noise added: columns 0 to 103 learn, 120 to 159 are
          judged.

A finished run is a line of results.jsonl in the folder, and is not done again; an unfinished one
begins anew. The gain is that over the input, both after the best gain and offset. `--report`
prints the table of what is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
import torch

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.evaluation.report import in_columns
from napari_aeanet.evaluation.scoring import score
from napari_aeanet.io.files import read_images
from napari_aeanet.models.model_file import load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.registration.warping import crop_to_overlap
from napari_aeanet.reproduction.data_sets import kept_out_for
from napari_aeanet.restoration.run import restore
from napari_aeanet.training import pace
from napari_aeanet.training.run import train_events
from napari_aeanet.training.settings import Finished, TrainSettings

DATA = Path(__file__).parents[2] / "shared" / "data"
RESULTS = "results.jsonl"
BORDER = 24  # pixels of a plane that are not judged
# Noise that is added: detected quanta at full scale, and the standard deviation of the readout.
QUANTA = {"vnc": 25.0, "plantseg": 20.0}
READOUT = 4.0
FULL_SCALE = 255.0
# A fast network is as good if it loses no more than this.
ACCEPTED_PSNR, ACCEPTED_SSIM = 0.05, 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=180.0, help="CPU time of a training")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--networks", nargs="+", default=["aeanet"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("fast-output"))
    parser.add_argument("--report", action="store_true", help="print the table, train nothing")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    if not args.report:
        if not DATA.is_dir():
            print(f"skipped: {DATA} is not there")
            return
        torch.set_num_threads(1)
        # Budgets become steps from the time of the first ones: measure CPU time.
        pace.monotonic = time.process_time
        for network, seed, name, fast in product(
            args.networks, args.seeds, args.sets, ("", "-fast")
        ):
            dims = 3 if name == "plantseg" else 2
            run_once(args.folder, name, f"{network}-{dims}d{fast}", seed, args.seconds)
    report(finished(args.folder), args.seconds)


# --- pairs


@cache
def pairs_of(name: str) -> tuple[list[ImagePair], list[ImagePair]]:
    """Return the pairs to learn from, and those that are judged, each on one grid."""
    return SETS[name]()


def _sem() -> tuple[list[ImagePair], list[ImagePair]]:
    sides = [read_images(DATA / "sem_pairs_wzl" / f"{side}.tif")[:15] for side in ("lr", "hr")]
    pairs = []
    for number, (source, target) in enumerate(zip(*sides, strict=True)):
        found = register(source, target)
        both = crop_to_overlap(source, found, target)
        pairs.append(ImagePair(*both, name=f"SEM {number}"))
    return pairs[:12], pairs[12:]


def _w2s() -> tuple[list[ImagePair], list[ImagePair]]:
    sides = [read_images(DATA / "fluo_pairs_w2s" / f"avg{n}.tif") for n in (1, 400)]
    pairs = []
    for number, (source, target) in enumerate(zip(*sides, strict=True)):
        # Every image was stretched by itself. The noise is in the source, so that this fit of the
        # source by the target is not biased by it.
        x, y = (image.read().astype(np.float64) for image in (source, target))
        slope, offset = np.polyfit(y.ravel(), x.ravel(), 1)
        matched = np.clip(np.rint(slope * y + offset), 0, FULL_SCALE).astype(np.uint8)
        pairs.append(ImagePair(source, target.with_array(matched), name=f"W2S {number}"))
    return pairs[:12], pairs[12:]


def _vnc() -> tuple[list[ImagePair], list[ImagePair]]:
    planes = tifffile.imread(DATA / "em_stack_vnc" / "volume_crop.tif")
    made = {number: _noisy_pair("vnc", planes[number], number) for number in range(20)}
    return [made[number] for number in range(14)], [made[number] for number in range(16, 20)]


def _plantseg() -> tuple[list[ImagePair], list[ImagePair]]:
    learn, judged = [], []
    for number, stain in enumerate(("membrane", "nuclei")):
        path = DATA / "fluo_3d_plantseg" / f"lateral_root_lightsheet_{stain}.tif"
        volume = tifffile.imread(path)
        # Three stacks by rows, of which the training keeps some out to choose its best model.
        for part, rows in enumerate(np.array_split(volume[..., :104], 3, axis=1)):
            learn.append(_noisy_pair("plantseg", rows, 10 * number + part))
        judged.append(_noisy_pair("plantseg", volume[..., 120:], 100 + number))
    return learn, judged


def _noisy_pair(name: str, truth: np.ndarray, number: int) -> ImagePair:
    rng = np.random.default_rng([list(QUANTA).index(name), number])
    quanta = QUANTA[name]
    values = rng.poisson(truth / FULL_SCALE * quanta) / quanta * FULL_SCALE
    noisy = np.clip(np.rint(values + rng.normal(0, READOUT, truth.shape)), 0, FULL_SCALE)
    axes = "ZYX"[-truth.ndim :]
    sides = (Image(array.astype(np.uint8), axes) for array in (noisy, truth))
    return ImagePair(*sides, name=f"{name} {number}")


SETS: dict[str, Callable[[], tuple[list[ImagePair], list[ImagePair]]]] = {
    "sem": _sem,
    "w2s": _w2s,
    "vnc": _vnc,
    "plantseg": _plantseg,
}

# --- runs


def finished(folder: Path) -> list[dict]:
    """Return the finished runs."""
    path = folder / RESULTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_once(folder: Path, name: str, preset: str, seed: int, seconds: float) -> None:
    """Train and judge, and add a line to the results, unless it is there."""
    key = {"set": name, "preset": preset, "seed": seed, "seconds": seconds}
    if any(key.items() <= run.items() for run in finished(folder)):
        return
    learn, judged = pairs_of(name)
    settings = TrainSettings(
        preset=preset, minutes=seconds / 60, seed=seed, structures=False, device="cpu"
    )
    settings = kept_out_for(settings, learn)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as run:
        events = train_events(learn, settings, Path(run) / "run")
        model = load_model(next(e for e in events if isinstance(e, Finished)).bundle)
    trained = time.process_time() - began
    images, restoring = {}, 0.0
    for pair in judged:
        began = time.process_time()
        restored = restore(pair.source, model)
        restoring += time.process_time() - began
        truth = pair.target
        # A judged stack is too small to lose a border.
        inner = (slice(BORDER, -BORDER),) * 2 if truth.axes == "YX" else (slice(None),) * 3
        before, after = (
            score(image.with_array(image.read().astype(np.float32)), truth, regions=[inner])
            for image in (pair.source, restored)
        )
        images[pair.name] = {
            "psnr": after.psnr,
            "ssim": after.ssim,
            "psnr gain": after.psnr - before.psnr,
            "ssim gain": after.ssim - before.ssim,
        }
    pixels = sum(pair.target.read().size for pair in judged)
    found = {
        **key,
        "parameters": networks.parameter_count(model.card.config),
        "steps": model.card.provenance["plan"]["steps"],
        "training CPU s": round(trained, 1),
        "restoring CPU s a megapixel": round(restoring / pixels * 1e6, 3),
        **{name: float(np.mean([one[name] for one in images.values()])) for name in GAINS},
        "images": images,
    }
    with (folder / RESULTS).open("a") as file:
        file.write(json.dumps(found) + "\n")
    print(
        f"{name} {preset} seed {seed}: {found['steps']} steps, {found['psnr gain']:+.3f} dB, "
        f"SSIM {found['ssim gain']:+.4f}",
        flush=True,
    )


# --- report

GAINS = ("psnr gain", "ssim gain")


def report(runs: list[dict], seconds: float) -> None:
    """Print the mean and the spread over the seeds, and what the fast network wins or loses."""
    runs = [run for run in runs if run["seconds"] == seconds]
    groups: dict[tuple[str, str], dict[int, dict]] = {}
    for run in runs:
        groups.setdefault((run["set"], run["preset"]), {})[run["seed"]] = run
    lines = [["set", "network", "seeds", "steps", "gain dB (spread)", "SSIM (spread)", "CPU s/MP"]]
    for (name, preset), own in groups.items():
        psnr, ssim = ([run[metric] for run in own.values()] for metric in GAINS)
        cost = np.median([run["restoring CPU s a megapixel"] for run in own.values()])
        lines.append(
            [
                name,
                preset,
                str(len(own)),
                str(round(np.mean([run["steps"] for run in own.values()]))),
                f"{np.mean(psnr):+.3f} ({np.ptp(psnr):.3f})",
                f"{np.mean(ssim):+.4f} ({np.ptp(ssim):.4f})",
                f"{cost:.2f}",
            ]
        )
    print(f"\n{seconds:g} CPU s of training\n" + in_columns(lines))
    for (name, preset), own in groups.items():
        fast = groups.get((name, f"{preset}-fast"), {})
        both = sorted(own.keys() & fast.keys())
        if not both:
            continue
        psnr, ssim = (np.mean([fast[s][m] - own[s][m] for s in both]) for m in GAINS)
        is_good = psnr >= -ACCEPTED_PSNR and ssim >= -ACCEPTED_SSIM
        print(
            f"{name}, {preset}: fast {psnr:+.3f} dB, SSIM {ssim:+.4f} seeds {both}: "
            f"{'as good' if is_good else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
