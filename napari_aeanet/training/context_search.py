"""Choice of the field from which attention gathers its context, measured on kept-out data.

A network is trained on patches, but attends to fields of any size: the share of its references,
r / (r + s), shrinks as the field grows. Which field restores best is an empirical question.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from copy import deepcopy

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.metrics import Gain
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.core.tiles import grid_padding, intersection, moved, partition
from napari_aeanet.dataset import Area, Sample, gain_over, mean_gain
from napari_aeanet.restoration import Gathered, TileRunner
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData

FIELDS = (256, 512)
WHOLE = "whole"
# Tiles in each direction of the smallest field.
TILES_PER_FIELD = 3
# A smaller field must be better than the whole image by this (dB), since the whole image needs no
# choice of where a field begins.
WORTHWHILE = 0.01


def context_gains(
    trainer: Trainer,
    data: TrainingData,
    images: Sequence[int],
    report: Callable[[], Progress],
    end_part: Callable[[], None] = lambda: None,
) -> Generator[Progressed, None, dict[str, float]]:
    """Return the mean gain in dB over the kept-out areas of some images, for each field.

    Yields an event with the progress of `report` after every tile, and calls `end_part` after every
    image. Fields that are no smaller than
    the image count as whole.
    """
    network = deepcopy(trainer.network).float() if images else trainer.network
    runner = TileRunner(network.eval(), trainer.device)
    gains: dict[str, list[Gain]] = {}
    for image in images:
        areas = [area for area in data.split.check if area.image == image]
        found = yield from _gains_of_image(runner, data.samples[image], areas, report)
        for field, values in found.items():
            gains.setdefault(field, []).extend(values)
        end_part()
    return {field: mean_gain(values).psnr for field, values in gains.items()}


def best_field(gains: Mapping[str, float]) -> int | None:
    """Return the best field in pixels, or None for the whole image."""
    best = max(gains, key=lambda name: gains[name], default=WHOLE)
    if best == WHOLE or gains[best] - gains[WHOLE] < WORTHWHILE:
        return None
    return int(best)


def _gains_of_image(
    runner: TileRunner, sample: Sample, areas: Sequence[Area], report: Callable[[], Progress]
) -> Generator[Progressed, None, dict[str, list[Gain]]]:
    network, axes = runner.network, len(sample.shape)
    pixels = sample.source if sample.projects else sample.source[0]
    padding = grid_padding(pixels.shape, network.grid)
    source = Image(np.pad(pixels, padding, mode="reflect"), network.input_axes)
    # Planes are kept together; in the plane, the smallest field consists of several tiles.
    edges = (*source.shape[:-2], *(min(FIELDS) // TILES_PER_FIELD for _ in range(2)))
    tiles = partition(source.shape, edges, network.grid)
    contexts = yield from _gathered(runner, source, tiles, report)
    boxes = [moved(area.box, [before for before, _ in padding[-axes:]]) for area in areas]
    found: dict[str, list[Gain]] = {}
    for field, gathered in contexts.items():
        restored = np.zeros(source.shape[-axes:], np.float32)
        for tile in tiles:
            output = runner.output_region(tile)
            if any(intersection(output, box) for box in boxes):
                known = [context.around(tile) for context in gathered]
                restored[output] = runner.predict(source, tile, known)[0]
                yield Progressed(report())
        found[field] = [
            gain_over(sample, area, restored[None, *box])
            for area, box in zip(areas, boxes, strict=True)
        ]
    return found


def _gathered(
    runner: TileRunner,
    source: Image,
    tiles: Sequence[Region],
    report: Callable[[], Progress],
) -> Generator[Progressed, None, dict[str, list[Gathered]]]:
    """Return the contexts of all attentions for each field.

    Those of the first attention depend on no other context and are gathered once for all fields.
    """
    shape = source.shape
    fields: dict[str, tuple[int, ...] | None] = {
        str(edge): (*shape[:-2], *(min(edge, n) for n in shape[-2:]))
        for edge in FIELDS
        if edge < max(shape[-2:])
    }
    fields[WHOLE] = None
    contexts: dict[str, list[Gathered]] = {field: [] for field in fields}
    for attention in range(runner.network.contexts):
        latest = {field: Gathered(size, shape) for field, size in fields.items()}
        for tile in tiles:
            shared = runner.gather(source, tile, []) if attention == 0 else None
            for field, gathered in latest.items():
                earlier = [context.around(tile) for context in contexts[field]]
                gathered.add(tile, shared or runner.gather(source, tile, earlier))
            yield Progressed(report())
        for field, gathered in latest.items():
            contexts[field].append(gathered)
    return contexts
