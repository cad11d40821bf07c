"""The run folder: files are read as they were written, and one process writes at a time."""

import json
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
import torch
from safetensors.torch import save_file

from napari_aeanet.training.plan import Plan, first_plan
from napari_aeanet.training.run_folder import LogRow, RunFolder, RunProgress, begin, reopen
from napari_aeanet.training.settings import KeptOut, Loss, Profile, TrainSettings


@pytest.fixture
def plan() -> Plan:
    settings = TrainSettings(
        preset="aeanet-3d",
        profile=Profile.PUBLISHED,
        kept_out=KeptOut.REGION,
        region=(1, 2, 3, 4),
        loss=Loss.CHARBONNIER,
    )
    return first_plan(settings)


def test_a_plan_is_read_as_it_was_written(tmp_path, plan):
    run = RunFolder(tmp_path)
    run.write_plan(plan)
    read = run.read_plan()
    assert read.config == plan.config
    assert replace(read, network=plan.network) == plan


def test_a_plan_of_a_newer_version_is_refused(tmp_path, plan):
    run = RunFolder(tmp_path)
    run.write_plan(plan)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(ValueError, match=r"training plan of version 99.*update napari-aeanet"):
        run.read_plan()


def test_a_damaged_plan_or_state_is_refused_with_its_name(tmp_path):
    (tmp_path / "plan.json").write_text('{"format": 1, "steps"')
    (tmp_path / "last.state").write_bytes(b"\x10\x00\x00")
    with pytest.raises(ValueError, match=r"plan\.json is damaged"):
        RunFolder(tmp_path).read_plan()
    with pytest.raises(ValueError, match=r"last\.state is not a complete"):
        RunFolder(tmp_path).read_state()


def test_a_plan_with_a_wrong_value_is_refused_with_file_and_key(tmp_path, plan):
    run = RunFolder(tmp_path)
    run.write_plan(plan)
    path = tmp_path / "plan.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"loss": "median"}))
    with pytest.raises(ValueError, match=r"plan\.json: loss: input should be 'as the recipe says'"):
        run.read_plan()
    del values["patch"]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"plan\.json: patch: "):
        run.read_plan()


def test_unknown_keys_of_a_plan_and_of_the_counters_are_ignored(tmp_path, plan):
    run = RunFolder(tmp_path)
    run.write_plan(plan)
    path = tmp_path / "plan.json"
    values = json.loads(path.read_text())
    settings = values["settings"] | {"later": 1}
    path.write_text(json.dumps(values | {"later": 1, "settings": settings}))
    assert run.read_plan().settings == plan.settings
    standing = json.dumps({"step": 3, "later": 1})
    save_file({"a": torch.zeros(1)}, tmp_path / "last.state", {"standing": standing})
    assert run.read_progress() == RunProgress(step=3)


@pytest.mark.parametrize("metadata", [None, {"standing": '{"step": "many"}'}])
def test_a_state_without_readable_counters_is_refused_with_its_name(tmp_path, metadata):
    save_file({"a": torch.zeros(1)}, tmp_path / "last.state", metadata)
    with pytest.raises(ValueError, match=r"last\.state"):
        RunFolder(tmp_path).read_progress()


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = {"network/a": torch.rand(3, 4), "optimiser/step/a": torch.tensor(7.0)}
    progress = RunProgress(step=12, checked=10, best_step=5, best_psnr=1.25, seconds=3.5)
    run = RunFolder(tmp_path)
    run.write_state(state, progress)
    read, read_progress = run.read_state()
    assert read_progress == run.read_progress() == progress
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_a_log_is_cut_to_what_is_not_repeated(tmp_path):
    run = RunFolder(tmp_path)
    rows = [
        LogRow(0, None, 0.1, 0.0, 0.0, 0.5),
        LogRow(1, 0.5, 0.1, None, None, 1.0),
        LogRow(1, None, 0.1, 2.5, 0.1, 1.5),
        LogRow(2, 0.4, 0.1, None, None, 2.0),
    ]
    run.add_to_log(rows[:2])
    run.add_to_log(rows[2:])
    assert run.read_log() == rows
    run.cut_log(1, 0)
    assert run.read_log() == rows[:2]


def test_a_row_that_a_crash_cut_short_is_left_out(tmp_path):
    run = RunFolder(tmp_path)
    run.add_to_log([LogRow(1, 0.5, 0.1, None, None, 1.0)])
    with (tmp_path / "log.csv").open("a") as file:
        file.write("2,0.4")
    assert [row.step for row in run.read_log()] == [1]


def test_a_folder_with_a_run_is_not_begun_again(tmp_path, plan):
    with begin(tmp_path / "run") as run:
        run.write_plan(plan)
    with pytest.raises(FileExistsError, match="holds a training run already"), begin(run.path):
        pass
    with reopen(run.path):
        pass


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no training run"), reopen(tmp_path):
        pass


def test_one_process_writes_at_a_time(tmp_path):
    with (
        begin(tmp_path),
        pytest.raises(BlockingIOError, match="is being trained in by another process"),
        begin(tmp_path),
    ):
        pass
    assert not (tmp_path / "lock").exists()


def test_the_lock_of_a_process_that_is_gone_is_taken_over(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "lock").write_text(json.dumps({"process": gone.pid, "since": 0.0}))
    with begin(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["process"] == psutil.Process().pid


def test_the_lock_of_a_process_whose_number_is_used_again_is_taken_over(tmp_path):
    (tmp_path / "lock").write_text(json.dumps({"process": psutil.Process().pid, "since": 0.0}))
    with begin(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_to_is_an_error_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="choose a folder that can be written to"):
        begin(tmp_path / "file" / "run").__enter__()
