"""Can a trained abstract pixel tell particle clusters from their host, where brightness cannot?

    python benchmarks/texture.py [--only trained labelled] [--models FOLDER] [--steps 600]

Synthetic micrographs, in which clusters differ from their host by texture only. Every abstract
pixel is judged as a detector of clusters by the area under its curve (AUC), beside untrained
networks and beside three things that say why it does what it does: how far training has moved the
weights from the random numbers they began with; the best linear read-out of the same features,
which no abstract pixel can beat; and an encoder of the same shape that is trained with the labels,
which shows what one place of the map could know at all.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from relevance import (
    ALIGNED,
    FIELD,
    HELD_OUT_SEED,
    SEEDS,
    TRAINING,
    auc,
    aucs,
    maps_of,
    rounded,
    sem_model,
)
from scipy.ndimage import gaussian_filter, uniform_filter
from torch import Tensor, nn

from napari_aeanet import networks
from napari_aeanet.core.image import Image
from napari_aeanet.models.model_file import Model
from napari_aeanet.networks.attention_block import AttentionBlock
from napari_aeanet.networks.network import Network
from napari_aeanet.networks.program import Apply
from napari_aeanet.relevance.clustering import group_maps
from napari_aeanet.relevance.settings import RelevanceMaps
from napari_aeanet.restoration import RestoreSettings, prepare
from napari_aeanet.samples import SemSpecimen, paired_sem

UNTRAINED = 10
ACCEPTED_AUC = 0.9
READ_OUT_SPECIMENS, LABELLED_SPECIMENS = 6, 24
LABELLED_STEPS, LABELLED_BATCH, LABELLED_PATCH, LABELLED_RATE = 2400, 8, 32, 1e-3
WINDOWS = (1, 9)  # places of the map over which is averaged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--models", type=Path, help="folder in which trained models are kept")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, default=TRAINING["steps"], help="of training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    TRAINING["steps"] = args.steps
    specimens = specimens_of(3, HELD_OUT_SEED)
    print("AUC of brightness", rounded([auc(s.target.read(), s.clusters) for s in specimens]))
    with tempfile.TemporaryDirectory() as folder:
        found = {seed: sem_model(seed, args.models or Path(folder)) for seed in args.seeds}
    for name in args.only:
        for seed, model in found.items():
            print(f"{name}: seed {seed}, {args.steps} steps, {model.card.gain['psnr']:.2f} dB")
            SECTIONS[name](model, specimens, seed)


def trained(model: Model, specimens: Sequence[SemSpecimen], seed: int) -> None:
    abstract_pixels(model, specimens)
    print("  moved from where they began:", moved(model, seed))
    print("  best linear read-out:", read_out(model, specimens), flush=True)


def specimens_of(count: int, seed: int) -> list[SemSpecimen]:
    return paired_sem(count, seed=seed, shape=FIELD, settings=ALIGNED)


def abstract_pixels(model: Model, specimens: Sequence[SemSpecimen]) -> None:
    seen = [(maps_of(s.source, model), s) for s in specimens]
    trained = np.array([aucs(*where_known(found.maps, found, s)) for found, s in seen])
    best = int(trained[0].argmax())
    order = [group.leader for group in group_maps(where_known(seen[0][0].maps, *seen[0])[0])]
    place = order.index(best) + 1 if best in order else 0
    fresh = []
    for number in range(UNTRAINED):
        found = maps_of(specimens[0].source, untrained(model, number))
        fresh.append(max(aucs(*where_known(found.maps, found, specimens[0]))))
    smooth = []
    for found, specimen in seen:
        values, labels = where_known(found.maps, found, specimen)
        smooth.append(auc(gaussian_filter(values[best], 4), labels))
    print(
        f"  best abstract pixel {best + 1} on the first specimen {trained[0, best]:.3f}, on the "
        f"others {rounded(trained[1:, best])} (accepted {ACCEPTED_AUC}); median of {UNTRAINED} "
        f"untrained {np.median(fresh):.3f}; place in the gallery "
        f"{place or 'behind an alike one'}; its map smoothed over 4 places {rounded(smooth)}"
    )


def untrained(model: Model, number: int) -> Model:
    return Model(model.card, state_of(begun(model, 1000 + number)))


def begun(model: Model, seed: int) -> Network:
    """Return the freshly initialised network of a training with this seed."""
    torch.manual_seed(seed)
    return networks.build(model.card.config)


def state_of(network: Network) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def moved(model: Model, seed: int) -> str:
    """Return the distance of weights from the random ones, relative to the length of these."""
    before = state_of(begun(model, seed))
    parts = {
        "abstract pixels": "bottom.attention.references",
        "their keys": "bottom.attention.k.weight",
        "queries": "bottom.attention.q.weight",
        "encoder": "encoder.1.blocks.0.conv1.weight",
    }
    shares = {
        what: np.linalg.norm(model.weights[name] - before[name]) / np.linalg.norm(before[name])
        for what, name in parts.items()
    }
    return ", ".join(f"{what} {share:.1%}" for what, share in shares.items())


def read_out(model: Model, specimens: Sequence[SemSpecimen]) -> str:
    """AUC of Fisher's discriminant of the attention's features, learnt on other specimens.

    Relevance is linear in the query, and the query in the features: this is about the best that
    an abstract pixel could do, had it been trained for the purpose.
    """
    others = [features(model, s) for s in specimens_of(READ_OUT_SPECIMENS, HELD_OUT_SEED + 1)]
    tested = [features(model, s) for s in specimens]
    said = []
    for window in WINDOWS:
        rows = np.concatenate([averaged(f, window).reshape(len(f), -1) for f, _ in others], axis=1)
        inside = np.concatenate([labels.ravel() for _, labels in others])
        spread = np.cov(rows[:, inside]) + np.cov(rows[:, ~inside])
        spread += 1e-3 * np.trace(spread) / len(spread) * np.eye(len(spread))
        shift = rows[:, inside].mean(axis=1) - rows[:, ~inside].mean(axis=1)
        weights = np.linalg.solve(spread, shift)
        values = [auc(np.tensordot(weights, averaged(f, window), 1), known) for f, known in tested]
        said.append(f"{said_of(window)} {rounded(values)}")
    return "; ".join(said)


def labelled(model: Model, specimens: Sequence[SemSpecimen], seed: int) -> None:
    """AUC of the same encoder with one linear read-out, both trained with the labels."""
    others = [with_labels(model, s) for s in specimens_of(LABELLED_SPECIMENS, HELD_OUT_SEED + 2)]
    network, rng = begun(model, seed).train(), np.random.default_rng(seed)
    step = network.grid[-1]
    head = nn.Conv2d(model.weights["bottom.attention.references"].shape[1], 1, 1)
    parameters = [*network.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, LABELLED_RATE)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, LABELLED_STEPS)
    for _ in range(LABELLED_STEPS):
        chosen = [others[i] for i in rng.integers(len(others), size=LABELLED_BATCH)]
        patches = [patch(*one, step, rng) for one in chosen]
        pixels = torch.stack([pixels for pixels, _ in patches])
        labels = torch.stack([labels for _, labels in patches])
        said = head(attended(network, pixels))[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(said, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slower.step()
    network.eval()
    tested = [with_labels(model, s) for s in specimens]
    with torch.no_grad():
        maps = [head(attended(network, x[None]))[0].numpy() for x, _ in tested]
    for window in WINDOWS:
        values = [
            auc(averaged(found, window), labels.numpy() > 0)
            for found, (_, labels) in zip(maps, tested, strict=True)
        ]
        print(f"  {said_of(window)} {rounded(values)}", flush=True)


def attended(network: Network, pixels: Tensor) -> Tensor:
    """Return the input of the attention, with gradients."""
    for step in network.program():
        match step:
            case Apply(AttentionBlock() as block):
                return block.act(pixels)
            case Apply(layer):
                pixels = layer(pixels)
    raise ValueError("The network has no attention.")


def patch(
    pixels: Tensor, labels: Tensor, step: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    n = LABELLED_PATCH
    y, x = (int(rng.integers(size - n + 1)) for size in labels.shape)
    cut = pixels[:, step * y : step * (y + n), step * x : step * (x + n)]
    return cut, labels[y : y + n, x : x + n]


def with_labels(model: Model, specimen: SemSpecimen) -> tuple[Tensor, Tensor]:
    """Return the input of the network where the truth is known, and the label of each place."""
    pixels, found = input_of(model, specimen.source), maps_of(specimen.source, model)
    (rows, columns), labels = known_places(found, specimen)
    step = model.network().grid[-1]
    cut = pixels[
        :, rows.start * step : rows.stop * step, columns.start * step : columns.stop * step
    ]
    return torch.from_numpy(cut), torch.from_numpy(labels.astype(np.float32))


def features(model: Model, specimen: SemSpecimen) -> tuple[np.ndarray, np.ndarray]:
    """The attention's features where the truth is known, and whether a cluster is there."""
    pixels = torch.from_numpy(input_of(model, specimen.source))
    with torch.no_grad():
        values = model.network().attend(pixels[None]).inside()[0].numpy()
    return where_known(values, maps_of(specimen.source, model), specimen)


