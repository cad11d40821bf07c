"""The published recipe: step by step the same as a plain PyTorch loop, and what may differ."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import blurred_pairs, small_config
from torch import nn

from napari_aeanet import networks, restore
from napari_aeanet.core.intensity import AS_THEY_ARE
from napari_aeanet.dataset import are_normalised
from napari_aeanet.evaluation.leakage import trained_on
from napari_aeanet.models import load_model, presets
from napari_aeanet.pairs import ImagePair, pairs_from_npz
from napari_aeanet.training import RunFolder, check_training, resume, train, train_events
from napari_aeanet.training.plan import first_plan
from napari_aeanet.training.settings import (
    Finished,
    Intensities,
    Keep,
    KeptOut,
    Places,
    Planned,
    Precision,
    Previewed,
    Profile,
    Statistics,
    Stepped,
    TrainSettings,
    Turns,
    Validated,
)

PUBLISHED = TrainSettings(profile=Profile.PUBLISHED, steps=20, batch=4)  # half sees the batch


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(monkeypatch):
    """Train small networks in the published profile."""
    made = presets.preset
    monkeypatch.setattr(
        presets,
        "preset",
        lambda name: replace(p := made(name), config=p.config.with_changes(features=8)),
    )


def full_scale(values):
    return (values - np.float32(0)) / np.float32(255)


def percentile(values):
    low, high = np.percentile(values.astype(np.float64), (2, 99.8))
    return (values - np.float32(low)) / np.float32(high - low)


def z_score(values):
    exact = values.astype(np.float64)
    return (values - np.float32(exact.mean())) / np.float32(exact.std())


def mae(outputs, target):
    return (outputs["prediction"] - target).abs().mean()


def mse(outputs, target):
    return ((outputs["prediction"] - target) ** 2).mean()


def laplace(outputs, target):
    error = (outputs["prediction"] - target).abs()
    return (error / outputs["sigma"] + torch.log(outputs["sigma"])).mean()


# Preset, shape of the patches, Adam's options, normalisation and loss, from the papers.
RECIPES = {
    "EM": ("aeanet-2d", (16, 16), 4e-4, 0.9, full_scale, mae),
    "CARE denoising": ("gvtnet-3d", (4, 16, 16), 4e-4, 0.5, percentile, laplace),
    "label-free": ("gvtnet-label-free", (8, 16, 16), 1e-3, 0.5, z_score, mse),
}


def bare_loop(pairs: list[ImagePair], recipe, steps: int, batch: int, seed: int = 0):
    """Return the weights after a training without anything of the program but its network."""
    preset, _, rate, beta1, normalised, loss_of = recipe
    sources, targets = (
        torch.from_numpy(
            np.stack([normalised(image.read().astype(np.float32))[None] for image in images])
        ).double()
        for images in ([p.source for p in pairs], [p.target for p in pairs])
    )
    torch.manual_seed(seed)
    network: nn.Module = networks.build(presets.preset(preset).config).double().train()
    adam = torch.optim.Adam(network.parameters(), lr=rate, betas=(beta1, 0.999))
    epochs = -(-steps * batch // len(pairs))
    order = np.concatenate(
        [np.random.default_rng([seed, e]).permutation(len(pairs)) for e in range(epochs)]
    )
    for step in range(steps):
        chosen = order[step * batch : (step + 1) * batch]
        adam.zero_grad()
        loss_of(network.outputs(sources[chosen]), targets[chosen]).backward()
        adam.step()
    return network.state_dict()


@pytest.mark.parametrize("name", RECIPES)
def test_a_published_run_equals_a_bare_loop_of_the_recipe(tmp_path, monkeypatch, name):
    small(monkeypatch)
    recipe = RECIPES[name]
    pairs = blurred_pairs(6, recipe[1])
    settings = replace(
        PUBLISHED,
        preset=recipe[0],
        batch=4 if name == "EM" else 2,
        places=Places.GIVEN,
        precision=Precision.FLOAT64,
    )
    found = train(pairs, settings, tmp_path / "run", force=True)
    weights = load_model(found.bundle).weights
    expected = bare_loop(pairs, recipe, settings.steps, settings.batch)
    assert weights.keys() == expected.keys()
    for key, value in expected.items():
        assert np.abs(weights[key] - value.numpy()).max() < 1e-10, key


def test_nothing_is_kept_out_and_the_last_model_is_kept(tmp_path, monkeypatch):
    small(monkeypatch)
    settings = replace(PUBLISHED, steps=4, patch=16)
    events = list(train_events(blurred_pairs(), settings, tmp_path / "run"))
    assert not [e for e in events if isinstance(e, Validated | Previewed)]
    last = events[-1]
    assert isinstance(last, Finished)
    assert np.isnan(last.psnr_gain)
    assert not last.is_better
    assert "Nothing was kept out" in last.summary
    run = RunFolder(tmp_path / "run")
    plan = run.read_plan()
    assert plan.split["check"] == []
    assert [plan.settings.keep, plan.settings.turns] == [Keep.LAST, Turns.NONE]
    assert plan.settings.statistics == Statistics.FOLLOWED
    state, _ = run.read_state()
    card = load_model(last.bundle)
    for name, value in card.weights.items():
        assert np.array_equal(value.squeeze(), state[f"network/{name}"].numpy().squeeze()), name
    assert card.card.gain == {}
    assert card.card.context is None


def test_what_differs_from_the_paper_stands_in_the_plan(tmp_path, monkeypatch):
    small(monkeypatch)
    settings = replace(PUBLISHED, steps=1, patch=16, kept_out=KeptOut.RIGHT_SIDE, jitter=0.1)
    train(blurred_pairs(), settings, tmp_path / "run")
    found = RunFolder(tmp_path / "run").read_plan().differences
    assert set(presets.preset("aeanet-2d").recipe.differences) < set(found)
    assert {
        "patch: (16, 16), published (256, 256)",
        "batch: 4, published 8",
        "steps: 1, published 120000",
        "kept out: right side, published nothing",
        "jitter: 0.1, published 0.0",
    } == set(found) - set(presets.preset("aeanet-2d").recipe.differences)


def test_patches_of_the_published_size_are_taken_once_an_epoch_for_50_epochs():
    shape = (16, 64, 64)
    pairs = blurred_pairs(4, shape)
    settings = TrainSettings(profile=Profile.PUBLISHED, preset="gvtnet-3d", batch=2)
    found = check_training(pairs, settings)
    assert (found.patch, found.steps) == (shape, 100)
    assert check_training(pairs, replace(settings, steps=7)).steps == 7


def test_patches_as_given_must_have_one_size():
    pairs = [*blurred_pairs(2, (48, 64)), *blurred_pairs(1, (64, 64))]
    settings = TrainSettings(places=Places.GIVEN, kept_out=KeptOut.NOTHING)
    found = check_training(pairs, settings)
    assert "must have one size, got 48 × 64 and 64 × 64 pixels" in found.obstacles[0]
    odd = check_training(blurred_pairs(2, (46, 64)), settings)
    assert "must be multiples of 4 × 4 pixels" in odd.obstacles[0]


def test_every_part_of_the_published_recipe_is_a_setting_of_a_quick_run(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)
    settings = TrainSettings(
        steps=4,
        batch=2,
        kept_out=KeptOut.WHOLE_IMAGES,
        keep=Keep.LAST,
        turns=Turns.NONE,
        places=Places.GIVEN,
        statistics=Statistics.FOLLOWED,
        precision=Precision.FLOAT32,
    )
    pairs = blurred_pairs(3, (32, 32))
    events = train_events(pairs, settings, tmp_path / "run", force=True)
    next(e for e in events if isinstance(e, Stepped) and e.step == 2)
    events.close()
    final = resume(pairs, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert "last of 4 steps" in final.summary or "does not restore better" in final.summary
    state, progress = run.read_state()
    assert progress.best_step == 4
    weights = load_model(final.bundle).weights
    for name, value in weights.items():
        assert np.array_equal(value.squeeze(), state[f"network/{name}"].numpy().squeeze()), name
    assert first_plan(settings).differences == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kept_out": KeptOut.NOTHING, "keep": Keep.BEST}, "must be kept out"),
        ({"kept_out": KeptOut.NOTHING, "patience": 3}, "patience needs data"),
        ({"keep": Keep.LAST, "patience": 3}, "patience needs data"),
        ({"places": Places.GIVEN, "patch": 32}, "their own size"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TrainSettings(**options)


def test_patience_in_the_published_recipe_needs_kept_out_data():
    with pytest.raises(ValueError, match="patience needs data"):
        first_plan(replace(PUBLISHED, patience=3))


# Intensities that are normalised already


def care_file(path, scale=1.0, dtype=np.float32, empty=2):
    """Write an NPZ file of the CARE tools: patches normalised with their whole images.

    The last `empty` ones hold nothing but noise.
    """
    rng = np.random.default_rng(0)
    y = rng.random((6, 1, 8, 32, 32)) * (rng.random((6, 1, 8, 32, 32)) > 0.9)
    y[6 - empty :] = rng.normal(0, 0.001, y[:empty].shape)
    x = scale * (y + rng.normal(0, 0.02, y.shape))
    np.savez(path, X=x.astype(dtype), Y=(scale * y).astype(dtype), axes="SCZYX")
    return pairs_from_npz(path).pairs


def test_patches_that_are_normalised_already_are_taken_as_they_are(tmp_path, monkeypatch):
    small(monkeypatch)
    pairs = care_file(tmp_path / "care.npz")
    settings = replace(
        PUBLISHED,
        preset="gvtnet-3d",
        steps=2,
        batch=2,
        places=Places.GIVEN,
        precision=Precision.FLOAT64,
    )
    events = list(train_events(pairs, settings, tmp_path / "run"))
    notices = next(e for e in events if isinstance(e, Planned)).notices
    assert any("normalised already" in text for text in notices)
    plan = RunFolder(tmp_path / "run").read_plan()
    assert plan.is_normalised
    card = load_model(events[-1].bundle).card
    assert card.normalisation.kind == "percentile"
    expected = bare_loop(list(pairs), ("gvtnet-3d", 0, 4e-4, 0.5, as_they_are, laplace), 2, 2)
    weights = load_model(events[-1].bundle).weights
    assert all(np.abs(weights[n] - v.numpy()).max() < 1e-10 for n, v in expected.items())
    # An image of the training is still found there.
    assert trained_on(card, pairs[1]) is not None


def as_they_are(values):
    return values


@pytest.mark.parametrize(
    ("options", "known"),
    [({}, True), ({"scale": 4000.0}, False), ({"scale": 200.0, "dtype": np.uint16}, False)],
)
def test_other_patches_are_normalised(tmp_path, options, known):
    pairs = care_file(tmp_path / "a.npz", **options)
    assert are_normalised(pairs) == known
    copies = [ImagePair(p.source.read(), p.target.read()) for p in pairs]
    assert not are_normalised(copies)


def test_images_are_used_as_they_are_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)
    settings = TrainSettings(steps=2, patch=16, batch=2, intensities=Intensities.NONE)
    found = train(blurred_pairs(), settings, tmp_path / "run")
    model = load_model(found.bundle)
    assert model.card.normalisation == AS_THEY_ARE
    image = blurred_pairs()[0].source
    scaling = model.card.normalisation.measure(image)
    assert np.array_equal(scaling.apply(image.read()), image.read())
    restored = restore(image, model)
    with torch.no_grad():
        direct = model.network()(torch.from_numpy(image.read()[None, None].astype(np.float32)))
    # The image of 8 bits is written as such.
    assert np.abs(np.clip(direct[0, 0].numpy(), 0, 255) - restored.read()).max() < 1
