"""Training: from pairs to a model, in steps that can be stopped and resumed.

    pairs -> samples -> plan and data -> steps, validations, saves ... -> the best model

`train_events`, `resume_events` and `train_each_events` are generators of events. Closing one stops
the run: the state is saved and the best model so far lies in the run folder. `train`, `resume` and
`train_each` run them to the end.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from napari_aeanet.core.arguments import as_path, check_items, check_type
from napari_aeanet.core.memory import require_memory
from napari_aeanet.core.progress import Progress, Progressed, ProgressOption, last_event
from napari_aeanet.models import Model
from napari_aeanet.networks import choose_device, describe_device
from napari_aeanet.pairs import ImagePair
from napari_aeanet.processes import ALONE, ProcessGroup, process_count
from napari_aeanet.training.follow import shared
from napari_aeanet.training.loop import run_to_the_end
from napari_aeanet.training.plan import with_steps
from napari_aeanet.training.preflight import (
    TrainingRefused,
    find_problems,
    least_memory,
    prepared,
)
from napari_aeanet.training.preparation import Preparation
from napari_aeanet.training.provenance import versions
from napari_aeanet.training.run_folder import PLAN, RunProgress, begin, reopen
from napari_aeanet.training.run_state import TrainingRun
from napari_aeanet.training.settings import Finished, TrainEvent, TrainSettings
from napari_aeanet.training.setup import (
    crops_for_validation,
    data_for_resumed_run,
    seconds_per_step,
)
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import on_device

Events = Generator[TrainEvent, None, None]
OTHER_PROCESSES = (
    "The run was begun by {begun} process(es) and goes on with {now}: its result will differ "
    "slightly from that of a run that was never stopped."
)


def train(
    pairs: Iterable[ImagePair],
    settings: TrainSettings,
    folder: str | Path,
    *,
    start_from: Model | None = None,
    force: bool = False,
    progress: ProgressOption = False,
) -> Finished:
    """Train a model on `pairs` and return the last event, with the path of the model.

    The pairs are checked first, as by `check_training`; the findings are in its `notices`.

    Parameters
    ----------
    pairs
        Registered or aligned pairs. Those that cannot be used are left out, with a notice.
    settings
        Options.
    folder
        Run folder; it is created, and must not hold a run yet.
    start_from
        Model to train further on these pairs (fine-tuning).
    force
        Train although the check has found that the model would be wrong.
    progress
        Function that is called with each `Progress`, or True for a bar in the terminal.

    Raises
    ------
    TrainingRefused
        If the model would be wrong: most pairs are shifted and not registered, for instance.
        Nothing is left on disk.
    """
    events = train_events(pairs, settings, folder, start_from=start_from, force=force)
    return _finished(events, progress)


def resume(
    pairs: Iterable[ImagePair], folder: str | Path, *, progress: ProgressOption = False
) -> Finished:
    """Resume the run in `folder` with the same pairs and return the last event.

    On a CPU the result is the same, bit for bit, as if the run had never stopped.
    """
    return _finished(resume_events(pairs, folder), progress)


def train_each(
    pairs: Iterable[ImagePair],
    settings: TrainSettings,
    folder: str | Path,
    *,
    force: bool = False,
    progress: ProgressOption = False,
) -> list[Finished]:
    """Train one model for every pair alone (self-training) and return their last events.

    The run folders are `folder`/001, 002 and so on. Existing runs are resumed.

    Raises
    ------
    ValueError
        At the end, if some pairs could not be trained on; the others have their models then.
    """
    finished: list[Finished] = []
    with closing(train_each_events(pairs, settings, folder, force=force)) as events:
        last_event(_noting(finished, events), progress)
    return finished


def train_events(
    pairs: Iterable[ImagePair],
    settings: TrainSettings,
    folder: str | Path,
    *,
    start_from: Model | None = None,
    force: bool = False,
) -> Events:
    """Yield the events of `train`: `Planned` after the preparation, `Finished` last."""
    check_type("settings", settings, TrainSettings)
    if start_from is not None:
        check_type("start_from", start_from, Model)
    checked, path = _checked(pairs, folder)
    return shared(checked, path, partial(_train, checked, path, settings, start_from, force))


def resume_events(pairs: Iterable[ImagePair], folder: str | Path) -> Events:
    """Yield the events of `resume`: `Planned` after the preparation, `Finished` last."""
    checked, path = _checked(pairs, folder)
    return shared(checked, path, partial(_resume, checked, path))


def train_each_events(
    pairs: Iterable[ImagePair],
    settings: TrainSettings,
    folder: str | Path,
    *,
    force: bool = False,
) -> Events:
    """Yield the events of `train_each`: for every pair those of `train`, with common progress."""
    check_type("settings", settings, TrainSettings)
    if process_count() > 1:
        raise ValueError("Models for single pairs are trained by one process: leave torchrun out.")
    return _train_each(*_checked(pairs, folder), settings, force)


def _checked(pairs: Iterable[ImagePair], folder: str | Path) -> tuple[tuple[ImagePair, ...], Path]:
    """Return the arguments after checking their types."""
    return check_items("pairs", pairs, ImagePair), as_path("folder", folder)


def _finished(events: Events, progress: ProgressOption) -> Finished:
    with closing(events):  # an exception of `progress` stops the run
        last = last_event(events, progress)
    assert isinstance(last, Finished)
    return last


def _noting(finished: list[Finished], events: Events) -> Events:
    for event in events:
        if isinstance(event, Finished):
            finished.append(event)
        yield event


def _train_each(
    pairs: Sequence[ImagePair], path: Path, settings: TrainSettings, force: bool
) -> Events:
    refused = []
    for number, pair in enumerate(pairs):
        own, begun = path / f"{number + 1:03d}", monotonic()
        is_begun = (own / PLAN).exists()
        run = _resume([pair], own) if is_begun else _train([pair], own, settings, None, force)
        try:
            with closing(run):
                for event in run:
                    now, left = event.progress, event.progress.seconds_left
                    if left is not None:  # every other pair takes as long as this one
                        left += (len(pairs) - number - 1) * (monotonic() - begun + left)
                    share = (number + now.fraction) / len(pairs)
                    what = f"{pair.name}: {now.what}"
                    yield replace(
                        event, progress=replace(now, what=what, seconds_left=left, share=share)
                    )
        except TrainingRefused as error:
            refused.append(f"{pair.name}: {' '.join(error.report.objections)}")
        except (ValueError, OSError) as error:
            refused.append(f"{pair.name}: {error}")
    if refused:
        few = f"{len(refused)} of {len(pairs)} pairs could not be trained on"
        kept = "" if len(refused) == len(pairs) else "; the models of the others are kept"
        raise ValueError("\n".join([f"{few}{kept}. Correct that, and train again.", *refused]))


def _train(
    pairs: Sequence[ImagePair],
    path: Path,
    settings: TrainSettings,
    start_from: Model | None,
    force: bool,
    group: ProcessGroup = ALONE,
) -> Events:
    prepare = Preparation(settings.budget)
    with begin(path) as folder, folder.scratch() as scratch:
        device = choose_device(group.device_name(settings.device))
        start = start_from.card if start_from else None
        problems = yield from prepare.reported(find_problems(pairs))
        data, report = yield from prepare.reported(
            prepared(pairs, problems, settings, start, device, scratch)
        )
        if report.objections and not force:
            raise TrainingRefused(report)
        data = on_device(data, device)
        share = group.share(data.plan.batch)
        title = describe_device(device).title
        plan = replace(data.plan, device=title, processes=group.size, versions=versions())
        group.tell(plan)  # the others prepare their data meanwhile
        if not plan.steps:
            yield Progressed(prepare.of_whole(Progress("timing a few steps", 0, 0)))
            step_time = seconds_per_step(plan, data, device, share)
            plan = with_steps(plan, step_time, prepare.seconds)
        data = replace(data, plan=plan)
        require_memory(least_memory(data, device), "to train on these pairs")
        trainer = Trainer(plan, device, group)
        if start_from is not None:
            trainer.load_weights(start_from.weights)
        group.tell(trainer.state())
        progress = RunProgress(seconds=prepare.seconds)
        run = TrainingRun(folder, data, trainer, crops_for_validation(data), progress)
        folder.write_state(run.good_state, run.progress)
        folder.write_plan(plan)
        yield from run_to_the_end(run, report.notices())


def _resume(pairs: Sequence[ImagePair], path: Path, group: ProcessGroup = ALONE) -> Events:
    with reopen(path) as folder, folder.scratch() as scratch:
        plan = folder.read_plan()
        state, progress = folder.read_state()
        device = choose_device(group.device_name(plan.settings.device))
        group.share(plan.batch)  # or too many processes
        group.tell(plan)
        prepare = Preparation(plan.budget, progress.seconds, is_counted=False)
        data = yield from prepare.reported(data_for_resumed_run(pairs, plan, scratch))
        data = on_device(data, device)
        require_memory(least_memory(data, device), "to train on these pairs")
        trainer = Trainer(plan, device, group)
        trainer.load_state(state)
        group.tell(state)
        folder.cut_log(progress.step, progress.checked)
        run = TrainingRun(folder, data, trainer, crops_for_validation(data), progress)
        notices = []
        if group.size != plan.processes:
            notices.append(OTHER_PROCESSES.format(begun=plan.processes, now=group.size))
        yield from run_to_the_end(run, notices)
