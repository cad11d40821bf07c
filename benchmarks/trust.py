"""Measure the trust in single images: coverage of the intervals, and the test for contradictions.

    python benchmarks/trust.py [--only coverage contradiction] [--models FOLDER]

Nothing is calibrated on the judged images: eight synthetic specimens, real micrographs 12-14 (0-11
learn) and three pairs of fluorescence images (12 others learn). `coverage`: the share of pixels of
each image whose target lies within the stated intervals, made from sigma, and without it from the
disagreement over flips and turns; beside it the former interval, of one width for all pixels in
units of sigma. `contradiction`: regions below a p-value in results that are right (the truth) and
restored, and of details that were added to the truth; and of faults at half of the places of one
brightness, in an image of two. Models are trained once (a minute or two each) and kept in FOLDER.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_erosion, gaussian_filter

from napari_aeanet.core.tiles import whole
from napari_aeanet.dataset import PairRanges, Sample, samples_of
from napari_aeanet.io.files import read_images
from napari_aeanet.models.model_file import Model, load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.restoration import ALL, TileRunner
from napari_aeanet.samples import SemSettings, paired_sem
from napari_aeanet.training.run import train_events
from napari_aeanet.training.settings import TrainSettings
from napari_aeanet.trust.calibrating import (
    CalibrationCrop,
    crops_of,
    disagreement_of,
    outputs_over,
)
from napari_aeanet.trust.calibration import SHARES, calibrated
from napari_aeanet.trust.contradiction import contradiction

DATA = Path(__file__).parents[2] / "shared" / "data"
TRAINING = {"steps": 250, "batch": 4, "patch": 96, "uncertainty": True, "structures": False}
ALIGNED = SemSettings(rotation=0, scale_error=0, shift=0, drift=0)
LEARN, JUDGE = range(12), range(12, 15)
CUT = (512, 640)  # the middle of larger images is judged
COVERAGE = {0.68: (0.60, 0.76), 0.90: (0.84, 0.95)}
WIDEST, WANTED = 1.3, 12
MOST_CALIBRATED = 36  # crops
BLOB, CONTRASTS, ADDED = 3.0, (0.5, 1.0, 2.0, 4.0), 12  # px, in deviations of the noise, details
LEVELS = (1e-2, 1e-3, 1e-6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--models", type=Path, help="folder in which trained models are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            SECTIONS[name](args.models or Path(folder))


def pairs_of(kind: str, *, judged: bool) -> list[ImagePair]:
    """Return pairs to learn from, or to judge on."""
    if kind == "sem":
        made = (
            paired_sem(8, seed=777, shape=(384, 512), settings=ALIGNED)
            if judged
            else paired_sem(8, seed=0, shape=(512, 640))
        )
        return [ImagePair(s.source, s.target, register(s.source, s.target)) for s in made]
    place, names = {"wzl": ("sem_pairs_wzl", "lr hr"), "w2s": ("fluo_pairs_w2s", "avg1 avg400")}[
        kind
    ]
    sources, targets = (read_images(DATA / place / f"{name}.tif") for name in names.split())
    return [
        ImagePair(
            sources[i],
            targets[i],
            register(sources[i], targets[i]) if kind == "wzl" else None,
            f"{i:02d}",
        )
        for i in (JUDGE if judged else LEARN)
    ]


def model_of(kind: str, folder: Path) -> Model:
    made = folder / f"{kind}.aeanet"
    if not made.exists():
        with tempfile.TemporaryDirectory() as run:
            pairs, settings = pairs_of(kind, judged=False), TrainSettings(**TRAINING)
            for _ in train_events(pairs, settings, Path(run) / "run"):
                pass
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes((Path(run) / "run" / "best.aeanet").read_bytes())
    return load_model(made)


def samples(model: Model, pairs: Sequence[ImagePair]) -> tuple[Sample, ...]:
    with tempfile.TemporaryDirectory() as scratch:
        ranges = PairRanges.known(model.card)
        return samples_of(
            dict(enumerate(pairs)), model.card.normalisation, Path(scratch), ranges
        ).samples


def middle(sample: Sample) -> CalibrationCrop:
    """Return the middle of the valid part of an image."""
    box = whole(sample.shape)
    if sample.valid is not None:
        box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(sample.valid))
    sizes = [min(s.stop - s.start, n) for s, n in zip(box, CUT, strict=True)]
    starts = [(s.start + s.stop - n) // 2 for s, n in zip(box, sizes, strict=True)]
    inner = tuple(slice(a, a + n) for a, n in zip(starts, sizes, strict=True))
    outer = tuple(
        slice(max(0, s.start - 32), min(n, s.stop + 32))
        for s, n in zip(inner, sample.shape, strict=True)
    )
    return CalibrationCrop(sample, inner, outer)


def measured(
    model: Model, crops: Sequence[CalibrationCrop]
) -> list[tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]]:
    """Return prediction, scores and target of every crop, where it is valid."""
    found = []
    with TileRunner(model.network(), torch.device("cpu")) as runner:
        for crop in crops:
            outputs = outputs_over(runner, crop, ALL)
            valid = crop.sample.valid
            used = np.ones(outputs[0].shape[1:], bool) if valid is None else valid[crop.inner]
            scores = {"sigma": outputs[0][1], "disagreement": disagreement_of(outputs)}
            found.append(
                (
                    outputs[0][0][used],
                    {name: score[used] for name, score in scores.items()},
                    crop.sample.target[0][crop.inner][used],
                )
            )
    return found


def coverage(folder: Path) -> None:
    inside: dict[tuple[str, float], list[bool]] = {}
    for kind in KINDS:
        model = model_of(kind, folder)
        learnt = crops_of(model, samples(model, pairs_of(kind, judged=False)))[:MOST_CALIBRATED]
        known = measured(model, learnt)
        judged = measured(
            model, [middle(one) for one in samples(model, pairs_of(kind, judged=True))]
        )
        ratio = np.concatenate([np.abs(p - t) / s["sigma"] for p, s, t in known])
        former = {share: float(np.quantile(ratio, share)) for share in SHARES}
        print(f"{kind}: calibrated on {len(known)} kept-out crops, {len(judged)} images judged")
        widths: dict[str, list[float]] = {}
        for name in ("former", "sigma", "disagreement"):
            score = "sigma" if name == "former" else name
            made = calibrated(
                [s[score] for _, s, _ in known],
                [p for p, _, _ in known],
                [t for _, _, t in known],
                is_sigma=score == "sigma",
            )
            assert made is not None
            for index, share in enumerate(SHARES):
                held = []
                for prediction, scores, target in judged:
                    if name == "former":
                        half = former[share] * scores["sigma"]
                    else:
                        half = made.half_widths(scores[score], prediction)[index]
                    held.append(float(np.mean(np.abs(prediction - target) <= half)))
                    widths.setdefault(f"{name} {share}", []).append(float(half.mean()))
                low, high = COVERAGE[share]
                inside.setdefault((name, share), []).extend(low <= one <= high for one in held)
                wider = np.mean(widths[f"{name} {share}"]) / np.mean(widths[f"former {share}"])
                print(
                    f"  {name}: {share:.0%} holds {rounded(held)} (accepted {low} to {high}), "
                    f"width {wider:.2f} of the former (accepted {WIDEST})",
                    flush=True,
                )
    for (name, share), found in inside.items():
        print(
            f"{name}, {share:.0%}: {sum(found)} of {len(found)} images within the accepted "
            f"coverage (accepted {WANTED})"
        )


def contradictions(folder: Path) -> None:
    rng = np.random.default_rng(0)
    shares: dict[str, list[list[float]]] = {}
    found: dict[float, list[bool]] = {one: [] for one in CONTRASTS}
    for specimen in paired_sem(4, seed=777, shape=(384, 512), settings=ALIGNED):
        truth = specimen.target.read().astype(np.float32)
        for name, noise in (
            ("white noise", rng.standard_normal(truth.shape)),
            ("noise correlated along lines", along_lines(rng, truth.shape)),
        ):
            deviation = 0.5 * np.sqrt(truth + 10)
            image = (gaussian_filter(truth, 1) + deviation * noise).astype(np.float32)
            shares.setdefault(name, []).append(below(contradiction(image, truth)))
            if name != "white noise":
                continue
            for contrast in CONTRASTS:
                spoilt = truth.copy()
                places = rng.integers(40, np.array(truth.shape) - 40, (ADDED, 2))
                for y, x in places:
                    spot = np.zeros(truth.shape, np.float32)
                    spot[y, x] = 2 * np.pi * BLOB**2
                    spoilt += contrast * deviation[y, x] * gaussian_filter(spot, BLOB)
                values = contradiction(image, spoilt)
                found[contrast] += [values[y, x] > 3 for y, x in places]
    for kind in KINDS:
        model = model_of(kind, folder)
        crops = [middle(one) for one in samples(model, pairs_of(kind, judged=True))]
        with TileRunner(model.network(), torch.device("cpu")) as runner:
            for crop in crops:
                restored = outputs_over(runner, crop, ALL[:1])[0][0]
                values = contradiction(255 * crop.sample.source[0][crop.inner], 255 * restored)
                shares.setdefault(f"restored, {kind}", []).append(below(values))
    for name, rows in shares.items():
        said = ", ".join(f"{v:.2g}" for v in np.mean(rows, axis=0))
        print(f"{name}: share of places with p below {LEVELS}: {said}")
    for contrast, hits in found.items():
        print(f"detail added at {contrast} noise deviations: {np.mean(hits):.2f} found (p < 0.001)")
    wide_faults()


def wide_faults() -> None:
    """Print which share of faults is found that half of the places of one brightness have."""
    shares: dict[str, list[float]] = {}
    half = np.arange(512) < 256
    for seed in range(8):
        rng = np.random.default_rng(seed)
        bright = gaussian_filter(rng.standard_normal((384, 512)), 12) > 0
        smaller = binary_erosion(bright, iterations=2)
        truth, shrunken = (
            gaussian_filter(np.where(one, 140, 60).astype(np.float32), 0.7)
            for one in (bright, smaller)
        )
        deviation = 0.5 * np.sqrt(truth + 10)
        image = (truth + deviation * rng.standard_normal(truth.shape)).astype(np.float32)
        texture = gaussian_filter(rng.standard_normal(truth.shape), 2)
        textured = truth + 8 * bright * (texture / texture.std()).astype(np.float32)
        for name, spoilt, places in (
            ("texture in half of the bright places", textured, bright & half),
            ("half of the edges moved by 2 px", shrunken, bright & ~smaller & half),
        ):
            found = contradiction(image, np.where(half, spoilt, truth))
            shares.setdefault(name, []).append(float(np.mean(found[places] > 3)))
    for name, found_shares in shares.items():
        print(f"{name}: {rounded(found_shares)} found (p < 0.001)")


def along_lines(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    noise = gaussian_filter(rng.standard_normal(shape), (0, 0.7))
    return noise / noise.std()


def below(values: np.ndarray) -> list[float]:
    return [float(np.mean(values > -np.log10(level))) for level in LEVELS]


def rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 3) for value in values]


KINDS = ("sem", "wzl", "w2s")
SECTIONS = {"coverage": coverage, "contradiction": contradictions}

if __name__ == "__main__":
    main()
