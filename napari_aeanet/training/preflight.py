"""A look at everything before a training starts: all that is wrong or notable, at once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import in_words
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import choose_device, describe_device
from napari_aeanet.pairs import ImagePair, PairProblem, Severity, check_pairs
from napari_aeanet.registration import block_matching, detail
from napari_aeanet.training.dataset import Sample
from napari_aeanet.training.provenance import plan_in_words
from napari_aeanet.training.settings import KeptOut, TrainSettings
from napari_aeanet.training.setup import material_for, seconds_per_step
from napari_aeanet.training.training_data import TrainingData

# Unregistered pairs that are shifted by more than this (pixels) blur what is learnt from them.
NOTABLE_SHIFT = 0.5
# Bytes that a step needs for every feature of every pixel of its batch, and besides (measured:
# docs/training.md).
BYTES_PER_FEATURE, BYTES_BESIDES = 110, 500 * 2**20
# A run writes its state and its best model, each beside the one before.
BYTES_PER_PARAMETER_ON_DISK = 32


@dataclass(frozen=True)
class PreflightReport:
    """What was found.

    Parameters
    ----------
    problems
        Per pair; errors keep the training from starting, or from making sense.
    obstacles
        Why the training as a whole cannot start.
    notes
        What is worth knowing about the pairs together, and about the device.
    summary
        What would be done, in words; empty if it cannot start.
    patch, batch, steps
        As planned; 0 steps where a time budget will decide.
    memory
        Bytes that training will need, roughly.
    seconds
        How long it will take, where that was measured.
    """

    problems: tuple[PairProblem, ...] = ()
    obstacles: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    summary: str = ""
    patch: tuple[int, ...] = ()
    batch: int = 0
    steps: int = 0
    memory: int = 0
    seconds: float | None = None

    @property
    def can_start(self) -> bool:
        return not self.obstacles

    def sentences(self) -> list[str]:
        """Everything, most important first."""
        return [*self.obstacles, *map(str, self.problems), *self.notes]


def check_training(
    pairs: Sequence[ImagePair],
    settings: TrainSettings,
    folder: Path | None = None,
    *,
    start: ModelCard | None = None,
    timed: bool = False,
) -> PreflightReport:
    """Check pairs, settings and device without training.

    Parameters
    ----------
    folder
        Where the run would be kept; its disk must have room.
    start
        The model that training would start from.
    timed
        Make a few steps, to say how long the training will take.
    """
    with TemporaryDirectory(prefix="napari-aeanet-") as scratch:
        return _checked(pairs, settings, folder, start, timed, Path(scratch))


def _checked(
    pairs: Sequence[ImagePair],
    settings: TrainSettings,
    folder: Path | None,
    start: ModelCard | None,
    timed: bool,
    scratch: Path,
) -> PreflightReport:
    problems = tuple(check_pairs(pairs))
    useless = {problem.pair for problem in problems if problem.severity == Severity.ERROR}
    usable = [pair for pair in pairs if pair.name not in useless]
    try:
        device = choose_device(settings.device)
        material = material_for(usable, settings, start, scratch, on_gpu=device.type != "cpu")
    except ValueError as error:
        return PreflightReport(problems=problems, obstacles=(str(error),))
    info = describe_device(device)
    plan = replace(material.plan, device=info.title)
    material = replace(material, plan=plan)
    memory = _memory(material)
    notes = [*material.notices, *_about_pairs(usable), *_about_samples(material)]
    if memory > info.free:
        notes.append(
            f"Training will need about {_gigabytes(memory)}, and {info.title} has "
            f"{_gigabytes(info.free)} free. Choose smaller patches or a smaller batch."
        )
    if folder is not None:
        notes += _about_disk(material, folder)
    seconds = None
    if timed:
        pace = seconds_per_step(plan, material, device)
        seconds = plan.steps * pace if plan.steps else 60 * plan.settings.minutes
        notes.append(
            f"On {info.title} a step takes {pace:.2g} s: {in_words(seconds)} in all"
            + (f" ({plan.steps} steps)." if plan.steps else f", {int(seconds / pace)} steps.")
        )
    return PreflightReport(
        problems=problems,
        notes=tuple(notes),
        summary=plan_in_words(material),
        patch=plan.patch,
        batch=plan.batch,
        steps=plan.steps,
        memory=memory,
        seconds=seconds,
    )


def _about_pairs(pairs: Sequence[ImagePair]) -> Iterator[str]:
    """What does not fit together, pair with pair and within a pair."""
    for side in ("source", "target"):
        images = [getattr(pair, side) for pair in pairs]
        types = sorted({str(image.dtype) for image in images})
        if len(types) > 1:
            yield f"The {side}s are of different number types ({', '.join(types)})."
        sizes = {(image.pixel_size, image.unit) for image in images}
        if len(sizes) > 1:
            yield (
                f"The {side}s differ in pixel size: the model will not know at which pixel size "
                "it restores."
            )
    for pair in pairs:
        if pair.registration is None:
            yield from _about_alignment(pair)


def _about_alignment(pair: ImagePair) -> Iterator[str]:
    """Whether an unregistered pair shows the same place, as blocks of its middle plane say."""
    source, target = _middle_plane(pair.on_target_grid()), _middle_plane(pair.target)
    if source.shape != target.shape:
        return
    found = block_matching.measure((detail(source), detail(target)), np.eye(3))
    if not found.holds:
        if found.blocks and not found.hints:
            yield (
                f"{pair.name}: it is not clear that both images show the same place. Register the "
                "pair, or look at it."
            )
        return
    shift = float(np.linalg.norm(np.median(found.displacements, axis=0)))
    if shift > NOTABLE_SHIFT:
        yield f"{pair.name}: source and target are shifted by {shift:.1f} px. Register the pair."


def _middle_plane(image: Image) -> np.ndarray:
    values = image.read()
    while values.ndim > 2:
        values = values[len(values) // 2]
    return values.astype(np.float32)


def _about_samples(material: TrainingData) -> Iterator[str]:
    """Images that occur twice: kept out and learnt from, they would make the check worthless."""
    names: dict[bytes, str] = {}
    learnt = {area.image for area in material.split.train}
    images: dict[bytes, int] = {}
    for number, sample in enumerate(material.samples):
        digest = _digest(sample)
        if digest not in names:
            names[digest], images[digest] = sample.name, number
            continue
        text = f"{sample.name} has the same target as {names[digest]}"
        apart = (number in learnt) != (images[digest] in learnt)
        if material.plan.settings.kept_out == KeptOut.WHOLE_IMAGES and apart:
            text += ", and one is learnt from while the other checks: the gain will look too good"
        yield text + "."


def _digest(sample: Sample) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(sample.target).data).digest()


def _about_disk(material: TrainingData, folder: Path) -> Iterator[str]:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < BYTES_PER_PARAMETER_ON_DISK * material.parameters:
        yield f"The disk of {folder} has only {_gigabytes(free)} free: the run may not fit on it."


def _memory(material: TrainingData) -> int:
    """Bytes that a step needs: features of every pixel are kept for the gradient."""
    plan = material.plan
    pixels = plan.batch * int(np.prod(plan.patch))
    depth = material.samples[0].source.shape[0] if material.samples[0].projects else 1
    features = plan.config.features
    stored = material.sources.bytes + material.targets.bytes
    return BYTES_BESIDES + stored + pixels * (features + 8 * (depth - 1)) * BYTES_PER_FEATURE


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
