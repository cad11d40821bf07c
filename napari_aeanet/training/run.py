"""Training: from pairs to a model, in steps that can be stopped and resumed.

    pairs -> samples -> plan and data -> steps, validations, saves ... -> the best model

`train_events`, `resume_events` and `train_each_events` are generators of events. Closing one stops
the run: the state is saved and the best model so far lies in the run folder. `train`, `resume` and
`train_each` run them to the end.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np

from napari_aeanet.core.metrics import Gain
from napari_aeanet.core.progress import ProgressOption, last_event
from napari_aeanet.models import Model
from napari_aeanet.networks import choose_device, describe_device, release_memory
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training import run_folder
from napari_aeanet.training.finalize import finalize, model_of
from napari_aeanet.training.plan import with_steps
from napari_aeanet.training.provenance import plan_in_words, result_in_words, versions
from napari_aeanet.training.run_state import TrainingRun
from napari_aeanet.training.settings import (
    Finished,
    FinishReason,
    Noticed,
    Planned,
    Previewed,
    Saved,
    Stepped,
    TrainEvent,
    TrainSettings,
    Validated,
)
from napari_aeanet.training.setup import (
    crops_for_validation,
    data_for_new_run,
    data_for_resumed_run,
    seconds_per_step,
)
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import on_device
from napari_aeanet.training.validation import baseline, validate

Events = Generator[TrainEvent, None, None]

# On a GPU, steps are reported this often: there are hundreds in a second.
REPORT_EVERY_SECONDS = 0.2
# After this many consecutive non-finite steps the run returns to the last validation with a lower
# learning rate; after this many retreats it fails.
SKIPPED_BEFORE_RETREAT, MOST_RETREATS, RATE_AFTER_RETREAT = 3, 5, 0.5
# A model that has lost this much of its gain (dB) over this many validations is overfitting.
OVERFITTING_LOSS, OVERFITTING_VALIDATIONS = 0.3, 3


def train(
    pairs: Iterable[ImagePair],
    settings: TrainSettings,
    folder: str | Path,
    *,
    start_from: Model | None = None,
    progress: ProgressOption = False,
) -> Finished:
    """Train a model on `pairs` and return the last event, with the path of the model.

    Parameters
    ----------
    pairs
        Registered pairs. Those whose registration failed are left out, with a notice.
    settings
        Options.
    folder
        Run folder; it is created, and must not hold a run yet.
    start_from
        Model to train further on these pairs (fine-tuning).
    progress
        Function that is called with each `Progress`, or True for a bar in the terminal.
    """
    return _finished(train_events(pairs, settings, folder, start_from=start_from), progress)


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
    progress: ProgressOption = False,
) -> list[Finished]:
    """Train one model for every pair alone (self-training) and return their last events.

    The run folders are `folder`/001, 002 and so on. Existing runs are resumed.
    """
    runs = _runs(*_checked(pairs, settings, folder))
    return [_finished(events, progress) for events in runs]


def train_events(
    pairs: Iterable[ImagePair],
    settings: TrainSettings,
    folder: str | Path,
    *,
    start_from: Model | None = None,
) -> Events:
    """Yield the events of `train`: `Planned` first, `Finished` last."""
    if not isinstance(start_from, Model | None):
        raise TypeError(f"start_from must be a Model, got {type(start_from).__name__}.")
    return _train(*_checked(pairs, settings, folder), start_from)


def resume_events(pairs: Iterable[ImagePair], folder: str | Path) -> Events:
    """Yield the events of `resume`: `Planned` first, `Finished` last."""
    checked, _, path = _checked(pairs, TrainSettings(), folder)
    return _resume(checked, path)


def train_each_events(
    pairs: Iterable[ImagePair], settings: TrainSettings, folder: str | Path
) -> Events:
    """Yield the events of `train_each`: for every pair `Planned` first, `Finished` last."""
    return _one_after_another(_runs(*_checked(pairs, settings, folder)))


def _checked(
    pairs: Iterable[ImagePair], settings: TrainSettings, folder: str | Path
) -> tuple[tuple[ImagePair, ...], TrainSettings, Path]:
    """Return the arguments after checking their types."""
    found = tuple(pairs) if isinstance(pairs, Iterable) else (pairs,)
    wrong = [pair for pair in found if not isinstance(pair, ImagePair)]
    if wrong or not isinstance(pairs, Iterable):
        kind = type(wrong[0] if wrong else pairs).__name__
        raise TypeError(f"pairs must be a list of ImagePair, got {kind}.")
    if not isinstance(settings, TrainSettings):
        raise TypeError(f"settings must be TrainSettings, got {type(settings).__name__}.")
    if not isinstance(folder, str | os.PathLike):
        raise TypeError(f"folder must be a path, got {type(folder).__name__}.")
    return found, settings, Path(folder)


def _finished(events: Events, progress: ProgressOption) -> Finished:
    with closing(events):  # an exception of `progress` stops the run
        last = last_event(events, progress)
    assert isinstance(last, Finished)
    return last


def _runs(pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path) -> Iterator[Events]:
    """Yield the run of every pair, new or resumed."""
    for number, pair in enumerate(pairs, start=1):
        own = folder / f"{number:03d}"
        is_begun = (own / run_folder.PLAN).exists()
        yield _resume([pair], own) if is_begun else _train([pair], settings, own, None)


def _one_after_another(runs: Iterable[Events]) -> Events:
    for events in runs:
        yield from events


def _train(
    pairs: Sequence[ImagePair], settings: TrainSettings, path: Path, start_from: Model | None
) -> Events:
    with run_folder.begin(path) as folder, folder.scratch() as scratch:
        device = choose_device(settings.device)
        start = start_from.card if start_from else None
        data = data_for_new_run(pairs, settings, start, scratch, on_gpu=device.type != "cpu")
        data = on_device(data, device)
        plan = replace(data.plan, device=describe_device(device).title, versions=versions())
        if not plan.steps:
            plan = with_steps(plan, seconds_per_step(plan, data, device))
        data = replace(data, plan=plan)
        trainer = Trainer(plan, device)
        if start_from is not None:
            trainer.load_weights(start_from.weights)
        run = TrainingRun(folder, data, trainer, crops_for_validation(data))
        folder.write_state(run.good_state, run.progress)
        folder.write_plan(plan)
        yield from _run_to_the_end(run)


def _resume(pairs: Sequence[ImagePair], path: Path) -> Events:
    with run_folder.reopen(path) as folder, folder.scratch() as scratch:
        plan = folder.read_plan()
        state, progress = folder.read_state()
        device = choose_device(plan.settings.device)
        data = on_device(data_for_resumed_run(pairs, plan, scratch), device)
        trainer = Trainer(plan, device)
        trainer.load_state(state)
        folder.cut_log(progress.step, progress.checked)
        run = TrainingRun(folder, data, trainer, crops_for_validation(data), progress)
        yield from _run_to_the_end(run)


def _run_to_the_end(run: TrainingRun) -> Iterator[TrainEvent]:
    progress, reason = run.progress, FinishReason.COMPLETE
    try:
        yield Planned(
            steps=run.plan.steps,
            folder=run.folder.path,
            device=run.plan.device,
            summary=plan_in_words(run.data),
            notices=run.data.notices,
            progress=run.report(),
        )
        if not progress.finished:
            reason = yield from _steps(run)
            run.trainer.load_weights(run.best.weights)
            yield from finalize(run)
            progress.finished = True
            run.save()
    finally:
        if not progress.finished:
            if progress.checked < 0:  # stopped before the first validation
                run.keep(model_of(run))
            run.save()
        release_memory(run.trainer.device)
    yield Finished(
        reason=reason,
        bundle=run.folder.best,
        psnr_gain=progress.best_psnr,
        ssim_gain=progress.best_ssim,
        summary=result_in_words(run.data, progress),
        progress=run.report(),
    )


def _steps(run: TrainingRun) -> Generator[TrainEvent, None, FinishReason]:
    """Train up to the planned number of steps, with validations and saves in between."""
    progress, trainer = run.progress, run.trainer
    batch = run.data.batch(progress.step, trainer.device)
    reported = monotonic()
    while True:
        if run.is_due_for_validation():
            yield from _validation(run)
            yield _save(run)
        elif run.is_due_for_saving():
            yield _save(run)
        if progress.step == run.plan.steps:
            return FinishReason.COMPLETE
        if run.has_lost_patience():
            return FinishReason.NO_GAIN
        parts = trainer.parts
        trainer.launch(*batch)
        batch = run.data.batch(progress.step + 1, trainer.device)  # while the device computes
        loss = trainer.complete(run.rate())
        progress.step += 1
        if trainer.parts > parts:
            text = (
                f"Memory ran out: every step is now made in {trainer.parts} parts. The images of "
                "a batch attend to fewer of each other, so the result will differ slightly."
            )
            yield Noticed(text, run.report())
        if math.isnan(loss):
            yield _skip(run)
        else:
            progress.skipped = 0
        if trainer.device.type == "cpu" or monotonic() - reported > REPORT_EVERY_SECONDS:
            reported = monotonic()
            run.log(loss=loss)
            yield Stepped(progress.step, loss, run.report())


def _validation(run: TrainingRun) -> Iterator[TrainEvent]:
    """Restore the kept-out crops; keep the model if it is the best so far; show one crop."""
    progress = run.progress
    with run.trainer.averaged():
        gain, restored = _validated(run)
        is_best = gain.psnr > progress.best_psnr
        if is_best:
            progress.best_step = progress.step
            progress.best_psnr, progress.best_ssim = gain.psnr, gain.ssim
            run.keep(model_of(run))
    run.log(gain=gain)
    progress.checked = progress.step
    run.good_state = run.trainer.state()
    yield Validated(progress.step, gain.psnr, gain.ssim, is_best, run.report())
    yield _preview(run, restored)
    loss = progress.best_psnr - gain.psnr
    if loss > OVERFITTING_LOSS and run.validations_since_best() == OVERFITTING_VALIDATIONS:
        text = (
            "The model has become worse on the kept-out data since step "
            f"{progress.best_step}: it is overfitting. The best one is kept; more pairs would help."
        )
        yield Noticed(text, run.report())


def _validated(run: TrainingRun) -> tuple[Gain, np.ndarray]:
    """Return the gain and the first crop restored; the identity needs no computation."""
    if not run.trainer.is_identity:
        return validate(run.trainer, run.data, run.crops)
    box = run.crops[0].scored
    source = baseline(run.data.samples[box.image])
    return Gain(0.0, 0.0), source[(slice(None), *box.slices)]


def _save(run: TrainingRun) -> Saved | Noticed:
    """Save the run; if that fails, training continues in memory and saving is tried again."""
    try:
        run.save()
    except OSError as error:
        text = f"{error} Training continues in memory, and saving will be tried again."
        return Noticed(text, run.report())
    return Saved(run.progress.step, run.folder.path, run.report())


def _skip(run: TrainingRun) -> Noticed:
    """Count a step that was not finite; after several, return to the last good weights."""
    progress = run.progress
    progress.skipped += 1
    if progress.skipped < SKIPPED_BEFORE_RETREAT:
        text = f"The loss of step {progress.step} is not finite: the step was left out."
        return Noticed(text, run.report())
    progress.skipped = 0
    progress.retreats += 1
    if progress.retreats > MOST_RETREATS:
        msg = (
            "The training does not stay finite, even at a lower learning rate. Look for outliers "
            "in the intensities of the pairs, or choose a much lower learning rate."
        )
        raise ValueError(msg)
    progress.rate_factor *= RATE_AFTER_RETREAT
    run.trainer.load_state(run.good_state)
    text = (
        f"The loss of several steps up to {progress.step} is not finite: training returned to the "
        f"last good weights and continues at {progress.rate_factor:g} of the learning rate."
    )
    return Noticed(text, run.report())


def _preview(run: TrainingRun, restored: np.ndarray) -> Previewed:
    """Return the first crop in the target's intensities."""
    box = run.crops[0].scored
    sample = run.data.samples[box.image]
    region = (slice(None), *box.slices)
    shown = (baseline(sample)[region], restored, sample.target[region])
    source, restored, target = (sample.target_scaling.undo(image[0]) for image in shown)
    return Previewed(
        step=run.progress.step,
        pair=sample.pair,
        origin=box.start,
        source=source,
        restored=restored,
        target=target,
        progress=run.report(),
    )
