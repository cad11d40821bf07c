"""Learning from a stack: reproducible, resumable, honest; the model file; tiles."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import randomise
from scipy.ndimage import gaussian_filter

from napari_aeanet.interpolation import triplets
from napari_aeanet.interpolation.config import GuidedConfig, SsanConfig
from napari_aeanet.interpolation.flow import WarpedNeighbours
from napari_aeanet.interpolation.guided import GuidedNetwork
from napari_aeanet.interpolation.hidden import HiddenSection, hide_section
from napari_aeanet.interpolation.learner import Learner, learning_rate
from napari_aeanet.interpolation.learning import (
    learn_sections,
    learn_sections_events,
    resume_sections_events,
)
from napari_aeanet.interpolation.learning_settings import (
    LearnCompared,
    LearnSettings,
    LearnStepped,
    Schedule,
    SectionLoss,
    SectionNetwork,
    SectionPrepared,
    SectionsLearnt,
)
from napari_aeanet.interpolation.measures import SectionScores
from napari_aeanet.interpolation.prediction import NetworkInterpolator
from napari_aeanet.interpolation.section_model import (
    SectionModel,
    build_network,
    load_section_model,
    save_section_model,
)
from napari_aeanet.interpolation.triplets import network_planes, split

TINY = GuidedConfig(features=8, levels=2)
TINY_SSAN = SsanConfig(channels=8, blocks=1, convolutions=1, growth=8, residual=True)
SETTINGS = LearnSettings(steps=6, patch=32, batch=2, device="cpu")


@cache
def stack() -> np.ndarray:
    """Smooth tissue that changes slowly from section to section, with grain."""
    rng = np.random.default_rng(0)
    volume = gaussian_filter(rng.standard_normal((12, 96, 96)), (1.2, 3, 3))
    volume = 128 + 50 * volume / volume.std() + rng.normal(0, 6, volume.shape)
    return np.clip(volume, 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def aligned_once(monkeypatch):
    """Most of the time of these short runs is the alignment of the same sections."""
    monkeypatch.setattr(triplets, "hide_section", lambda *s: _hidden(*(x.tobytes() for x in s)))


@cache
def _hidden(*sections: bytes) -> HiddenSection | None:
    return hide_section(*(np.frombuffer(one, np.float32).reshape(96, 96) for one in sections))


def learn(folder: Path, settings=SETTINGS, **options) -> list:
    options = {"config": TINY} | options
    return list(learn_sections_events(stack(), folder, settings, **options))


def test_a_run_ends_with_a_model_and_the_figures_of_both(tmp_path):
    events = learn(tmp_path / "run")
    result = events[-1]
    assert isinstance(result, SectionsLearnt)
    assert [e.step for e in events if isinstance(e, LearnStepped)] == [1, 2, 3, 4, 5, 6]
    assert [e.step for e in events if isinstance(e, LearnCompared)] == [2, 4, 6]
    assert all(0 <= e.progress.fraction <= 1 for e in events)
    assert result.progress.fraction == 1
    card = load_section_model(result.model).card
    assert card.scores == result.scores
    assert card.kept_out == result.kept_out
    assert f"{result.scores.learnt.agreement:.3f}" in card.summary
    assert f"{result.scores.smoothed.agreement:.3f}" in card.summary


def test_kept_out_sections_are_not_seen_by_the_learning(tmp_path):
    """Other pixels in the kept-out sections change the scores, not the weights."""
    first = learn(tmp_path / "a")[-1]
    changed = stack().copy()
    for index in first.kept_out:
        changed[index] = np.clip(changed[index] * 0.8 + 10, 0, 255)
    second = learn_sections(changed, tmp_path / "b", SETTINGS, config=TINY)
    assert first.kept_out == second.kept_out
    assert first.scores != second.scores
    assert_same_weights(first.model, second.model)


def assert_same_weights(first: Path, second: Path) -> None:
    one, other = (load_section_model(path).weights for path in (first, second))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("config", [TINY, TINY_SSAN])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path, config):
    whole = learn(tmp_path / "whole", config=config)[-1]
    events = learn_sections_events(stack(), tmp_path / "parts", SETTINGS, config=config)
    for event in events:
        if isinstance(event, LearnStepped) and event.step == 3:
            break
    events.close()
    again = list(resume_sections_events(stack(), tmp_path / "parts"))
    assert [e.step for e in again if isinstance(e, LearnStepped)] == [4, 5, 6]
    assert_same_weights(whole.model, again[-1].model)
    assert whole.scores == again[-1].scores
    assert whole.sections == again[-1].sections


def test_a_finished_run_gives_its_result_again(tmp_path):
    first = learn(tmp_path / "run")[-1]
    again = list(resume_sections_events(stack(), tmp_path / "run"))
    assert not any(isinstance(event, LearnStepped) for event in again)
    assert again[-1].scores == first.scores


def test_a_run_goes_on_with_its_own_stack_alone(tmp_path):
    learn(tmp_path / "run")
    with pytest.raises(ValueError, match="another stack"):
        list(resume_sections_events(stack()[:, ::-1], tmp_path / "run"))


def test_folders_are_not_mistaken(tmp_path):
    learn(tmp_path / "run")
    with pytest.raises(FileExistsError, match="go on with it"):
        learn(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="holds no learning"):
        list(resume_sections_events(stack(), tmp_path / "other"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_stopped_before_its_first_step_leaves_nothing(tmp_path):
    events = learn_sections_events(stack(), tmp_path / "run", SETTINGS, config=TINY)
    assert isinstance(next(events), SectionPrepared)
    events.close()
    assert not (tmp_path / "run").exists()


def test_a_computing_time_becomes_steps(tmp_path):
    settings = replace(SETTINGS, steps=0, cpu_seconds=1e-3)
    events = learn(tmp_path / "run", settings)
    assert sum(isinstance(event, LearnStepped) for event in events) == 0  # spent by the alignment
    plenty = learn_sections_events(
        stack(), tmp_path / "other", replace(settings, cpu_seconds=1e6), config=TINY
    )
    step = next(event for event in plenty if isinstance(event, LearnStepped))
    plenty.close()
    assert step.progress.total > 1000


def test_damaged_and_unmatched_sections_are_left_out(tmp_path):
    pixels = stack().copy()
    pixels[10] = np.random.default_rng(1).integers(0, 255, pixels[0].shape)
    events = list(islice(learn_sections_events(pixels, tmp_path / "run", SETTINGS, skip=(1,)), 8))
    refused = {e.index: e.refusal for e in events if isinstance(e, SectionPrepared)}
    assert list(refused) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert not any(refused[index] for index in range(3, 9))
    assert all(refused[index] for index in (9, 10))


def test_too_few_sections_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="too few to learn from"):
        list(learn_sections_events(stack()[:7], tmp_path / "run", SETTINGS))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("count", [8, 12, 20, 33, 48])
def test_kept_out_sections_touch_none_that_is_learnt_from(count):
    division = split(range(1, count + 1))
    assert division.kept_out
    assert all(abs(a - b) > 1 for a in division.sections for b in division.kept_out)
    assert min(division.kept_out) > 1
    assert max(division.kept_out) < count


def test_the_published_loss_is_learnt_with(tmp_path):
    settings = replace(SETTINGS, loss=SectionLoss.PUBLISHED, steps=2)
    losses = [e.loss for e in learn(tmp_path / "run", settings) if isinstance(e, LearnStepped)]
    assert all(np.isfinite(losses))


@pytest.mark.parametrize("config", [TINY, TINY_SSAN])
def test_learning_reduces_the_loss(config):
    learner = Learner(config, SETTINGS, torch.device("cpu"))
    patches = torch.rand(2, 5, 32, 32, generator=torch.Generator().manual_seed(0))
    patches[:, 4] = patches[:, learner.network.in_channels - 2] + 0.3
    losses = [learner.step(patches, 1e-2) for _ in range(30)]
    assert losses[-1] < 0.7 * losses[0]


def test_a_loss_that_is_not_finite_is_refused():
    learner = Learner(TINY, SETTINGS, torch.device("cpu"))
    before = learner.state()
    with pytest.raises(ValueError, match="lower learning rate"):
        learner.step(torch.full((1, 5, 32, 32), torch.nan), 1e-3)
    assert all(torch.equal(value, before[name]) for name, value in learner.state().items())


def test_schedules():
    cosine = LearnSettings(steps=100).resolved()
    assert learning_rate(cosine, 0, 100) < learning_rate(cosine, 20, 100)
    assert learning_rate(cosine, 99, 100) < 0.01 * cosine.learning_rate
    published = replace(cosine, schedule=Schedule.PUBLISHED)
    assert learning_rate(published, 59, 100) == pytest.approx(1e-3)
    assert learning_rate(published, 60, 100) == pytest.approx(1e-4)


def test_what_is_left_open_suits_the_network():
    given = LearnSettings(network=SectionNetwork.SSAN, patch=64, seed=2)
    found = given.resolved()
    assert (found.patch, found.batch, found.learning_rate, found.seed) == (64, 1, 2e-3, 2)
    assert found.resolved() == found


def test_the_published_recipe():
    recipe = LearnSettings(seed=3).published(sections=10)
    assert (recipe.steps, recipe.batch, recipe.patch, recipe.seed) == (167, 3, 512, 3)
    assert isinstance(recipe.config, SsanConfig)
    assert not recipe.config.residual
    assert recipe.config.channels == 64


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"patch": 8}, "at least 32"),
        ({"cpu_seconds": 0.0}, "cpu_seconds"),
        ({"vgg_weights": "a.pth"}, "published loss"),
    ],
)
def test_wrong_options_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        LearnSettings(**options)


# The network is used only if it is better


def scores(agreement: float) -> SectionScores:
    return SectionScores(psnr=1, ssim=1, error=1, agreement=agreement, sharpness=1)


def test_a_network_is_used_only_if_it_beats_the_smoothed_flow(tmp_path):
    result = learn(tmp_path / "run")[-1].scores
    better = replace(result, flow=scores(0.3), smoothed=scores(0.4), learnt=scores(0.41))
    worse = replace(better, learnt=scores(0.39))
    assert better.is_better
    assert better.words.startswith("The network is used")
    assert not worse.is_better
    assert "the optical flow stays" in worse.words
    assert "0.390" in worse.words
    assert "0.400" in worse.words


# Prediction


def warped(shape=(70, 150), at=0.5, seed=0) -> WarpedNeighbours:
    rng = np.random.default_rng(seed)
    planes = gaussian_filter(rng.random((4, *shape)), (0, 2, 2)).astype(np.float32)
    return WarpedNeighbours(
        before=planes[0],
        after=planes[1],
        aligned_before=planes[2],
        aligned_after=planes[3],
        weight=np.full(shape, at, np.float32),
    )


def network(config=TINY):
    found = build_network(config)
    randomise(found)
    return found.eval()


def test_tiles_join_without_seams():
    """Convolutions are local: tiles with enough overlap give the whole section's result."""
    neighbours = warped((160, 352))
    whole = NetworkInterpolator(network(), 0.0, 1.0)(neighbours)
    tiled = NetworkInterpolator(network(), 0.0, 1.0, tile=192)(neighbours)
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


