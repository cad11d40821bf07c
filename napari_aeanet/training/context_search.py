"""From how large a field the attention should gather its context: measured on kept-out data.

A network is trained on patches, but attends to whatever it is given: the share of its references,
r / (r + s), shrinks as the field grows. Which field restores best is an empirical question.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_aeanet.core.image import Region
from napari_aeanet.core.metrics import Gain
from napari_aeanet.core.tiles import grid_padding, intersection, moved, partition
from napari_aeanet.restoration import Gathered, TileRunner, around
from napari_aeanet.training.dataset import Sample
from napari_aeanet.training.patches import Area
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import gain_over, mean_gain

FIELDS = (256, 512)
WHOLE = "whole"
# Tiles in each direction that make up the smallest field.
TILES_PER_FIELD = 3
# A smaller field must be better than the whole image by this (dB): the whole image needs no
# decision about where a field begins.
WORTHWHILE = 0.01


@dataclass(frozen=True, eq=False)
class PaddedSource:
    """A sample's source as a network's passes read it: reflected to the grid."""

    pixels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    def read(self, region: Region) -> np.ndarray:
        return self.pixels[region]


def context_gains(
    learner: Trainer, material: TrainingData, images: Sequence[int]
) -> Generator[None, None, dict[str, float]]:
    """Mean gain in dB over the kept-out areas of some images, for each field that is tried.

    Yields after every piece of work. Fields that are no smaller than the image count as whole.
    """
    passes = TileRunner(learner.network.eval(), learner.device)
    gains: dict[str, list[Gain]] = {}
    for image in images:
        areas = [area for area in material.split.check if area.image == image]
        found = yield from _gains_of_image(passes, material.samples[image], areas)
        for name, values in found.items():
            gains.setdefault(name, []).extend(values)
    return {name: mean_gain(values).psnr for name, values in gains.items()}


def best_field(gains: Mapping[str, float]) -> int | None:
    """The field to be used: pixels, or None for the whole image."""
    best = max(gains, key=lambda name: gains[name], default=WHOLE)
    if best == WHOLE or gains[best] - gains[WHOLE] < WORTHWHILE:
        return None
    return int(best)


def _gains_of_image(
    passes: TileRunner, sample: Sample, areas: Sequence[Area]
) -> Generator[None, None, dict[str, list[Gain]]]:
    network, axes = passes.network, len(sample.shape)
    pixels = sample.source if sample.projects else sample.source[0]
    padding = grid_padding(pixels.shape, network.grid)
    source = PaddedSource(np.pad(pixels, padding, mode="reflect"))
    tiles = partition(source.shape, _edges(source.shape), network.grid)
    known = yield from _gathered(passes, source, tiles)
    boxes = [moved(area.slices, [before for before, _ in padding[-axes:]]) for area in areas]
    found: dict[str, list[Gain]] = {}
    for name, gathered in known.items():
        restored = np.zeros(source.shape[-axes:], np.float32)
        for tile in tiles:
            place = passes.output_region(tile)
            if any(intersection(place, box) for box in boxes):
                restored[place] = passes.predict(source, tile, around(tile, gathered))[0]
                yield
        found[name] = [
            gain_over(sample, area, restored[None, *box])
            for area, box in zip(areas, boxes, strict=True)
        ]
    return found


def _gathered(
    passes: TileRunner, source: PaddedSource, tiles: Sequence[Region]
) -> Generator[None, None, dict[str, list[Gathered]]]:
    """The contexts of all attentions for each field.

    Those of the first attention depend on no other context and are gathered once for all fields.
    """
    fields = _fields(source.shape)
    known: dict[str, list[Gathered]] = {name: [] for name in fields}
    for attention in range(passes.network.contexts):
        now = {name: Gathered(field, source.shape) for name, field in fields.items()}
        for tile in tiles:
            shared = passes.gather(source, tile, []) if attention == 0 else None
            for name, gathered in now.items():
                earlier = around(tile, known[name])
                gathered.add(tile, shared or passes.gather(source, tile, earlier))
            yield
        for name, gathered in now.items():
            known[name].append(gathered)
    return known


def _fields(shape: Sequence[int]) -> dict[str, tuple[int, ...] | None]:
    """The fields that are smaller than an image of this shape, and the whole; planes are kept."""
    fields: dict[str, tuple[int, ...] | None] = {
        str(edge): (*shape[:-2], *(min(edge, n) for n in shape[-2:]))
        for edge in FIELDS
        if edge < max(shape[-2:])
    }
    return fields | {WHOLE: None}


def _edges(shape: Sequence[int]) -> tuple[int, ...]:
    """Tiles so small that the smallest field is made of several; planes are kept together."""
    return (*shape[:-2], *(min(FIELDS) // TILES_PER_FIELD for _ in range(2)))
