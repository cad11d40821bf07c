"""The public data sets in their exact layouts, and every table end to end on them."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from published_sets import (
    CZI_SHAPE,
    NOISE,
    STRUCTURES,
    smallest,
    stand_in_czi,
    write_flywing,
    write_label_free,
    write_planaria,
    write_sem,
    write_tribolium,
)
from scipy.ndimage import zoom

from napari_aeanet.cli import main
from napari_aeanet.io import files
from napari_aeanet.models import presets
from napari_aeanet.reproduction import (
    EXPERIMENTS,
    ReproduceSettings,
    UnitDone,
    reproduce_events,
    reproduce_slices_events,
)
from napari_aeanet.reproduction.data_sets import read_set
from napari_aeanet.reproduction.label_free import FACTOR, in_multiples, structure_folders
from napari_aeanet.reproduction.plots import boxes, curves
from napari_aeanet.reproduction.settings import CaseScores, Profile, Scores, UnitResult
from napari_aeanet.reproduction.table import remarks, table_rows
from napari_aeanet.training.run_folder import PLAN_DOCUMENT


@pytest.fixture(autouse=True)
def czi(monkeypatch):
    monkeypatch.setitem(files.READERS, ".czi", stand_in_czi)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    write_sem(folder / "sem", 1)
    write_planaria(folder / "planaria", 2)
    write_flywing(folder / "flywing")
    write_label_free(folder / "label-free")
    for write, name in (
        (write_planaria, "Planaria"),
        (write_tribolium, "Tribolium"),
        (write_flywing, "Flywing"),
    ):
        write(folder / "transfer" / name)
    for name, seed in (("A", 0), ("B", 3)):
        write_sem(folder / "transfer-sem" / name, 1, seed)
    return folder


SETS = {"denoising": "planaria", "patch-size-3d": "planaria", "projection": "flywing"}
# Methods and sizes beyond these cost time and show nothing more.
METHODS = {
    "table1": ("NLM", "RCAN", "AEANet"),
    "patch-size": ("AEANet, r = 64", "GVTNet"),
    "transfer-sem": ("GVTNet",),
    "transfer": ("CARE U-Net", "AEANet"),
    "label-free": ("U-Net", "AEANet"),
}


# --- the sets


def test_tribolium_holds_three_conditions_and_the_truth_in_each_file(tmp_path):
    write_tribolium(tmp_path / "set", 2)
    found = read_set(tmp_path / "set", "care", tmp_path)
    assert [trial.group for trial in found.trials] == [c for c in NOISE for _ in range(2)]
    errors = [
        float(np.std(t.pair.source.read() - t.pair.target.read() * 1.0)) for t in found.trials
    ]
    assert errors[0] < errors[2] < errors[4]  # the first condition is the least noisy
    assert found.trials[0].pair.target.shape == (8, 16, 24)
    (path, *_) = (tmp_path / "set" / "test_data").iterdir()
    stacks = tifffile.imread(path)
    for axes, values in (("TZYX", stacks), ("ZCYX", stacks.swapaxes(0, 1))):
        tifffile.imwrite(path, values, imagej=True, metadata={"axes": axes})
        again = read_set(tmp_path / "set", "care", tmp_path)
        assert again.fingerprint() == found.fingerprint()
    tifffile.imwrite(path, stacks[:3], photometric="minisblack", metadata={"axes": "QZYX"})
    with pytest.raises(ValueError, match=r"late\.tif must hold 4 stacks .* or its folder needs GT"):
        read_set(tmp_path / "set", "care", tmp_path)


def test_label_free_lists_choose_channels_of_czi_files(data, tmp_path):
    folders = structure_folders(data / "label-free")
    assert [folder.name for folder in folders] == ["dic_lamin_b1", "dna"]
    found = read_set(folders[1], "label-free", tmp_path)
    assert found.is_normalised
    assert (len(found.learn), len(found.trials)) == (5, 2)
    first = np.load(data / "label-free" / "dna" / "3500001346_100X_train-Scene-00.czi")
    for image, channel in ((found.learn[0].source, 1), (found.learn[0].target, 2)):
        values = first[channel].astype(float)
        values = (values - values.mean()) / values.std()
        expected = zoom(values, (1, FACTOR, FACTOR), mode="nearest")
        np.testing.assert_allclose(image.read(), expected, atol=1e-5)
    # tests are cut to multiples of 16; the DIC images have other pixels
    assert found.trials[0].pair.source.shape == (16, 16, 16)
    other = read_set(folders[0], "label-free", tmp_path)
    assert other.learn[0].source.shape == (16, *(round(n * 0.5931) for n in CZI_SHAPE[2:]))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "prepared").iterdir()}
    assert read_set(folders[1], "label-free", tmp_path).fingerprint() == found.fingerprint()
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "prepared").iterdir()}


def test_lists_are_taken_from_their_beginning_as_by_the_authors(tmp_path):
    write_label_free(tmp_path, ("tom20",), 1, 1)
    lists = tmp_path / "csvs" / "tom20"
    for part in ("train", "test"):
        head, line = (lists / f"{part}.csv").read_text().splitlines()
        (lists / f"{part}.csv").write_text("\n".join([head, *[line] * 32]))
    found = read_set(lists, "label-free", tmp_path / "work")
    assert (len(found.learn), len(found.trials)) == (30, 20)


def test_large_volumes_are_cut_in_the_plane():
    cut = in_multiples(np.zeros((65, 500, 700), np.uint8))
    assert cut.shape[0] == 64
    assert cut.size <= 9_732_096 < cut.size + 64 * 16 * 500
    assert all(n % 16 == 0 for n in cut.shape)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("dna/none.czi,1,2", r"train\.csv, line 2: there is no dna/none\.czi in .*: copy it there"),
        ("{file},7,2", r"line 2: channel_signal is 7, but .* has 3 channels, numbered from 0"),
        ("{file},1,", r"line 2: channel_target is '', but must be the number of a channel"),
        ("{file},1.5,2", r"line 2: channel_signal is '1\.5', but must be"),
        ("{file},0,2", r"line 2: channel 0 of .* is constant: cut the line"),
        (",1,2", r"line 2: path_czi is empty"),
    ],
)
def test_a_wrong_line_of_a_list_is_named_with_the_remedy(line, reason, tmp_path):
    write_label_free(tmp_path, ("dna",), 1, 1)
    path = tmp_path / "csvs" / "dna" / "train.csv"
    name = "dna/3500001346_100X_train-Scene-00.czi"
    path.write_text(f"path_czi,channel_signal,channel_target\n{line.format(file=name)}\n")
    with pytest.raises(ValueError, match=reason):
        read_set(path.parent, "label-free", tmp_path / "work")
    kept = (tmp_path / "work").rglob("*target*")
    assert not list(kept)


def test_an_unreadable_czi_file_is_named(tmp_path):
    write_label_free(tmp_path, ("dna",), 1, 1)
    (path,) = (tmp_path / "dna").glob("*train*")
    path.write_bytes(b"ZISRAWFILE")
    with pytest.raises(ValueError, match=r"train-Scene-00\.czi"):
        read_set(tmp_path / "csvs" / "dna", "label-free", tmp_path / "work")


# --- the tables


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_table_is_computed_and_resumed(name, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(presets, "quick_config", smallest)
    experiment = EXPERIMENTS[name]
    folder = data / SETS.get(name, name if (data / name).is_dir() else "sem")
    methods = METHODS.get(name, ())
    settings = ReproduceSettings(steps=2, patch=16, batch=2, device="cpu", methods=methods)
    # stopped in the middle of a training
    events = reproduce_events(experiment, folder, tmp_path, settings)
    for event in events:
        if "step 1" in event.progress.what:
            break
    events.close()
    finished = len(list((tmp_path / "results").iterdir()))
    words = ["reproduce", name, "-d", str(folder), "-o", str(tmp_path), "--steps", "2"]
    words += ["--patch", "16", "--batch", "2", "--device", "cpu"]
    assert main([*words, *(["--methods", *methods] if methods else [])]) == 0
    printed = capsys.readouterr().out
    assert printed.count("done before") == finished
    table = (tmp_path / f"{name}.md").read_text()
    assert "| parameters | s/image |" in table
    assert "–" not in "".join(line[:40] for line in table.splitlines() if line.startswith("| AEA"))
    known = experiment.source if experiment.published else "No published figure of this table"
    assert known in table
    assert (tmp_path / f"{name}.png").exists() == bool(experiment.plot)
    rows = list(csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines()))
    for plan in (tmp_path / "runs").rglob("plan.json"):
        # images that were z-scored before they were resized are taken as they are
        settled = PLAN_DOCUMENT.load(plan.read_bytes(), plan).settings
        assert (settled.intensities == "none") == (name == "label-free")
    computed = {row["method"] for row in rows}
    assert computed == {"input", *(methods or {unit.method for unit in experiment.units})}
    assert all(np.isfinite(float(row[metric])) for row in rows for metric in experiment.metrics)


KILLED = """
import os
from published_sets import smallest
from napari_aeanet.models import presets
from napari_aeanet.reproduction import ReproduceSettings, reproduce_events

