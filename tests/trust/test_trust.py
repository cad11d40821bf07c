"""Every map of trust measures its own property, and the light follows from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, small_network, symmetrise
from scipy.ndimage import gaussian_filter, zoom

from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.core.resampling import resampled
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.feature_distance import (
    FORMER_WINDOW,
    WINDOW,
    FeatureDistance,
    FeatureMoments,
    with_edge,
)
from napari_aeanet.models.model_file import Model, save_model
from napari_aeanet.networks import build
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import Output, RestoreSettings
from napari_aeanet.trust import traffic_light
from napari_aeanet.trust.contradiction import contradiction, fitted_to, noise_of
from napari_aeanet.trust.run import trust_events
from napari_aeanet.trust.settings import TrustMaps, TrustSettings
from napari_aeanet.trust.traffic_light import Light, Measure


def smooth(shape, seed=0, width=3.0):
    values = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), width)
    return (100 + 30 * values / values.std()).astype(np.float32)


def maps_of(image, model, **settings):
    *_, last = trust_events(image, model, TrustSettings(**settings))
    assert isinstance(last, TrustMaps)
    return last


def with_sigma(name, **card):
    network = small_network(name, features=4)
    config = replace(network.config, sigma=True)
    made = build(config).eval()
    made.load_state_dict(network.state_dict(), strict=False)
    return model_of(made, **card)


def statistics_of(network, values):
    gathering = FeatureMoments()
    x = torch.from_numpy(values)[None, None]
    with torch.no_grad():
        features = network.attend(x).interior_features()[0].numpy()
    gathering.add(features)
    known = gathering.finish()
    return with_edge(known, known.distance(features).ravel())


# --- the maps


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_the_result_is_the_restored_image_and_all_maps_lie_on_it(ratio):
    model = with_sigma("aeanet-2d", ratio=(ratio, ratio), pixel_size=(5.0, 5.0), unit="nm")
    image = Image(float_noise((42, 54)), "YX", (5 * ratio,) * 2, "nm", (10.0, 20.0), "S05")
    found = maps_of(image, model)
    *_, restored = restore_events(image, model, RestoreSettings(output=Output.FLOAT32))
    np.testing.assert_allclose(found.restored.read(), restored.image.read(), atol=1e-5)
    assert found.restored.origin == restored.image.origin
    assert set(found.maps) == {"sigma", "uncertainty", "disagreement", "contradiction"}
    assert {values.shape for values in found.maps.values()} == {restored.image.shape}
    stack = found.as_image()
    assert (stack.axes, stack.shape) == ("CYX", (6, *restored.image.shape))
    assert stack.pixel_size == restored.image.pixel_size
    names = [channel.name for channel in stack.channels]
    assert names[0].startswith("light")
    number = names.index("sigma")
    np.testing.assert_array_equal(stack.read()[number], found.maps["sigma"])
    assert names.index("half-width of 68 %") == number + 1


def test_tiles_give_the_maps_of_the_whole():
    network = small_network("aeanet-2d", features=4)
    values = float_noise((72, 84))
    model = model_of(network)
    model = Model(model.card, model.weights, statistics_of(network, values).to_arrays())
    image = Image(values, "YX")
    whole, tiled = (maps_of(image, model, tile=tile) for tile in (512, 32))
    assert set(whole.maps) == {"disagreement", "contradiction", "unlike"}
    for name in whole.maps:
        np.testing.assert_allclose(tiled.maps[name], whole.maps[name], rtol=1e-3, atol=1e-5)


def test_a_symmetric_network_has_no_disagreement():
    network = small_network("gvtnet-2d", features=4)
    symmetrise(network)
    # Grids shift by a pixel under a flip where padding has a side: without strides they do not.
    flat = replace(network.config, levels=1, encoder_blocks=(1,), decoder_blocks=())
    made = build(flat).eval()
    symmetrise(made)
    image = Image(float_noise((40, 48)), "YX")
    same = maps_of(image, model_of(made)).maps["disagreement"]
    other = maps_of(image, model_of(small_network("gvtnet-2d", features=4))).maps["disagreement"]
    assert same.max() < 1e-5
    assert other.mean() > 1e-3


def test_sigma_is_given_in_intensities_and_as_wide_as_the_model_file_says():
    model = with_sigma("aeanet-2d")
    wider = Model(model.card, model.weights, {"sigma_width": np.array(2.28)})
    image = Image((255 * float_noise((40, 48))).astype(np.uint8), "YX")
    narrow, wide = (maps_of(image, m).maps["uncertainty"] for m in (model, wider))
    np.testing.assert_allclose(wide, 2 * narrow, rtol=1e-5)
    x = torch.from_numpy(image.read() / np.float32(255))[None, None]
    with torch.no_grad():
        sigma = model.network().outputs(x)["sigma"][0, 0].numpy()
    np.testing.assert_allclose(narrow, 255 * 1.14 * sigma, rtol=1e-3)
    for one in (model, wider):  # in grey levels, whatever the width of the interval
        np.testing.assert_allclose(maps_of(image, one).maps["sigma"], 255 * sigma, rtol=1e-3)
    notices = [" ".join(maps_of(image, one).notices) for one in (model, wider)]
    assert ["not calibrated" in notice for notice in notices] == [True, False]


def test_stacks_are_measured_plane_by_plane_and_projections_not_against_their_input():
    model = model_of(small_network("aeanet-2d", features=2))
    stack = Image(float_noise((3, 24, 28)), "ZYX")
    assert maps_of(stack, model).doubt.shape == (3, 24, 28)
    projection = model_of(small_network("aeanet-projection", features=2))
    found = maps_of(Image(float_noise((3, 24, 36)), "ZYX"), projection)
    assert found.doubt.shape == (24, 36)
    assert "contradiction" not in found.maps
    assert any("projection" in notice for notice in found.notices)


def test_without_symmetries_and_sigma_only_contradiction_is_measured():
    model = model_of(small_network("aeanet-2d", features=2))
    found = maps_of(Image(float_noise((24, 28)), "YX"), model, symmetries=False)
    assert set(found.maps) == {"contradiction"}
    assert any("no uncertainty" in notice for notice in found.notices)


def test_missing_pixels_are_red_and_leave_the_others_alone():
    values = float_noise((40, 48))
    values[10:14, 20:24] = np.nan
    found = maps_of(Image(values, "YX"), model_of(small_network("aeanet-2d", features=2)))
    assert np.isfinite(found.maps["contradiction"][30:]).all()
    assert found.lights.shape == (40, 48)


def test_a_missing_plane_is_red_and_leaves_the_others_alone():
    values = float_noise((2, 80, 96))
    values[0] = np.nan
    found = maps_of(Image(values, "ZYX"), model_of(small_network("aeanet-2d", features=2)))
    assert (found.lights[0] == Light.RED).all()
    assert np.isfinite(found.maps["contradiction"][1]).all()


# --- contradiction


def test_p_values_of_pure_noise_are_uniform_also_if_it_is_correlated():
    truth = smooth((192, 256))
    rng = np.random.default_rng(1)
    for width in (0.0, 0.7):  # along the line
        noise_ = gaussian_filter(rng.standard_normal(truth.shape), (0, width))
        found = contradiction(truth + 6 * noise_.astype(np.float32) / noise_.std(), truth)
        assert 0.4 < np.mean(found > -np.log10(0.5)) < 0.6
        assert np.mean(found > 2) < 0.04
        assert np.mean(found > 6) == 0


def test_an_invented_detail_contradicts_the_input_there_and_nowhere_else():
    truth = smooth((192, 256))
    image = truth + 6 * np.random.default_rng(1).standard_normal(truth.shape).astype(np.float32)
    invented = truth.copy()
    invented[90:98, 120:128] += 25
    honest, spoilt = contradiction(image, truth), contradiction(image, invented)
    assert spoilt[94, 124] > 6
    assert honest[94, 124] < 2
    assert np.mean(spoilt[:, :80] > 3) < 0.01


def test_the_grid_sharpness_and_brightness_of_the_input_are_brought_back():
    fine = smooth((256, 320), width=4)
    blurred = gaussian_filter(fine, 2.2)
    whole_ = (slice(0, 128), slice(0, 160))
    coarse = resampled(lambda r: blurred[r], fine.shape, (0.5, 0.5), whole_)
    expected = 0.8 * coarse + 15
    fitted = fitted_to(fine, expected.astype(np.float32))
    assert np.abs(fitted - expected)[4:-4, 4:-4].max() < 0.03 * np.ptp(expected)


def detected(result, seed=1):
    """Return what another detector records of a result, with less noise in the dark."""
    bent = 255 * (result / 255) ** 1.6
    deviation = 0.5 * np.sqrt(bent)
    noise_ = np.random.default_rng(seed).standard_normal(result.shape)
    return (bent + deviation * noise_).astype(np.float32), deviation


def test_another_curve_of_brightness_is_no_contradiction():
    truth = 100 + 0.6 * (smooth((192, 256), width=6) - 100)
    image, deviation = detected(truth)
    dark = truth < np.quantile(truth, 0.2)
    honest = contradiction(image, truth)
    assert np.mean(honest[dark] > 3) < 0.02
    assert np.mean(honest > 6) == 0
    y, x = 100, 130
    invented = truth.copy()
    invented[y - 4 : y + 4, x - 4 : x + 4] += 4 * deviation[y, x]
    assert contradiction(image, invented)[y, x] > 6


def test_a_brightness_that_only_invented_places_have_is_not_explained_by_a_curve():
    truth = smooth((192, 256))
    image = truth + 6 * np.random.default_rng(1).standard_normal(truth.shape).astype(np.float32)
    for level in (truth.min() - 20, truth.max() + 20):
        invented = truth.copy()
        invented[80:120, 100:140] = level
        assert (contradiction(image, invented)[85:115, 105:135] > 6).all()


def test_places_where_a_result_follows_less_of_the_noise_do_not_contradict():
    shape = (192, 256)
    truth = np.where(smooth(shape, width=12) > 80, 120, 50).astype(np.float32)
    noise_ = 6 * np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    followed = np.where(truth > 100, gaussian_filter(noise_, 1.5), 0)
    found = contradiction(truth + noise_, truth + followed)
    assert np.mean(found[truth < 100] > 3) < 0.02


def test_too_few_regions_say_nothing():
    values = float_noise((24, 28))
    assert (contradiction(values, smooth((24, 28))) == 0).all()


def test_noise_is_found_beside_structure_and_follows_the_brightness():
    brightness = np.linspace(20, 200, 200)[None].repeat(150, 0).astype(np.float32)
    deviation = np.sqrt(brightness)
    noise_ = deviation * np.random.default_rng(3).standard_normal(brightness.shape)
    residual = noise_ + 10 * np.sin(np.arange(200) / 15)
    found = noise_of(residual.astype(np.float32), brightness)
    np.testing.assert_allclose(found[:, 20:-20], deviation[:, 20:-20], rtol=0.2)


# --- unlike


def test_the_training_texture_is_near_and_another_texture_is_far():
    network = small_network("aeanet-2d", features=4)
    learnt = np.clip(smooth((128, 128), width=1.0), 0, 255).astype(np.uint8)
    other = np.clip(smooth((128, 128), seed=5, width=8.0), 0, 255).astype(np.uint8)
    known = statistics_of(network, learnt / np.float32(255))
    model = model_of(network)
    model = Model(model.card, model.weights, known.to_arrays())

    def unlike(values):
        return maps_of(Image(values, "YX"), model, symmetries=False).maps["unlike"]

    same, strange = unlike(learnt), unlike(other)
    assert np.mean(same > 1) < 0.05
    assert np.mean(strange > 1) > 0.5
    assert strange.mean() > 2 * same.mean()
    half = unlike(np.concatenate([learnt[:64], other[:64]]))
    assert half[:40].mean() < half[-40:].mean()


def test_one_in_a_hundred_training_pixels_lies_beyond_a_distance_of_one():
    rng = np.random.default_rng(0)
    known = FeatureDistance(np.zeros(3), np.eye(3), window=1)
    others = known.distance(rng.standard_normal((3, 200, 200)))
    edged = with_edge(known, others.ravel())
    beyond = edged.distance(rng.standard_normal((3, 200, 200))) > 1
    assert 0.007 < beyond.mean() < 0.013


def test_statistics_of_older_model_files_are_not_misread():
    old = {"feature_mean": np.zeros(3), "feature_covariance": np.eye(3)}
    assert FeatureDistance.of(old) is None
    with_an_edge = FeatureDistance.of(old | {"feature_edge": np.array(2.0)})
    assert with_an_edge.window == FORMER_WINDOW
    assert FeatureDistance.of(FeatureDistance(np.zeros(3), np.eye(3)).to_arrays()).window == WINDOW


# --- the light


def test_the_worst_measure_decides_and_the_sentence_names_it():
    quiet = np.full((10, 10), 0.1)
    unlike = quiet.copy()
    unlike[:3] = 1.5
    unlike[:1] = 9.0
    measures = {Measure.ERROR: quiet, Measure.UNLIKE: unlike}
    doubts = traffic_light.doubt(measures)
    lights = traffic_light.lights(doubts)
    assert (lights[0] == Light.RED).all()
    assert (lights[1:3] == Light.AMBER).all()
    assert (lights[3:] == Light.GREEN).all()
    said = traffic_light.sentence(measures, doubts)
    assert said.startswith("70 % of the image: no measure counts against it")
    assert said.count("unlike the training images") == 2


def test_a_pixel_without_a_number_is_red():
    assert traffic_light.lights(np.array([np.nan, 0.2])).tolist() == [Light.RED, Light.GREEN]


def test_small_shares_are_not_rounded_to_nothing():
    values = np.zeros(1000)
    values[0] = 10
    measures = {Measure.UNLIKE: values}
    said = traffic_light.sentence(measures, traffic_light.doubt(measures))
    assert "more than 99 %" in said
    assert "less than 1 %" in said


# --- the command


def test_the_command_writes_the_maps_and_prints_the_summary(tmp_path, capsys):
    model = model_of(small_network("aeanet-2d", features=2), pixel_size=(5.0, 5.0), unit="nm")
    known = FeatureDistance(np.zeros(8), np.eye(8)).to_arrays()
    save_model(Model(model.card, model.weights, known), tmp_path / "m.aeanet")
    write_image(
        Image(float_noise((24, 28)), "YX", (5.0, 5.0), "nm", name="S05"), tmp_path / "S05.tif"
    )
    assert main(["trust", str(tmp_path / "S05.tif"), "-m", str(tmp_path / "m.aeanet")]) == 0
    said = capsys.readouterr().out
    assert "of the image: " in said
    written = read_image(tmp_path / "S05-trust.ome.tif")
    assert written.pixel_size == (5.0, 5.0)
    assert written.shape[-2:] == (24, 28)


def test_brought_to_the_grid_of_the_result_a_place_stays_where_it_is():
    truth = smooth((128, 128))
    image = truth + 3 * np.random.default_rng(0).standard_normal(truth.shape)
    fine = zoom(truth, 2, order=1, mode="nearest", grid_mode=True)
    fine[80:96, 20:36] += 60
    found = contradiction(image.astype(np.float32), fine)
    assert found[43, 13] > 6
    assert max(found[13, 43], found[100, 100]) < 3
