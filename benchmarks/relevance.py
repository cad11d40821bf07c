"""Quality of relevance, influence and trust maps, beside the accepted figures.

    python benchmarks/relevance.py [--only speed influence trust unlike] [--models FOLDER]

`speed`: CPU seconds for 64 maps of 1280 x 944 at one thread. `influence`: does the ranking foretell
what removing an abstract pixel changes. `trust`: do the maps know where errors are, and how large.
`unlike`: are images of another kind told from held-out ones. What abstract pixels tell apart is
asked by texture.py. Models are trained once (some minutes each) and kept in FOLDER.
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
from scipy.stats import rankdata, spearmanr

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.io.files import read_images
from napari_aeanet.models.model_file import Model, load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.run import register
from napari_aeanet.relevance.clustering import group_maps
from napari_aeanet.relevance.influence import difference_events, ranking_events
from napari_aeanet.relevance.run import relevance_events
from napari_aeanet.relevance.settings import RelevanceMaps, RelevanceSettings
from napari_aeanet.samples import SemSettings, SemSpecimen, paired_sem
from napari_aeanet.training.run import train_events
from napari_aeanet.training.settings import TrainSettings
from napari_aeanet.trust.run import trust_events
from napari_aeanet.trust.settings import TrustMaps, TrustSettings

DATA = Path(__file__).parents[2] / "shared" / "data"
SEEDS = (0, 1, 2)
TRAINING = {"steps": 600, "batch": 4, "patch": 96, "uncertainty": True}
# Held-out specimens are not moved against their truth.
ALIGNED = SemSettings(rotation=0, scale_error=0, shift=0, drift=0)
HELD_OUT_SEED, FIELD = 777, (384, 512)
JUDGED = 8  # specimens: three give a share of errors to some 0.05 only
BLOCK = 8  # pixels; errors are compared by blocks
PLANES, CUT = 4, 400  # of every set of images
ACCEPTED_SPEED = 4.0
ACCEPTED_RANK, ACCEPTED_UNLIKE, COVERAGE = 0.4, 0.95, (0.60, 0.76)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--models", type=Path, help="folder in which trained models are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            SECTIONS[name](args.models or Path(folder))


def sem_model(seed: int, folder: Path) -> Model:
    """Return a model trained on synthetic micrographs of this seed."""
    made = folder / f"sem{seed}.aeanet"
    if not made.exists():
        specimens = paired_sem(8, seed=seed, shape=(512, 640))
        pairs = [ImagePair(s.source, s.target, register(s.source, s.target)) for s in specimens]
        learn(pairs, seed, made)
    return load_model(made)


def real_model(folder: Path) -> Model | None:
    """Return a model trained on real micrographs, images 0-11."""
    made = folder / "wzl.aeanet"
    if not made.exists():
        if not DATA.exists():
            return None
        sources, targets = (read_images(DATA / "sem_pairs_wzl" / f"{n}.tif") for n in ("lr", "hr"))
        pairs = [
            ImagePair(sources[i], targets[i], register(sources[i], targets[i]), f"{i:02d}")
            for i in range(12)
        ]
        learn(pairs, 0, made)
    return load_model(made)


def learn(pairs: Sequence[ImagePair], seed: int, made: Path) -> None:
    with tempfile.TemporaryDirectory() as run:
        for _ in train_events(list(pairs), TrainSettings(seed=seed, **TRAINING), Path(run) / "run"):
            pass
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes((Path(run) / "run" / "best.aeanet").read_bytes())


def speed(folder: Path) -> None:
    config = networks.UNetConfig(references=64)
    network = networks.build(config).eval()
    state = {k: v.numpy() for k, v in network.state_dict().items()}
    card = replace(sem_model(0, folder).card, network=networks.config_to_json(config))
    model = Model(replace(card, ratio=(1.0, 1.0), pixel_size=(None, None), unit=None), state)
    image = Image(np.random.default_rng(0).integers(0, 255, (944, 1280), dtype=np.uint8), "YX")
    maps_of(image, model)
    began = time.process_time()
    found = maps_of(image, model)
    seconds = time.process_time() - began
    print(f"speed: {len(found.maps)} maps {seconds:.1f} CPU s (accepted {ACCEPTED_SPEED})")
    began = time.process_time()
    group_maps(found.maps)
    print(f"  arranging them {time.process_time() - began:.2f} CPU s")


def influence(folder: Path) -> None:
    (specimen,) = paired_sem(1, seed=HELD_OUT_SEED, shape=(192, 256), settings=ALIGNED)
    model = sem_model(0, folder)
    *_, ranked = ranking_events(specimen.source, model)
    *_, tiled = ranking_events(specimen.source, model, RelevanceSettings(tile=96))
    tried = ranked.order[::4]
    changes = []
    for pixel in tried:
        *_, found = difference_events(specimen.source, model, [pixel])
        changes.append(float(np.sqrt(np.mean(np.square(found.image.array)))))
    *_, everything = difference_events(specimen.source, model, range(len(ranked.influence)))
    agreement = spearmanr(ranked.influence[list(tried)], changes)[0]
    print(
        f"influence: Spearman with the change of the result {agreement:.2f} ({len(tried)} of "
        f"{len(ranked.influence)} abstract pixels); over tiles "
        f"{spearmanr(ranked.influence, tiled.influence)[0]:.3f}; the first changes the result by "
        f"{max(changes):.2g} grey levels, all together by "
        f"{np.sqrt(np.mean(np.square(everything.image.array))):.2g}"
    )
    maps = maps_of(specimen.source, model).maps
    relevant = np.sqrt(np.mean(np.square(maps), axis=(1, 2)))
    print(
        f"  Spearman of influence with the strength of relevance "
        f"{spearmanr(ranked.influence, relevant)[0]:.2f}"
    )


def trust_maps(folder: Path) -> None:
    specimens = paired_sem(JUDGED, seed=HELD_OUT_SEED, shape=FIELD, settings=ALIGNED)
    for seed in SEEDS:
        model = sem_model(seed, folder)
        ranks: dict[str, list[float]] = {}
        covered = []
        for specimen in specimens:
            *_, found = trust_events(specimen.source, model)
            assert isinstance(found, TrustMaps)
            place = field_of(specimen, found)
            error = np.abs(found.restored.array[place] - specimen.truth.read())
            maps = found.maps | {"combined": found.doubt}
            for name, values in maps.items():
                rank = spearmanr(blocks(values[place]), blocks(error))[0]
                ranks.setdefault(name, []).append(float(rank))
            missed = np.abs(found.restored.array[place] - specimen.target.read().astype(float))
            covered.append(float(np.mean(missed <= maps["uncertainty"][place])))
        said = ", ".join(f"{name} {np.mean(values):+.2f}" for name, values in ranks.items())
        print(
            f"trust: seed {seed}: Spearman with |error| in blocks: {said} (combined accepted "
            f"{ACCEPTED_RANK}); the 68 % interval covers {np.mean(covered):.3f} (accepted "
            f"{COVERAGE}), of each image {rounded(covered)}"
        )


def unlike(folder: Path) -> None:
    sets: dict[str, list[np.ndarray]] = {}
    if DATA.exists():
        for file in sorted(DATA.rglob("*.tif*")):
            sets[f"{file.parent.name}/{file.stem}"] = planes_of(file)
    else:
        print("unlike: the real images are not here")
    held_out = paired_sem(3, seed=HELD_OUT_SEED, shape=FIELD, settings=ALIGNED)
    sources = {f"synthetic, seed {seed}": sem_model(seed, folder) for seed in SEEDS}
    if (real := real_model(folder)) is not None:
        sources["real micrographs"] = real
    for name, model in sources.items():
        own = [s.source.read() for s in held_out]
        if name == "real micrographs":
            own = [image.read() for image in read_images(DATA / "sem_pairs_wzl" / "lr.tif")[15:20]]
        places, fields = distances(model, own)
        edge = f"{np.mean(places > 1):.3f} of held-out places beyond the edge"
        print(f"unlike: {name}: {edge}; AUROC of each set (accepted {ACCEPTED_UNLIKE}):")
        for other, images in sets.items():
            far_places, far_fields = distances(model, images)
            print(
                f"    {other}: quarters of images {apart(fields, far_fields):.3f}, single places "
                f"{apart(places, far_places):.3f}, median distance {np.median(far_places):.1f}",
                flush=True,
            )


def distances(model: Model, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return `unlike` of single places, and of quarters of images (their median)."""
    places, quarters = [], []
    for array in arrays:
        chosen = TrustSettings(symmetries=False, force=True)
        *_, judged = trust_events(Image(np.ascontiguousarray(array), "YX"), model, chosen)
        found = judged.maps["unlike"][::BLOCK, ::BLOCK]
        places.append(found.ravel())
        quarters += [q for half in np.array_split(found, 2) for q in np.array_split(half, 2, 1)]
    return np.concatenate(places), np.array([np.median(quarter) for quarter in quarters])


