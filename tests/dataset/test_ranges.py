"""All sources of a training share one intensity range, and so do all targets; the card keeps it."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import blurred_pairs, small_config

from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.core.intensity_range import TrainedRange
from napari_aeanet.dataset.pair_samples import samples_of
from napari_aeanet.evaluation.leakage import trained_on
from napari_aeanet.models import load_model
from napari_aeanet.pairs import ImagePair
from napari_aeanet.restoration import InputIntensities
from napari_aeanet.training import resume, train, train_events
from napari_aeanet.training.settings import Intensities as Choice
from napari_aeanet.training.settings import Planned, TrainSettings

TINY = TrainSettings(steps=2, patch=16, batch=2, intensities=Choice.FULL_SCALE, device="cpu")
TWELVE = TrainedRange(0.0, 4095.0, "uint16")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr("napari_aeanet.models.presets.quick_config", small_config)


def scaled(image, factor, dtype):
    return image.with_array((image.read() * float(factor)).astype(dtype))


def pairs_of(dtype, bright, dim):
    """Two pairs; both images of the second are `dim` / `bright` times as bright."""
    return [
        ImagePair(scaled(pair.source, factor, dtype), scaled(pair.target, factor, dtype))
        for pair, factor in zip(blurred_pairs(2), (bright, dim), strict=True)
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_aeanet.models.presets.quick_config", small_config)
        return train(pairs_of("uint16", 16, 3), TINY, tmp_path_factory.mktemp("runs") / "run")


@pytest.mark.parametrize(
    ("dtype", "bright", "dim", "top"),
    [("uint16", 16, 3, 4095), ("uint16", 257, 3, 65535), ("float32", 1.0, 0.2, 255)],
)
def test_a_dim_pair_stays_dim(dtype, bright, dim, top, tmp_path):
    pairs = pairs_of(dtype, bright, dim)
    samples = samples_of(dict(enumerate(pairs)), Normalisation(), tmp_path).samples
    for sample, pair in zip(samples, pairs, strict=True):
        np.testing.assert_allclose(sample.source[0], pair.source.read() / top, rtol=1e-5)
        np.testing.assert_allclose(sample.target[0], pair.target.read() / top, rtol=1e-5)


def test_sources_and_targets_have_ranges_of_their_own(tmp_path):
    pairs = [ImagePair(scaled(p.source, 16, "uint16"), p.target) for p in blurred_pairs(2)]
    samples = samples_of(dict(enumerate(pairs)), Normalisation(), tmp_path).samples
    assert {sample.source_scaling.scale for sample in samples} == {4095}
    assert {sample.target_scaling.scale for sample in samples} == {255}


def test_the_card_keeps_the_ranges(finished):
    card = load_model(finished.bundle).card
    assert (card.source_range, card.target_range) == (TWELVE, TWELVE)
    dim = Image(np.full((8, 8), 700, np.uint16), "YX")
    assert InputIntensities(dim, card).ranges[0].high == 4095


def test_the_range_is_said_at_the_start(tmp_path):
    pairs = pairs_of("uint16", 16, 3)
    events = train_events(pairs, TINY, tmp_path / "run")
    planned = next(event for event in events if isinstance(event, Planned))
    events.close()
    text = " ".join(planned.notices)
    assert "sources from 0 to 4095 (12 bit)" in text
    assert "targets from 0 to 4095 (12 bit)" in text


def test_8_bit_pairs_are_not_remarked_upon(tmp_path):
    events = train_events(blurred_pairs(2), TINY, tmp_path / "run")
    planned = next(event for event in events if isinstance(event, Planned))
    events.close()
    assert "full range" not in " ".join(planned.notices)


def test_a_resumed_run_has_the_same_ranges(tmp_path):
    pairs = pairs_of("uint16", 16, 3)
    events = train_events(pairs, TINY, tmp_path / "run")
    next(event for event in events if isinstance(event, Planned))
    events.close()
    assert load_model(resume(pairs, tmp_path / "run").bundle).card.source_range == TWELVE


def test_a_model_trained_further_keeps_its_range(finished, tmp_path):
    start = load_model(finished.bundle)
    dim = pairs_of("uint16", 3, 3)
    again = train(dim, TINY, tmp_path / "run", start_from=start)
    assert load_model(again.bundle).card.source_range == TWELVE
    alone = train(dim, TINY, tmp_path / "alone")
    assert load_model(alone.bundle).card.source_range.high == 1023


def test_a_dim_pair_of_the_training_is_recognised_by_itself(finished):
    card = load_model(finished.bundle).card
    dim = pairs_of("uint16", 16, 3)[1]
    assert trained_on(card, dim) is not None
    assert trained_on(replace(card, source_range=None, target_range=None), dim) is None


def test_other_normalisations_state_no_range(tmp_path):
    settings = replace(TINY, intensities=Choice.PERCENTILE)
    card = load_model(train(pairs_of("uint16", 16, 3), settings, tmp_path / "run").bundle).card
    assert card.normalisation.kind is NormalisationKind.PERCENTILE
    assert card.source_range is None