def input_of(model: Model, image: Image) -> np.ndarray:
    source = prepare(image, model, RestoreSettings()).inputs[0]
    return source.read(tuple(slice(0, n) for n in source.shape))[None]


def where_known(
    values: np.ndarray, found: RelevanceMaps, specimen: SemSpecimen
) -> tuple[np.ndarray, np.ndarray]:
    """Maps on the grid of `found` where the truth is known, and whether a cluster is there."""
    (rows, columns), labels = known_places(found, specimen)
    return values[:, rows, columns], labels


def known_places(
    found: RelevanceMaps, specimen: SemSpecimen
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Rows and columns of the maps that lie in the field of the truth, and the truth there."""
    places, index = [], []
    for first, step, n, size in zip(
        found.translate, found.scale, found.maps.shape[1:], specimen.clusters.shape, strict=True
    ):
        at = np.rint((first + step * np.arange(n)) / ALIGNED.pixel_size).astype(int)
        inside = np.flatnonzero((at >= 0) & (at < size))
        places.append(slice(inside[0], inside[-1] + 1))
        index.append(at[inside])
    rows, columns = places
    return (rows, columns), specimen.clusters[np.ix_(*index)]


def averaged(values: np.ndarray, window: int) -> np.ndarray:
    return uniform_filter(values, (0,) * (values.ndim - 2) + (window, window))


def said_of(window: int) -> str:
    return "one place" if window == 1 else f"{window} x {window} places"


SECTIONS = {"trained": trained, "labelled": labelled}

if __name__ == "__main__":
    main()