def apart(familiar: np.ndarray, far: np.ndarray) -> float:
    both = np.concatenate([familiar, far])
    return auc(both, np.arange(len(both)) >= len(familiar))


def planes_of(file: Path) -> list[np.ndarray]:
    """A few planes, spread over a file."""
    planes = [
        plane
        for image in read_images(file)
        for plane in image.read().reshape(-1, *image.shape[-2:])
    ]
    chosen = np.linspace(0, len(planes) - 1, min(PLANES, len(planes))).astype(int)
    return [planes[i][:CUT, :CUT] for i in chosen]


def maps_of(image: Image, model: Model) -> RelevanceMaps:
    *_, found = relevance_events(image, model)
    assert isinstance(found, RelevanceMaps)
    return found


def field_of(specimen: SemSpecimen, found: TrustMaps) -> tuple[slice, ...]:
    """Return the region of the truth in the result."""
    first = [
        round((there - here) / ALIGNED.pixel_size)
        for here, there in zip(found.restored.origin, specimen.truth.origin, strict=True)
    ]
    return tuple(slice(a, a + n) for a, n in zip(first, specimen.truth.shape, strict=True))


def blocks(values: np.ndarray) -> np.ndarray:
    height, width = (n // BLOCK for n in values.shape)
    cut = values[: height * BLOCK, : width * BLOCK]
    return cut.reshape(height, BLOCK, width, BLOCK).mean(axis=(1, 3)).ravel()


def auc(values: np.ndarray, inside: np.ndarray) -> float:
    return float(aucs(values[None], inside)[0])


def aucs(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Area under the curve of every map as a detector of `inside`."""
    inside = inside.ravel()
    ranks = rankdata(maps.reshape(len(maps), -1), axis=1)
    yes, no = inside.sum(), (~inside).sum()
    return (ranks[:, inside].sum(axis=1) - yes * (yes + 1) / 2) / (yes * no)


def rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 3) for value in values]


SECTIONS = {
    "speed": speed,
    "influence": influence,
    "trust": trust_maps,
    "unlike": unlike,
}

if __name__ == "__main__":
    main()
