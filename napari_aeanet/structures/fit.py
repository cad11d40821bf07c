"""Fit kinds of structure to a trained model; its restoration stays as it is.

The teacher sees the targets: k-means of their descriptors (log energies of bands and brightness)
gives every place a kind. The head learns to find it in the features of the source, by
cross-entropy.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import torch
import torch.nn.functional as F

from napari_aeanet.core.image import Region
from napari_aeanet.core.progress import Progress
from napari_aeanet.core.tiles import ArraySource, extent, partition
from napari_aeanet.dataset import Sample
from napari_aeanet.networks import NetworkConfig
from napari_aeanet.restoration import TileRunner, at_stride
from napari_aeanet.structures.features import Encoder, features_of, suits
from napari_aeanet.structures.filters import DESCRIPTORS, filtered
from napari_aeanet.structures.head import SHORTEST, FittedStructures, nearest

# Tiles of the pairs that are looked at, and places taken from them.
EDGE, MOST_PIXELS, MOST_PLACES = 384, 8e6, 80_000
# Reading a pixel takes about this share of its prediction, and learning takes as long as predicting
# so many pixels: between a fast network (1.2, 1.7e6) and a large one (0.3, 0.2e6).
READING, LEARNING = 0.6, 1e6
# Every so many-th tile is kept out, to measure the agreement.
KEPT_OUT = 8
FEWEST_PLACES_PER_KIND = 20
ROUNDS = 60  # of k-means, at most
DIMENSIONS = 32
STEPS, BATCH, RATE = 400, 2048, 0.01
SHARPNESS = 10.0
# Added to variances of features, as a share of the mean one: some are constant.
LEAST_SPREAD = 1e-3


@dataclass(frozen=True, eq=False)
class FitRegion:
    """A source and its target on one grid, normalised; `valid` is None where all pixels are."""

    source: np.ndarray
    target: np.ndarray
    valid: np.ndarray | None = None

    @classmethod
    def of(cls, sample: Sample, box: Region = (slice(None), slice(None))) -> FitRegion:
        """Return a region of a sample of a training."""
        valid = None if sample.valid is None else sample.valid[box]
        return cls(sample.source[0][box], sample.target[0][box], valid)


def fit_kinds(
    regions: Sequence[FitRegion], encoder: Encoder, device: torch.device, kinds: int, seed: int
) -> Generator[Progress, None, tuple[FittedStructures, float | None]]:
    """Return the structures of a model, and their agreement with those of kept-out targets.

    Raises
    ------
    ValueError
        If the regions have too few places.
    """
    rng = np.random.default_rng(seed)
    tiles = _tiles(regions, encoder.grid, rng)
    rows, descriptors, kept_out = yield from _collect(regions, tiles, encoder, device, rng)
    used = ~kept_out
    if used.sum() < FEWEST_PLACES_PER_KIND * kinds:
        msg = (
            f"the pairs are too small to fit {kinds} kinds of structure: they have "
            f"{int(used.sum())} places, at least {FEWEST_PLACES_PER_KIND * kinds} are needed."
        )
        raise ValueError(msg)
    mean, scale = descriptors[used].mean(axis=0), np.maximum(descriptors[used].std(axis=0), 1e-6)
    standard = (descriptors - mean) / scale
    centres = _ordered(k_means(standard[used], kinds, rng))
    labels = nearest(standard, centres)
    teacher = {
        "centres": centres * scale + mean,
        "descriptor_mean": mean,
        "descriptor_scale": scale,
        "share": np.bincount(labels[used], minlength=len(centres)) / used.sum(),
    }
    head = yield from _learn(rows[used], labels[used], len(centres), rng)
    arrays = {name: np.asarray(values, np.float64) for name, values in (teacher | head).items()}
    found = FittedStructures(**arrays)
    if not kept_out.any():
        return found, None
    told = found.probabilities(rows[kept_out].T[:, None].astype(np.float64))[:, 0].argmax(axis=0)
    return found, float(np.mean(told == labels[kept_out]))


def fit_cost(config: NetworkConfig, samples: Sequence[Sample]) -> float:
    """Return the pixels whose prediction takes as long as a fit; 0 if structures are not known."""
    pixels = sum(sample.target.size for sample in samples)
    return READING * min(MOST_PIXELS, pixels) + LEARNING if suits(config) else 0.0


def _tiles(
    regions: Sequence[FitRegion], grid: Sequence[int], rng: np.random.Generator
) -> list[tuple[int, Region]]:
    """Return tiles of all regions in random order, as many as may be looked at."""
    tiles = []
    for number, region in enumerate(regions):
        shape = _on_grid(region, grid)
        if all(shape):
            tiles += [(number, tile) for tile in partition(shape, [EDGE, EDGE], grid)]
    tiles = [tiles[i] for i in rng.permutation(len(tiles))]
    pixels = np.cumsum([np.prod(extent(tile)) for _, tile in tiles])
    return tiles[: max(1, int(np.searchsorted(pixels, MOST_PIXELS)))]


def _on_grid(region: FitRegion, grid: Sequence[int]) -> tuple[int, ...]:
    return tuple(n // g * g for n, g in zip(region.target.shape, grid, strict=True))


def _collect(
    regions: Sequence[FitRegion],
    tiles: Sequence[tuple[int, Region]],
    encoder: Encoder,
    device: torch.device,
    rng: np.random.Generator,
) -> Generator[Progress, None, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return features and descriptors of places, and the mask of places that are kept out."""
    stride, centre = encoder.places.stride, encoder.places.centre
    rows, descriptors, kept = [], [], []
    with TileRunner(encoder, device) as runner:
        for number, (index, inner) in enumerate(tiles):
            yield Progress("fitting structures: reading images", number, len(tiles), unit="tile")
            region = regions[index]
            cut = tuple(
                slice(0, n // g * g) for n, g in zip(region.target.shape, encoder.grid, strict=True)
            )
            source, target = ArraySource(region.source[cut]), ArraySource(region.target[cut])
            found = features_of(runner, source, inner, encoder)
            told = filtered(target, inner, stride, centre)[:DESCRIPTORS]
            usable = np.ones(found.shape[1:], bool)
            if region.valid is not None:
                usable = _all_valid(region.valid[cut], stride)[at_stride(inner, stride)]
            where = np.flatnonzero(usable)
            where = rng.permutation(where)[: MOST_PLACES // len(tiles)]
            rows.append(found.reshape(len(found), -1).T[where])
            descriptors.append(told.reshape(len(told), -1).T[where])
            kept.append(np.full(len(where), number % KEPT_OUT == KEPT_OUT - 1))
    return np.concatenate(rows), np.concatenate(descriptors).astype(float), np.concatenate(kept)


def _all_valid(valid: np.ndarray, stride: Sequence[int]) -> np.ndarray:
    """Return the places whose block holds valid pixels only."""
    height, width = (n // s for n, s in zip(valid.shape, stride, strict=True))
    return np.all(valid.reshape(height, stride[0], width, stride[1]), axis=(1, 3))


def k_means(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most `count` centres, begun by k-means++."""
    centres = rows[[rng.integers(len(rows))]]
    distance = np.square(rows - centres[0]).sum(axis=1)
    while len(centres) < count and distance.sum() > 0:
        chosen = rng.choice(len(rows), p=distance / distance.sum())
        centres = np.concatenate((centres, rows[[chosen]]))
        distance = np.minimum(distance, np.square(rows - rows[chosen]).sum(axis=1))
    labels = nearest(rows, centres)
    for _ in range(ROUNDS):
        sizes = np.bincount(labels, minlength=len(centres))
        sums = np.stack([np.bincount(labels, one, len(centres)) for one in rows.T], axis=1)
        # A centre without any row stays where it is.
        centres = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centres)
        before, labels = labels, nearest(rows, centres)
        if (labels == before).all():
            break
    return centres


def _ordered(centres: np.ndarray) -> np.ndarray:
    """Return the centres from dark to bright."""
    return centres[np.argsort(centres[:, DESCRIPTORS - 1], kind="stable")]


def _learn(
    rows: np.ndarray, labels: np.ndarray, kinds: int, rng: np.random.Generator
) -> Generator[Progress, None, dict[str, np.ndarray]]:
    """Return the arrays of the head."""
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    scale = np.sqrt(variance + LEAST_SPREAD * variance.mean() + SHORTEST**2)
    standard = ((rows - mean) / scale).astype(np.float32)
    start = np.zeros((kinds, rows.shape[1]), np.float32)
    for kind in np.unique(labels):
        start[kind] = standard[labels == kind].mean(axis=0)
    width = rows.shape[1]
    x, truth = torch.from_numpy(standard), torch.from_numpy(labels)
    projection = torch.from_numpy(rng.normal(0, width**-0.5, (DIMENSIONS, width))).float()
    parameters = [projection, torch.from_numpy(start), torch.tensor([log(SHARPNESS)])]
    w, f, sharp = (one.requires_grad_() for one in parameters)
    adam = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    for step in range(STEPS):
        if step % 20 == 0:
            yield Progress("fitting structures", step, STEPS, unit="step")
        chosen = torch.from_numpy(rng.integers(len(x), size=BATCH))
        with torch.enable_grad():
            near = F.normalize(x[chosen] @ w.T, dim=1, eps=SHORTEST)
            logits = sharp.exp() * near @ F.normalize(f @ w.T, dim=1, eps=SHORTEST).T
            loss = F.cross_entropy(logits, truth[chosen])
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    learned = [one.detach().double().numpy() for one in (w, f, sharp.exp())]
    return {
        "mean": mean,
        "scale": scale,
        **dict(zip(("projection", "kinds", "sharpness"), learned, strict=True)),
    }
