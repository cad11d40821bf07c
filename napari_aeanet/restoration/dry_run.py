"""Plan a batch without doing it: results, sizes, time, memory, and problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_aeanet.batch import (
    BatchPlan,
    BatchSettings,
    Task,
    Treatment,
    is_complete,
    planned_tasks,
    record_of_task,
)
from napari_aeanet.core.progress import Progress
from napari_aeanet.io import check_writable
from napari_aeanet.restoration.cost import result_bytes, seconds_per_pixel

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image
    from napari_aeanet.restoration.preparation import PreparedRun


@dataclass(frozen=True, kw_only=True)
class ImagePlanned:
    """Plan for one image, as a dry run prints it.

    Parameters
    ----------
    input
        The file, with the number of its page where it has several.
    outputs
        The files of the result.
    axes, shape, dtype
        Of the result.
    tiles
        Tiles or patches to be computed.
    seconds, memory
        Estimated time, and the largest memory in bytes.
    is_complete
        True if the result is there already, and is kept.
    problem
        Why it will fail; empty if nothing is known against it.
    """

    input: str
    progress: Progress
    outputs: tuple[Path, ...] = ()
    axes: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    tiles: int = 0
    seconds: float = 0.0
    memory: float = 0.0
    is_complete: bool = False
    problem: str = ""


def dry_run_events(
    plan: BatchPlan,
    treatment: Treatment,
    batch: BatchSettings,
    prepare: Callable[[Image], PreparedRun],
) -> Iterator[ImagePlanned]:
    """Yield what would be done with every image of a plan.

    Nothing is written, and nothing computed but a small part of the first image, for the speed.
    """
    taken: set[str] = set()
    speed: float | None = None
    for number, file in enumerate(plan.files):
        progress = Progress(f"planning {file.name}", number + 1, len(plan.files))
        tasks = planned_tasks(plan, file, taken)
        while True:
            label = str(file.path)
            outputs: tuple[Path, ...] = ()
            try:
                task = next(tasks, None)
                if task is None:
                    break
                label, outputs = task.label, task.outputs
                record = record_of_task(task, treatment)
                if is_complete(task, record, plan, treatment, batch):
                    yield ImagePlanned(
                        input=label, outputs=outputs, is_complete=True, progress=progress
                    )
                    continue
                prepared = prepare(task.image)
                check_writable(prepared.layout.output, outputs[0])
                if speed is None:
                    speed = seconds_per_pixel(task.image, prepared.model, prepared.settings)
                yield _planned(task, prepared, speed, progress)
            except Exception as error:  # noqa: BLE001 - told, as the batch itself would
                yield ImagePlanned(
                    input=label, outputs=outputs, problem=str(error), progress=progress
                )
                if not outputs:  # the file itself cannot be read
                    break


def _planned(task: Task, prepared: PreparedRun, speed: float, progress: Progress) -> ImagePlanned:
    layout = prepared.layout
    pixels, memory = prepared.workload()
    return ImagePlanned(
        input=task.label,
        outputs=task.outputs,
        axes=layout.output.axes,
        shape=layout.output.shape,
        dtype=str(layout.output.dtype),
        tiles=len(layout.inputs) * len(layout.tiles or layout.patches),
        seconds=pixels * speed,
        memory=memory + result_bytes(layout),
        progress=progress,
    )
