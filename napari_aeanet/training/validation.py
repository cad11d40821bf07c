"""Validation of a network on the kept-out data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from napari_aeanet.core.image import Region
from napari_aeanet.core.metrics import Gain
from napari_aeanet.core.tiles import extent, within
from napari_aeanet.dataset import Area, baseline, gain_over, mean_gain
from napari_aeanet.networks import estimate_norms
from napari_aeanet.training.settings import Statistics
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData

# Largest crops, by the number of dimensions.
LARGEST_CROP = {2: (256, 256), 3: (32, 128, 128)}
# Batches from which a quick run estimates its running statistics before a validation.
ESTIMATION_BATCHES = 3
# First step number of batches that no training step uses: no run has as many steps.
AFTER_ALL_STEPS = 2**40


@dataclass(frozen=True, eq=False)
class ValidationCrop:
    """A kept-out box, and the wider box that is read for it.

    The margin lies in the guard band and in other kept-out boxes, so no training target is used.
    """

    inner: Area
    outer: Area

    @property
    def inside(self) -> Region:
        """`inner` in coordinates of `outer`."""
        return within(self.inner.box, self.outer.box)


def validation_crops(
    areas: Sequence[Area],
    shapes: Sequence[tuple[int, ...]],
    margin: Sequence[int],
    most_pixels: float,
) -> list[ValidationCrop]:
    """Return crops of the kept-out areas, if there are any: one or more, of `most_pixels` together.

    Each is the middle of its area. Areas of different images come first, so that a small budget
    covers many images.
    """
    chosen: list[ValidationCrop] = []
    total = 0
    for area in _images_first(areas):
        largest, shape = LARGEST_CROP[len(area.box)], shapes[area.image]
        inner = _middle(area.box, largest)
        outer = tuple(
            slice(max(0, s.start - m), min(n, s.stop + m))
            for s, m, n in zip(inner, margin, shape, strict=True)
        )
        total += math.prod(extent(outer))
        if chosen and total > most_pixels:
            break
        chosen.append(ValidationCrop(Area(area.image, inner), Area(area.image, outer)))
    return chosen


def validate(
    trainer: Trainer, data: TrainingData, crops: Sequence[ValidationCrop]
) -> tuple[Gain, np.ndarray] | None:
    """Return the result of `measure`, without computing it for the identity; None without crops.

    A quick run first updates its running statistics: their averages lag behind the weights, which
    in a short run costs several dB.
    """
    if trainer.is_identity and crops:
        area = crops[0].inner
        return Gain(0.0, 0.0), baseline(data.samples[area.image])[(slice(None), *area.box)]
    if data.plan.settings.statistics != Statistics.FOLLOWED:
        estimate_norms(trainer.network, further_inputs(trainer, data, ESTIMATION_BATCHES))
    return measure(trainer, data, crops) if crops else None


def measure(
    trainer: Trainer, data: TrainingData, crops: Sequence[ValidationCrop]
) -> tuple[Gain, np.ndarray]:
    """Return the mean gain over all crops, and the first crop restored (C, pixels...)."""
    gains, first = [], None
    for crop in crops:
        source = data.sources.area(crop.outer).to(trainer.device)
        restored = trainer.predict(source)[0][(slice(None), *crop.inside)].cpu().numpy()
        gains.append(gain_over(data.samples[crop.inner.image], crop.inner, restored))
        first = restored if first is None else first
    assert first is not None
    return mean_gain(gains), first


def further_inputs(trainer: Trainer, data: TrainingData, count: int) -> Iterator[Tensor]:
    """Yield `count` network inputs with seeds that no training step uses."""
    for batch in range(count):
        yield trainer.as_input(data.batch(AFTER_ALL_STEPS + batch, trainer.device)[0])


def _middle(box: Region, largest: Sequence[int]) -> Region:
    sizes = [min(n, most) for n, most in zip(extent(box), largest, strict=True)]
    starts = [(s.start + s.stop - n) // 2 for s, n in zip(box, sizes, strict=True)]
    return tuple(slice(start, start + n) for start, n in zip(starts, sizes, strict=True))


def _images_first(areas: Sequence[Area]) -> list[Area]:
    """Return one area of every image, from the middle on, then a second of every image, and so on.

    Any first few images lie far apart in the list: they are sorted by multiples of the golden
    ratio, modulo 1.
    """
    by_image: dict[int, list[Area]] = {}
    for area in areas:
        by_image.setdefault(area.image, []).append(area)
    golden = (5**0.5 - 1) / 2
    ranked = [
        ((turn, position * golden % 1), area)
        for position, own in enumerate(by_image.values())
        for turn, area in enumerate([*own[len(own) // 2 :], *own[: len(own) // 2]])
    ]
    return [area for _, area in sorted(ranked, key=lambda item: item[0])]
