"""Work on one image after the other; one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from napari_aeanet.batch.outputs import BatchPlan, PlannedFile, identity, refuse_replacing
from napari_aeanet.batch.record import FoundFiles, look_at, recording
from napari_aeanet.batch.settings import (
    BatchEvent,
    BatchFinished,
    BatchSettings,
    ItemFinished,
    Outcome,
    Status,
)
from napari_aeanet.batch.table import NAME, check_table, save_outcomes
from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import EARLIEST_SECONDS, HasProgress, Progress, Progressed
from napari_aeanet.io import RunRecord, UsedFile, read_images, stem

# The work on an image: events with progress, and remarks for the user as the return value.
Work = Generator[HasProgress, None, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """The work on every image of a batch.

    Parameters
    ----------
    verb
        For progress: "restoring".
    work
        Function of an image and the files of its result. It checks that all of this is possible
        when it is called, and returns a generator that writes the files.
    record
        Command, models and options, for the records of the results.
    neutral
        Options that do not change the result.
    defaults
        Values of options that the record of an earlier version does not have.
    again
        Work on images with complete results again.
    settle
        Function from an image to options that were decided for it, for the record.
    place
        Function from the files of a result to the option that names their place, for the record.
    """

    verb: str
    work: Callable[[Image, tuple[Path, ...]], Work]
    record: RunRecord
    neutral: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False
    settle: Callable[[Image], Mapping[str, Any]] = lambda image: {}
    place: Callable[[tuple[Path, ...]], Mapping[str, Path]] = lambda outputs: {"out": outputs[0]}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One image of a file, and the files of its result.

    `source` is the file as it was before it was read: pixels that changed since are no part of it.
    `lacks_planes` is True if planes are missing in it, which was accepted.
    """

    label: str
    image: Image
    source: UsedFile
    outputs: tuple[Path, ...]
    notices: tuple[str, ...] = ()
    lacks_planes: bool = False


def run_batch(
    plan: BatchPlan, treatment: Treatment, settings: BatchSettings
) -> Iterator[BatchEvent]:
    """Return a generator that works on the images of a plan: events, and all outcomes at last.

    An image that fails is reported and the rest goes on, except where `plan.is_batch` is False:
    then its error is raised. Close the generator to stop; what is finished is kept.

    Raises
    ------
    OSError, ValueError
        If the table of outcomes cannot be written.
    """
    table = settings.outcomes
    if table is None and plan.is_batch and plan.folder is not None:
        table = plan.folder / NAME
    if table is not None:
        check_table(table)
    return _run(plan, treatment, settings, table)


def planned_tasks(plan: BatchPlan, file: PlannedFile, taken: set[str]) -> Iterator[Task]:
    """Yield the images of a file with the files of their results.

    Parameters
    ----------
    taken
        Places in use already, to which those of the images are added.

    Raises
    ------
    ValueError, OSError
        If the file cannot be read, or a result would replace an input.
    """
    if file.problem:
        raise ValueError(file.problem)
    source = _before_reading(file.path)
    images, lacks_planes = _read(file.path, accept_missing=plan.accept_missing)
    if file.output is not None and len(images) > 1:
        msg = (
            f"{file.path} holds {len(images)} images, and {file.output} is the name of one file: "
            "name a folder for the results, or, if they are planes of one stack, save them as a "
            "stack with the axes ZYX."
        )
        raise ValueError(msg)
    for image in images:
        title, notices = file.name + image.name.removeprefix(stem(file.path)), image.notices
        while file.output is None and identity(file.folder / title) in taken:
            title += "-2"
            text = f"another input is also called {image.name}; results: {title}"
            notices = (*image.notices, text)
        taken.add(identity(file.folder / title))
        outputs = plan.parts(file.output or file.folder / f"{title}{plan.ending}")
        for output in outputs:
            refuse_replacing(file.path, output, [other.path for other in plan.files])
        label = str(file.path) if len(images) == 1 else f"{file.path} [{image.source_index}]"
        named = image if file.output is not None else replace(image, name=title)
        yield Task(
            label=label,
            image=named,
            source=source,
            outputs=outputs,
            notices=notices,
            lacks_planes=lacks_planes,
        )


def _read(path: Path, *, accept_missing: bool) -> tuple[list[Image], bool]:
    """Return the images of a file, and True if planes are missing that had to be accepted."""
    try:
        return read_images(path), False
    except ValueError:
        if not accept_missing:
            raise
        return read_images(path, accept_missing=True), True


def _before_reading(path: Path) -> UsedFile:
    """Return a file with its digest; without one if it cannot be read, which its reader tells."""
    try:
        return UsedFile.of(path)
    except OSError:
        return UsedFile(path=path)


def record_of_task(task: Task, treatment: Treatment) -> RunRecord:
    """Return the record of the work on one image."""
    return replace(
        treatment.record,
        inputs=(task.source,),
        options={
            **treatment.record.options,
            **({"accept-missing": True} if task.lacks_planes else {}),
            **treatment.settle(task.image),
            **treatment.place(task.outputs),
        },
    )


