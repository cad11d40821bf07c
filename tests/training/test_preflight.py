"""The check before a training."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import blurred_pairs, eight_bit_image, small_config

from napari_aeanet.dataset.pair_samples import samples_of
from napari_aeanet.dataset.splitting import split
from napari_aeanet.models import presets
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.training.decisions import decided
from napari_aeanet.training.plan import first_plan
from napari_aeanet.training.preflight import check_training
from napari_aeanet.training.settings import KeptOut, Profile, TrainSettings

SETTINGS = TrainSettings(patch=16, batch=2)


def notes(pairs, settings=SETTINGS, **kwargs) -> str:
    return "\n".join(check_training(pairs, settings, **kwargs).sentences())


def test_good_pairs_have_no_notes():
    found = check_training(blurred_pairs(), SETTINGS)
    assert found.can_start
    assert found.sentences() == []
    assert found.patch == (16, 16)
    assert found.batch == 2
    assert "10 min" in found.summary


def moved(pair, *by):
    """Return the pair with its source moved by so many rows and columns."""
    rolled = pair.source.with_array(np.roll(pair.source.array, by, (-2, -1)))
    return ImagePair(rolled, pair.target)


def test_some_shifted_pairs_are_named_and_the_training_may_start():
    pairs = blurred_pairs(3)
    found = check_training([*pairs[:2], moved(pairs[2], 0, 3)], SETTINGS)
    assert found.can_start
    assert found.notes == (
        "1 of 3 pairs is shifted, by up to 3.0 px, and not registered: register S2 first.",
    )
    assert not found.is_aligned


@pytest.mark.parametrize("by", [(0, 1), (2, -3), (18, 0), (-11, 14)])
def test_most_pairs_shifted_is_an_objection(by):
    pairs = [moved(pair, *by) for pair in blurred_pairs(3, (160, 200))]
    found = check_training(pairs, SETTINGS)
    assert not found.can_start
    far = np.hypot(*by)
    assert found.unregistered == 3
    assert found.objections[0].startswith("3 of 3 pairs are shifted, by up to ")
    assert float(found.objections[0].split()[9]) == pytest.approx(far, abs=0.5)
    assert "register them first" in found.objections[0]


def test_aligned_pairs_need_no_registration_however_noisy():
    rng = np.random.default_rng(0)
    pairs = blurred_pairs(3)
    noisy = [
        ImagePair(p.source.with_array(p.source.array + rng.normal(0, 60, p.source.shape)), p.target)
        for p in pairs
    ]
    assert check_training(noisy, SETTINGS).objections == ()
    assert check_training(pairs, SETTINGS).is_aligned


def test_pairs_of_different_places_are_found():
    pairs = blurred_pairs()
    mixed = [ImagePair(pairs[0].source, pairs[1].target), pairs[0]]
    found = check_training(mixed, SETTINGS)
    assert "not clear that source and target fit each other in S0" in found.notes[0]
    assert not found.is_aligned


def test_magnified_pairs_of_different_places_are_an_objection():
    pairs = blurred_pairs()
    coarse = pairs[0].source.array[::2, ::2]
    pair = ImagePair(eight_bit_image(coarse / 255, "S0", (10.0, 10.0)), pairs[1].target)
    found = check_training([pair], SETTINGS)
    assert found.objections == (
        "The pair is not registered, and no common field was found in source and target: register "
        "it first.",
    )
    assert found.unregistered == 1


def test_images_that_occur_twice_are_found():
    pairs = [*blurred_pairs(), blurred_pairs()[0]]
    assert "S0 has the same target as S0" in notes(pairs)


def test_leakage_between_training_and_kept_out_data_is_an_objection():
    pairs = [*blurred_pairs(4), blurred_pairs(4)[2]]  # the third is kept out
    settings = TrainSettings(patch=16, batch=2, kept_out=KeptOut.WHOLE_IMAGES)
    found = check_training(pairs, settings)
    assert "only one of them is kept out" in found.objections[0]
    assert not found.can_start


def test_useless_pairs_are_reported_and_the_rest_is_checked():
    pairs = blurred_pairs()
    flat = pairs[0].target.with_array(np.zeros_like(pairs[0].target.array), name="flat")
    useless = ImagePair(pairs[0].source, flat, name="flat")
    found = check_training([useless, *blurred_pairs(3)], SETTINGS)
    assert [problem.pair for problem in found.problems] == ["flat"]
    assert found.can_start
    assert not found.is_aligned
    found = check_training([useless, useless, pairs[1]], SETTINGS)
    assert "2 of 3 pairs cannot be used. flat: the target 'flat' has" in found.objections[0]


def test_nothing_to_train_on_is_an_obstacle():
    found = check_training([], SETTINGS)
    assert not found.can_start
    assert "no pair" in found.obstacles[0]


def test_images_of_the_wrong_kind_are_an_obstacle_that_names_them_once():
    pairs = [*blurred_pairs(1, (8, 32, 96)), *blurred_pairs(1), *blurred_pairs(1, (8, 32, 96))]
    found = check_training(pairs, replace(SETTINGS, preset="aeanet-2d"))
    assert not found.can_start
    assert "needs pairs of images, but S0 and S0 are pairs of stacks." in found.obstacles[0]
    found = check_training(pairs, SETTINGS)  # the network is for most of them
    assert "S0 is a pair of images" in found.obstacles[0]
    many = check_training(blurred_pairs(6), replace(SETTINGS, preset="aeanet-3d"))
    assert "S0, S1, S2, S3 and 2 more are pairs of images" in many.obstacles[0]


def test_different_types_and_pixel_sizes_are_notes():
    pairs = blurred_pairs()
    coarse = eight_bit_image(pairs[0].target.array / 255, "coarse", (7.0, 7.0))
    deep = pairs[1].source.with_array(pairs[1].source.array.astype(np.uint16) * 257)
    text = notes([ImagePair(pairs[0].source, coarse), ImagePair(deep, pairs[1].target)])
    assert "The targets differ in pixel size" in text
    assert "The sources are of different number types (uint16, uint8)" in text


def test_too_little_memory_is_reported():
    text = notes(blurred_pairs(1, (512, 2048)), TrainSettings(patch=512, batch=2**20))
    assert "Choose smaller patches or a smaller batch" in text


def test_the_time_is_measured_on_request(monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)
    settings = TrainSettings(patch=16, batch=2, steps=100_000)
    found = check_training(blurred_pairs(), settings, timed=True)
    assert found.seconds is not None
    assert found.seconds > 0
    assert "a step takes" in found.sentences()[-1]


def test_a_patch_larger_than_the_images_is_shrunk_and_reported():
    settings = TrainSettings(profile=Profile.PUBLISHED, kept_out=KeptOut.RIGHT_SIDE)
    found = check_training(blurred_pairs(), settings)
    assert found.patch == (72, 72)
    assert "do not fit into every image" in found.sentences()[0]


@pytest.mark.parametrize("kept_out", list(KeptOut))
def test_nothing_is_both_trained_on_and_kept_out_not_even_its_neighbours(kept_out, tmp_path):
    settings = decided(TrainSettings(kept_out=kept_out, region=(30, 40, 60, 80)))
    pairs = dict(enumerate(blurred_pairs(4)))
    samples = samples_of(pairs, first_plan(settings).normalisation, tmp_path).samples
    guard = 10
    found = split(samples, settings.kept_out, guard, settings.region)
    for number, sample in enumerate(samples):
        near = np.zeros(sample.shape, bool)
        for area in found.check:
            if area.image == number:
                wide = (slice(max(0, s.start - guard), s.stop + guard) for s in area.box)
                near[tuple(wide)] = True
        trained = np.zeros(sample.shape, int)
        for area in found.train:
            if area.image == number:
                trained[area.box] += 1
        assert trained.max() <= 1
        assert not (trained.astype(bool) & near).any()
        if kept_out != KeptOut.WHOLE_IMAGES:
            assert trained.any()
            assert near.any() == (kept_out != KeptOut.NOTHING)


def test_a_region_outside_of_an_image_is_refused():
    settings = TrainSettings(patch=16, kept_out=KeptOut.REGION, region=(90, 40, 200, 80))
    found = check_training(blurred_pairs(), settings)
    assert "Draw it larger, inside of all images" in found.obstacles[0]
