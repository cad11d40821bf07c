"""Processes besides the first one: they do the steps that it tells, and decide nothing.

The first process sends the plan, the state to begin with, and before every step its number and
learning rate. Validations, saves, new plans and the end of the run are its work alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from napari_aeanet.core.memory import require_memory
from napari_aeanet.core.progress import returned
from napari_aeanet.networks import choose_device
from napari_aeanet.pairs import ImagePair
from napari_aeanet.processes import ProcessGroup, together
from napari_aeanet.training.plan import Plan
from napari_aeanet.training.preflight import least_memory
from napari_aeanet.training.run_folder import SCRATCH
from napari_aeanet.training.settings import Finished, TrainEvent
from napari_aeanet.training.setup import data_for_resumed_run
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData, on_device

Events = Generator[TrainEvent, None, None]


def shared(
    pairs: Sequence[ImagePair], path: Path, lead: Callable[[ProcessGroup], Events]
) -> Events:
    """Yield the events of `lead` in the first process; others follow, and yield the last event."""
    with together() as group:
        yield from lead(group) if group.leads else _follow(pairs, path, group)


def _follow(pairs: Sequence[ImagePair], path: Path, group: ProcessGroup) -> Events:
    plan: Plan = group.hear()
    device = choose_device(group.device_name(plan.settings.device))
    data = returned(data_for_resumed_run(pairs, plan, _scratch(path, group)))
    data = on_device(data, device)
    require_memory(least_memory(data, device), "to train on these pairs")
    yield _steps(Trainer(plan, device, group), data)


def _steps(trainer: Trainer, data: TrainingData) -> Finished:
    """Do what the first process tells: begin with a state, do a step, end."""
    prepared, batch = -1, None
    while not isinstance(message := trainer.group.hear(), Finished):
        if isinstance(message, dict):
            trainer.load_state(message)
            continue
        step, rate = message
        if batch is None or step != prepared:
            batch = data.batch(step, trainer.device, trainer.share)
        trainer.launch(*batch)
        prepared = step + 1
        batch = data.batch(prepared, trainer.device, trainer.share)  # while the device computes
        trainer.complete(rate)
    trainer.release()
    return message


def _scratch(path: Path, group: ProcessGroup) -> Path:
    """Return a folder in that of the first process, which deletes it."""
    folder = path / SCRATCH / str(group.rank)
    try:
        folder.mkdir()
    except OSError as error:
        msg = f"{path} is not a folder that all processes write to: choose one on a common disk."
        raise type(error)(msg) from error
    return folder
