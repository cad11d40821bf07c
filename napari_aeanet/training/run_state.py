"""State of a running training, and saving it."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial

from napari_aeanet.core.memory import require_memory
from napari_aeanet.core.metrics import Gain
from napari_aeanet.core.progress import Progress
from napari_aeanet.models import Model, load_model, save_model
from napari_aeanet.networks import release_memory
from napari_aeanet.training import pace
from napari_aeanet.training.final_check import final_cost
from napari_aeanet.training.plan import Plan
from napari_aeanet.training.run_folder import LogRow, RunFolder, RunProgress
from napari_aeanet.training.settings import Noticed
from napari_aeanet.training.setup import PREDICTIONS_PER_STEP
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import ESTIMATION_BATCHES, ValidationCrop

# The state is saved after every validation, and this often in between.
SAVE_EVERY_SECONDS = 60.0


@dataclass(eq=False)
class TrainingRun:
    """Everything that the training loop works with.

    Parameters
    ----------
    folder
        The run on disk.
    data
        Training and kept-out data.
    trainer
        Network and optimiser.
    crops
        Kept-out boxes of every validation.
    progress
        Counters.
    """

    folder: RunFolder
    data: TrainingData
    trainer: Trainer
    crops: list[ValidationCrop]
    progress: RunProgress = field(default_factory=RunProgress)

    def __post_init__(self) -> None:
        self._rows: list[LogRow] = []  # not yet in the log
        self._best: Model | None = None  # not yet on disk
        final = cache(partial(final_cost, self.data, self.crops))
        self.pace = pace.Pace(self.plan, self._check_cost(), final, self.progress.seconds)
        self._has_new_plan = False  # not yet on disk
        self._part, self._parts = 0, 0  # of the final check, that are done and in all
        self._last_save = pace.now()
        self.good_state = self.trainer.state()

    @property
    def plan(self) -> Plan:
        return self.data.plan

    def report(self) -> Progress:
        """Return the progress that events carry."""
        step, total = self.progress.step, self.total
        if self.progress.finished:
            return Progress("training", step, total, 0.0, 1.0)
        left = self.pace.seconds_left(self.plan, step)
        share = self.pace.share(self.plan, step)
        if self._parts:
            part = min(self._part + 1, self._parts)
            return Progress("final check", part, self._parts, left, share, "part")
        return Progress("training", step, total, left, share)

    @property
    def total(self) -> int:
        """Number of steps, as planned now."""
        return self.plan.steps_at(self.progress.step)

    def begin_final_check(self, parts: int) -> None:
        """Report the progress of the final check from now on."""
        self._part, self._parts = 0, parts
        self.pace.begin_final_check()

    def end_part(self) -> None:
        """Count a part of the final check."""
        self._part += 1

    def plan_anew(self) -> None:
        """Change the number of steps, if need be, to keep the time budget.

        A resumed run first repeats what was planned then: `plan.json` holds every new plan.
        """
        step, replans = self.progress.step, self.plan.replans
        if replans and step <= replans[-1][0]:
            return
        total = self.pace.new_total(self.plan, step)
        if total is not None:
            plan = replace(self.plan, replans=(*replans, (step, total)))
            self.data = replace(self.data, plan=plan)
            self._has_new_plan = True
            with suppress(OSError):  # the next `save` tries again
                self._write_plan()

    def notice(self, text: str) -> Noticed:
        return Noticed(text, self.report())

    def rate(self) -> float:
        """Return the learning rate of the next step."""
        return self.plan.rate(self.progress.step) * self.progress.rate_factor

    def is_due_for_validation(self) -> bool:
        step = self.progress.step
        due = step % self.plan.check_every_at(step) == 0 or step >= self.total
        return due and self.progress.checked < step

    def is_due_for_saving(self) -> bool:
        return pace.now() - self._last_save > SAVE_EVERY_SECONDS

    def validations_since_best(self) -> int:
        every = self.plan.check_every_at(self.progress.step)
        return (self.progress.checked - self.progress.best_step) // every

    def has_lost_patience(self) -> bool:
        return 0 < self.plan.settings.patience <= self.validations_since_best()

    def log(self, loss: float | None = None, gain: Gain | None = None) -> None:
        """Log the loss of the last step, or a gain measured after it."""
        step, progress = self.progress.step, self.progress
        progress.seconds = self.pace.elapsed
        rate = self.plan.rate(max(0, step - 1)) * progress.rate_factor
        psnr, ssim = (gain.psnr, gain.ssim) if gain else (None, None)
        self._rows.append(LogRow(step, loss, rate, psnr, ssim, round(progress.seconds, 2)))

    def all_rows(self) -> list[LogRow]:
        """Return the whole log, with rows that are not on disk yet."""
        return [*self.folder.read_log(), *self._rows]

    @property
    def best(self) -> Model:
        """Best model so far."""
        return self._best or load_model(self.folder.best)

    def keep(self, model: Model) -> None:
        """Make this the best model of the run; the next `save` writes it."""
        self._best = model

    def save(self) -> None:
        """Write the best model, the state and the log.

        Raises
        ------
        OSError
            If that fails; the files on disk stay whole, and the next `save` tries again.
        MemoryError
            If there is too little memory for the copies that are written.
        """
        require_memory(self.trainer.bytes_to_save, "to save the training")
        self._last_save = pace.now()
        self.progress.seconds = self.pace.elapsed
        if self._has_new_plan:
            self._write_plan()
        if self._best is not None:
            save_model(self._best, self.folder.best)
            self._best = None
        self.folder.add_to_log(self._rows)
        self._rows.clear()
        self.folder.write_state(self.trainer.state(), self.progress)

    def _write_plan(self) -> None:
        self.folder.write_plan(self.plan)
        self._has_new_plan = False

    def _check_cost(self) -> float:
        """Return the expected time of a validation, in steps."""
        pixels = sum(math.prod(crop.outer.shape) for crop in self.crops)
        batches = pixels / (self.plan.batch * math.prod(self.plan.patch)) + ESTIMATION_BATCHES
        return batches / PREDICTIONS_PER_STEP

    def release(self) -> None:
        """Give back the memory of the device; the run cannot continue afterwards."""
        self.trainer.release()
        self.data.sources.release()
        self.data.targets.release()
        release_memory(self.trainer.device)