presets.quick_config = smallest
settings = ReproduceSettings(steps=4, patch=16, batch=2, device="cpu", methods={methods!r})
for event in reproduce_events("denoising", {data!r}, {out!r}, settings):
    if event.progress.what.startswith("GVTNet") and "step 3" in event.progress.what:
        os._exit(9)  # at once, without closing anything
"""


def test_a_killed_process_is_continued_as_if_nothing_had_happened(data, tmp_path, monkeypatch):
    methods = ("CARE U-Net", "GVTNet")
    folder, killed = data / "planaria", tmp_path / "killed"
    program = KILLED.format(methods=methods, data=str(folder), out=str(killed))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == 9
    assert len(list((killed / "results").iterdir())) == 2
    (state,) = (killed / "runs").glob("*gvtnet*/last.state")
    assert state.exists()
    monkeypatch.setattr(presets, "quick_config", smallest)
    settings = ReproduceSettings(steps=4, patch=16, batch=2, device="cpu", methods=methods)
    events = list(reproduce_events("denoising", folder, killed, settings))
    assert [e.reused for e in events if isinstance(e, UnitDone)] == [True, True, False]
    *_, whole = reproduce_events("denoising", folder, tmp_path / "whole", settings)
    for result, expected in zip(events[-1].results, whole.results, strict=True):
        assert [case.scores.psnr for case in result.cases] == [
            case.scores.psnr for case in expected.cases
        ]


def test_a_network_of_volumes_is_tested_on_projections_but_not_the_reverse(
    data, tmp_path, monkeypatch
):
    monkeypatch.setattr(presets, "quick_config", smallest)
    settings = ReproduceSettings(
        steps=1, patch=16, batch=2, device="cpu", methods=("U-Net",), planes=3
    )
    done = [
        event.result
        for event in reproduce_events("transfer", data / "transfer", tmp_path, settings)
        if isinstance(event, UnitDone) and event.result.method == "U-Net"
    ]
    columns = {result.column for result in done}
    assert "Planaria → Flywing" in columns and "Flywing → Flywing" in columns
    assert "Flywing → Planaria" not in columns
    assert len({path.name for path in (tmp_path / "runs").iterdir()}) == 3
    assert any("unet-projection" in path.name for path in (tmp_path / "runs").iterdir())


def test_the_published_profile_trains_by_the_recipe(data, tmp_path):
    settings = ReproduceSettings(
        profile=Profile.PUBLISHED, steps=1, patch=16, batch=2, device="cpu", methods=("GVTNet",)
    )
    experiment = EXPERIMENTS["denoising"]
    *_, found = reproduce_events(experiment, data / "planaria", tmp_path, settings)
    (run,) = (tmp_path / "runs").iterdir()
    plan = PLAN_DOCUMENT.load((run / "plan.json").read_bytes(), run)
    assert plan.settings.profile == Profile.PUBLISHED
    assert (plan.beta1, plan.decay) == (0.5, (0.7, 10_000))
    assert plan.settings.kept_out == "nothing"
    assert found.results[1].parameters == 1_347_360
    text = " ".join(remarks(experiment, found, settings))
    assert "published profile" in text and "first 30 planes" in text
    # and figures of another profile are others
    quick = ReproduceSettings(steps=1, patch=16, batch=2, device="cpu", methods=("GVTNet",))
    assert settings.scored_planes != quick.scored_planes


def test_only_the_first_planes_are_scored(data, tmp_path):
    def scores(planes):
        settings = ReproduceSettings(methods=("input",), planes=planes)
        *_, found = reproduce_events("denoising", data / "planaria", tmp_path, settings)
        return found.results[0].cases[0].scores.psnr

    assert scores(0) == scores(8) != scores(3)


def test_weights_of_features_are_for_slices_as_published(data, tmp_path):
    settings = ReproduceSettings(vgg_weights="vgg.pt")
    with pytest.raises(ValueError, match="vgg_weights is for slices, not for denoising"):
        reproduce_events("denoising", data, tmp_path, settings)
    with pytest.raises(ValueError, match="vgg_weights is for the published profile"):
        reproduce_slices_events(data, tmp_path, settings)


# --- the words


def results_of(figures):
    """Results by method and column, of a figure an image."""
    return [
        UnitResult(
            method,
            column,
            "",
            1.0,
            tuple(CaseScores(f"{i}", "", Scores(*[v] * 8)) for i, v in enumerate(values)),
            100,
            0.5,
        )
        for (method, column), values in figures.items()
    ]


def test_every_structure_is_tested_and_drawn_with_whiskers_to_the_extremes():
    rng = np.random.default_rng(0)
    means = {"U-Net": 0.5, "GVTNet": 0.7, "AEANet": 0.3}
    found = results_of(
        {
            (method, structure): [mean - 0.4, *rng.normal(mean, 0.05, 20)]
            for structure in STRUCTURES
            for method, mean in means.items()
        }
    )
    experiment = EXPERIMENTS["label-free"]
    head, *rows = table_rows(experiment, found)
    assert len(head) == 1 + 13 + 2
    assert [row[-2:] for row in rows] == [["100", "0.5"]] * 3
    from napari_aeanet.reproduction import Reproduced

    text = remarks(experiment, Reproduced(tuple(found), (), None), ReproduceSettings())
    assert sum("GVTNet is ahead of U-Net" in line for line in text) == 13
    assert sum("AEANet is behind U-Net" in line for line in text) == 13
    (axis,) = boxes(experiment, found).axes
    assert len(axis.get_xticklabels()) == 13
    # the first box: quartiles, and whiskers to the smallest and the largest figure
    values = [case.scores.pearson for case in found[0].cases]
    edges = axis.patches[0].get_path().vertices[:, 1]
    np.testing.assert_allclose([edges.min(), edges.max()], np.percentile(values, [25, 75]))
    lines = [line for line in axis.lines if line.get_linestyle() == "-"]
    drawn = {float(y) for line in lines for y in np.atleast_1d(line.get_ydata())}
    assert {min(values), max(values)} <= drawn


def test_curves_have_error_bars_and_published_figures_beside(tmp_path):
    sizes = ("128", "256", "384", "512", "whole image")
    found = results_of(
        {("AEANet, r = 64", size): [21 + i, 22 + i, 24 + i] for i, size in enumerate(sizes)}
        | {("input", "whole image"): [20, 20, 20]}
    )
    experiment = EXPERIMENTS["patch-size"]
    head, *rows = table_rows(experiment, found)
    assert head[:3] == ["method", "patch", "ΔPSNR dB"]
    assert [row[1] for row in rows] == list(sizes)
    assert rows[0][2].startswith("+2.333 ± 1.165, SD 1.528")
    assert rows[0][2].endswith("(1.303)")
    assert rows[4][3].endswith("(0.0866)")
    psnr, ssim = curves(experiment, found).axes
    (dashed,) = (line for line in psnr.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(dashed.get_ydata(), [1.303, 1.840, 1.894, 1.992, 2.099])
    assert psnr.containers[0].has_yerr and ssim.containers[0].has_yerr


def test_a_table_says_which_published_figures_are_not_at_hand():
    from napari_aeanet.reproduction import Reproduced

    experiment = EXPERIMENTS["patch-size"]
    found = results_of(
        {
            (method, size): [1.0]
            for method in ("AEANet, r = 32", "GVTNet")
            for size in ("128", "256")
        }
    )
    text = " ".join(remarks(experiment, Reproduced(tuple(found), (), None), ReproduceSettings()))
    assert "the notebook of AEANet's authors, not the paper" in text
    assert "No published figure is at hand for AEANet, r = 32 (128); GVTNet." in text
