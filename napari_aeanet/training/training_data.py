"""Training data: plan, samples, split, and pixels on the computing device."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_aeanet import networks
from napari_aeanet.core.names import names_in_words
from napari_aeanet.dataset import (
    Area,
    PatchSampler,
    PatchSource,
    Sample,
    SampleSet,
    Split,
    TargetGrid,
    fingerprint,
    interest,
    size_in_words,
    split,
    target_fingerprint,
)
from napari_aeanet.networks import describe_device
from napari_aeanet.pairs import ImagePair, kind_in_words
from napari_aeanet.training.differences import differences
from napari_aeanet.training.plan import Plan, as_given, fitted_patch
from napari_aeanet.training.settings import Places, Turns

# Pixels may take up this share of the free memory of a GPU; the rest is for the network.
RESIDENT_SHARE = 0.4
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples with their pixels, the split, and the sampler of training patches.

    Parameters
    ----------
    plan
        Plan with the fitted patch, the pairs and the split.
    grid
        Pixel size and ratio, for the model card.
    margin
        Input margin of the network, per axis of the target.
    notices
        Notices for the user.
    """

    plan: Plan
    samples: tuple[Sample, ...]
    split: Split
    grid: TargetGrid
    margin: tuple[int, ...]
    sources: PatchSource
    targets: PatchSource
    sampler: PatchSampler
    notices: tuple[str, ...]

    @property
    def parameters(self) -> int:
        return networks.parameter_count(self.plan.config)

    @property
    def name(self) -> str:
        """Name for the model: the preset's and the first pair's."""
        first, more = self.samples[0].name, len(self.samples) - 1
        return f"{self.plan.settings.preset} on {first}" + (f" and {more} more" if more else "")

    def batch(
        self, step: int, device: torch.device, part: slice = ALL
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the patches of step number `step`, always the same ones, or a part of them."""
        rng = np.random.default_rng([self.plan.settings.seed, step])
        count, settings = self.plan.batch, self.plan.settings
        if settings.places == Places.GIVEN:
            positions = self.sampler.draw_in_turn(step * count, count, settings.seed, rng)
        else:
            positions = self.sampler.draw(count, rng)
        source, target = (
            _to_device(pixels.cut(positions[part], self.plan.patch), device)
            for pixels in (self.sources, self.targets)
        )
        if jitter := settings.jitter:
            # One contrast and brightness for both images of a patch.
            shape = (len(positions), *[1] * (source.dim() - 1))
            contrast, brightness = (
                torch.from_numpy(rng.uniform(-jitter, jitter, shape)[part]).to(source)
                for _ in range(2)
            )
            source, target = (pixels * (1 + contrast) + brightness for pixels in (source, target))
        return source, target


def _to_device(pixels: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return the pixels on the device; from pinned memory, so that a GPU copies asynchronously."""
    if device.type == "cuda" and pixels.device.type == "cpu":
        return pixels.pin_memory().to(device, non_blocking=True)
    return pixels.to(device)


def pairs_of_plan(pairs: Sequence[ImagePair], plan: Plan) -> dict[int, ImagePair]:
    """Return the pairs that a plan was made for, by their number."""
    return {
        number: pair
        for number, pair in enumerate(pairs)
        if number not in plan.left_out and not pair.has_failed
    }


def build_data(
    found: SampleSet, plan: Plan, grid: TargetGrid, notices: Sequence[str]
) -> TrainingData:
    """Split the samples, fit the patch to them, and set up the sources of patches.

    The pixels stay on the host; `on_device` moves them.
    """
    samples, background = found.samples, plan.settings.background
    margin, multiple = networks.margin_and_multiple(plan.config)
    kept_out, region = plan.settings.kept_out, plan.settings.region
    parts = split(samples, kept_out, max(margin), region)
    plan = as_given(plan, {area.shape for area in parts.train}, len(parts.train))
    patch = fitted_patch(plan.patch, _largest_per_image(parts.train), multiple)
    if patch != plan.patch:
        if plan.settings.places == Places.GIVEN:
            step = size_in_words(multiple)
            msg = f"Patches as they are given must be multiples of {step} pixels: cut them anew."
            raise ValueError(msg)
        notices = [
            *notices,
            f"Patches of {size_in_words(plan.patch)} pixels do not fit into every image: they are "
            f"{size_in_words(patch)} now.",
        ]
    sampler = PatchSampler(
        parts.train,
        patch,
        [sample.valid for sample in samples],
        [interest(sample, patch, background) for sample in samples] if background < 1 else (),
        turned=plan.settings.turns != Turns.NONE,
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
            name: [[a.image, [s.start for s in a.box], [s.stop for s in a.box]] for a in areas]
            for name, areas in (("train", parts.train), ("check", parts.check))
        },
    )
    return TrainingData(
        plan=replace(plan, differences=differences(plan)),
        samples=samples,
        split=parts,
        grid=grid,
        margin=margin,
        sources=PatchSource(found.sources, [sample.source.shape for sample in samples]),
        targets=PatchSource(found.targets, [sample.target.shape for sample in samples]),
        sampler=sampler,
        notices=tuple(notices),
    )


def on_device(data: TrainingData, device: torch.device) -> TrainingData:
    """Return the data with the pixels on the GPU, if there is one and they fit."""
    size = data.sources.bytes + data.targets.bytes
    if device.type != "cuda" or size > RESIDENT_SHARE * describe_device(device).free:
        return data
    return replace(data, sources=data.sources.to(device), targets=data.targets.to(device))


def check_fits(pairs: Collection[ImagePair], plan: Plan) -> None:
    """Refuse images that the preset's network cannot read, all of them in one message."""
    wanted = kind_in_words(plan.config.input_axes, plan.config.output_axes)
    others: dict[str, list[str]] = {}
    for pair in pairs:
        kind = kind_in_words(pair.source.axes, pair.target.axes)
        if kind != wanted:
            others.setdefault(kind, []).append(pair.name)
    if others:
        found = "; ".join(
            f"{names_in_words(names)} {'are pairs' if names[1:] else 'is a pair'} of {kind}"
            for kind, names in others.items()
        )
        msg = (
            f"{plan.settings.preset} needs pairs of {wanted}, but {found}. "
            "Choose another preset, or leave these pairs out."
        )
        raise ValueError(msg)


def _largest_per_image(areas: Sequence[Area]) -> list[tuple[int, ...]]:
    """Return, for each image, the shape of the box that holds the largest square."""
    shapes: dict[int, tuple[int, ...]] = {}
    for area in areas:
        known = shapes.get(area.image, (0,) * len(area.shape))
        shapes[area.image] = max(known, area.shape, key=lambda shape: min(shape[-2:]))
    return list(shapes.values())
