"""What a training run works on: its plan, and the pixels on the device that computes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_aeanet import networks
from napari_aeanet.networks import NetworkConfig, describe_device
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration import Verdict
from napari_aeanet.training.dataset import (
    Sample,
    SampleSet,
    fingerprint,
    interest,
    target_fingerprint,
)
from napari_aeanet.training.patch_source import PatchSource
from napari_aeanet.training.patches import Area, PatchSampler
from napari_aeanet.training.plan import Plan, fitted_patch
from napari_aeanet.training.split import Split, split

# Pixels may take up this share of the memory that is free on a GPU; the rest is for the network.
RESIDENT_SHARE = 0.4
# Networks that cannot be tiled do not say how far they look; none of ours looks further.
WIDEST_RIM = 64
# Ratios this near to a round number are meant to be it.
NEARLY = 0.02


@dataclass(frozen=True)
class TargetGrid:
    """How the target grid lies in the world and to the sources.

    Parameters
    ----------
    ratio
        Target pixels per source pixel, per axis of the source.
    pixel_size, unit
        Of the target grid; None where unknown or where the pairs differ.
    """

    ratio: tuple[float, ...]
    pixel_size: tuple[float | None, ...]
    unit: str | None


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples with their pixels in two stores, and where to learn and to check.

    Parameters
    ----------
    plan
        With the patch that fits, the pairs and the split written in.
    place
        Pixel size and ratio, for the model's card.
    rim
        How far the network looks, per axis of the target.
    notices
        What the user should know, in plain words.
    """

    plan: Plan
    samples: tuple[Sample, ...]
    split: Split
    place: TargetGrid
    rim: tuple[int, ...]
    sources: PatchSource
    targets: PatchSource
    sampler: PatchSampler
    notices: tuple[str, ...]

    @property
    def parameters(self) -> int:
        return networks.parameter_count(self.plan.config)

    @property
    def name(self) -> str:
        """A name for the model: the first pair's, and the preset's."""
        first, more = self.samples[0].name, len(self.samples) - 1
        return f"{self.plan.settings.preset} on {first}" + (f" and {more} more" if more else "")

    def batch(self, step: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """The patches of step number `step`: the same ones whenever it is asked for."""
        rng = np.random.default_rng([self.plan.settings.seed, step])
        places = self.sampler.draw(self.plan.batch, rng)
        cut = (store.cut(places, self.plan.patch) for store in (self.sources, self.targets))
        source, target = (_sent(pixels, device) for pixels in cut)
        if jitter := self.plan.settings.jitter:
            # One contrast and brightness for both images of a patch.
            each = (len(places), *[1] * (source.dim() - 1))
            contrast, brightness = (
                torch.from_numpy(rng.uniform(-jitter, jitter, each)).to(source) for _ in range(2)
            )
            source, target = (pixels * (1 + contrast) + brightness for pixels in (source, target))
        return source, target


def _sent(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """On the device; to a GPU by way of memory that it reads by itself, while others work."""
    if device.type == "cuda" and pixels.device.type == "cpu":
        return pixels.pin_memory().to(device, non_blocking=True)
    return pixels.to(device)


def usable_pairs(pairs: Sequence[ImagePair]) -> tuple[dict[int, ImagePair], list[str]]:
    """The pairs that may be learnt from by their number, and a sentence for each left out."""
    kept, notices = {}, []
    for number, pair in enumerate(pairs):
        if pair.registration is not None and pair.registration.verdict == Verdict.FAILED:
            notices.append(f"{pair.name} is left out: it could not be registered.")
        else:
            kept[number] = pair
    if not kept:
        msg = "There is no pair to learn from. Add pairs, or register those that are there."
        raise ValueError(msg)
    return kept, notices


def target_grid_of(pairs: Collection[ImagePair]) -> TargetGrid:
    """Ratio and pixel size that the pairs have in common."""
    ratios = np.array([_ratio(pair) for pair in pairs])
    ratio = tuple(_tidy(float(value)) for value in np.median(ratios, axis=0))
    units = {pair.target.unit for pair in pairs}
    sizes = {pair.target.pixel_size for pair in pairs}
    if len(units) == 1 and len(sizes) == 1:
        return TargetGrid(ratio, sizes.pop(), units.pop())
    return TargetGrid(ratio, (None,) * len(next(iter(sizes))), None)


def _ratio(pair: ImagePair) -> tuple[float, ...]:
    if pair.registration is None:
        return pair.factors
    stacked = len(pair.source.spatial_axes) - 2
    return (1.0,) * stacked + (pair.registration.scale,) * 2


def _tidy(ratio: float) -> float:
    """A magnification is a round number, give or take what a registration can tell."""
    near = round(ratio) if ratio >= 1 else 1 / round(1 / ratio)
    return float(near) if abs(ratio / near - 1) < NEARLY else round(ratio, 3)


def prepare(
    found: SampleSet, plan: Plan, place: TargetGrid, notices: Sequence[str]
) -> TrainingData:
    """Split the samples, fit the patch to them, and lay the pixels out for cutting patches.

    The pixels stay on the host; `on_device` moves them.
    """
    notices, samples = list(notices), found.samples
    rim, grid = _looks(plan.config)
    parts = split(samples, plan.settings, max(rim))
    patch = fitted_patch(plan.patch, _largest_per_image(parts.train), grid)
    if patch != plan.patch:
        notices.append(
            f"Patches of {_by(plan.patch)} pixels do not fit into every image: they are "
            f"{_by(patch)} now."
        )
    background = plan.settings.background
    sampler = PatchSampler(
        parts.train,
        patch,
        [sample.valid for sample in samples],
        [interest(sample, patch, background) for sample in samples] if background < 1 else (),
    )
    plan = replace(
        plan,
        patch=patch,
        pairs=tuple(
            {
                "name": sample.name,
                "hash": fingerprint(sample),
                "target_hash": target_fingerprint(sample),
                "shape": list(sample.shape),
                "transform": sample.transform,
            }
            for sample in samples
        ),
        split={
            name: [[a.image, list(a.start), list(a.stop)] for a in areas]
            for name, areas in (("train", parts.train), ("check", parts.check))
        },
    )
    return TrainingData(
        plan=plan,
        samples=samples,
        split=parts,
        place=place,
        rim=rim,
        sources=PatchSource(found.sources, [sample.source.shape for sample in samples]),
        targets=PatchSource(found.targets, [sample.target.shape for sample in samples]),
        sampler=sampler,
        notices=tuple(notices),
    )


def on_device(material: TrainingData, device: torch.device) -> TrainingData:
    """With the pixels on the GPU, if there is one and they fit."""
    stores = (material.sources, material.targets)
    size = sum(store.bytes for store in stores)
    if device.type != "cuda" or size > RESIDENT_SHARE * describe_device(device).free:
        return material
    sources, targets = (store.moved(device) for store in stores)
    return replace(material, sources=sources, targets=targets)


def check_fits(pairs: Collection[ImagePair], plan: Plan) -> None:
    """Refuse images that the preset's network cannot read, all of them in one message."""
    projects = isinstance(plan.config, networks.ProjectionConfig)
    wanted = _kind(3, 2) if projects else _kind(plan.config.dims, plan.config.dims)
    others = [
        f"{pair.name} is {kind}"
        for pair in pairs
        if (kind := _kind(len(pair.source.spatial_axes), len(pair.target.spatial_axes))) != wanted
    ]
    if others:
        msg = (
            f"{plan.settings.preset} learns from pairs of which each is {wanted}, but "
            f"{'; '.join(others)}. Choose another preset, or leave these pairs out."
        )
        raise ValueError(msg)


def _kind(source_dims: int, target_dims: int) -> str:
    source, target = ("an image" if dims == 2 else "a stack" for dims in (source_dims, target_dims))
    return "a stack and its projection" if source_dims > target_dims else f"{source} and {target}"


def _looks(config: NetworkConfig) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How far the network looks and the multiple its input needs, per axis of its output."""
    with torch.device("meta"):
        network = networks.build(config).eval()
    axes = len(network.output_axes)
    if network.untileable_reason is not None:
        return (WIDEST_RIM,) * axes, network.grid[-axes:]
    halos = [network.halo(known) for known in range(network.contexts + 1)]
    return tuple(max(halo[-axes:][a] for halo in halos) for a in range(axes)), network.grid[-axes:]


def _largest_per_image(areas: Sequence[Area]) -> list[tuple[int, ...]]:
    """Of each image, the shape of the box in which the largest square fits."""
    shapes: dict[int, tuple[int, ...]] = {}
    for area in areas:
        known = shapes.get(area.image, (0,) * len(area.shape))
        shapes[area.image] = max(known, area.shape, key=lambda shape: min(shape[-2:]))
    return list(shapes.values())


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
