"""Training in several processes: the steps of one, stopped and resumed, and a process that dies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from several_processes import DIED, Job, in_processes, trained, trained_by_clocks

from napari_aeanet.models import load_model
from napari_aeanet.training import Profile, RunFolder, TrainSettings
from napari_aeanet.training.settings import Precision, Statistics

EXACT = TrainSettings(profile=Profile.PUBLISHED, precision=Precision.FLOAT64, steps=5, jitter=0.1)
# Running statistics and averages of the weights are part of the state.
SMALL = TrainSettings(steps=6, patch=16, batch=4, average=True, statistics=Statistics.FOLLOWED)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder):
    return load_model(folder / "best.aeanet").weights


def same_weights(one, other):
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize(
    ("preset", "changes", "count", "batch"),
    [("unet-2d", {}, 2, 4), ("aeanet-2d", {"batch_aware": False}, 3, 7)],
)
def test_the_weights_are_those_of_one_process(tmp_path, preset, changes, count, batch):
    settings = replace(EXACT, preset=preset, batch=batch, patch=16)
    one, several = (
        Job(folder=tmp_path / name, settings=settings, changes=changes) for name in ("one", "more")
    )
    trained(0, one)
    done = in_processes(trained, several, count=count)
    assert [process["launched"] for process in done] == [settings.steps] * count
    expected, found = weights(one.folder), weights(several.folder)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-10, err_msg=name)
    assert RunFolder(several.folder).read_plan().processes == count


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two processes that was never stopped."""
    job = Job(folder=tmp_path_factory.mktemp("whole") / "run", settings=SMALL)
    in_processes(trained, job)
    return job.folder


@pytest.mark.parametrize(
    ("stop", "first", "second"),
    [
        ("closed", "AssertionError: ", "ConnectionError: Process 1 of 2 has stopped: it was asked"),
        ("interrupted", "KeyboardInterrupt: ", "ConnectionError: "),
        ("killed", "ConnectionError: Another process of the training has ended", DIED),
        (
            "fails",
            "ConnectionError: Process 2 of 2 has stopped: There is too little",
            "MemoryError",
        ),
    ],
)
def test_a_run_that_stops_anywhere_is_resumed_bit_for_bit(tmp_path, whole, stop, first, second):
    job = Job(folder=tmp_path / "run", settings=SMALL, stop_at=3, stop=stop)
    told = in_processes(trained, job)
    assert told[0].startswith(first)
    assert told[1].startswith(second)
    assert RunFolder(job.folder).read_progress().step == 3
    assert {path.name for path in job.folder.iterdir()} == {
        *("plan.json", "last.state", "best.aeanet", "log.csv")
    }
    done = in_processes(trained, replace(job, stop=""))
    assert done[0]["notices"] == ()
    assert same_weights(job.folder, whole)


def test_a_run_goes_on_with_another_number_of_processes_and_says_so(tmp_path):
    job = Job(folder=tmp_path / "run", settings=SMALL, stop_at=3, stop="closed")
    in_processes(trained, job)
    done = trained(0, replace(job, stop=""))
    assert done["launched"] == 3
    assert "begun by 2 process(es) and goes on with 1" in done["notices"][0]


def test_all_processes_do_the_steps_that_the_first_one_plans(tmp_path):
    settings = TrainSettings(minutes=0.2, patch=16, batch=4)
    job = Job(folder=tmp_path / "run", settings=settings)
    first, second = in_processes(trained_by_clocks, job)
    plan = RunFolder(job.folder).read_plan()
    steps = RunFolder(job.folder).read_progress().step
    assert plan.replans
    assert steps == second["launched"] == first["last"].progress.done
    assert second["last"].bundle == first["last"].bundle


def test_a_loss_that_is_not_finite_in_one_process_is_left_out_by_all(tmp_path):
    job = Job(folder=tmp_path / "run", settings=SMALL, not_finite=(2, 3, 4))
    first, second = in_processes(trained, job)
    assert RunFolder(job.folder).read_progress().retreats == 1
    assert first["launched"] == second["launched"] == SMALL.steps
    for one, other in zip(first["weights"], second["weights"], strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(np.isfinite(one).all() for one in first["weights"])


def test_a_process_with_other_pairs_stops_all_and_leaves_nothing(tmp_path):
    job = Job(folder=tmp_path / "run", settings=SMALL, other_pairs=True)
    first, second = in_processes(trained, job)
    assert first.startswith("ConnectionError: Process 2 of 2 has stopped: The run was begun with")
    assert second.startswith("ValueError: ")
    assert not job.folder.exists()


def test_too_many_processes_leave_nothing(tmp_path):
    job = Job(folder=tmp_path / "run", settings=replace(SMALL, batch=3))
    first, second = in_processes(trained, job)
    assert "batch of 3 patches is too small for 2 processes" in first
    assert first.removeprefix("ValueError: ") in second
    assert not job.folder.exists()
