"""Evaluation: figures, means, tests, and the exclusion of training images."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import blurred_pairs, eight_bit_image, model_of, small_config, small_network
from scipy import stats

from napari_aeanet.cli import main
from napari_aeanet.core import metrics
from napari_aeanet.dataset.pair_samples import samples_of, target_fingerprint
from napari_aeanet.evaluation.files import cases_from_files
from napari_aeanet.evaluation.methods import (
    Case,
    GivenImages,
    Input,
    NeighbourMethod,
    NeighboursOfOthers,
    NonLocalMeans,
    Restoration,
    source_of,
)
from napari_aeanet.evaluation.patch_library import NeighbourSettings, Weights, build_library
from napari_aeanet.evaluation.regions import scored_regions
from napari_aeanet.evaluation.report import save_csv, save_page, table
from napari_aeanet.evaluation.report import test_in_words as in_words
from napari_aeanet.evaluation.run import evaluate, evaluate_events
from napari_aeanet.evaluation.scoring import METRICS, Matching, score
from napari_aeanet.evaluation.settings import Evaluated, EvaluateSettings, Scored
from napari_aeanet.evaluation.statistics import mean_of, paired_test
from napari_aeanet.io.files import write_image
from napari_aeanet.models import presets
from napari_aeanet.models.model_file import load_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.training.run import train_events
from napari_aeanet.training.settings import TrainSettings

RNG = np.random.default_rng(0)


def noisy(truth, deviation, name):
    values = truth.read() + np.random.default_rng(len(name)).normal(0, deviation, truth.shape)
    return truth.with_array(np.clip(values, 0, 255).astype(np.uint8), name=name)


@pytest.fixture(scope="module")
def cases():
    """Four truths, each with a slightly and a very noisy image."""
    truths = [pair.target for pair in blurred_pairs(4, (48, 64))]
    return [
        Case(
            f"S{i}", truth, files={"mild": noisy(truth, 3, "mild"), "bad": noisy(truth, 20, "bad")}
        )
        for i, truth in enumerate(truths)
    ]


def evaluation_of(cases, methods, **settings):
    return evaluate(cases, methods, EvaluateSettings(**settings))


# --- figures


def test_scores_are_those_of_the_metrics(cases):
    case = cases[0]
    found = score(case.files["mild"], case.truth, Matching.NONE)
    truth, made = case.truth.read(), case.files["mild"].read()
    assert found.psnr == metrics.psnr(truth, made, 255)
    assert found.ssim == metrics.ssim(truth, made, 255)
    assert found.nrmse == metrics.nrmse(truth, made, 255)
    assert found.pearson == metrics.pearson(truth, made)
    assert found.error == metrics.interpolation_error(truth, made, 255)
    assert found.foreground == metrics.psnr_by_ground(truth, made, 255).foreground
    assert found.resolution == metrics.ring_correlation(truth, made).resolution


def test_matching_decides_what_a_gain_costs(cases):
    truth = cases[0].truth
    darker = truth.with_array((truth.read() * 0.5).astype(np.float32), name="darker")
    assert score(darker, truth, Matching.AFFINE).psnr == metrics.HIGHEST_PSNR
    assert score(darker, truth, Matching.NONE).psnr < 20
    assert score(darker, truth, Matching.CARE).nrmse == pytest.approx(0, abs=1e-6)


def test_without_matching_values_beyond_the_number_type_are_cut():
    truth = eight_bit_image(np.ones((20, 20)), "truth")
    above = truth.with_array(np.full((20, 20), 400.0), name="above")
    assert score(above, truth, Matching.NONE).error == 0


def test_regions_are_averaged(cases):
    case = cases[0]
    halves = [(slice(0, 48), slice(0, 32)), (slice(0, 48), slice(32, 64))]
    both = score(case.files["bad"], case.truth, Matching.NONE, halves)
    each = [score(case.files["bad"], case.truth, Matching.NONE, [half]) for half in halves]
    assert both.psnr == pytest.approx(np.mean([one.psnr for one in each]))


def test_a_flat_stack_is_compared_plane_by_plane():
    truth = eight_bit_image(RNG.random((3, 20, 24)), "stack")
    found = score(noisy(truth, 5, "noisy"), truth)
    assert 0 < found.ssim < 1
    assert np.isnan(found.resolution)


def test_unequal_sizes_and_missing_numbers_are_errors(cases):
    truth = cases[0].truth
    with pytest.raises(ValueError, match=r"48 × 63.*48 × 64.*Register"):
        score(truth.with_array(truth.read()[:, 1:], name="cut"), truth)
    holes = np.where(np.eye(48, 64), np.nan, 1.0)
    with pytest.raises(ValueError, match="NaN"):
        score(truth.with_array(holes, name="holes"), truth)


# --- statistics


def test_the_interval_is_a_standard_error_for_many_and_wider_for_few():
    values = list(RNG.normal(size=400))
    assert mean_of(values).half_width == pytest.approx(stats.sem(values), rel=0.01)
    assert mean_of(values[:3]).half_width > 1.2 * stats.sem(values[:3])
    assert np.isnan(mean_of([1.0]).low)
    assert np.isnan(mean_of([]).value)


def test_the_interval_holds_the_mean_in_68_of_100_cases():
    draws = RNG.normal(size=(2000, 5))
    inside = [(m := mean_of(list(one))).low < 0 < m.high for one in draws]
    assert np.mean(inside) == pytest.approx(0.6827, abs=0.03)


def test_paired_tests_are_one_tailed():
    a = list(RNG.normal(1, 1, 30))
    b = [x - d for x, d in zip(a, RNG.normal(0.5, 0.5, 30), strict=True)]
    found = paired_test("a", a, "b", b)
    assert found.t_test == pytest.approx(stats.ttest_rel(a, b, alternative="greater").pvalue)
    assert found.wilcoxon == pytest.approx(stats.wilcoxon(a, b, alternative="greater").pvalue)
    assert found.t_test < 0.01 < 0.99 < paired_test("b", b, "a", a).t_test
    assert paired_test("b", b, "a", a, higher_is_better=False).t_test < 0.01


def test_a_single_image_or_equal_differences_give_no_p_value():
    alone = paired_test("a", [1.0], "b", [0.0])
    assert np.isnan(alone.t_test)
    assert "too few images" in in_words(alone, METRICS["psnr"])
    assert np.isnan(paired_test("a", [1.0, 2.0], "b", [0.0, 1.0]).wilcoxon)


def test_a_difference_that_may_be_chance_is_called_so():
    found = paired_test("a", [1.0, 2.0, 3.0], "b", [1.5, 1.4, 2.9])
    assert "may be chance" in in_words(found, METRICS["psnr"])


# --- evaluating


def test_the_better_method_comes_first_and_is_significantly_better(cases):
    found = evaluation_of(cases, [GivenImages("bad"), GivenImages("mild")])
    assert found.best() == "mild"
    (test,) = found.tests()
    assert test.t_test < 0.01
    assert [row[0] for row in table(found)] == ["method", "mild", "bad"]
    assert found.mean("mild", "psnr").value == pytest.approx(np.mean(found.values("mild", "psnr")))


def test_the_error_map_shows_where_an_image_is_wrong(cases):
    truth = cases[0].truth
    wrong = truth.read().astype(np.float32)
    wrong[10:14, 20:24] += 30
    case = Case("S", truth, files={"wrong": truth.with_array(wrong, name="wrong")})
    events = list(
        evaluate_events([case], [GivenImages("wrong")], EvaluateSettings(matching=Matching.NONE))
    )
    (scored,) = (event for event in events if isinstance(event, Scored))
    error = scored.error.read()
    assert (error[10:14, 20:24] > 0).all()
    assert np.count_nonzero(error) == 16
    assert scored.error.pixel_size == truth.pixel_size


def test_the_border_is_left_out(cases):
    truth = cases[0].truth
    framed = truth.read().copy()
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 0, 0, 0, 0
    case = Case("S", truth, files={"framed": truth.with_array(framed, name="framed")})
    found = evaluation_of([case], [GivenImages("framed")], border=4)
    assert found.values("framed", "psnr") == [metrics.HIGHEST_PSNR]
    with pytest.raises(ValueError, match="border of 30 pixels"):
        evaluation_of([case], [GivenImages("framed")], border=30)


def test_one_bad_image_is_left_out_with_a_notice(cases):
    truth = cases[1].truth
    cut = Case("cut", truth, files={"mild": truth.with_array(truth.read()[1:], name="cut")})
    found = evaluation_of([cases[0], cut], [GivenImages("mild")])
    assert found.cases == ("S0",)
    assert "47 × 64" in found.notices[0]


def test_arguments_are_checked_at_the_call(cases):
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate_events([], [Input()])
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate_events(cases, [])
    with pytest.raises(ValueError, match="a name of its own, got mild, mild"):
        evaluate_events(cases, [GivenImages("mild"), GivenImages("mild")])


def test_the_last_event_is_the_result_and_the_progress_is_reported(cases):
    reported = []
    found = evaluate(cases, [GivenImages("mild"), GivenImages("bad")], progress=reported.append)
    *_, last = evaluate_events(cases, [GivenImages("mild"), GivenImages("bad")])
    assert isinstance(last, Evaluated)
    assert last.progress == reported[-1]
    assert (reported[-1].done, reported[-1].total) == (8, 8)
    assert found.rows == last.evaluation.rows


def test_pairs_are_evaluated_like_their_cases():
    pairs = blurred_pairs(2, (48, 64))
    cases = [Case.of(pair) for pair in pairs]
    assert evaluate(pairs, [Input()]).rows == evaluate(cases, [Input()]).rows


def test_cases_of_one_name_are_all_counted(cases):
    first, second = (replace(case, name="S") for case in cases[:2])
    found = evaluate([first, second], [GivenImages("mild")])
    assert found.cases == ("S", "S (2)")
    values = [score(case.files["mild"], case.truth).psnr for case in (first, second)]
    assert found.values("mild", "psnr") == values


def test_a_case_without_the_image_of_a_method_is_an_error():
    with pytest.raises(ValueError, match="no image of 'x'"):
        evaluation_of([Case("S", eight_bit_image(RNG.random((20, 20)), "S"))], [GivenImages("x")])


def test_classical_methods_are_better_than_the_input():
    pairs = blurred_pairs(2, (64, 72))
    planes = [(pair.source.read(), pair.target.read()) for pair in pairs]
    settings = [NeighbourSettings(weights=w, library=1500, clusters=8) for w in Weights]
    libraries = [NeighbourMethod(build_library(planes[:1], one)) for one in settings]
    methods = [Input(), NonLocalMeans.fitted(planes[:1]), *libraries]
    found = evaluation_of([Case.of(pairs[1])], methods)
    base = found.mean("input", "psnr").value
    assert found.mean("NLM", "psnr").value > base
    assert found.mean("LB-NLM", "psnr").value > base
    assert found.mean("SRSW", "psnr").value > base


def test_of_a_projection_the_input_is_the_brightest_pixel():
    stack = eight_bit_image(RNG.random((4, 20, 24)), "stack")
    flat = eight_bit_image(RNG.random((20, 24)), "flat")
    source = source_of(Case.of(ImagePair(stack, flat)), flat=True)
    np.testing.assert_array_equal(source.read(), stack.read().max(axis=0))
    assert source.axes == "YX"


# --- training images


def trained_on(pair, kept_out):
    """A model whose card says that it was trained on `pair` except in these boxes."""
    model = model_of(small_network("unet-2d"))
    samples = samples_of({0: pair}, model.card.normalisation, Path()).samples
    check = [[0, [s.start for s in box], [s.stop for s in box]] for box in kept_out]
    known = {"name": pair.name, "target_hash": target_fingerprint(samples[0]), "hash": "-"}
    plan = {"pairs": [known], "split": {"train": [], "check": check}}
    return replace(model, card=replace(model.card, provenance={"plan": plan}))


def test_training_images_are_refused_unless_forced():
    pair = blurred_pairs(1, (48, 64))[0]
    methods = [Input(), Restoration("model", trained_on(pair, []))]
    with pytest.raises(ValueError, match=r"S0 was used to train model.*force"):
        evaluation_of([Case.of(pair)], methods)
    forced = evaluation_of([Case.of(pair)], methods, force=True)
    assert any("Forced" in notice for notice in forced.notices)


def test_the_same_truth_is_known_with_another_source():
    pair = blurred_pairs(1, (48, 64))[0]
    model = trained_on(pair, [])
    other = replace(pair, source=noisy(pair.target, 9, "other"), name="renamed")
    with pytest.raises(ValueError, match="renamed was used to train model"):
        evaluation_of([Case.of(other)], [Restoration("model", model)])


def test_only_the_kept_out_part_counts_for_all_methods():
    pair = blurred_pairs(1, (48, 64))[0]
    kept = (slice(0, 48), slice(40, 64))
    found = evaluation_of(
        [Case.of(pair)], [Input(), Restoration("model", trained_on(pair, [kept]))]
    )
    expected = score(pair.source, pair.target, Matching.AFFINE, [kept])
    assert found.values("input", "psnr") == [expected.psnr]
    assert "only the part outside the training of model" in found.notices[0]


def test_with_two_models_only_the_part_outside_both_trainings_counts():
    pair = blurred_pairs(1, (48, 64))[0]
    first = trained_on(pair, [(slice(0, 48), slice(20, 64))])
    second = trained_on(pair, [(slice(0, 30), slice(0, 64))])
    found = evaluation_of(
        [Case.of(pair)], [Input(), Restoration("a", first), Restoration("b", second)]
    )
    both = (slice(0, 30), slice(20, 64))
    expected = score(pair.source, pair.target, Matching.AFFINE, [both])
    assert found.values("input", "psnr") == [expected.psnr]


def test_unknown_images_are_scored_whole():
    known, new = blurred_pairs(2, (48, 64))
    found = evaluation_of([Case.of(new)], [Restoration("model", trained_on(known, []))])
    assert not any("outside the training" in notice for notice in found.notices)
    assert found.cases == ("S1",)


def test_the_file_of_a_trained_model_names_its_training_images(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)
    *pairs, new = blurred_pairs(3)
    settings = TrainSettings(preset="unet-2d", steps=1, patch=32, batch=2, device="cpu")
    finished = list(train_events(pairs, settings, tmp_path / "run"))[-1]
    model = load_model(finished.bundle)
    found = evaluation_of([Case.of(pairs[1]), Case.of(new)], [Restoration("model", model)])
    assert found.cases == ("S1", "S2")
    assert [notice[:2] for notice in found.notices] == ["S1"]
    regions = [
        scored_regions(Case.of(pair), [Restoration("model", model)], EvaluateSettings()).boxes
        for pair in (pairs[1], new)
    ]
    # the right column of the one, all of the other
    assert {box[1].start for box in regions[0]} == {96}
    assert regions[1] == ((slice(0, 96), slice(0, 128)),)


# --- reports and the command


def test_the_csv_holds_every_figure_and_the_means(cases, tmp_path):
    found = evaluation_of(cases, [GivenImages("mild"), GivenImages("bad")])
    save_csv(found, tmp_path / "scores.csv")
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert len(rows) == 4 * 2 + 3 * 2
    assert set(METRICS) <= set(rows[0])
    mean = next(row for row in rows if row["image"] == "mean" and row["method"] == "bad")
    each = [float(r["psnr"]) for r in rows if r["method"] == "bad" and r["image"].startswith("S")]
    assert float(mean["psnr"]) == pytest.approx(np.mean(each), rel=1e-4)


def test_the_page_is_one_pdf_page(cases, tmp_path):
    found = evaluation_of(cases, [GivenImages("mild"), GivenImages("bad")])
    save_page(found, tmp_path / "page.pdf")
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") == 1


@pytest.fixture
def folders(cases, tmp_path):
    for case in cases:
        for name, made in {"truth": case.truth, **case.files}.items():
            (tmp_path / name).mkdir(exist_ok=True)
            write_image(made, tmp_path / name / f"{case.name}.tif")
    return tmp_path


def test_folders_are_compared_by_the_names_of_their_files(folders):
    (folders / "mild" / "S3.tif").unlink()
    found, problems = cases_from_files(folders / "truth", [folders / "mild", folders / "bad"])
    assert [case.name for case in found] == ["S0", "S1", "S2", "S3"]
    assert set(found[0].files) == {"mild", "bad"}
    assert set(found[3].files) == {"bad"}
    assert any("S3" in problem for problem in problems)


def test_the_command_compares_folders(folders, capsys):
    words = ["evaluate", str(folders / "mild"), str(folders / "bad"), "-t", str(folders / "truth")]
    assert main([*words, "-o", str(folders / "out"), "--error-maps"]) == 0
    text = capsys.readouterr().out
    assert "mild is ahead of bad" in text
    assert (folders / "out" / "scores.csv").exists()
    assert (folders / "out" / "report.pdf").exists()
    assert len(list((folders / "out" / "errors").iterdir())) == 8


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "a"],
        ["evaluate", "a", "-t", "b", "-m", "c.aeanet"],
        ["evaluate", "nowhere", "-t", "nothing"],
        ["evaluate", "a", "-t", "b", "--error-maps"],
    ],
)
def test_wrong_use_of_the_command_is_one_sentence(words, capsys):
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("weights", list(Weights))
def test_a_library_of_the_other_pairs_never_sees_the_truth_of_a_pair(weights):
    """Every pair is restored from the others: another truth of its own changes nothing."""
    pairs = blurred_pairs(3, (48, 64))
    settings = NeighbourSettings(weights=weights, library=500, clusters=4)
    (restored,) = [
        one
        for one in NeighboursOfOthers(pairs, settings).work(Case.of(pairs[1]))
        if one is not None
    ]
    other = ImagePair(pairs[1].source, pairs[1].target.with_array(255 - pairs[1].target.read()))
    changed = [pairs[0], other, pairs[2]]
    (same,) = [
        one for one in NeighboursOfOthers(changed, settings).work(Case.of(other)) if one is not None
    ]
    np.testing.assert_array_equal(restored.read(), same.read())
