"""Files that version 0.1.0 wrote are opened, and mean the same."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_aeanet import Registration, load_model, load_pairs, restore, resume
from napari_aeanet.models import read_card
from napari_aeanet.registration import Verdict
from napari_aeanet.restoration import RestoreSettings
from napari_aeanet.training.settings import Finished, FinishReason

OLD = Path(__file__).parent / "files_of_0_1_0"


@pytest.fixture
def old(tmp_path):
    """A copy that may be written to."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_a_model_restores_as_it_did(old):
    model = load_model(old / "model.aeanet")
    assert read_card(old / "model.aeanet") == model.card
    assert model.card.pixel_names == {"1": "particle edge"}
    assert model.card.pixel_size == (5.0, 5.0)
    restored = restore(old / "S0-HR.tif", model, RestoreSettings(device="cpu"))
    np.testing.assert_array_equal(restored.read(), np.load(old / "S0-HR-restored.npy"))
    # Enlarged first; version 0.1.0 did so with a sharper cubic kernel (a = -3/4 for -1/2).
    enlarged = restore(old / "S0-LR.tif", model, RestoreSettings(device="cpu"))
    error = enlarged.read().astype(float) - np.load(old / "S0-restored.npy")
    assert np.abs(error).mean() < 2


def test_a_pair_list_keeps_registrations_and_decisions(old):
    pairs = load_pairs(old / "pairs.json")
    assert not pairs.problems
    first, second = pairs.pairs
    assert [pair.name for pair in pairs] == ["S0", "S1"]
    assert (first.accepted, second.accepted) == (False, True)
    assert first.registration.verdict is Verdict.DOUBTFUL
    assert second.registration.verdict is Verdict.GOOD
    assert second.registration.matches.shape == (73, 2, 2)


def test_a_registration_is_that_of_the_pair_list(old):
    alone = Registration.load(old / "S0.registration.json")
    listed = load_pairs(old / "pairs.json").pairs[0].registration
    np.testing.assert_array_equal(alone.matrix, listed.matrix)
    np.testing.assert_array_equal(alone.matches, listed.matches)
    assert (alone.verdict, alone.reason, alone.kind) == (listed.verdict, listed.reason, listed.kind)


def test_an_interrupted_run_is_resumed(old):
    finished = resume(load_pairs(old / "pairs.json").pairs, old / "run")
    assert isinstance(finished, Finished)
    assert finished.reason is FinishReason.COMPLETE
    assert load_model(finished.bundle).card.provenance["plan"]["steps"] == 6