@pytest.mark.parametrize("size", [(33, 65), (20, 31), (96, 96)])
def test_sections_of_any_size_keep_their_size(size):
    for config in (TINY, TINY_SSAN):
        made = NetworkInterpolator(network(config), 0.0, 255.0)(warped(size))
        assert made.shape == size
        assert made.dtype == np.float32


@pytest.mark.parametrize("at", [0.5, 1 / 3])
def test_an_untrained_network_is_the_blend_of_the_flow(at):
    neighbours = warped(at=at)
    neighbours.weight[:, :5], neighbours.weight[:3] = 0, 1
    made = NetworkInterpolator(GuidedNetwork(TINY).eval(), -3.0, 7.0)(neighbours)
    np.testing.assert_allclose(made, neighbours.blended(), atol=1e-5)


def test_ssan_makes_the_middle_section_alone():
    made = NetworkInterpolator(network(TINY_SSAN), 0.0, 1.0)
    aside, middle = warped(at=1 / 3), warped()
    assert np.array_equal(made(aside), aside.blended())
    assert not np.allclose(made(middle), middle.blended(), atol=0.01)


def test_a_missing_part_of_a_neighbour_is_taken_from_the_other():
    neighbours = warped((8, 8))
    neighbours.weight[0], neighbours.weight[1] = 0, 1
    aligned_before, aligned_after, before, after = network_planes(neighbours)
    assert np.array_equal(after[0], neighbours.before[0])
    assert np.array_equal(before[1], neighbours.after[1])
    assert np.array_equal(aligned_after[0], neighbours.aligned_before[0])
    assert np.array_equal(aligned_before[2:], neighbours.aligned_before[2:])


