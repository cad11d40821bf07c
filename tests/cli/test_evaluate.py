"""`napari-aeanet evaluate` with files: names, outputs, and what it says when one is missing."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import blurred_pairs, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.evaluation import Case, Restoration, evaluate
from napari_aeanet.evaluation.files import cases_from_files
from napari_aeanet.io.files import write_image
from napari_aeanet.models import save_model
from napari_aeanet.pairs import pairs_from_folders
from napari_aeanet.pairs.name_matching import split_ending
from napari_aeanet.restoration import RestoreSettings, Use


@pytest.fixture
def folder(tmp_path):
    """Three truths in hr, their inputs in lr, and better images to be saved under any name."""
    for number, pair in enumerate(blurred_pairs(3, (48, 64))):
        for name, image in (("hr", pair.target), ("lr", pair.source), ("made", made(pair))):
            (tmp_path / name).mkdir(exist_ok=True)
            write_image(image, tmp_path / name / f"S{number}.tif")
    return tmp_path


def made(pair):
    noise = np.random.default_rng(0).normal(0, 2, pair.target.shape)
    return pair.target.with_array(np.clip(pair.target.read() + noise, 0, 255).astype(np.uint8))


def rename(folder, pattern):
    """Give the images in "made" other names."""
    for path in sorted((folder / "made").glob("*.tif")):
        path.rename(path.with_name(pattern.format(path.stem)))


def evaluated(*words):
    return main(["evaluate", *map(str, words)])


@pytest.mark.parametrize(
    "pattern",
    [
        "{}-restored.ome.tif",
        "{}_denoised.tif",
        "{} pred.tif",
        "{}_SR.tif",
        "{}-result-restored.tif",
    ],
)
def test_results_belong_to_truths_of_their_names_whatever_their_ending(folder, pattern, capsys):
    rename(folder, pattern)
    assert evaluated(folder / "made", "-t", folder / "hr") == 0
    assert "3 images" in capsys.readouterr().out
    (first, *_) = cases_from_files(folder / "hr", [folder / "made"])[0]
    assert (first.name, list(first.files)) == ("S0", ["made"])


def test_only_a_usual_ending_is_cut_off():
    assert split_ending("S01-restored") == ("S01", "restored")
    assert split_ending("S01_denoised_SR") == ("S01", "denoised sr")
    assert split_ending("restored") == ("restored", "")
    assert split_ending("S01-left") == ("S01-left", "")


@pytest.mark.parametrize("how", ["files", "glob"])
def test_files_and_globs_are_compared_with_a_folder(folder, how, capsys):
    rename(folder, "{}-restored.ome.tif")
    files = sorted((folder / "made").iterdir()) if how == "files" else [folder / "made/*.tif"]
    assert evaluated(*files, "-t", folder / "hr") == 0
    assert "3 images" in capsys.readouterr().out


def test_results_beside_their_inputs_are_told_apart_and_compared_with_them(folder, capsys):
    rename(folder, "{}-restored.ome.tif")
    for path in (folder / "made").iterdir():
        path.rename(folder / "lr" / path.name)
    assert evaluated(folder / "lr", "-t", folder / "hr", "--json") == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["baseline"] == "input"
    assert set(found["methods"]) == {"input", "lr"}
    assert found["methods"]["lr"]["gains"]["psnr"]["mean"] > 3
    assert "taken for the inputs" in told.err


def test_results_of_two_kinds_in_one_folder_are_two_methods(folder):
    rename(folder, "{}-restored.tif")
    for path in sorted((folder / "lr").iterdir()):
        path.rename(folder / "made" / f"{path.stem}_denoised.tif")
    cases, problems = cases_from_files(folder / "hr", [folder / "made"])
    assert [set(case.files) for case in cases] == [{"made restored", "made denoised"}] * 3
    assert not problems


def test_json_holds_rows_means_and_gains(folder, capsys):
    words = [folder / "made", "-t", folder / "hr", "--source", folder / "lr"]
    assert evaluated(*words, "--json", "-o", folder / "out") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == ["S0", "S1", "S2"]
    assert found["data_range"] == "255 (8 bit)"
    rows = {(row["image"], row["method"]): row for row in found["rows"]}
    assert len(rows) == 6
    gains = [rows[i, "made"]["psnr"] - rows[i, "input"]["psnr"] for i in found["images"]]
    assert [rows[i, "made"]["psnr_gain"] for i in found["images"]] == pytest.approx(gains)
    assert found["methods"]["made"]["gains"]["psnr"]["mean"] == pytest.approx(np.mean(gains))
    lines = list(csv.DictReader((folder / "out/scores.csv").read_text().splitlines()))
    table = {(line["image"], line["method"]): line for line in lines}
    assert float(table["mean", "made"]["psnr_gain"]) == pytest.approx(np.mean(gains), rel=1e-4)


def test_nothing_is_replaced_unasked(folder, capsys):
    words = [folder / "made", "-t", folder / "hr", "-o", folder / "out", "--error-maps"]
    assert evaluated(*words) == 0
    before = (folder / "out/scores.csv").read_bytes()
    (folder / "made/S0.tif").unlink()
    assert evaluated(*words) == 2
    assert "scores.csv exists already" in capsys.readouterr().err
    assert (folder / "out/scores.csv").read_bytes() == before
    assert evaluated(*words, "--overwrite") == 0
    assert (folder / "out/scores.csv").read_bytes() != before


def test_error_maps_of_like_names_have_files_of_their_own(folder, tmp_path):
    for name in ("a/x", "a-x"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(3):
        image = (folder / f"made/S{number}.tif").read_bytes()
        for name in ("a/x", "a-x", "b/x"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / name / f"S{number}.tif").write_bytes(image)
    words = [tmp_path / "a/x", tmp_path / "b/x", tmp_path / "a-x", "-t", folder / "hr"]
    assert evaluated(*words, "-o", folder / "out", "--error-maps") == 0
    assert len(list((folder / "out/errors").iterdir())) == 9


def test_a_method_without_a_figure_gives_one_sentence_and_exit_code_1(folder, capsys):
    for pair, path in zip(
        blurred_pairs(3, (48, 62)), sorted((folder / "lr").iterdir()), strict=True
    ):
        write_image(replace(pair.source, name=path.stem), path)
    assert evaluated(folder / "made", folder / "lr", "-t", folder / "hr") == 1
    told = capsys.readouterr()
    assert "made" in told.out
    last = told.err.strip().splitlines()[-1]
    assert last.startswith("napari-aeanet: No figure for lr: ")
    assert "48 × 62" in last
    assert "register" in last


def test_predictions_may_have_a_word_in_common(folder):
    rename(folder, "other-{}.tif")
    assert evaluated(folder / "made", "-t", folder / "hr") == 0


def test_names_that_do_not_match_are_one_sentence(folder, capsys):
    rename(folder, "other{}.tif")
    assert evaluated(folder / "made", "-t", folder / "hr") == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "nothing to compare" in last
    assert "has no truth of its name" in last


def test_classical_methods_restore_pairs_beside_the_input(folder, capsys):
    assert evaluated(folder / "lr", folder / "hr", "--nlm", "--lb-nlm", "--srsw", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["methods"]) == {"input", "NLM", "LB-NLM", "SRSW"}


def test_the_library_can_be_of_other_pairs(folder, capsys):
    for name in ("lr", "hr"):
        (folder / f"one-{name}").mkdir()
        path = folder / name / "S0.tif"
        path.rename(folder / f"one-{name}" / path.name)
    one = (folder / "one-lr", folder / "one-hr")
    assert evaluated(*one, "--library", folder / "lr", folder / "hr") == 0
    assert "LB-NLM" in capsys.readouterr().out
    assert evaluated(*one, "--srsw", "--library", folder / "lr", folder / "hr") == 0
    assert "LB-NLM" not in (text := capsys.readouterr().out)
    assert "SRSW" in text
    for flag in ("--lb-nlm", "--srsw"):
        assert evaluated(*one, flag) == 1
        assert "needs a second pair for its library" in capsys.readouterr().err


def test_classical_methods_need_pairs(folder, capsys):
    assert evaluated(folder / "made", "-t", folder / "hr", "--nlm") == 2
    assert "restore the sources of pairs" in capsys.readouterr().err


def test_models_restore_patch_by_patch_on_request(folder, capsys):
    model = model_of(small_network("aeanet-2d"))
    save_model(model, folder / "m.aeanet")
    pairs = [folder / "lr", folder / "hr", "-m", folder / "m.aeanet", "--json"]

    def figures(*words):
        assert evaluated(*pairs, *words) == 0
        found = json.loads(capsys.readouterr().out)
        (name,) = set(found["methods"]) - {"input"}
        return name, found["methods"][name]["figures"]["psnr"]["mean"]

    whole, patched = figures(), figures("--patch-size", "32", "--margin", "4")
    assert patched[0] == f"{whole[0]}, patches of 32"
    assert patched[1] != whole[1]  # another context
    # as restore does
    settings = RestoreSettings(use=Use.PATCHES, patch_size=32, margin=4)
    cases = [Case.of(pair) for pair in pairs_from_folders(folder / "lr", folder / "hr")]
    found = evaluate(cases, [Restoration("m", model, settings)])
    expected = found.mean("m", "psnr").value
    assert patched[1] == pytest.approx(expected)


def test_patches_that_leave_nothing_or_have_no_model_are_refused(folder, capsys):
    assert evaluated(folder / "lr", folder / "hr", "--patch-size", "64") == 2
    text = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "choose larger patches or a smaller margin" in text
    assert evaluated(folder / "made", "-t", folder / "hr", "--patch-size", "128") == 2
    assert "leave --truth out" in capsys.readouterr().err
