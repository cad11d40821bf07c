"""`napari-aeanet train`: checked before, and resumable after."""

import shlex
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from helpers import blurred_pairs, small_config

from napari_aeanet.cli import main
from napari_aeanet.cli.stopping import Terminated
from napari_aeanet.cli.train import follow
from napari_aeanet.core.progress import Progress
from napari_aeanet.io import write_image
from napari_aeanet.models import load_model, presets
from napari_aeanet.pairs import pairs_from_folders, save_pairs
from napari_aeanet.registration import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind
from napari_aeanet.training import Finished, FinishReason, Planned, RunFolder, loop

SHORT = ("--steps", "8", "--patch", "16", "--batch", "2")


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)


def folders(tmp_path, shift=0):
    """Two folders with the images of three pairs, the sources shifted by so many rows."""
    for pair in blurred_pairs(3):
        moved = pair.source.with_array(np.roll(pair.source.array, shift, axis=0))
        for side, image in (("noisy", moved), ("clean", pair.target)):
            (tmp_path / side).mkdir(exist_ok=True)
            write_image(replace(image), tmp_path / side / f"{pair.name}.ome.tif")
    return str(tmp_path / "noisy"), str(tmp_path / "clean")


def test_a_folder_with_a_pair_list_is_refused_with_the_name_of_the_list(tmp_path, capsys):
    save_pairs(pairs_from_folders(*folders(tmp_path)), tmp_path / "pairs.json")
    assert main(["train", str(tmp_path), "-o", str(tmp_path / "run")]) == 2
    assert f"name the pair list in it, {tmp_path / 'pairs.json'}." in capsys.readouterr().err


def test_shifted_pairs_are_not_trained_on_unless_it_is_forced(tmp_path, capsys):
    sources, targets = folders(tmp_path, shift=5)
    words = ["train", sources, targets, "-o", str(tmp_path / "run"), *SHORT]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "3 of 3 pairs are shifted, by up to 5.0 px, and not registered" in said
    assert f"`napari-aeanet register {sources} {targets} -o registered`" in said
    assert "or go on with --force." in said
    assert not (tmp_path / "run").exists()
    assert main([*words, "--force"]) == 0
    assert "Forced although: 3 of 3 pairs" in capsys.readouterr().err
    assert (tmp_path / "run" / "best.aeanet").exists()


def test_aligned_pairs_are_trained_on_without_a_note(tmp_path, capsys):
    assert main(["train", *folders(tmp_path), "-o", str(tmp_path / "run"), *SHORT]) == 0
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_a_stopped_training_names_its_model_and_the_command_that_resumes_it(
    tmp_path, capsys, monkeypatch, stop, code
):
    original = loop.validate

    def stopped(trainer, data, crops):
        if any(value["step"] >= 3 for value in trainer._optimiser.state.values()):
            raise stop
        return original(trainer, data, crops)

    monkeypatch.setattr(loop, "validate", stopped)
    folder = tmp_path / "a run"
    assert main(["train", *folders(tmp_path), "-o", str(folder), *SHORT]) == code
    said = capsys.readouterr().err
    assert f"stopped after step 3; the best model so far is {folder / 'best.aeanet'}." in said
    assert load_model(folder / "best.aeanet").card.preset == "aeanet-2d"
    command = said.split("To go on: ")[1].strip()
    monkeypatch.setattr(loop, "validate", original)
    assert main(shlex.split(command)[1:]) == 0
    assert RunFolder(folder).read_progress().finished


def test_a_training_that_is_stopped_before_the_first_step_leaves_nothing(
    tmp_path, capsys, monkeypatch
):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_aeanet.training.run.prepared", stopped)
    assert main(["train", *folders(tmp_path), "-o", str(tmp_path / "run"), *SHORT]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_impossible_numbers_are_refused_before_anything_is_read(tmp_path, capsys):
    words = ["train", "nowhere.json", "-o", str(tmp_path / "run"), "--minutes", "nan"]
    assert main(words) == 2
    assert "minutes must be a finite number, got nan" in capsys.readouterr().err


def test_doubtful_pairs_are_trained_on_only_if_someone_accepted_them(tmp_path, capsys, monkeypatch):
    folders(tmp_path)
    shape = blurred_pairs(1)[0].target.shape
    doubtful = Registration(
        matrix=np.eye(3),
        kind=TransformKind.SIMILARITY,
        source_shape=shape,
        target_shape=shape,
        verdict=Verdict.DOUBTFUL,
        reason="few blocks confirm it",
    )
    found = pairs_from_folders(tmp_path / "noisy", tmp_path / "clean")
    accepted = [
        replace(pair, registration=doubtful, accepted=not n) for n, pair in enumerate(found)
    ]
    nobody = [replace(pair, accepted=False) for pair in accepted]
    save_pairs(accepted, tmp_path / "some.json")
    save_pairs(nobody, tmp_path / "none.json")
    trained = []

    def train_events(pairs, *_, **__):
        trained.append([pair.name for pair in pairs])
        raise ValueError("enough.")

    monkeypatch.setattr("napari_aeanet.training.train_events", train_events)
    rest = ["-o", str(tmp_path / "run")]
    assert main(["train", str(tmp_path / "some.json"), *rest]) == 2
    said = capsys.readouterr().err
    assert "2 of 3 pairs are left out" in said
    assert "(S1, S2)" in said
    assert main(["train", str(tmp_path / "none.json"), *rest]) == 2
    assert "There is no pair to train on: 3 of 3 pairs" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "none.json"), *rest, "--accept-doubtful"]) == 2
    assert trained == [["S0"], ["S0", "S1", "S2"]]


