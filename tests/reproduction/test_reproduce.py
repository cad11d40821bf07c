"""The papers' tables, end to end on synthetic data in the published layouts."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import blurred_pairs, eight_bit_image, small_config
from published_sets import write_sem

from napari_aeanet.cli import main
from napari_aeanet.core.metrics import psnr
from napari_aeanet.evaluation.scoring import Scores
from napari_aeanet.io.files import write_image
from napari_aeanet.models import presets
from napari_aeanet.reproduction import run as module
from napari_aeanet.reproduction.data_sets import DataSet, kept_out_for, read_set
from napari_aeanet.reproduction.papers import EXPERIMENTS, POOLED, SELF
from napari_aeanet.reproduction.run import reproduce, reproduce_events
from napari_aeanet.reproduction.settings import (
    CaseScores,
    Reproduced,
    ReproduceSettings,
    UnitDone,
    UnitResult,
)
from napari_aeanet.reproduction.table import remarks, save_table, table_rows
from napari_aeanet.reproduction.unit_run import CLASSICAL
from napari_aeanet.training.settings import KeptOut, TrainSettings

TINY = ReproduceSettings(steps=8, patch=32, batch=2, device="cpu")
COUNT = 2


@pytest.fixture(scope="module")
def sem(tmp_path_factory):
    return write_sem(tmp_path_factory.mktemp("data") / "sem", COUNT)


@pytest.fixture
def small_networks(monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)


# --- the sets


def test_sem_pairs_are_registered_divided_and_kept(sem, tmp_path):
    found = read_set(sem, "sem", tmp_path)
    assert len(found.learn) == len(found.trials) == COUNT
    for learn, trial in zip(found.learn, found.trials, strict=True):
        rows, columns = (n // k for n, k in zip(trial.pair.target.shape, (3, 4), strict=True))
        assert learn.target.shape == (trial.pair.target.shape[0], 3 * columns)
        assert len(trial.regions) == 3
        for i, (y, x) in enumerate(trial.regions):
            assert (y.start, y.stop) == (i * rows, (i + 1) * rows)
            # the test column begins at the end of the training part
            assert (x.start, x.stop) == (3 * columns, 4 * columns)
        assert psnr(trial.pair.target.read(), trial.pair.source.read(), 255) > 20
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "prepared").iterdir()}
    again = read_set(sem, "sem", tmp_path)
    assert again.fingerprint() == found.fingerprint()
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "prepared").iterdir()}


def test_the_published_size_is_divided_as_published(sem, tmp_path, monkeypatch):
    """944 rows of 960, in patches of 314 × 320."""
    import napari_aeanet.reproduction.data_sets as sets

    def at_once(low, high, work, name):
        target = sets._without_text(eight_bit_image(np.zeros((960, 1280)), name))
        return sets.ImagePair(target, target, name=name)

    monkeypatch.setattr(sets, "_prepared", at_once)
    (trial, *_) = read_set(sem, "sem", tmp_path).trials
    assert [(y.start, y.stop) for y, _ in trial.regions] == [(0, 314), (314, 628), (628, 942)]
    assert {(x.start, x.stop) for _, x in trial.regions} == {(960, 1280)}


def test_the_best_model_is_not_chosen_by_the_test_column(sem, tmp_path):
    """The validation region is a corner of the training part."""
    found = read_set(sem, "sem", tmp_path)
    settings = kept_out_for(TrainSettings(), found.learn)
    assert settings.kept_out == KeptOut.REGION
    assert settings.region[3] <= min(pair.target.shape[1] for pair in found.learn)


def test_care_sets_are_read_from_npz_and_conditions(tmp_path):
    write_care(tmp_path)
    found = read_set(tmp_path, "care", tmp_path / "work")
    assert len(found.learn) == 5
    assert found.learn[0].source.axes == "ZYX"
    assert [trial.group for trial in found.trials] == ["condition_1", "condition_2"]
    assert found.trials[0].pair.target.shape == (8, 16, 24)


def test_projections_of_one_plane_become_images(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "train_data").mkdir()
    np.savez(
        tmp_path / "train_data" / "data.npz",
        X=rng.random((2, 1, 5, 16, 16), np.float32),
        Y=rng.random((2, 1, 1, 16, 16), np.float32),
    )
    for name, shape in (("GT", (16, 16)), ("condition_1", (5, 16, 16))):
        (tmp_path / "test_data" / name).mkdir(parents=True)
        write_image(
            eight_bit_image(rng.random(shape), "a"), tmp_path / "test_data" / name / "a.tif"
        )
    found = read_set(tmp_path, "care", tmp_path)
    assert {pair.target.axes for pair in found.learn} == {"YX"}


def test_flywing_has_its_truth_in_a_folder_of_its_own_and_stacks_without_axes(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "train_data").mkdir()
    np.savez(
        tmp_path / "train_data" / "data_label.npz",
        X=rng.random((2, 1, 5, 16, 16), np.float32),
        Y=rng.random((2, 1, 1, 16, 16), np.float32),
    )
    shapes = {"PreMosa/GT": (16, 16), "condition_1": (5, 16, 16), "condition_2": (5, 16, 16)}
    for name, shape in shapes.items():
        (tmp_path / "test_data" / name).mkdir(parents=True)
        values = rng.integers(0, 4000, shape, np.uint16)
        path = tmp_path / "test_data" / name / "C2_T001.tif"
        tifffile.imwrite(path, values, photometric="minisblack")
    (tmp_path / "test_data" / "PreMosa" / "condition_1").mkdir()  # results of another method
    found = read_set(tmp_path, "care", tmp_path)
    assert [trial.group for trial in found.trials] == ["condition_1", "condition_2"]
    assert {trial.pair.source.axes for trial in found.trials} == {"ZYX"}
    assert {trial.pair.target.axes for trial in found.trials} == {"YX"}


def test_a_care_set_says_what_it_lacks(tmp_path):
    write_care(tmp_path)
    tests = tmp_path / "test_data"
    (tests / "condition_1" / "EXP1.tif").rename(tests / "condition_1" / "other.tif")
    found = read_set(tmp_path, "care", tmp_path)
    assert [trial.group for trial in found.trials] == ["condition_2"]
    assert any("condition_1" in text and "other" in text for text in found.notices)
    (tests / "condition_2" / "EXP1.tif").write_bytes(b"II*damaged")
    with pytest.raises(ValueError, match=r"holds no image with a truth: condition_1"):
        read_set(tmp_path, "care", tmp_path)
    for name in ("condition_1", "condition_2"):
        shutil.rmtree(tests / name)
    with pytest.raises(ValueError, match=r"test_data lacks folders condition_1"):
        read_set(tmp_path, "care", tmp_path)
    shutil.rmtree(tests)
    with pytest.raises(ValueError, match=r"lacks the folder .*test_data/GT \(or PreMosa/GT\)"):
        read_set(tmp_path, "care", tmp_path)


def test_label_free_sets_are_read_from_tables(tmp_path):
    for part in ("train", "test"):
        for side in ("signal", "target"):
            stack = eight_bit_image(np.random.default_rng(0).random((4, 16, 16)), side)
            write_image(stack, tmp_path / f"{part}-{side}.tif")
        (tmp_path / f"{part}.csv").write_text(
            f"path_signal,path_target\n{part}-signal.tif,{part}-target.tif\n"
        )
    found = read_set(tmp_path, "label-free", tmp_path)
    assert len(found.learn) == len(found.trials) == 1
    assert found.learn[0].source.axes == "ZYX"


@pytest.mark.parametrize(
    ("layout", "reason"),
    [("sem", "NAME10000"), ("care", "train_data"), ("label-free", r"train\.csv")],
)
def test_a_folder_of_another_layout_is_refused_with_what_was_looked_for(layout, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        read_set(tmp_path, layout, tmp_path)
    with pytest.raises(ValueError, match="not a folder"):
        read_set(tmp_path / "nowhere", layout, tmp_path)


# --- the tables


def test_table1_end_to_end(sem, tmp_path, small_networks, monkeypatch, capsys):
    words = ["reproduce", "table1", "-d", str(sem), "-o", str(tmp_path / "out")]
    words += ["--steps", "8", "--patch", "32", "--batch", "2", "--device", "cpu"]
    words += ["--methods", "NLM", "LB-NLM", "SRSW", "AEANet"]
    assert main(words) == 0
    text = capsys.readouterr().out
    table = (tmp_path / "out" / "table1.md").read_text()
    published = ("(2.10)", "(0.78)", "(-0.25)", "(2.15)")
    for phrase in ("pooled ΔPSNR dB", "self ΔSSIM", *published, "8 steps", "120,000"):
        assert phrase in text
        assert phrase in table
    figures = list(csv.DictReader((tmp_path / "out" / "table1.csv").read_text().splitlines()))
    assert len(figures) == 5 * 2 * COUNT  # with the input
    assert {row["column"] for row in figures} == {POOLED, SELF}
    gains = {
        method: np.mean([float(r["psnr"]) for r in figures if r["method"] == method])
        for method in ("input", "LB-NLM", "SRSW", "AEANet")
    }
    assert gains["SRSW"] > gains["input"]
    assert gains["LB-NLM"] > gains["input"]
    assert gains["AEANet"] > gains["input"]
    # and again: nothing is computed any more
    monkeypatch.setattr(module, "compute", None)
    assert main(words) == 0
    assert "done before" in capsys.readouterr().out


def test_an_interrupted_training_is_resumed(sem, tmp_path, small_networks):
    experiment = EXPERIMENTS["ablation"]
    settings = ReproduceSettings(
        steps=8, patch=32, batch=2, device="cpu", methods=("references only", "batch-aware only")
    )
    events = reproduce_events(experiment, sem, tmp_path, settings)
    for event in events:
        if "step 4" in event.progress.what:
            break
    events.close()
    (run,) = (tmp_path / "runs").iterdir()
    plan = (run / "plan.json").read_bytes()
    found = reproduce(experiment, sem, tmp_path, settings)
    assert (run / "plan.json").read_bytes() == plan
    assert [r.method for r in found.results] == ["input", "references only", "batch-aware only"]


def test_other_settings_or_images_are_not_mixed_up(sem, tmp_path):
    experiment = EXPERIMENTS["table1"]
    only = dict(methods=("NLM",))
    first = list(reproduce_events(experiment, sem, tmp_path, ReproduceSettings(**only)))
    again = list(reproduce_events(experiment, sem, tmp_path, ReproduceSettings(**only, budget=9)))
    other = write_sem(tmp_path / "other", 1, seed=5)
    # a result of other images is not taken for one of these
    new = list(
        reproduce_events(experiment, other, tmp_path / "prepare anew", ReproduceSettings(**only))
    )

    def reused(events):
        return [event.reused for event in events if isinstance(event, UnitDone)]

    assert not any(reused(first)) and not any(reused(new))
    assert all(reused(again))  # the budget is no matter to what does not train
    for path in (tmp_path / "results").iterdir():
        values = json.loads(path.read_text())
        values["signature"]["sets"] = ["x", "x"]
        path.write_text(json.dumps(values))
    assert not any(reused(reproduce_events(experiment, sem, tmp_path, ReproduceSettings(**only))))


def test_patch_sizes_share_one_model(sem, tmp_path, monkeypatch):
    # not the identity at first, so that every size shows
    monkeypatch.setattr(
        presets, "quick_config", lambda preset: replace(small_config(preset), zero_output=False)
    )
    settings = ReproduceSettings(steps=4, patch=32, batch=2, device="cpu", methods=("GVTNet",))
    found = reproduce("patch-size", sem, tmp_path, settings)
    assert len(list((tmp_path / "runs").iterdir())) == 1
    gained = {r.column: r.cases[0].scores.psnr for r in found.results if r.method == "GVTNet"}
    assert list(gained) == ["128", "256", "384", "512", "whole image"]
    # larger patches than the image are the image
    assert gained["512"] == pytest.approx(gained["whole image"], abs=1e-5)
    assert gained["128"] != pytest.approx(gained["whole image"], abs=1e-5)


def test_transfer_goes_from_every_set_to_every_set(sem, tmp_path, small_networks):
    data = tmp_path / "sets"
    for name, seed in (("A", 0), ("B", 3)):
        write_sem(data / name, 1, seed)
    settings = ReproduceSettings(steps=4, patch=32, batch=2, device="cpu", methods=("U-Net",))
    found = reproduce("transfer-sem", data, tmp_path / "out", settings)
    columns = {result.column for result in found.results if result.method == "U-Net"}
    assert columns == {"A → A", "A → B", "B → A", "B → B"}
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2


def test_denoising_tells_conditions_and_their_average(tmp_path, small_networks):
    write_care(tmp_path / "data")
    settings = ReproduceSettings(steps=2, patch=16, batch=2, device="cpu", methods=("U-Net",))
    experiment = EXPERIMENTS["denoising"]
    found = reproduce(experiment, tmp_path / "data", tmp_path / "out", settings)
    head, *rows = table_rows(experiment, found.results)
    assert [word for word in head if "PSNR" in word] == [
        "C1 PSNR dB",
        "C2 PSNR dB",
        "average PSNR dB",
    ]
    assert [row[0] for row in rows] == ["input", "U-Net"]
    average = rows[0][head.index("average PSNR dB")]
    assert average.endswith("(21.79)")


def test_an_unknown_table_or_method_is_refused_at_the_call(sem, tmp_path):
    with pytest.raises(ValueError, match=r"no SRGAN; it has input, NLM"):
        reproduce_events("table1", sem, tmp_path, ReproduceSettings(methods=("SRGAN",)))
    with pytest.raises(ValueError, match=r"no table table9; there are table1, ablation"):
        reproduce_events("table9", sem, tmp_path)


def test_results_of_earlier_versions_are_read(tmp_path):
    path = Path(__file__).parents[1] / "files_of_0_1_0" / "ablation-pooled-input.json"
    experiment = EXPERIMENTS["ablation"]
    sets = DataSet("sem", (), ())
    run = module.UnitRun(experiment, experiment.units[0], sets, sets, TINY, 0, 1)
    signature = run.signature({"sem": "8412f184b483efe7b8ebb00eccfb68c5"})
    assert path.name == run.file_name
    found = module._load_result(path, signature)
    assert (found.method, found.column, found.size) == ("input", POOLED, "")
    assert found.cases[0].case == "S01"
    assert found.cases[0].scores.psnr == pytest.approx(25.67, abs=0.01)
    assert module._load_result(path, signature | {"preset": "other"}) is None
    newer = tmp_path / path.name
    newer.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    assert module._load_result(newer, signature) is None
    newer.write_text(path.read_text()[:200])
    assert module._load_result(newer, signature) is None


def test_missing_figures_survive_in_the_file(tmp_path):
    case = CaseScores("S0", "", Scores(*[1.0] * 7, float("nan")))
    kept = module.ResultFile({}, UnitResult("input", POOLED, "", 1.0, (case,)))
    (tmp_path / "x.json").write_bytes(module.RESULT_FILE.dump(kept))
    (found,) = module._load_result(tmp_path / "x.json", {}).cases
    assert found.scores.psnr == 1
    assert np.isnan(found.scores.resolution)


# --- the words


def result(method, column, values, size=""):
    cases = tuple(
        CaseScores(f"S{i}", "", Scores(v, v / 100, 0.1, 0.9, 1.0, v, v, 2.0))
        for i, v in enumerate(values)
    )
    return UnitResult(method, column, size, 1.0, cases)


def test_improvements_stand_beside_the_published_ones(tmp_path):
    experiment = EXPERIMENTS["table1"]
    results = (
        result("input", POOLED, [20, 22, 24]),
        result("EDSR", POOLED, [21, 23, 25.3], "small"),
        result("AEANet", POOLED, [22.5, 24.6, 26.4]),
    )
    head, edsr, aeanet = table_rows(experiment, results)
    assert head[1] == "pooled ΔPSNR dB"
    assert edsr[0] == "EDSR (small)"
    assert edsr[1].startswith("+1.10 ±") and edsr[1].endswith("(1.35)")
    assert aeanet[1].endswith("(2.10)")
    found = Reproduced(results, ("S9 is left out.",), None)
    text = " ".join(remarks(experiment, found, TINY))
    assert "EDSR: smaller networks than published" in text
    assert "AEANet is ahead of EDSR" in text
    assert "S9 is left out." in text
    assert "self-training" not in text
    markdown, _ = save_table(experiment, found, TINY, tmp_path)
    assert markdown.read_text().count("|---") == len(head)


def test_aeanet_behind_is_called_behind():
    results = (
        result("input", POOLED, [20, 22, 24]),
        result("U-Net", POOLED, [23, 25, 27.5]),
        result("AEANet", POOLED, [22.5, 24.6, 26.4]),
    )
    text = " ".join(remarks(EXPERIMENTS["table1"], Reproduced(results, (), None), TINY))
    assert "AEANet is behind U-Net" in text


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda e: e.name)
def test_published_figures_belong_to_units(experiment):
    units = {(unit.method, unit.column) for unit in experiment.units}
    assert set(experiment.published) <= units
    for unit in experiment.units:
        if unit.preset and unit.preset not in CLASSICAL:
            presets.preset(unit.preset)
    assert bool(experiment.published) == bool(experiment.source)


def write_care(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "train_data").mkdir(parents=True)
    truth = np.stack([p.target.read() for p in blurred_pairs(5, (8, 16, 24))])[:, None] / 255
    noise = rng.normal(0, 0.1, truth.shape)
    np.savez(
        folder / "train_data" / "data_label.npz",
        X=(truth + noise).astype(np.float32),
        Y=truth.astype(np.float32),
    )
    for name, deviation in (("GT", 0.0), ("condition_1", 0.05), ("condition_2", 0.2)):
        (folder / "test_data" / name).mkdir(parents=True)
        values = truth[0, 0] + rng.normal(0, deviation, truth[0, 0].shape)
        write_image(eight_bit_image(values, "EXP1"), folder / "test_data" / name / "EXP1.tif")
