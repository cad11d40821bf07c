"""Check before a training: every problem and everything notable, at once."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from napari_aeanet.core.arguments import as_path, check_items, check_type
from napari_aeanet.core.progress import Progress, in_words, returned
from napari_aeanet.core.words import bytes_in_words
from napari_aeanet.dataset import find_alignment
from napari_aeanet.models import ModelCard
from napari_aeanet.networks import choose_device, describe_device
from napari_aeanet.pairs import ImagePair, PairProblem, Severity, check_pair
from napari_aeanet.training.provenance import plan_in_words
from napari_aeanet.training.settings import KeptOut, TrainSettings
from napari_aeanet.training.setup import data_for_new_run, seconds_per_step
from napari_aeanet.training.trainer import SMALLEST_PART
from napari_aeanet.training.training_data import TrainingData

# Bytes of a step for every feature of every pixel of its batch, and a constant (measured:
# docs/training.md).
BYTES_PER_FEATURE, BYTES_BESIDES = 110, 500 * 2**20
# Beside a step, for copies of the weights and validations.
BYTES_TO_SPARE = 128 * 2**20
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
    objections
        Reasons why its result would be wrong: it starts only if it is forced.
    unregistered
        Number of pairs that have to be registered first.
    is_aligned
        True if every pair is well registered, or has images of one size that are seen to be
        aligned.
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
    objections: tuple[str, ...] = ()
    unregistered: int = 0
    is_aligned: bool = False
    notes: tuple[str, ...] = ()
    summary: str = ""
    patch: tuple[int, ...] = ()
    batch: int = 0
    steps: int = 0
    memory: int = 0
    seconds: float | None = None

    @property
    def can_start(self) -> bool:
        return not self.obstacles and not self.objections

    def sentences(self) -> list[str]:
        """Return all findings, the most important ones first."""
        return [*self.obstacles, *self.objections, *map(str, self.problems), *self.notes]

    def notices(self) -> tuple[str, ...]:
        """Return the findings for a training that goes on, with the pairs it leaves out."""
        forced = [f"Forced although: {objection}" for objection in self.objections]
        pairs = [
            f"{one.pair} is left out: {one.message}" if one.severity == Severity.ERROR else str(one)
            for one in self.problems
        ]
        return (*forced, *pairs, *self.notes)


class TrainingRefused(ValueError):
    """Raised instead of training a model that would be wrong.

    Parameters
    ----------
    report
        Result of the check.
    """

    def __init__(self, report: PreflightReport) -> None:
        super().__init__(" ".join(report.objections) + " Correct that first, or pass force=True.")
        self.report = report


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
    pairs = check_items("pairs", pairs, ImagePair)
    check_type("settings", settings, TrainSettings)
    if folder is not None:
        folder = as_path("folder", folder)
    if start is not None:
        check_type("start", start, ModelCard)
    with TemporaryDirectory(prefix="napari-aeanet-") as scratch:
        return returned(_report(pairs, settings, folder, start, timed, Path(scratch)))


def _report(
    pairs: Sequence[ImagePair],
    settings: TrainSettings,
    folder: Path | None,
    start: ModelCard | None,
    timed: bool,
    scratch: Path,
) -> Generator[Progress, None, PreflightReport]:
    problems = yield from find_problems(pairs)
    try:
        device = choose_device(settings.device)
        data, found = yield from prepared(pairs, problems, settings, start, device, scratch)
    except ValueError as error:
        every = tuple(problem for own in problems for problem in own)
        return PreflightReport(problems=every, obstacles=(str(error),))
    info = describe_device(device)
    plan = replace(data.plan, device=info.title)
    data = replace(data, plan=plan)
    memory = _memory(data)
    notes = list(found.notes)
    if memory > info.free:
        notes.append(
            f"Training will need about {bytes_in_words(memory)}, and {info.title} has "
            f"{bytes_in_words(info.free)} free. Choose smaller patches or a smaller batch."
        )
    if folder is not None:
        notes += _about_disk(data, folder)
    seconds = None
    if timed:
        yield Progress("timing a few steps", 0, 0)
        step_time = seconds_per_step(plan, data, device)
        seconds = plan.steps * step_time if plan.steps else plan.budget
        notes.append(
            f"On {info.title} a step takes {step_time:.2g} s: {in_words(seconds)} in all"
            + (f" ({plan.steps} steps)." if plan.steps else f", {int(seconds / step_time)} steps.")
        )
    return replace(
        found,
        notes=tuple(notes),
        summary=plan_in_words(data),
        patch=plan.patch,
        batch=plan.batch,
        steps=plan.steps,
        memory=memory,
        seconds=seconds,
    )


def find_problems(
    pairs: Sequence[ImagePair],
) -> Generator[Progress, None, list[list[PairProblem]]]:
    """Return the problems of every pair. Yields before every pair."""
    found: list[list[PairProblem]] = []
    for number, pair in enumerate(pairs):
        yield Progress("checking", number + 1, len(pairs), unit="pair")
        found.append(check_pair(pair))
    return found


def prepared(
    pairs: Sequence[ImagePair],
    problems: Sequence[Sequence[PairProblem]],
    settings: TrainSettings,
    start: ModelCard | None,
    device: torch.device,
    scratch: Path,
) -> Generator[Progress, None, tuple[TrainingData, PreflightReport]]:
    """Return the data of a new run, and what there is to say about it.

    Parameters
    ----------
    problems
        Result of `find_problems`.

    Raises
    ------
    ValueError
        If the pairs cannot be trained on.
    """
    errors = {
        number: problem
        for number, own in enumerate(problems)
        for problem in reversed(own)
        if problem.severity == Severity.ERROR
    }
    usable = {number: pair for number, pair in enumerate(pairs) if number not in errors}
    if not usable:
        first = next(iter(errors.values()), None)
        if first is None:
            raise ValueError("There is no pair to train on: add pairs first.")
        others = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        msg = f"There is no pair to train on. {first} Leave out or correct {first.pair}{others}."
        raise ValueError(msg)
    data = yield from data_for_new_run(
        usable, settings, start, scratch, on_gpu=device.type != "cpu"
    )
    data = replace(data, plan=replace(data.plan, left_out=tuple(errors)))
    alignment = yield from find_alignment(data.samples, usable)
    leaks, repeats = _about_duplicates(data)
    objections = [*alignment.objections, *leaks]
    if 2 * len(errors) > len(pairs):
        first = next(iter(errors.values()))
        objections.append(f"{len(errors)} of {len(pairs)} pairs cannot be used. {first}")
    report = PreflightReport(
        problems=tuple(problem for own in problems for problem in own),
        objections=tuple(objections),
        unregistered=alignment.unregistered,
        is_aligned=alignment.is_aligned and not errors,
        notes=(*data.notices, *alignment.notes, *_about_pairs(usable.values()), *repeats),
    )
    return data, report


def _about_pairs(pairs: Collection[ImagePair]) -> Iterator[str]:
    """Yield notes on differences between the pairs."""
    for side in ("source", "target"):
        images = [getattr(pair, side) for pair in pairs]
        types = sorted({str(image.dtype) for image in images})
        if len(types) > 1:
            yield f"The {side}s are of different number types ({', '.join(types)})."
        if len({(image.pixel_size, image.unit) for image in images}) > 1:
            yield f"The {side}s differ in pixel size: the model will have no pixel size."


def _about_duplicates(data: TrainingData) -> tuple[list[str], list[str]]:
    """Return objections and notes: a target that occurs on both sides would falsify the gain."""
    trained = {area.image for area in data.split.train}
    first: dict[str, int] = {}
    leaks: list[str] = []
    repeats: list[str] = []
    for number, pair in enumerate(data.plan.pairs):
        same = first.setdefault(pair["target_hash"], number)
        if same == number:
            continue
        text = f"{pair['name']} has the same target as {data.samples[same].name}"
        apart = (number in trained) != (same in trained)
        if data.plan.settings.kept_out == KeptOut.WHOLE_IMAGES and apart:
            text += ", and only one of them is kept out, so the gain would look too good"
            leaks.append(f"{text}: leave one of them out.")
        else:
            repeats.append(f"{text}.")
    return leaks, repeats


def _about_disk(data: TrainingData, folder: Path) -> Iterator[str]:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < BYTES_PER_PARAMETER_ON_DISK * data.parameters:
        left = bytes_in_words(free)
        yield f"The disk of {folder} has only {left} free: the run may not fit on it."


def _memory(data: TrainingData) -> int:
    """Return the bytes of a training with the data that are stored already."""
    stored = data.sources.bytes + data.targets.bytes
    return BYTES_BESIDES + stored + _bytes_of_step(data, data.plan.batch)


def least_memory(data: TrainingData, device: torch.device) -> int:
    """Return the bytes of the host that a training needs, with steps in the smallest parts."""
    return BYTES_TO_SPARE + (_bytes_of_step(data, SMALLEST_PART) if device.type == "cpu" else 0)


def _bytes_of_step(data: TrainingData, images: int) -> int:
    """Return the bytes of a step: the features of every pixel are kept for the gradient."""
    plan = data.plan
    pixels = images * int(np.prod(plan.patch))
    depth = data.samples[0].source.shape[0] if data.samples[0].projects else 1
    features = plan.config.features + 8 * (depth - 1)
    return pixels * features * BYTES_PER_FEATURE
