"""Training: from pairs to a model, in steps that can be stopped, left and gone on with.

    pairs -> samples -> plan and material -> steps, checks, saves ... -> the best model

`train_events` and `resume_events` are generators of events. Closing one stops the run: the state is
saved and the best model so far lies in the run's folder.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np

from napari_aeanet.core.metrics import Gain
from napari_aeanet.models import Model
from napari_aeanet.networks import choose_device, describe_device, release_memory
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training import run_folder
from napari_aeanet.training.finalize import model_of, settle
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
from napari_aeanet.training.setup import check_pieces, material_again, material_for, with_time
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import on_device
from napari_aeanet.training.validation import baseline, check

# On a GPU, steps are reported this often: there are hundreds in a second.
REPORT_EVERY_SECONDS = 0.2
# So many steps in a row that are not finite, and the run goes back to the last check at a lower
# rate; it does so a few times before it gives up.
SKIPPED_BEFORE_RETREAT, MOST_RETREATS, RATE_AFTER_RETREAT = 3, 5, 0.5
# A model that has lost this much of its gain (dB) over some checks learns its pairs by heart.
MEMORISING_LOSS, MEMORISING_CHECKS = 0.3, 3


def train_events(
    pairs: Sequence[ImagePair],
    settings: TrainSettings,
    folder: Path,
    *,
    start_from: Model | None = None,
) -> Iterator[TrainEvent]:
    """Learn a model from `pairs`; everything is kept in `folder`.

    Parameters
    ----------
    pairs
        Pairs whose registration failed are left out, with a notice.
    settings
        How to train.
    folder
        The run's folder; it is made, and must not hold a run yet.
    start_from
        A model to go on from with other images (fine-tuning).

    Yields
    ------
    TrainEvent
        `Planned` first, `Finished` last.
    """
    with run_folder.begin(folder) as run, run.scratch() as scratch:
        device = choose_device(settings.device)
        start = start_from.card if start_from else None
        material = material_for(pairs, settings, start, scratch, on_gpu=device.type != "cpu")
        material = on_device(material, device)
        plan = replace(material.plan, device=describe_device(device).title, versions=versions())
        if not plan.steps:
            plan = with_time(plan, material, device)
        material = replace(material, plan=plan)
        learner = Trainer(plan, device)
        if start_from is not None:
            learner.load_weights(start_from.weights)
        job = TrainingRun(run, material, learner, check_pieces(material))
        run.write_state(job.good_state, job.standing)
        run.write_plan(plan)
        yield from _go(job)


def resume_events(pairs: Sequence[ImagePair], folder: Path) -> Iterator[TrainEvent]:
    """Go on with the run in `folder`, with the same pairs.

    On a CPU the result is the same, bit for bit, as if the run had never stopped.
    """
    with run_folder.reopen(folder) as run, run.scratch() as scratch:
        plan = run.read_plan()
        state, standing = run.read_state()
        device = choose_device(plan.settings.device)
        material = on_device(material_again(pairs, plan, scratch), device)
        learner = Trainer(plan, device)
        learner.load_state(state)
        run.cut_log(standing.step, standing.checked)
        yield from _go(TrainingRun(run, material, learner, check_pieces(material), standing))


def train_each_events(
    pairs: Sequence[ImagePair], settings: TrainSettings, folder: Path
) -> Iterator[TrainEvent]:
    """Learn one model for every pair by itself (self-training), each in a folder of its own.

    The folders are `folder`/001, 002 and so on. Runs that are there already are gone on with, so
    the whole is gone on with by calling this again.
    """
    for number, pair in enumerate(pairs, start=1):
        own = Path(folder) / f"{number:03d}"
        begun = (own / run_folder.PLAN).exists()
        yield from resume_events([pair], own) if begun else train_events([pair], settings, own)


def _go(job: TrainingRun) -> Iterator[TrainEvent]:
    standing, reason = job.standing, FinishReason.COMPLETE
    try:
        yield _planned(job)
        if not standing.finished:
            reason = yield from _steps(job)
            yield from _finish(job)
    finally:
        if not standing.finished:
            if standing.checked < 0:  # stopped before the first check
                job.keep(model_of(job))
            job.save()
        release_memory(job.learner.device)
    yield Finished(
        reason=reason,
        bundle=job.run.best,
        psnr_gain=standing.best_psnr,
        ssim_gain=standing.best_ssim,
        summary=result_in_words(job.material, standing),
        progress=job.progress(),
    )


def _planned(job: TrainingRun) -> Planned:
    return Planned(
        steps=job.plan.steps,
        folder=job.run.path,
        device=job.plan.device,
        summary=plan_in_words(job.material),
        notices=job.material.notices,
        progress=job.progress(),
    )


def _steps(job: TrainingRun) -> Generator[TrainEvent, None, FinishReason]:
    """Steps up to the planned number, with checks and saves between them."""
    standing, learner = job.standing, job.learner
    batch = job.material.batch(standing.step, learner.device)
    reported = monotonic()
    while True:
        if job.is_due_for_check():
            yield from _check(job)
            yield from _save(job)
        elif job.is_due_for_saving():
            yield from _save(job)
        if standing.step == job.plan.steps:
            return FinishReason.COMPLETE
        if job.has_lost_patience():
            return FinishReason.NO_GAIN
        parts = learner.parts
        learner.launch(*batch)
        batch = job.material.batch(standing.step + 1, learner.device)  # while the device works
        loss = learner.complete(job.rate())
        standing.step += 1
        if learner.parts > parts:
            yield Noticed(_about_parts(learner.parts), job.progress())
        if math.isnan(loss):
            yield from _skipped(job)
        else:
            standing.skipped = 0
        if learner.device.type == "cpu" or monotonic() - reported > REPORT_EVERY_SECONDS:
            reported = monotonic()
            job.log(loss=loss)
            yield Stepped(standing.step, loss, job.progress())


def _check(job: TrainingRun) -> Iterator[TrainEvent]:
    """Restore the kept-out pieces; keep the model if it is the best so far; show one piece."""
    standing = job.standing
    with job.learner.averaged():
        gain, restored = _measured(job)
        is_best = gain.psnr > standing.best_psnr
        if is_best:
            standing.best_step = standing.step
            standing.best_psnr, standing.best_ssim = gain.psnr, gain.ssim
            job.keep(model_of(job))
    job.log(gain=gain)
    standing.checked = standing.step
    job.good_state = job.learner.state()
    yield Validated(standing.step, gain.psnr, gain.ssim, is_best, job.progress())
    yield _preview(job, restored)
    if standing.best_psnr - gain.psnr > MEMORISING_LOSS and job.checks_since_best() == (
        MEMORISING_CHECKS
    ):
        text = (
            f"The model has become worse on the kept-out data since step {standing.best_step}: it "
            "learns its pairs by heart. The best one is kept; more pairs would help."
        )
        yield Noticed(text, job.progress())


def _measured(job: TrainingRun) -> tuple[Gain, np.ndarray]:
    """The gain, and the first piece restored; what is known without computing is not computed."""
    if not job.learner.is_identity:
        return check(job.learner, job.material, job.pieces)
    box = job.pieces[0].scored
    source = baseline(job.material.samples[box.image])
    return Gain(0.0, 0.0), source[(slice(None), *box.slices)]


def _save(job: TrainingRun) -> Iterator[TrainEvent]:
    """Save, or say why that was not possible: training goes on in memory, and tries again."""
    try:
        job.save()
    except OSError as error:
        text = f"{error} The training goes on in memory, and saving will be tried again."
        yield Noticed(text, job.progress())
    else:
        yield Saved(job.standing.step, job.run.path, job.progress())


def _skipped(job: TrainingRun) -> Iterator[TrainEvent]:
    """A step was not finite and changed nothing; after several, go back and go slower."""
    standing = job.standing
    standing.skipped += 1
    if standing.skipped < SKIPPED_BEFORE_RETREAT:
        text = f"Step {standing.step} gave no finite loss and was left out."
        yield Noticed(text, job.progress())
        return
    standing.skipped = 0
    standing.retreats += 1
    if standing.retreats > MOST_RETREATS:
        msg = (
            "The training does not stay finite, even at a lower learning rate. Look for odd "
            "intensities in the pairs, or choose a much lower learning rate."
        )
        raise ValueError(msg)
    standing.rate_factor *= RATE_AFTER_RETREAT
    job.learner.load_state(job.good_state)
    text = (
        f"Several steps up to {standing.step} gave no finite loss: training went back to the last "
        f"good weights, and goes on at {standing.rate_factor:g} of the learning rate."
    )
    yield Noticed(text, job.progress())


def _about_parts(parts: int) -> str:
    return (
        f"Memory ran out: every step is now made in {parts} parts. The images of a batch see fewer "
        "of each other, so the result will differ slightly."
    )


def _finish(job: TrainingRun) -> Iterator[TrainEvent]:
    """Settle the best model: its running statistics, what it is good for, its card."""
    job.learner.load_weights(job.best.weights)
    yield from settle(job)
    job.standing.finished = True
    job.save()


def _preview(job: TrainingRun, restored: np.ndarray) -> Previewed:
    """The first piece, in the target's intensities."""
    box = job.pieces[0].scored
    sample = job.material.samples[box.image]
    region = (slice(None), *box.slices)
    shown = (baseline(sample)[region], restored, sample.target[region])
    source, restored, target = (sample.target_scaling.undo(image[0]) for image in shown)
    return Previewed(
        step=job.standing.step,
        pair=sample.pair,
        origin=box.start,
        source=source,
        restored=restored,
        target=target,
        progress=job.progress(),
    )
