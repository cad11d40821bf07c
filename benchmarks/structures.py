"""Measure what kinds of structure find on real micrographs, beside filters and raw maps.

    python benchmarks/structures.py [--only found taught seeds speed] [--preset aeanet-2d-fast]
                                    [--models FOLDER]

Registered SEM pairs: images 0-11 learn, 12-14 judge. Gap, edge and rough are defined on the target
by filters of another kind than those of the kinds. `found`: a map is picked on one image and
applied to the others (AUC): a single kind, all kinds weighted by their log-odds on that image, a
plain filter of the input, and a raw relevance map. `taught`: the places of a class are the marks
from which the model is taught (AUC in the other half and in the other images, and with mirrored
marks), beside the log-odds of kinds. `seeds`: places where two models, trained with
other seeds, agree without relabelling; and places whose kind is that of the target. `speed`: CPU
seconds of 16 kinds of an image of 1280 x 944. `found` takes AEANet, GVTNet and U-Net unless a
preset is given, the others AEANet. Models are trained once (some minutes each) and kept
in FOLDER.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude, uniform_filter
from scipy.stats import rankdata

from napari_aeanet.core.image import Image
from napari_aeanet.core.tiles import ArraySource
from napari_aeanet.dataset import PairRanges, samples_of
from napari_aeanet.io.files import read_images
from napari_aeanet.models.model_file import Model, load_model, save_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.relevance.run import relevance_maps
from napari_aeanet.relevance.settings import RelevanceSettings
from napari_aeanet.structures.features import encoder_of
from napari_aeanet.structures.filters import DESCRIPTORS, filtered
from napari_aeanet.structures.head import FittedStructures, structures_of
from napari_aeanet.structures.run import fit_structures, structure_maps
from napari_aeanet.structures.settings import StructureSettings
from napari_aeanet.structures.teaching import teach
from napari_aeanet.training.run import train_events
from napari_aeanet.training.settings import TrainSettings

DATA = Path(__file__).parents[2] / "shared" / "data" / "sem_pairs_wzl"
LEARN, JUDGE = range(12), range(12, 15)
TRAINING = {"steps": 400, "batch": 4, "patch": 96}
SEEDS = (0, 1)
# A place is of a class, or clearly not, at these quantiles over all judged images.
PART, REST = 0.90, 0.70
RANGE = (0.0, 1.0)  # of images that are normalised
RIM = 40  # px at the border of an image, which are not judged
ACCEPTED = {"gap": 0.95, "edge": 0.92, "rough": 0.92}
ACCEPTED_SEEDS, ACCEPTED_TARGET, ACCEPTED_SPEED = 0.75, 0.70, 1.5
ACCEPTED_TAUGHT = 0.75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--preset", help="network of all sections")
    parser.add_argument("--models", type=Path, help="folder in which trained models are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            SECTIONS[name](args.models or Path(folder), *filter(None, [args.preset]))


def pairs_of(numbers: Sequence[int]) -> list[ImagePair]:
    """Return registered pairs."""
    sources, targets = (read_images(DATA / f"{n}.tif") for n in ("lr", "hr"))
    return [
        ImagePair(sources[i], targets[i], register(sources[i], targets[i]), f"{i:02d}")
        for i in numbers
    ]


def model_of(folder: Path, preset: str = "aeanet-2d", seed: int = 0) -> Model:
    """Return a model with structures, trained on images 0-11."""
    made = folder / f"{preset}-{seed}.aeanet"
    if not made.exists():
        settings = TrainSettings(preset=preset, seed=seed, **TRAINING)
        with tempfile.TemporaryDirectory() as run:
            for _ in train_events(pairs_of(LEARN), settings, Path(run) / "run"):
                pass
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes((Path(run) / "run" / "best.aeanet").read_bytes())
    model = load_model(made)
    if structures_of(model) is None:
        began = time.process_time()
        fitted = fit_structures(model, pairs_of(LEARN))
        seconds = time.process_time() - began
        print(f"{made.name}: fitted in {seconds:.1f} CPU s, registration of 12 pairs included")
        save_model(fitted.model, made)
        model = load_model(made)
    return model


class Judged:
    """One judged pair on the grid of the maps.

    Attributes
    ----------
    source, target
        On the target grid, normalised, cut to the grid of the network.
    truth
        The strength of gap, edge and rough at every place, from the target.
    """

    def __init__(self, pair: ImagePair, model: Model) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            ranges = PairRanges.known(model.card)
            found = samples_of({0: pair}, model.card.normalisation, Path(scratch), ranges)
            (sample,) = found.samples
            self.encoder = encoder_of(model.network(), model.card)
            grid = self.encoder.grid
            cut = tuple(slice(0, n // g * g) for n, g in zip(sample.shape, grid, strict=True))
            self.source, self.target = (
                np.array(one[0][cut], np.float64) for one in (sample.source, sample.target)
            )
        # At the same pixels for every model: the image in decimal numbers between 0 and 1.
        self.image = Image(self.source.astype(np.float32), "YX", name=pair.name)
        places = self.encoder.places
        # The middle pixel of every place, and places that are far enough from the border.
        axes = zip(self.target.shape, places.centre, places.stride, strict=True)
        middle = np.ix_(*[(int(c) + s * np.arange(n // s)).clip(0, n - 1) for n, c, s in axes])
        self.truth = {name: values[middle] for name, values in truth_of(self.target).items()}
        self.inside = tuple(slice(RIM // s, -RIM // s) for s in places.stride)

    def at_pixels(self, mask: np.ndarray) -> np.ndarray:
        """Return for every pixel the value of the nearest place."""
        places = self.encoder.places
        axes = zip(self.source.shape, mask.shape, places.centre, places.stride, strict=True)
        index = [np.rint((np.arange(n) - c) / s).clip(0, m - 1).astype(int) for n, m, c, s in axes]
        return mask[np.ix_(*index)]

    def filters(self, values: np.ndarray) -> np.ndarray:
        places = self.encoder.places
        whole = tuple(slice(0, n) for n in values.shape)
        return filtered(ArraySource(values), whole, places.stride, places.centre)


def truth_of(target: np.ndarray) -> dict[str, np.ndarray]:
    """Return how much of a gap, an edge and a rough face every pixel of the target is.

    Gap: dark at 6 px. Edge: gradient at 3 px. Rough: deviation of the fine detail (below 2 px) over
    25 px, where there is no edge.
    """
    smooth = gaussian_filter(target, 6)
    edge = uniform_filter(gaussian_gradient_magnitude(target, 3), 9)
    fine = target - gaussian_filter(target, 2)
    rough = np.sqrt(uniform_filter(np.square(fine), 25))
    rough = np.where(edge < np.quantile(edge, 0.8), rough, np.nan)
    return {"gap": -smooth, "edge": edge, "rough": rough}


def classes(judged: Sequence[Judged], name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the places of a class and those that are none, of every image."""
    values = [one.truth[name][one.inside] for one in judged]
    everything = np.concatenate([one[np.isfinite(one)] for one in values])
    high, low = np.quantile(everything, (PART, REST))
    masks = []
    for one in judged:
        all_ = np.zeros(one.truth[name].shape, bool)
        all_[one.inside] = True
        masks.append((all_ & (one.truth[name] >= high), all_ & (one.truth[name] < low)))
    return masks