def test_each_pair_gets_a_model_of_its_own_and_a_stopped_command_goes_on(
    tmp_path, capsys, monkeypatch
):
    words = ["train", *folders(tmp_path), "-o", str(tmp_path / "each"), "--each", *SHORT]
    original, calls = loop.finalize, []

    def finalize(run):
        calls.append(run.folder.path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(run)

    monkeypatch.setattr(loop, "finalize", finalize)
    assert main(words) == 130
    assert "stopped at pair 2; the same command goes on" in capsys.readouterr().err
    first = (tmp_path / "each" / "001" / "best.aeanet").read_bytes()
    assert main([*words, "--quiet"]) == 0
    assert calls == ["001", "002", "002", "003"]  # the first was kept
    assert (tmp_path / "each" / "001" / "best.aeanet").read_bytes() == first
    runs = [tmp_path / "each" / f"00{n}" for n in (1, 2, 3)]
    assert [len(RunFolder(run).read_plan().pairs) for run in runs] == [1, 1, 1]
    assert all((run / "best.run.yaml").exists() for run in runs)


def test_pages_are_planes_for_a_network_of_stacks(tmp_path, capsys):
    for pair in blurred_pairs(1, (4, 32, 64)):
        for side, image in (("noisy", pair.source), ("clean", pair.target)):
            (tmp_path / side).mkdir()
            tifffile.imwrite(tmp_path / side / "a.tif", image.array, photometric="minisblack")
    inputs = [str(tmp_path / side) for side in ("noisy", "clean")]
    words = ["train", *inputs, "-o", str(tmp_path / "run"), "--steps", "2", "--patch", "16"]
    words += ["--batch", "2", "--preset", "unet-3d", "--kept-out", "nothing"]
    assert main([*words]) == 0
    plan = RunFolder(tmp_path / "run").read_plan()
    assert [pair["shape"] for pair in plan.pairs] == [[4, 32, 64]]
    assert "Nothing was kept out" in capsys.readouterr().out


def test_a_resumed_run_refuses_options_that_differ_from_its_own(tmp_path, capsys):
    run = tmp_path / "run"
    words = ["train", *folders(tmp_path), "-o", str(run)]
    assert main([*words, *SHORT]) == 0
    before = {path: path.read_bytes() for path in run.iterdir()}
    resumed = [*words, "--resume", "--patch", "16"]
    capsys.readouterr()
    for other in (["--minutes", "5", "--kept_out=nothing"], ["--steps", "0"], ["--no-structures"]):
        assert main([*resumed, *other]) == 2
        said = capsys.readouterr().err
        named = [word.partition("=")[0] for word in other if word.startswith("--")]
        assert said == (
            "napari-aeanet: --resume goes on with the settings of the run: leave out "
            f"{', '.join(named)}, or train a new run.\n"
        )
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    assert main([*resumed, "--steps=8", "--preset", "auto"]) == 0


def test_a_finished_run_is_not_prepared_again(tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    words = ["train", *folders(tmp_path), "-o", str(run)]
    assert main([*words, *SHORT]) == 0
    capsys.readouterr()

    def collect_pairs(*_):
        raise AssertionError("pairs were read")

    monkeypatch.setattr("napari_aeanet.cli.console.collect_pairs", collect_pairs)
    assert main([*words, "--resume"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("this run is finished\n")


def test_the_end_names_the_model_and_the_next_step(tmp_path, capsys):
    run = tmp_path / "a run"
    assert main(["train", *folders(tmp_path), "-o", str(run), *SHORT]) == 0
    model = run / "best.aeanet"
    last = [
        f"model: {model}",
        f"next: napari-aeanet restore IMAGE -m '{model}'",
    ]
    assert capsys.readouterr().out.splitlines()[-2:] == last
    assert main(["train", *folders(tmp_path), "-o", str(run), "--resume"]) == 0
    assert capsys.readouterr().out.splitlines() == ["this run is finished", *last]


@pytest.mark.parametrize(
    ("done", "reason", "told"),
    [
        (8, FinishReason.COMPLETE, ""),
        (5, FinishReason.COMPLETE, "ended after 5 steps, 8 were planned at first: time was up\n"),
        (9, FinishReason.COMPLETE, "ended after 9 steps, 8 were planned at first: time was left\n"),
        (5, FinishReason.NO_GAIN, "ended after 5 steps of 8: there was no further gain\n"),
    ],
)
def test_another_number_of_steps_than_planned_is_explained(tmp_path, capsys, done, reason, told):
    progress = Progress("training", done, done)
    planned = Planned(8, tmp_path, "CPU", "plan", (), progress)
    finished = Finished(reason, tmp_path / "best.aeanet", 1.0, 0.1, "result", progress)
    assert follow(iter([planned, finished])) is finished
    assert capsys.readouterr().out == f"plan\nresult\n{told}"