# The model file


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> SectionModel:
    folder = tmp_path_factory.mktemp("learnt") / "run"
    return load_section_model(learn(folder, replace(SETTINGS, steps=1))[-1].model)


def test_models_survive_the_disk(model, tmp_path):
    save_section_model(model, tmp_path / "copy.safetensors")
    copy = load_section_model(tmp_path / "copy.safetensors")
    assert copy.card == model.card
    neighbours = warped()
    made = (NetworkInterpolator.of(one, "cpu")(neighbours) for one in (model, copy))
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda m: m.weights.popitem(), "is missing"),
        (lambda m: m.weights.update(more=torch.zeros(1)), "is none of its"),
        (lambda m: next(iter(m.weights.values())).fill_(torch.nan), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(model, tmp_path, spoil, word):
    weights = {name: value.clone() for name, value in model.weights.items()}
    spoilt = replace(model, weights=weights)
    spoil(spoilt)
    save_section_model(spoilt, tmp_path / "spoilt.safetensors")
    with pytest.raises(ValueError, match=word):
        load_section_model(tmp_path / "spoilt.safetensors")


def test_other_files_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"no tensors")
    for name in ("a", "b"):
        path = tmp_path / f"{name}.safetensors"
        with pytest.raises(ValueError, match="interpolation of sections") as caught:
            load_section_model(path)
        assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        load_section_model(tmp_path / "c.safetensors")
