"""State of a running training, and saving it."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from napari_aeanet.core.metrics import Gain
from napari_aeanet.core.progress import EtaEstimator, Progress
from napari_aeanet.models import Model, load_model, save_model
from napari_aeanet.networks import release_memory
from napari_aeanet.training.plan import Plan
from napari_aeanet.training.run_folder import LogRow, RunFolder, RunProgress
from napari_aeanet.training.settings import Noticed
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import ValidationCrop

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
        self._eta = EtaEstimator(self.plan.steps)
        self._start = monotonic() - self.progress.seconds
        self._last_save = monotonic()
        self.good_state = self.trainer.state()

    @property
    def plan(self) -> Plan:
        return self.data.plan

    def report(self) -> Progress:
        """Return the progress that events carry."""
        step = self.progress.step
        return Progress("training", step, self.plan.steps, self._eta.seconds_left(step))

    def notice(self, text: str) -> Noticed:
        return Noticed(text, self.report())

    def rate(self) -> float:
        """Return the learning rate of the next step."""
        return self.plan.rate(self.progress.step) * self.progress.rate_factor

    def is_due_for_validation(self) -> bool:
        step = self.progress.step
        due = step % self.plan.check_every == 0 or step == self.plan.steps
        return due and self.progress.checked < step

    def is_due_for_saving(self) -> bool:
        return monotonic() - self._last_save > SAVE_EVERY_SECONDS

    def validations_since_best(self) -> int:
        return (self.progress.checked - self.progress.best_step) // self.plan.check_every

    def has_lost_patience(self) -> bool:
        return 0 < self.plan.settings.patience <= self.validations_since_best()

    def log(self, loss: float | None = None, gain: Gain | None = None) -> None:
        """Log the loss of the last step, or a gain measured after it."""
        step, progress = self.progress.step, self.progress
        progress.seconds = monotonic() - self._start
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
        """
        self._last_save = monotonic()
        if self._best is not None:
            save_model(self._best, self.folder.best)
            self._best = None
        self.folder.add_to_log(self._rows)
        self._rows.clear()
        self.folder.write_state(self.trainer.state(), self.progress)

    def release(self) -> None:
        """Give back the memory of the device; the run cannot continue afterwards."""
        self.trainer.release()
        self.data.sources.release()
        self.data.targets.release()
        release_memory(self.trainer.device)