def is_complete(
    task: Task,
    record: RunRecord,
    plan: BatchPlan,
    treatment: Treatment,
    settings: BatchSettings,
) -> bool:
    """Return True if the result of an image is there and to be kept, False if it is to be made.

    Raises
    ------
    FileExistsError
        If other files are in its place, or it is complete and the user did not say what to do.
    """
    outputs = task.outputs
    found, reason = look_at(outputs, record, treatment.neutral, treatment.defaults)
    if settings.overwrite or found in (FoundFiles.NOTHING, FoundFiles.UNFINISHED):
        return False
    if found is FoundFiles.OTHER:
        there = next(path for path in outputs if path.exists())
        msg = (
            f"{there} exists already, {reason}: choose another place for the results, or replace "
            "it (--overwrite)."
        )
        raise FileExistsError(msg)
    if treatment.again:
        return False
    if plan.is_batch or settings.skip_existing:
        return True
    msg = (
        f"{outputs[0]} exists already, made from this image with the same model and settings: "
        "--skip-existing leaves it, --overwrite makes it again."
    )
    raise FileExistsError(msg)


def _run(
    plan: BatchPlan, treatment: Treatment, settings: BatchSettings, table: Path | None
) -> Iterator[BatchEvent]:
    outcomes: list[Outcome] = []
    clock, taken = _Clock(len(plan.files)), set[str]()
    now = Progress(treatment.verb, 0, len(plan.files))
    try:
        for number, file in enumerate(plan.files):
            for event in _of_file(plan, file, treatment, settings, taken):
                inner = None if isinstance(event, Outcome) else event.progress
                now = clock.progress(treatment.verb, number, inner)
                if isinstance(event, Outcome):
                    clock.count(event)
                    outcomes.append(event)
                    yield ItemFinished(event, now)
                else:
                    yield Progressed(now if plan.is_batch else event.progress)
    finally:
        if table is not None and outcomes:
            save_outcomes(outcomes, table)
    yield BatchFinished(tuple(outcomes), table, replace(now, seconds_left=0.0))


def _of_file(
    plan: BatchPlan,
    file: PlannedFile,
    treatment: Treatment,
    settings: BatchSettings,
    taken: set[str],
) -> Iterator[HasProgress | Outcome]:
    """Yield the events of all images of a file, and the outcome of each."""
    began = monotonic()
    tasks = planned_tasks(plan, file, taken)
    while True:
        try:
            task = next(tasks, None)
        except Exception as error:  # one bad file must not end a batch
            if not plan.is_batch:
                raise
            meant = plan.parts(file.output or file.folder / f"{file.name}{plan.ending}")
            yield _failed(str(file.path), meant, error, began)
            return
        if task is None:
            return
        try:
            yield from _of_image(plan, task, treatment, settings)
        except Exception as error:
            if not plan.is_batch:
                raise
            yield _failed(task.label, task.outputs, error, began)
        began = monotonic()


def _of_image(
    plan: BatchPlan, task: Task, treatment: Treatment, settings: BatchSettings
) -> Iterator[HasProgress | Outcome]:
    began = monotonic()
    record = record_of_task(task, treatment)
    if is_complete(task, record, plan, treatment, settings):
        yield Outcome(input=task.label, outputs=task.outputs, status=Status.SKIPPED)
        return
    work = treatment.work(task.image, task.outputs)
    task.outputs[0].parent.mkdir(parents=True, exist_ok=True)
    with recording(task.outputs, record) as notes:
        notes += task.notices
        notes += [note for note in (yield from work) if note not in notes]
    yield Outcome(
        input=task.label, outputs=task.outputs, seconds=monotonic() - began, notices=tuple(notes)
    )


def _failed(label: str, outputs: tuple[Path, ...], error: Exception, began: float) -> Outcome:
    expected = isinstance(error, ValueError | OSError | MemoryError)
    text = str(error) or type(error).__name__
    return Outcome(
        input=label,
        outputs=outputs,
        status=Status.FAILED,
        reason=text if expected else f"unexpected {type(error).__name__}: {text}",
        seconds=monotonic() - began,
    )


class _Clock:
    """Estimator of the time that remains of a batch, from the images that took any."""

    def __init__(self, total: int) -> None:
        self._total, self._images, self._seconds = total, 0, 0.0
        self._begun: tuple[int, float] | None = None

    def count(self, outcome: Outcome) -> None:
        if outcome.status is Status.DONE:
            self._images += 1
            self._seconds += outcome.seconds

    def progress(self, verb: str, number: int, current: Progress | None) -> Progress:
        """Return the progress in image `number` (from 0), or after it (`current` None)."""
        if self._begun is None or self._begun[0] != number:
            self._begun = (number, monotonic())
        share = 0.0 if current is None else current.fraction
        done = number + (1.0 if current is None else share)
        spent = 0.0 if current is None else monotonic() - self._begun[1]
        images, seconds = self._images + share, self._seconds + spent
        left = None
        if images > 0 and seconds >= EARLIEST_SECONDS:
            left = seconds / images * (self._total - done)
        return Progress(verb, number + 1, self._total, left, share=done / self._total)
