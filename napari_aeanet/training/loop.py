"""Training loop: steps with validations, saves and previews in between, then the final model."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import numpy as np

from napari_aeanet.dataset import baseline
from napari_aeanet.training import pace
from napari_aeanet.training.finalize import finalize, model_of
from napari_aeanet.training.provenance import plan_in_words, result_in_words
from napari_aeanet.training.run_state import TrainingRun
from napari_aeanet.training.settings import (
    Finished,
    FinishReason,
    Keep,
    Noticed,
    Planned,
    Previewed,
    Saved,
    Stepped,
    TrainEvent,
    Validated,
)
from napari_aeanet.training.validation import validate

# On a GPU, steps are reported this often: there are hundreds in a second.
REPORT_EVERY_SECONDS = 0.2
# A longer wait of an event to be taken is a pause, which a time budget does not count.
PAUSE_SECONDS = 1.0
# After this many consecutive non-finite steps the run returns to the last validation with a lower
# learning rate; after this many retreats it fails.
SKIPPED_BEFORE_RETREAT, MOST_RETREATS, RATE_AFTER_RETREAT = 3, 5, 0.5
# A model that has lost this much of its gain (dB) over this many validations is overfitting.
OVERFITTING_LOSS, OVERFITTING_VALIDATIONS = 0.3, 3


def run_to_the_end(run: TrainingRun, notices: Sequence[str] = ()) -> Iterator[TrainEvent]:
    """Yield the events of a run up to `Finished`; closing the generator saves the run.

    Parameters
    ----------
    notices
        Findings of the check before the start.
    """
    with closing(_events(run, tuple(notices))) as events:
        for event in events:
            begun = pace.now()
            yield event
            if (waited := pace.now() - begun) > PAUSE_SECONDS:
                run.pace.leave_out(waited)


def _events(run: TrainingRun, notices: tuple[str, ...]) -> Generator[TrainEvent, None, None]:
    progress, reason = run.progress, FinishReason.COMPLETE
    try:
        yield Planned(
            steps=run.total,
            folder=run.folder.path,
            device=run.plan.device,
            summary=plan_in_words(run.data),
            notices=notices,
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
            run.trainer.abandon_step()
            if progress.checked < 0:  # stopped before the first validation
                run.keep(model_of(run))
            run.save()
        run.release()
    finished = Finished(
        reason=reason,
        bundle=run.folder.best,
        psnr_gain=progress.best_psnr if run.crops else math.nan,
        ssim_gain=progress.best_ssim if run.crops else math.nan,
        summary=result_in_words(run.data, progress),
        notices=notices,
        progress=run.report(),
    )
    run.trainer.group.tell(finished)
    yield finished


def _steps(run: TrainingRun) -> Generator[TrainEvent, None, FinishReason]:
    """Train up to the planned number of steps, with validations and saves in between."""
    progress, trainer = run.progress, run.trainer
    batch = run.data.batch(progress.step, trainer.device, trainer.share)
    reported = pace.now()
    while True:
        if run.is_due_for_validation():
            yield from _validation(run)
            yield _save(run)
        elif run.is_due_for_saving():
            yield _save(run)
        if progress.step >= run.total:
            return FinishReason.COMPLETE
        if run.has_lost_patience():
            return FinishReason.NO_GAIN
        begun, parts, rate = pace.now(), trainer.parts, run.rate()
        trainer.group.tell((progress.step, rate))
        trainer.launch(*batch)
        # While the device computes.
        batch = run.data.batch(progress.step + 1, trainer.device, trainer.share)
        loss = trainer.complete(rate)
        progress.step += 1
        run.pace.add_step(pace.now() - begun)
        run.plan_anew()
        if trainer.parts > parts:
            yield run.notice(
                f"Memory ran out: every step is now made in {trainer.parts} parts. The images of "
                "a batch attend to fewer of each other, so the result will differ slightly."
            )
        if math.isnan(loss):
            yield _skip(run)
        else:
            progress.skipped = 0
        if trainer.device.type == "cpu" or pace.now() - reported > REPORT_EVERY_SECONDS:
            reported = pace.now()
            run.log(loss=loss)
            yield Stepped(progress.step, loss, run.report())


def _validation(run: TrainingRun) -> Iterator[TrainEvent]:
    """Restore the kept-out crops; keep the model if it is the best so far; show one crop.

    The last model is kept where the plan says so, or where there is nothing to compare with.
    """
    progress, begun = run.progress, pace.now()
    is_computed = not run.trainer.is_identity
    with run.trainer.averaged():
        found = validate(run.trainer, run.data, run.crops)
        is_last = run.plan.settings.keep == Keep.LAST
        is_best = is_last or (found is not None and found[0].psnr > progress.best_psnr)
        if is_best:
            if found is not None:
                progress.best_step = progress.step
                progress.best_psnr, progress.best_ssim = found[0].psnr, found[0].ssim
            run.keep(model_of(run))
    if is_computed:
        run.pace.add_check(pace.now() - begun)
    progress.checked = progress.step
    run.good_state = run.trainer.state()
    if found is None:
        return
    gain, restored = found
    run.log(gain=gain)
    yield Validated(progress.step, gain.psnr, gain.ssim, is_best, run.report())
    yield _preview(run, restored)
    loss = progress.best_psnr - gain.psnr
    if loss > OVERFITTING_LOSS and run.validations_since_best() == OVERFITTING_VALIDATIONS:
        yield run.notice(
            "The model has become worse on the kept-out data since step "
            f"{progress.best_step}: it is overfitting. The best one is kept; more pairs would help."
        )


def _save(run: TrainingRun) -> Saved | Noticed:
    """Save the run; if that fails, training continues in memory and saving is tried again."""
    try:
        run.save()
    except OSError as error:
        return run.notice(f"{error} Training continues in memory; saving will be tried again.")
    return Saved(run.progress.step, run.folder.path, run.report())


def _skip(run: TrainingRun) -> Noticed:
    """Count a step that was not finite; after several, return to the last good weights."""
    progress = run.progress
    progress.skipped += 1
    if progress.skipped < SKIPPED_BEFORE_RETREAT:
        return run.notice(f"The loss of step {progress.step} is not finite: it was left out.")
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
    run.trainer.group.tell(run.good_state)
    return run.notice(
        f"The loss of several steps up to {progress.step} is not finite: training returned to the "
        f"last good weights and continues at {progress.rate_factor:g} of the learning rate."
    )


def _preview(run: TrainingRun, restored: np.ndarray) -> Previewed:
    """Return the first crop in the target's intensities."""
    area = run.crops[0].inner
    sample = run.data.samples[area.image]
    region = (slice(None), *area.box)
    shown = (baseline(sample)[region], restored, sample.target[region])
    source, restored, target = (sample.target_scaling.undo(image[0]) for image in shown)
    return Previewed(
        step=run.progress.step,
        pair=sample.pair,
        origin=tuple(s.start for s in area.box),
        source=source,
        restored=restored,
        target=target,
        progress=run.report(),
    )
