"""Check `evaluate` from outside: train, restore, then warp and score without this package.

Pairs of a noisy, coarse and a clean, fine image without pixel sizes (two TIFF stacks, `lr.tif` and
`hr.tif`) are written as single files. The command line registers them, trains on the first ones,
restores the held-out ones and evaluates them. This script then reads the restored files and the
matrices of pairs.json, warps with scikit-image, matches gain and offset, and scores with
scikit-image, and prints its figures beside those of `evaluate`, which is told not to follow local
drift either.

    python benchmarks/outside_check.py ../shared/data/sem_pairs_wzl out --minutes 6
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.transform import warp

COMMAND = Path(sysconfig.get_path("scripts")) / "napari-aeanet"
REGISTERED = "test/reg/pairs.json"
TRAINED, HELD_OUT = range(12), range(12, 15)
# Agreement that is asked for: dB, and of SSIM.
AGREEMENT, AGREEMENT_OF_SSIM = 0.02, 0.001


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with lr.tif and hr.tif")
    parser.add_argument("out", type=Path, help="new folder for everything that is made")
    parser.add_argument("--minutes", type=float, default=6.0, help="budget of the training")
    parser.add_argument("--model", type=Path, help="an existing model instead of a training")
    options = parser.parse_args()
    out = options.out
    write_files(options.data, out)
    call("register", out / "train/lr", out / "train/hr", "-o", out / "train/reg")
    call("register", out / "test/lr", out / "test/hr", "-o", out / "test/reg")
    model = options.model or out / "run/best.aeanet"
    if options.model is None:
        pairs, budget = out / "train/reg/pairs.json", str(options.minutes)
        call("train", pairs, "-o", out / "run", "--minutes", budget)
    call("restore", out / "test/lr", "-m", model, "-o", out / "restored")
    evaluated = call("evaluate", out / REGISTERED, "-m", model, "--deform", "off", "--json")
    return compare(json.loads(evaluated), outside_figures(out))


def write_files(data: Path, out: Path) -> None:
    """Write every image to a file of its own, without any calibration."""
    for side in ("lr", "hr"):
        stack = tifffile.imread(data / f"{side}.tif")
        for part, numbers in (("train", TRAINED), ("test", HELD_OUT)):
            folder = out / part / side
            folder.mkdir(parents=True)
            for i in numbers:
                tifffile.imwrite(folder / f"S{i:02d}.tif", stack[i])


def call(*words: object) -> str:
    """Run a command of the package and return its standard output."""
    print("$ napari-aeanet", *words, flush=True)
    done = subprocess.run(
        [COMMAND, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def outside_figures(
    out: Path, numbers: Iterable[int] = HELD_OUT
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return PSNR and SSIM of every held-out image, enlarged and restored."""
    pairs = json.loads((out / REGISTERED).read_text(encoding="utf-8"))["pairs"]
    found: dict[str, dict[str, tuple[float, float]]] = {"input": {}, "restored": {}}
    for i, pair in zip(numbers, pairs, strict=True):
        name = f"S{i:02d}"
        truth = tifffile.imread(out / f"test/hr/{name}.tif").astype(float)
        coarse = tifffile.imread(out / f"test/lr/{name}.tif").astype(float)
        restored = tifffile.imread(out / f"restored/{name}-restored.ome.tif").astype(float)
        matrix = np.array(pair["registration"]["matrix"])  # (y, x, 1) of lr to hr
        box = common_box(matrix, coarse.shape, truth.shape)
        ratio = restored.shape[0] / coarse.shape[0]
        finer = np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2], [0, 0, 1]])
        found["input"][name] = figures(on_grid(coarse, matrix, truth.shape)[box], truth[box])
        moved = on_grid(restored, matrix @ np.linalg.inv(finer), truth.shape)
        found["restored"][name] = figures(moved[box], truth[box])
    return found


def on_grid(image: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the image on the grid that `matrix` maps its pixels (y, x) to; bicubic."""
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])  # scikit-image counts (x, y)
    back = swap @ np.linalg.inv(matrix) @ swap
    return warp(image, back, output_shape=shape, order=3, mode="edge", preserve_range=True)


def common_box(
    matrix: np.ndarray, source: tuple[int, ...], target: tuple[int, ...]
) -> tuple[slice, slice]:
    """Return the target pixels whose centres the source covers (it is hardly rotated)."""
    height, width = source
    edge = [-0.5, -0.5], [-0.5, width - 0.5], [height - 0.5, -0.5], [height - 0.5, width - 0.5]
    y, x, w = matrix @ np.column_stack([np.array(edge), np.ones(4)]).T
    (y0, y1), (x0, x1) = np.sort(y / w)[1:3], np.sort(x / w)[1:3]
    return (
        slice(max(0, int(np.ceil(y0))), min(target[0], int(y1) + 1)),
        slice(max(0, int(np.ceil(x0))), min(target[1], int(x1) + 1)),
    )


def figures(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return PSNR and SSIM after the best gain and offset, for 8 bits."""
    columns = np.column_stack([image.ravel(), np.ones(image.size)])
    gain, offset = np.linalg.lstsq(columns, truth.ravel(), rcond=None)[0]
    matched = gain * image + offset
    return (
        float(peak_signal_noise_ratio(truth, matched, data_range=255)),
        float(structural_similarity(truth, matched, data_range=255)),
    )


def compare(evaluated: dict, outside: dict[str, dict[str, tuple[float, float]]]) -> int:
    """Print both results side by side; return 1 if they disagree."""
    worst = [0.0, 0.0]
    for row in evaluated["rows"]:
        method = "input" if row["method"] == evaluated["baseline"] else "restored"
        ours, theirs = (row["psnr"], row["ssim"]), outside[method][row["image"]]
        print(
            f"{row['image']} {method:9} evaluate {ours[0]:.3f} dB {ours[1]:.4f}   "
            f"outside {theirs[0]:.3f} dB {theirs[1]:.4f}"
        )
        worst = [max(w, abs(a - b)) for w, a, b in zip(worst, ours, theirs, strict=True)]
    for title, found in (("outside", outside), ("evaluate", None)):
        gains = [
            np.mean([outside["restored"][n][k] - outside["input"][n][k] for n in outside["input"]])
            if found
            else np.mean([r[f"{f}_gain"] for r in evaluated["rows"] if r[f"{f}_gain"]])
            for k, f in enumerate(("psnr", "ssim"))
        ]
        print(f"gain by {title}: {gains[0]:+.3f} dB, SSIM {gains[1]:+.4f}")
    print(f"largest difference: {worst[0]:.4f} dB, SSIM {worst[1]:.5f}")
    return 0 if worst[0] <= AGREEMENT and worst[1] <= AGREEMENT_OF_SSIM else 1


if __name__ == "__main__":
    sys.exit(main())
