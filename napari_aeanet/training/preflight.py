"""Check before a training: every problem and everything notable, at once."""

from __future__ import annotations

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
from napari_aeanet.registration import detail, match_blocks
from napari_aeanet.training.provenance import plan_in_words
from napari_aeanet.training.settings import KeptOut, TrainSettings
from napari_aeanet.training.setup import data_for_new_run, seconds_per_step
from napari_aeanet.training.training_data import TrainingData

# A larger shift of unregistered pairs (pixels) makes the model blur.
NOTABLE_SHIFT = 0.5
# Bytes of a step for every feature of every pixel of its batch, and a constant (measured:
# docs/training.md).
BYTES_PER_FEATURE, BYTES_BESIDES = 110, 500 * 2**20
# A run writes its state and its best model, each beside the previous file.
BYTES_PER_PARAMETER_ON_DISK = 32


@dataclass(frozen=True)
class PreflightReport:
    """Result of `check_training`.

    Parameters
    ----------
    problems
        Problems of single pairs; errors exclude a pair from the training.
    obstacles
        Reasons why the training cannot start.
    notes
        Remarks on the pairs together, and on the device.
    summary
        The plan in words; empty if training cannot start.
    patch, batch, steps
        As planned; 0 steps where a time budget decides.
    memory
        Approximate memory of the training in bytes.
    seconds
        Duration of the training, if it was measured.
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
        """Return all findings, the most important ones first."""
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
        Planned run folder; its disk must have enough space.
    start
        Card of the model that training would start from.
    timed
        Make a few steps to estimate the duration.
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
        data = data_for_new_run(usable, settings, start, scratch, on_gpu=device.type != "cpu")
    except ValueError as error:
        return PreflightReport(problems=problems, obstacles=(str(error),))
    info = describe_device(device)
    plan = replace(data.plan, device=info.title)
    data = replace(data, plan=plan)
    memory = _memory(data)
    notes = [*data.notices, *_about_pairs(usable), *_about_duplicates(data)]
    if memory > info.free:
        notes.append(
            f"Training will need about {_gigabytes(memory)}, and {info.title} has "
            f"{_gigabytes(info.free)} free. Choose smaller patches or a smaller batch."
        )
    if folder is not None:
        notes += _about_disk(data, folder)
    seconds = None
    if timed:
        step_time = seconds_per_step(plan, data, device)
        seconds = plan.steps * step_time if plan.steps else 60 * plan.settings.minutes
        notes.append(
            f"On {info.title} a step takes {step_time:.2g} s: {in_words(seconds)} in all"
            + (f" ({plan.steps} steps)." if plan.steps else f", {int(seconds / step_time)} steps.")
        )
    return PreflightReport(
        problems=problems,
        notes=tuple(notes),
        summary=plan_in_words(data),
        patch=plan.patch,
        batch=plan.batch,
        steps=plan.steps,
        memory=memory,
        seconds=seconds,
    )


def _about_pairs(pairs: Sequence[ImagePair]) -> Iterator[str]:
    """Yield notes on differences between the pairs and within each."""
    for side in ("source", "target"):
        images = [getattr(pair, side) for pair in pairs]
        types = sorted({str(image.dtype) for image in images})
        if len(types) > 1:
            yield f"The {side}s are of different number types ({', '.join(types)})."
        if len({(image.pixel_size, image.unit) for image in images}) > 1:
            yield f"The {side}s differ in pixel size: the model will have no pixel size."
    for pair in pairs:
        if pair.registration is None:
            yield from _about_alignment(pair)


def _about_alignment(pair: ImagePair) -> Iterator[str]:
    """Yield a note if blocks of the middle plane of an unregistered pair do not match."""
    source, target = _middle_plane(pair.on_target_grid()), _middle_plane(pair.target)
    if source.shape != target.shape:
        return
    found = match_blocks((detail(source), detail(target)), np.eye(3))
    moved = found.displacements if found.is_convincing else np.zeros((1, 2))
    shift = float(np.linalg.norm(np.median(moved, axis=0)))
    if found.blocks and not found.is_suggestive:
        yield (
            f"{pair.name}: it is not clear that both images show the same field. Register the "
            "pair, or look at it."
        )
    elif shift > NOTABLE_SHIFT:
        yield f"{pair.name}: source and target are shifted by {shift:.1f} px. Register the pair."


def _middle_plane(image: Image) -> np.ndarray:
    values = image.read()
    while values.ndim > 2:
        values = values[len(values) // 2]
    return values.astype(np.float32)


def _about_duplicates(data: TrainingData) -> Iterator[str]:
    """Yield a note on each repeated target; trained on and kept out, it would falsify the gain."""
    trained = {area.image for area in data.split.train}
    first: dict[str, int] = {}
    for number, pair in enumerate(data.plan.pairs):
        same = first.setdefault(pair["target_hash"], number)
        if same == number:
            continue
        text = f"{pair['name']} has the same target as {data.samples[same].name}"
        apart = (number in trained) != (same in trained)
        if data.plan.settings.kept_out == KeptOut.WHOLE_IMAGES and apart:
            text += ", and only one of them is kept out: the gain will look too good"
        yield text + "."


def _about_disk(data: TrainingData, folder: Path) -> Iterator[str]:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < BYTES_PER_PARAMETER_ON_DISK * data.parameters:
        yield f"The disk of {folder} has only {_gigabytes(free)} free: the run may not fit on it."


def _memory(data: TrainingData) -> int:
    """Return the bytes of a step: the features of every pixel are kept for the gradient."""
    plan = data.plan
    pixels = plan.batch * int(np.prod(plan.patch))
    depth = data.samples[0].source.shape[0] if data.samples[0].projects else 1
    stored = data.sources.bytes + data.targets.bytes
    features = plan.config.features + 8 * (depth - 1)
    return BYTES_BESIDES + stored + pixels * features * BYTES_PER_FEATURE


def _gigabytes(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
