"""Structures are fitted at the end of a quick training."""

import pytest
from helpers import blurred_pairs, small_config

from napari_aeanet.models import load_model, presets
from napari_aeanet.structures import fit, structures_of
from napari_aeanet.training import TrainSettings, final_check, train_events


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)
    monkeypatch.setattr(final_check, "LEAST_STEPS", 2)
    monkeypatch.setattr(fit, "STEPS", 20)


def trained(folder, **settings):
    chosen = TrainSettings(**{"steps": 2, "patch": 16, "batch": 2} | settings)
    events = list(train_events(blurred_pairs(shape=(192, 192)), chosen, folder / "run"))
    what = {event.progress.what for event in events}
    return load_model(events[-1].bundle), what


@pytest.mark.parametrize("preset", ["aeanet-2d", "unet-2d"])
def test_a_quick_training_ends_with_structures_and_says_so(preset, tmp_path):
    model, what = trained(tmp_path, preset=preset)
    assert len(structures_of(model)) == model.card.structures == 16
    assert "fitting structures" in what


@pytest.mark.parametrize("settings", [{"structures": False}, {"steps": 1}])
def test_they_are_left_out_on_request_and_after_a_trial(settings, tmp_path):
    model, what = trained(tmp_path, **settings)
    assert structures_of(model) is None
    assert "fitting structures" not in what


def test_images_that_are_too_small_have_none_and_the_training_succeeds(tmp_path, monkeypatch):
    monkeypatch.setattr(fit, "FEWEST_PLACES_PER_KIND", 10**6)
    model, _ = trained(tmp_path)
    assert structures_of(model) is None
