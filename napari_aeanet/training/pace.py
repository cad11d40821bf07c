"""Time of a run: the pace of its steps, what is left, and new plans that keep a time budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic

from napari_aeanet.training.plan import FEWEST_STEPS, Plan

# The time of a step is the mean over the last ones: at least so many, in at least this share of
# the budget, so that a machine that becomes slower is noticed soon.
FEWEST_MEASURED, WINDOW_SHARE = 5, 0.05
# The same without a budget, in seconds.
WINDOW_SECONDS = 10.0
# The number of steps is planned anew when the run would miss its budget by this share, and no
# sooner than this share after the last time.
TOLERANCE, PLANNED_EVERY = 0.03, 0.02
# Rounds in which the number of steps and the time of their final check are fitted to each other.
ROUNDS = 4
# Largest share that is reported before the end.
MOST_WHILE_RUNNING = 0.99


def now() -> float:
    """Return the time in seconds; tests replace it."""
    return monotonic()


class Pace:
    """Measures a run and plans its end. All work is counted in steps of this run.

    Parameters
    ----------
    check_cost
        Expected cost of a validation, until one is measured.
    final_cost
        Expected cost of the final check, for a number of steps.
    seconds
        Time of earlier sittings, and of the preparation.
    """

    def __init__(
        self,
        plan: Plan,
        check_cost: float,
        final_cost: Callable[[int], float],
        seconds: float = 0.0,
    ) -> None:
        self._check_cost = check_cost
        self._final_cost = final_cost
        self._budget = plan.budget
        self._window = WINDOW_SHARE * self._budget if self._budget else WINDOW_SECONDS
        self._steps: deque[float] = deque()  # seconds of the last steps
        self._sum = 0.0
        self._zero = now() - seconds
        self._planned_at = 0.0
        self._final_begun: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning, over all sittings, without pauses."""
        return now() - self._zero

    def leave_out(self, seconds: float) -> None:
        """Do not count the time of a pause."""
        self._zero += seconds

    def add_step(self, seconds: float) -> None:
        """Count the time of a step."""
        self._steps.append(seconds)
        self._sum += seconds
        while len(self._steps) > FEWEST_MEASURED and self._sum - self._steps[0] >= self._window:
            self._sum -= self._steps.popleft()

    def add_check(self, seconds: float) -> None:
        """Count the time of a validation."""
        if self._step_time:
            self._check_cost = seconds / self._step_time

    def begin_final_check(self) -> None:
        self._final_begun = now()

    def new_total(self, plan: Plan, step: int) -> int | None:
        """Return the number of steps that keeps the time budget, or None to keep the plan."""
        if not self._budget or not self._step_time:
            return None
        elapsed, total = self.elapsed, plan.steps_at(step)
        expected, interval = self._seconds_for(plan, step), PLANNED_EVERY * self._budget
        is_early = elapsed - self._planned_at < interval < expected
        if is_early or abs(elapsed + expected - self._budget) < TOLERANCE * self._budget:
            return None
        self._planned_at = elapsed
        left, new = (self._budget - elapsed) / self._step_time, total
        for _ in range(ROUNDS):  # the final check of fewer steps is shorter
            more = (left - self._final_cost(new)) / self._with_checks(plan, step)
            new = max(FEWEST_STEPS, step, step + int(more))
        return None if new == total else new

    def seconds_left(self, plan: Plan, step: int) -> float | None:
        """Return the expected time to the end of the run; None while it is unknown."""
        if self._budget and self._final_begun is None:
            return max(0.0, self._budget - self.elapsed)
        if not self._step_time:
            return None
        if self._final_begun is None:
            return self._seconds_for(plan, step)
        final = self._final_cost(plan.steps_at(step)) * self._step_time
        return max(0.0, final - (now() - self._final_begun))

    def share(self, plan: Plan, step: int) -> float:
        """Return the share of the run that is done, from 0 to 1."""
        total = plan.steps_at(step)
        final = self._final_cost(total)
        done = float(step)
        if self._final_begun is not None and self._step_time:
            done += min(final, (now() - self._final_begun) / self._step_time)
        by_work = done / max(1.0, total + final)
        if self._budget:  # a new plan does not move it back
            by_work = 0.0 if self._final_begun is None else by_work
            return min(MOST_WHILE_RUNNING, max(by_work, self.elapsed / self._budget))
        return min(MOST_WHILE_RUNNING, by_work)

    @property
    def _step_time(self) -> float:
        """Mean time of the last steps in seconds; 0 while it is unknown."""
        count = len(self._steps)
        return self._sum / count if count >= FEWEST_MEASURED else 0.0

    def _seconds_for(self, plan: Plan, step: int) -> float:
        """Return the time from `step` to the end of the run."""
        total = plan.steps_at(step)
        steps = max(0, total - step) * self._with_checks(plan, step)
        return (steps + self._final_cost(total)) * self._step_time

    def _with_checks(self, plan: Plan, step: int) -> float:
        return 1 + self._check_cost / plan.check_every_at(step)
