"""A training run in progress: where it stands, and putting that on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from napari_aeanet.core.metrics import Gain
from napari_aeanet.core.progress import EtaEstimator, Progress
from napari_aeanet.models import Model, load_model, save_model
from napari_aeanet.training.plan import Plan
from napari_aeanet.training.run_folder import LogRow, RunFolder, RunProgress
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import ValidationCrop

# The state is saved at every check, and this often in between.
SAVE_EVERY_SECONDS = 60.0


@dataclass(eq=False)
class TrainingRun:
    """What the loop of a run works with.

    Parameters
    ----------
    run
        The folder.
    material, pieces
        What is learnt from, and what is restored at every check.
    learner
        The network and its optimiser.
    standing
        Where the run is.
    """

    run: RunFolder
    material: TrainingData
    learner: Trainer
    pieces: list[ValidationCrop]
    standing: RunProgress = field(default_factory=RunProgress)

    def __post_init__(self) -> None:
        self._rows: list[LogRow] = []  # not yet in the log
        self._best: Model | None = None
        self._best_is_on_disk = True
        self._pace = EtaEstimator(self.plan.steps)
        self._began = monotonic() - self.standing.seconds
        self._saved_at = monotonic()
        self.good_state = self.learner.state()

    @property
    def plan(self) -> Plan:
        return self.material.plan

    def progress(self) -> Progress:
        step = self.standing.step
        return Progress("training", step, self.plan.steps, self._pace.seconds_left(step))

    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.plan.rate(self.standing.step) * self.standing.rate_factor

    def is_due_for_check(self) -> bool:
        step = self.standing.step
        due = step % self.plan.check_every == 0 or step == self.plan.steps
        return due and self.standing.checked < step

    def is_due_for_saving(self) -> bool:
        return monotonic() - self._saved_at > SAVE_EVERY_SECONDS

    def checks_since_best(self) -> int:
        return (self.standing.checked - self.standing.best_step) // self.plan.check_every

    def has_lost_patience(self) -> bool:
        patience = self.plan.settings.patience
        return 0 < patience <= self.checks_since_best()

    def log(self, loss: float | None = None, gain: Gain | None = None) -> None:
        """Note the loss of the step just done, or a gain measured after it."""
        step, standing = self.standing.step, self.standing
        standing.seconds = monotonic() - self._began
        rate = self.plan.rate(max(0, step - 1)) * standing.rate_factor
        psnr, ssim = (gain.psnr, gain.ssim) if gain else (None, None)
        self._rows.append(LogRow(step, loss, rate, psnr, ssim, round(standing.seconds, 2)))

    def all_rows(self) -> list[LogRow]:
        """The whole log, as far as it is on disk, and what is not there yet."""
        return [*self.run.read_log(), *self._rows]

    @property
    def best(self) -> Model:
        """The best model so far."""
        return self._best or load_model(self.run.best)

    def keep(self, model: Model) -> None:
        """Make this the run's best model; it goes to disk with the next `save`."""
        self._best, self._best_is_on_disk = model, False

    def save(self) -> None:
        """Put the best model, the state and the log on disk.

        Raises
        ------
        OSError
            If that fails; what is on disk is whole, and the next `save` tries again.
        """
        self._saved_at = monotonic()
        if self._best is not None and not self._best_is_on_disk:
            save_model(self._best, self.run.best)
            self._best_is_on_disk = True
        self.run.add_to_log(self._rows)
        self._rows.clear()
        self.run.write_state(self.learner.state(), self.standing)
