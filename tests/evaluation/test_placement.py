"""Evaluation by place: images on other grids, out of place, of another field, or not registered."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import blurred_pairs, micrograph, registration_pair, textured_scene
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_aeanet.core import metrics
from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import Image
from napari_aeanet.evaluation.methods import Case, GivenImages, Input, Restoration
from napari_aeanet.evaluation.placement import place_of
from napari_aeanet.evaluation.run import evaluate, evaluate_events
from napari_aeanet.evaluation.scoring import range_of, score
from napari_aeanet.evaluation.settings import EvaluateSettings, Scored
from napari_aeanet.models.model_file import Model, ModelCard
from napari_aeanet.networks import UNetConfig, build, config_to_json
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration import register


def scene(seed=0, shape=(96, 128), **calibration) -> Image:
    """A smooth 8-bit image."""
    return Image(textured_scene(seed)[: shape[0], : shape[1]].astype(np.uint8), "YX", **calibration)


def compared(image: Image, truth: Image):
    return evaluate([Case("S", truth, files={"made": image})], [GivenImages("made")])


NM = {"pixel_size": (5.0, 5.0), "unit": "nm"}


def test_an_image_far_from_its_truth_is_refused():
    truth = scene(origin=(100.0, 50.0), **NM)
    moved = replace(truth, origin=(1e5, 50.0))
    with pytest.raises(ValueError, match=r"9.99e\+04 nm apart and do not overlap.*registered"):
        compared(moved, truth)


def test_layers_that_were_moved_apart_are_refused_without_pixel_sizes_too():
    with pytest.raises(ValueError, match="do not overlap"):
        compared(scene(origin=(0.0, 500.0)), scene())


def test_images_shifted_by_whole_pixels_are_compared_where_both_are():
    whole = scene(shape=(100, 140), **NM)
    truth = whole.with_array(whole.read()[:80, :100], origin=(50.0, 50.0), name="truth")
    image = whole.with_array(whole.read()[12:92, 30:130], origin=(110.0, 200.0), name="shifted")
    found = compared(image, truth)
    assert found.values("made", "psnr") == [metrics.HIGHEST_PSNR]
    assert any("covers 68 × 70 of 80 × 100 pixels" in notice for notice in found.notices)


def test_the_error_map_is_empty_where_the_image_does_not_reach():
    truth = scene(origin=(50.0, 50.0), **NM)
    image = truth.with_array(truth.read()[20:], origin=(150.0, 50.0), name="part")
    events = evaluate_events([Case("S", truth, files={"made": image})], [GivenImages("made")])
    (scored,) = (event for event in events if isinstance(event, Scored))
    error = scored.error.read()
    assert np.isnan(error[:20]).all()
    np.testing.assert_allclose(error[20:], 0, atol=1e-3)


def test_all_methods_are_compared_in_the_part_that_they_share():
    truth = scene(origin=(50.0, 50.0), **NM)
    part = truth.with_array(truth.read()[20:], origin=(150.0, 50.0), name="part")
    spoiled = truth.read().copy()
    spoiled[:20] = 0
    case = Case("S", truth, files={"part": part, "whole": truth.with_array(spoiled, name="whole")})
    found = evaluate([case], [GivenImages("part"), GivenImages("whole")])
    assert found.values("whole", "psnr") == [metrics.HIGHEST_PSNR]


def test_an_image_on_another_grid_is_resampled_with_a_notice():
    fine = gaussian_filter(textured_scene(1)[:120, :160], 2)
    truth = Image(fine.astype(np.float32), "YX", origin=(100.0, 50.0), **NM)
    coarse = Image(
        fine.reshape(60, 2, 80, 2).mean((1, 3)).astype(np.float32),
        "YX",
        pixel_size=(10.0, 10.0),
        unit="nm",
        origin=(102.5, 52.5),
        name="coarse",
    )
    found = compared(coarse, truth)
    assert found.values("made", "psnr")[0] > 35
    assert any("10 nm a pixel" in n and "resampled" in n for n in found.notices)
    # in another unit it is the same image
    micro = replace(coarse, pixel_size=(0.01, 0.01), unit="µm", origin=(0.1025, 0.0525))
    assert compared(micro, truth).values("made", "psnr") == pytest.approx(
        found.values("made", "psnr"), abs=1e-3
    )


@pytest.mark.parametrize("calibration", [{}, NM])
def test_another_size_without_a_place_is_refused_and_registration_is_offered(calibration):
    truth = scene(**calibration)
    cut = truth.with_array(truth.read()[:, 4:], name="cut")
    with pytest.raises(ValueError, match=r"96 × 124.*96 × 128.*register"):
        compared(cut, truth)


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_a_restored_image_without_a_place_has_the_grid_of_its_truth(ratio):
    """Its first pixel lies before that of the truth: both fields begin at the same edge."""
    coarse = micrograph((20, 30), pixel_size=(12.0, 12.0), origin=(0.0, 0.0))
    restored = coarse.regridded(np.zeros((20 * ratio, 30 * ratio), np.uint8), (ratio, ratio))
    truth = Image(restored.array, "YX", pixel_size=(12.0 / ratio,) * 2, unit="nm")
    assert place_of(restored, truth).is_same
    coarse = Image(coarse.array, "YX")
    unknown = coarse.regridded(restored.array, (ratio, ratio))
    assert place_of(unknown, Image(restored.array, "YX")).is_same
    assert place_of(unknown, truth).is_same


def test_an_image_of_another_field_is_told():
    found = compared(scene(1), scene(2))
    assert any("hardly resembles its truth" in notice for notice in found.notices)
    assert found.is_unrelated


def test_an_image_that_is_shifted_against_its_truth_is_told():
    picture = textured_scene(3).astype(np.uint8)
    truth, image = (Image(picture[k : k + 300, k : k + 320], "YX") for k in (20, 23))
    found = compared(image, truth)
    assert any("shifted against the truth, by up to 4.2 px" in n for n in found.notices)
    assert not found.is_unrelated


def test_the_data_range_is_the_one_that_the_file_states():
    values = (gaussian_filter(np.random.default_rng(0).random((40, 50)), 2) * 4000).astype("uint16")
    plain = Image(values, "YX")
    stated = replace(plain, intensity_range=DeclaredRange(0, 4095, "SignificantBits"))
    assert range_of(plain) < 2000
    assert range_of(stated) == 4095
    noisy = stated.with_array(values + 7 * np.eye(40, 50, dtype="uint16"), name="noisy")
    found = compared(noisy, stated)
    assert found.data_range == "4095 (as the files state: SignificantBits)"
    assert found.values("made", "psnr") == [score(noisy, stated, data_range=4095).psnr]


# --- models


def unchanging(ratio: float) -> Model:
    """A model that enlarges, and changes nothing else."""
    config = UNetConfig(features=4, references=6, zero_output=True, offset=True)
    state = {name: value.numpy() for name, value in build(config).state_dict().items()}
    card = ModelCard(
        name="enlarges",
        preset="aeanet-2d",
        network=config_to_json(config),
        ratio=(float(ratio),) * 2,
    )
    return Model(card, state)


@pytest.mark.parametrize("trained", ["enlarging", "on target grids", "twice"])
@pytest.mark.parametrize("ratio", [1.5, 2, 3])
def test_models_are_scored_on_pairs_of_any_ratio_without_pixel_sizes(ratio, trained):
    fine = gaussian_filter(textured_scene(4)[:192, :240], 3)
    coarse = Image(np.zeros((round(192 / ratio), round(240 / ratio)), np.uint8), "YX", name="S")
    at = [(np.arange(n) + 0.5) * ratio - 0.5 for n in coarse.shape]
    grid = np.meshgrid(*at, indexing="ij")
    pixels = map_coordinates(fine, grid, order=1, mode="nearest")
    pixels = (pixels + np.random.default_rng(0).normal(0, 4, coarse.shape)).astype(np.uint8)
    pair = ImagePair(coarse.with_array(pixels), Image(fine.astype(np.uint8), "YX", name="S"))
    model = unchanging({"enlarging": ratio, "on target grids": 1, "twice": 2}[trained])
    found = evaluate([pair], [Input.of([Case.of(pair)]), Restoration("model", model)])
    assert found.baseline == "input, enlarged"
    (gain,) = found.gains("model", "psnr")
    assert abs(gain) < (1.5 if trained == "twice" else 0.2)
    assert found.values("model", "psnr")[0] > 30


@pytest.mark.parametrize("trained", [1, 2])
def test_models_are_scored_on_registered_pairs(trained):
    source, target, _ = registration_pair(noise=0.0, target_shape=(300, 320))
    pair = ImagePair(source, target, register(source, target))
    assert pair.registration.verdict.is_usable
    found = evaluate([pair], [Input(), Restoration("model", unchanging(trained))])
    (gain,) = found.gains("model", "psnr")
    assert abs(gain) < 0.5
    assert found.values("input", "psnr")[0] > 24  # out of place it is 15


def test_a_source_on_the_target_grid_is_not_enlarged_by_a_model_that_enlarges():
    pair = blurred_pairs(1)[0]
    pair = ImagePair(
        *(replace(i, pixel_size=(None, None), unit=None) for i in (pair.source, pair.target))
    )
    found = evaluate([pair], [Input.of([Case.of(pair)]), Restoration("model", unchanging(2))])
    assert found.baseline == "input"
    assert abs(found.gains("model", "psnr")[0]) < 0.05


# --- incomplete results


def test_a_method_without_any_figure_is_told_in_one_sentence():
    truth = scene()
    small = truth.with_array(truth.read()[:50], name="small")
    case = Case("S", truth, files={"good": truth, "small": small})
    found = evaluate([case], [GivenImages("good"), GivenImages("small")])
    assert found.missing.startswith("No figure for small: small has 50 × 128 pixels")
    assert evaluate([case], [GivenImages("good")]).missing == ""


def test_an_image_without_any_figure_is_told_in_one_sentence():
    truth, small = scene(), scene(shape=(50, 128))
    cases = [Case("A", truth, files={"made": truth}), Case("B", truth, files={"made": small})]
    found = evaluate(cases, [GivenImages("made")], EvaluateSettings())
    assert found.missing.startswith("No figure for B of 2 images: ")
