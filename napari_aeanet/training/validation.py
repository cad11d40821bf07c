"""Checking a network on what was kept out of its training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from napari_aeanet.core.metrics import SSIM_WINDOW, Gain, gain
from napari_aeanet.training.batch_norm import estimate_norms
from napari_aeanet.training.dataset import Sample
from napari_aeanet.training.patch_source import PatchSource
from napari_aeanet.training.patches import Area
from napari_aeanet.training.settings import Profile
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData

# Largest pieces that are checked while training, by their dimensions.
PIECE = {2: (256, 256), 3: (32, 128, 128)}
# Batches from which a quick run estimates its running statistics before a check.
CHECK_BATCHES = 3
# Draws that no step of a run makes: none has as many.
AFTER_ALL_STEPS = 2**40


@dataclass(frozen=True, eq=False)
class ValidationCrop:
    """A kept-out box, and the wider box that is read for it.

    The rim lies in the guard band and in other kept-out boxes, so it gives away no target.
    """

    scored: Area
    read: Area

    @property
    def inside(self) -> tuple[slice, ...]:
        """`scored` in coordinates of `read`."""
        return tuple(
            slice(a - o, b - o)
            for a, b, o in zip(self.scored.start, self.scored.stop, self.read.start, strict=True)
        )


def pieces_of(
    areas: Sequence[Area],
    shapes: Sequence[tuple[int, ...]],
    rim: Sequence[int],
    most_pixels: float,
) -> list[ValidationCrop]:
    """Pieces to check with, out of the kept-out areas: at least one, of `most_pixels` together.

    Each is the middle of its area. Areas of different images come first, so that a small budget
    sees many images.
    """
    chosen: list[ValidationCrop] = []
    total = 0
    for core in _images_first([_middle(area, PIECE[len(area.start)]) for area in areas]):
        piece = ValidationCrop(core, _widened(core, rim, shapes[core.image]))
        total += piece.read.pixels
        if chosen and total > most_pixels:
            break
        chosen.append(piece)
    return chosen


def check(
    learner: Trainer, material: TrainingData, pieces: Sequence[ValidationCrop]
) -> tuple[Gain, np.ndarray]:
    """How good the network is now, as in `measure`; a quick run brings its statistics up first.

    Their averages lag behind the weights, which in a short run costs several dB.
    """
    if material.plan.settings.profile == Profile.QUICK:
        estimate_norms(learner.network, further_inputs(learner, material, CHECK_BATCHES))
    return measure(learner, material, pieces)


def measure(
    learner: Trainer, material: TrainingData, pieces: Sequence[ValidationCrop]
) -> tuple[Gain, np.ndarray]:
    """Mean gain over all pieces, and the first piece as it was restored (C, pixels...)."""
    gains, first = [], None
    for piece in pieces:
        sample = material.samples[piece.scored.image]
        restored = restore_piece(learner, piece, material.sources)
        gains.append(gain_over(sample, piece.scored, restored))
        first = restored if first is None else first
    assert first is not None
    return mean_gain(gains), first


def further_inputs(learner: Trainer, material: TrainingData, count: int) -> Iterator[Tensor]:
    """`count` batches as the network takes them, drawn like those of the steps but others."""
    for batch in range(count):
        yield learner.as_input(material.batch(AFTER_ALL_STEPS + batch, learner.device)[0])


def restore_piece(learner: Trainer, piece: ValidationCrop, sources: PatchSource) -> np.ndarray:
    """The prediction over the scored box: (C, pixels...)."""
    x = sources.area(piece.read).to(learner.device)
    box = (slice(None), *piece.inside)
    return learner.predict(x)[0][box].cpu().numpy()


def mean_gain(gains: Sequence[Gain]) -> Gain:
    return Gain(
        psnr=float(np.mean([one.psnr for one in gains])),
        ssim=float(np.mean([one.ssim for one in gains])),
    )


def baseline(sample: Sample) -> np.ndarray:
    """What the restored image is compared with, (1, pixels...): the source itself.

    For a stack that is projected, it is the brightest pixel over all planes.
    """
    return sample.source.max(axis=0, keepdims=True) if sample.projects else sample.source


def gain_over(sample: Sample, area: Area, restored: np.ndarray) -> Gain:
    """Gain of `restored`, (1, pixels...) over `area`, over the sample's source."""
    box = (slice(None), *area.slices)
    before, truth = baseline(sample)[box], sample.target[box]
    gains = [
        gain(b, r, t, sample.data_range)
        for b, r, t in zip(_images(before), _images(restored), _images(truth), strict=True)
        if np.ptp(t) > 0  # nothing can be said about a constant truth
    ]
    return mean_gain(gains) if gains else Gain(0.0, 0.0)


def _images(values: np.ndarray) -> list[np.ndarray]:
    """The image by itself; stacks too flat for the window of SSIM fall into planes."""
    if min(values.shape[1:]) < SSIM_WINDOW:
        return list(values.reshape(-1, *values.shape[-2:]))
    return list(values)


def _middle(area: Area, largest: tuple[int, ...]) -> Area:
    shape = [min(n, most) for n, most in zip(area.shape, largest, strict=True)]
    start = [a + (n - m) // 2 for a, n, m in zip(area.start, area.shape, shape, strict=True)]
    stop = [a + m for a, m in zip(start, shape, strict=True)]
    return Area(area.image, tuple(start), tuple(stop))


def _widened(area: Area, rim: Sequence[int], shape: tuple[int, ...]) -> Area:
    return Area(
        area.image,
        tuple(max(0, a - r) for a, r in zip(area.start, rim, strict=True)),
        tuple(min(n, b + r) for b, r, n in zip(area.stop, rim, shape, strict=True)),
    )


def _images_first(areas: Sequence[Area]) -> list[Area]:
    """One area of every image, then a second of every image, and so on; images spread out."""
    by_image: dict[int, list[Area]] = {}
    for area in areas:
        by_image.setdefault(area.image, []).append(area)
    numbered = [
        (round_, position, area)
        for position, own in enumerate(by_image.values())
        for round_, area in enumerate(_from_the_middle(own))
    ]
    spread = _spread(len(by_image))
    return [area for _, _, area in sorted(numbered, key=lambda n: (n[0], spread[n[1]]))]


def _from_the_middle(areas: list[Area]) -> list[Area]:
    middle = len(areas) // 2
    return [*areas[middle:], *areas[:middle]]


def _spread(count: int) -> list[int]:
    """The rank of each of `count` items when any first few of them are to lie far apart.

    The golden ratio's multiples, modulo 1, do just that.
    """
    golden = (5**0.5 - 1) / 2
    return list(np.argsort(np.argsort([(i * golden) % 1 for i in range(count)])))