def auc(values: np.ndarray, masks: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the share of pairs of places that the map puts into the right order."""
    part, rest = (values[mask] for mask in masks)
    if not len(part) or not len(rest):
        return float("nan")
    ranks = rankdata(np.concatenate((part, rest)))[: len(part)].sum()
    return float((ranks - len(part) * (len(part) + 1) / 2) / (len(part) * len(rest)))


def carried_over(
    maps: Sequence[np.ndarray], masks: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Return the mean AUC on other images of the signed map that is best on one."""
    scores = np.array(
        [[auc(one, mask) for one in image] for image, mask in zip(maps, masks, strict=True)]
    )
    found = []
    for i in range(len(scores)):
        j = int(np.nanargmax(np.abs(scores[i] - 0.5)))
        others = np.delete(scores[:, j], i)
        found.append(np.nanmean(others if scores[i, j] >= 0.5 else 1 - others))
    return float(np.mean(found))


def aligned(model: Model) -> Model:
    """Return the model for images that are on its grid and between 0 and 1 already."""
    return replace(
        model, card=replace(model.card, ratio=(1.0, 1.0), pixel_size=(None, None), unit=None)
    )


def kinds_of(one: Judged, model: Model) -> np.ndarray:
    return structure_maps(one.image, aligned(model), StructureSettings(range=RANGE)).maps


def found(folder: Path, *presets: str) -> None:
    for preset in presets or ("aeanet-2d", "gvtnet-2d", "unet-2d"):
        model = model_of(folder, preset)
        judged = [Judged(pair, model) for pair in pairs_of(JUDGE)]
        probabilities = [kinds_of(one, model) for one in judged]
        kept = {
            "single kind": probabilities,
            "union of kinds": [],
            "filters": [one.filters(one.source) for one in judged],
        }
        if preset == "aeanet-2d":  # maps at the places of the kinds
            raw = [
                relevance_maps(one.image, aligned(model), RelevanceSettings(range=RANGE)).maps
                for one in judged
            ]
            kept["raw map"] = raw
            kept["raw map, 5 x 5"] = [uniform_filter(maps, (1, 5, 5)) for maps in raw]
        print(f"{preset}: AUC picked on one image and applied to two others")
        for name, accepted in ACCEPTED.items():
            masks = classes(judged, name)
            print(f"  {name} (accepted {accepted})", end="")
            for title, maps in kept.items():
                if title == "union of kinds":
                    value = union_carried_over(probabilities, masks)
                else:
                    value = carried_over(maps, masks)
                print(f", {title} {value:.3f}", end="")
            print()


def union_carried_over(
    maps: Sequence[np.ndarray], masks: Sequence[tuple[np.ndarray, np.ndarray]]
) -> float:
    """Return the mean AUC on other images of kinds weighted by their log-odds on one."""
    found = []
    for i, (image, mask) in enumerate(zip(maps, masks, strict=True)):
        part, rest = (image[:, m].mean(axis=1) + 1e-3 for m in mask)
        weights = np.log(part / rest)
        scores = [auc(np.tensordot(weights, m, 1), k) for m, k in zip(maps, masks, strict=True)]
        found.append(np.nanmean(np.delete(scores, i)))
    return float(np.mean(found))


def taught(folder: Path, preset: str = "aeanet-2d") -> None:
    model = model_of(folder, preset)
    judged = [Judged(pair, model) for pair in pairs_of(JUDGE)]
    images, probabilities = [one.image for one in judged], [kinds_of(one, model) for one in judged]
    print(
        f"taught: AUC in the other half (accepted {ACCEPTED_TAUGHT}), other images, mirrored marks"
    )
    for name in ACCEPTED:
        masks = classes(judged, name)
        marks = [one.at_pixels(mask) for (mask, _), one in zip(masks, judged, strict=True)]
        event = teach(aligned(model), images, marks, name, StructureSettings(range=RANGE))
        said = ", ".join(f"{v:.3f}" for v in (event.other_half, event.other_images, event.null))
        everything = [(mask, ~mask) for mask, _ in masks]
        print(f"  {name}: {said}; log-odds {union_carried_over(probabilities, everything):.3f}")


def seeds(folder: Path, preset: str = "aeanet-2d") -> None:
    models = [model_of(folder, preset, seed) for seed in SEEDS]
    judged = [Judged(pair, models[0]) for pair in pairs_of(JUDGE)]
    labels = [[kinds_of(one, model).argmax(axis=0) for one in judged] for model in models]
    both = [np.mean(a == b) for a, b in zip(*labels, strict=True)]
    said = ", ".join(f"{one:.3f}" for one in both)
    print(f"seeds: {np.mean(both):.3f} of places agree (accepted {ACCEPTED_SEEDS}); {said}")
    for seed, model in zip(SEEDS, models, strict=True):
        fitted = structures_of(model)
        assert isinstance(fitted, FittedStructures)
        same, plain = [], []
        for one, mine in zip(judged, labels[seed], strict=True):
            inside = one.inside
            true = fitted.labels_of(one.filters(one.target)[:DESCRIPTORS])
            same.append(np.mean(true[inside] == mine[inside]))
            direct = fitted.labels_of(one.filters(one.source)[:DESCRIPTORS])
            plain.append(np.mean(true[inside] == direct[inside]))
        said = ", ".join(f"{one:.3f}" for one in same)
        print(
            f"  seed {seed}: {np.mean(same):.3f} have the kind of the target (accepted "
            f"{ACCEPTED_TARGET}); {said}; k-means on the input's filters alone {np.mean(plain):.3f}"
        )


def speed(folder: Path, preset: str = "aeanet-2d") -> None:
    model = aligned(model_of(folder, preset))
    values = np.random.default_rng(0).integers(0, 255, (944, 1280), dtype=np.uint8)
    image = Image(values, "YX")
    structure_maps(image, model)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        structure_maps(image, model)
        seconds.append(time.process_time() - began)
    said = ", ".join(f"{one:.2f}" for one in seconds)
    print(f"speed: 16 kinds of 1280 x 944 in {said} CPU s (accepted {ACCEPTED_SPEED})")


SECTIONS = {"found": found, "taught": taught, "seeds": seeds, "speed": speed}

if __name__ == "__main__":
    main()
