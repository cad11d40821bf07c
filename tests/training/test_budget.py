"""A time budget is kept, on any machine; a clock that is moved by hand stands for the machine."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import blurred_pairs, small_config

from napari_aeanet.models import load_model, presets
from napari_aeanet.restoration import TileRunner
from napari_aeanet.training import loop, pace
from napari_aeanet.training.pace import Pace
from napari_aeanet.training.plan import first_plan, with_steps
from napari_aeanet.training.run import resume_events, train_events
from napari_aeanet.training.run_folder import RunFolder
from napari_aeanet.training.settings import Finished, Saved, Stepped, TrainSettings
from napari_aeanet.training.trainer import Trainer

CHECK_COST, FINAL_STEPS = 1.5, 5.0


class Clock:
    """Time that passes only where a test says so."""

    def __init__(self):
        self.time = 1000.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(pace, "now", made)
    return made


# --- the planning alone


def final_cost(steps):
    return FINAL_STEPS + 0.1 * steps


def simulated(clock, seconds_per_step, budget=300.0, timed=1.0, error=1.0):
    """Return how long a run takes whose first guess is `timed` seconds a step.

    Parameters
    ----------
    seconds_per_step
        Function of the time since the start.
    error
        Time of the final check as a multiple of what is expected.
    """
    begun = clock.time
    plan = with_steps(first_plan(TrainSettings(minutes=budget / 60)), timed)
    found = Pace(plan, CHECK_COST, final_cost)
    step = 0
    shares = [0.0]
    while step < plan.steps_at(step):
        cost = seconds_per_step(clock.time - begun)
        if step and step % plan.check_every_at(step) == 0:
            clock.time += CHECK_COST * cost
            found.add_check(CHECK_COST * cost)
        clock.time += cost
        found.add_step(cost)
        step += 1
        total = found.new_total(plan, step)
        if total is not None:
            plan = replace(plan, replans=(*plan.replans, (step, total)))
        shares.append(found.share(plan, step))
    assert shares == sorted(shares)
    cost = seconds_per_step(clock.time - begun)
    clock.time += error * cost * final_cost(step)
    assert len(plan.replans) < 60
    assert plan.rate(step) == pytest.approx(0, abs=1e-6) or plan.steps_at(step) == step
    return clock.time - begun


MACHINES = {
    "as measured": lambda _: 1.0,
    "five times faster": lambda _: 0.2,
    "a graphics card": lambda _: 0.01,
    "five times slower": lambda _: 5.0,
    "twenty times slower": lambda _: 20.0,
    "suddenly eight times slower": lambda t: 0.5 if t < 150 else 4.0,
    "slower at the end": lambda t: 0.5 if t < 230 else 1.5,
    "suddenly faster": lambda t: 2.0 if t < 100 else 0.3,
    "now and then busy": lambda t: 2.0 if t % 20 < 5 else 0.5,
    "ever slower": lambda t: 0.3 + t / 150,
}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES.keys())
def test_a_time_budget_is_kept_within_15_percent(clock, machine):
    assert simulated(clock, machine) == pytest.approx(300, rel=0.15)


@pytest.mark.parametrize("error", [0.3, 2.0])
def test_a_time_budget_is_kept_although_the_final_check_takes_another_time(clock, error):
    assert simulated(clock, lambda _: 0.5, error=error) == pytest.approx(300, rel=0.15)


def test_noise_in_the_time_of_steps_does_not_matter(clock):
    rng = np.random.default_rng(0)
    taken = simulated(clock, lambda _: 0.5 * rng.lognormal(0, 0.5))
    assert taken == pytest.approx(300, rel=0.15)


def test_a_pause_is_not_counted(clock):
    found = Pace(with_steps(first_plan(TrainSettings(minutes=5)), 1.0), 1.0, final_cost)
    clock.time += 500
    found.leave_out(450)
    assert found.elapsed == 50


def test_the_rate_falls_to_zero_without_a_jump_however_often_the_steps_are_planned():
    plan = replace(
        first_plan(TrainSettings(minutes=5)), steps=100, replans=((30, 400), (200, 220), (210, 300))
    )
    rates = np.array([plan.rate(step) for step in range(301)])
    assert rates[300] == pytest.approx(0, abs=1e-12)
    assert (np.diff(rates[10:]) <= 0).all()
    assert np.abs(np.diff(rates[10:])).max() < 0.08 * rates.max()
    unchanged = replace(plan, replans=())
    assert [unchanged.rate(step) for step in range(31)] == rates[:31].tolist()
    assert [plan.steps_at(step) for step in (0, 29, 30, 199, 200, 299)] == [
        100, 100, 400, 400, 220, 300,
    ]  # fmt: skip


# --- in a training


@pytest.fixture
def machine(clock, monkeypatch):
    """Let training cost time on the clock: `machine.seconds` a step, whatever it takes."""
    torch.set_num_threads(1)
    monkeypatch.setattr(presets, "quick_config", small_config)

    class Machine:
        seconds = 0.25
        steps = 0
        slower_after = slower_by = float("inf")

    def wait(steps):
        factor = Machine.slower_by if Machine.steps > Machine.slower_after else 1
        clock.time += steps * factor * Machine.seconds

    def costs(owner, name, steps_of):
        original = getattr(owner, name)

        def timed(self, *args, **kwargs):
            wait(steps_of(self, *args))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, timed)

    def step(trainer, *_):
        Machine.steps += 1
        return 1

    costs(Trainer, "complete", step)
    costs(Trainer, "predict", lambda own, x: x.numel() / (2 * 16 * 16) / 3)
    costs(TileRunner, "predict", lambda own, image, tile, *_: 2)
    costs(TileRunner, "gather", lambda own, image, tile, *_: 1)
    original = loop.finalize

    def finalize(run):
        wait((8 + 16) / 3)  # its running statistics and those of the trust
        yield from original(run)

    monkeypatch.setattr(loop, "finalize", finalize)
    return Machine


SETTINGS = TrainSettings(minutes=0.5, patch=16, batch=2)
PAIRS = blurred_pairs()


@pytest.mark.parametrize("seconds", [0.3, 0.5])
def test_a_training_takes_its_time(tmp_path, machine, clock, seconds):
    machine.seconds = seconds
    begun = clock.time
    events = list(train_events(PAIRS, SETTINGS, tmp_path / "run"))
    assert isinstance(events[-1], Finished)
    shares = [event.progress.fraction for event in events]
    assert shares == sorted(shares)
    assert clock.time - begun == pytest.approx(30, rel=0.15)
    assert RunFolder(tmp_path / "run").read_progress().seconds == pytest.approx(30, rel=0.15)


def slow_run(folder, machine):
    """A machine that becomes slower in the middle; return the steps after which it was saved."""
    machine.slower_after, machine.slower_by = 80, 3
    saved = []
    for event in train_events(PAIRS, replace(SETTINGS, minutes=1), folder):
        if isinstance(event, Saved):
            saved.append(event.step)
            shutil.copy(folder / "last.state", folder / f"{event.step}.state")
    return saved


def test_every_new_plan_is_written_down_and_repeated_after_a_crash(tmp_path, machine, clock):
    begun = clock.time
    saved = slow_run(tmp_path / "whole", machine)
    assert clock.time - begun == pytest.approx(60, rel=0.15)
    plan = RunFolder(tmp_path / "whole").read_plan()
    assert plan.replans
    late = plan.replans[-1][0]
    early = max(step for step in saved if step < late)
    # As after a crash: an earlier state, and the plan as it is.
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    shutil.copy(tmp_path / "parts" / f"{early}.state", tmp_path / "parts" / "last.state")
    losses = {
        event.step: event.loss
        for event in resume_events(PAIRS, tmp_path / "parts")
        if isinstance(event, Stepped)
    }
    whole = {r.step: r.loss for r in RunFolder(tmp_path / "whole").read_log() if r.loss}
    assert {s: losses[s] for s in range(early + 1, late + 1)} == {
        s: whole[s] for s in range(early + 1, late + 1)
    }
    again = RunFolder(tmp_path / "parts").read_plan()
    assert again.replans[: len(plan.replans)] == plan.replans


def test_a_run_that_is_stopped_and_resumed_equals_one_that_is_not(tmp_path, machine, clock):
    """Also in its new plans, as long as the machine does not change."""
    list(train_events(PAIRS, SETTINGS, tmp_path / "whole"))
    plan = RunFolder(tmp_path / "whole").read_plan()
    last = plan.replans[-1][0] if plan.replans else 0
    events = train_events(PAIRS, SETTINGS, tmp_path / "parts")
    for event in events:
        if isinstance(event, Stepped) and event.step == last + 10:
            break
    events.close()
    list(resume_events(PAIRS, tmp_path / "parts"))
    assert RunFolder(tmp_path / "parts").read_plan().replans == plan.replans
    first, second = (
        load_model(tmp_path / name / "best.aeanet").weights for name in ("whole", "parts")
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_number_of_steps_is_never_changed(tmp_path, machine):
    machine.slower_after, machine.slower_by = 10, 50
    settings = TrainSettings(steps=30, patch=16, batch=2)
    events = list(train_events(PAIRS, settings, tmp_path / "run"))
    assert events[-1].progress.done == 30
    assert RunFolder(tmp_path / "run").read_plan().replans == ()


def test_a_plan_that_cannot_be_written_is_written_with_the_next_state(
    tmp_path, machine, monkeypatch
):
    original = RunFolder.write_plan

    def limited(self, plan):
        if len(plan.replans) == 1 and not tries:
            tries.append(plan)
            raise OSError(28, "No space left on device")
        original(self, plan)

    tries = []
    monkeypatch.setattr(RunFolder, "write_plan", limited)
    slow_run(tmp_path / "run", machine)
    assert tries
    assert RunFolder(tmp_path / "run").read_plan().replans[0] == tries[0].replans[0]
