"""Calibrated intervals hold the stated share of errors, and models keep them."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import float_noise, model_of, registration_pair, small_network
from scipy.ndimage import gaussian_filter

from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.dataset import samples_of, target_fingerprint
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import load_model, save_model
from napari_aeanet.networks import build
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.trust.calibrating import calibrate, with_calibration
from napari_aeanet.trust.calibration import SHARES, IntervalCalibration, calibrated
from napari_aeanet.trust.run import trust_maps
from napari_aeanet.trust.settings import TrustSettings


def drawn(seed, count=40_000):
    """Scores, predictions and targets whose errors depend on the brightness, unlike the scores."""
    rng = np.random.default_rng(seed)
    prediction, score = rng.uniform(0, 1, count), rng.uniform(0.01, 0.1, count)
    error = rng.laplace(0, 1, count) * np.sqrt(score) * (0.1 + prediction)
    return score, prediction, prediction + error


def made_from(seed=0):
    score, prediction, target = drawn(seed)
    return calibrated([score], [prediction], [target], is_sigma=True)


def plain_pair(seed=0, shape=(96, 112)):
    target = (40 + 170 * float_noise(shape)).astype(np.uint8)
    noise = np.random.default_rng(seed).normal(0, 12, shape)
    noisy = (target + noise).clip(0, 255).astype(np.uint8)
    return ImagePair(Image(noisy, "YX"), Image(target, "YX"))


def plain_model(sigma=False):
    network = small_network("aeanet-2d", features=2)
    if sigma:
        made = build(replace(network.config, sigma=True)).eval()
        made.load_state_dict(network.state_dict(), strict=False)
        network = made
    return model_of(network)


def test_intervals_hold_the_stated_shares_at_every_brightness_and_level():
    made = made_from(0)
    score, prediction, target = drawn(1)
    for half, share in zip(made.half_widths(score, prediction), SHARES, strict=True):
        held = np.abs(prediction - target) <= half
        assert abs(held.mean() - share) < 0.02
        for part in (prediction < 0.3, prediction > 0.7, score < 0.03, score > 0.08):
            assert abs(held[part].mean() - share) < 0.05


def test_the_wider_interval_is_wider_and_both_are_exact_in_parts():
    score, prediction, _ = (one.reshape(200, 200) for one in drawn(2))
    made = made_from()
    whole = made.half_widths(score, prediction)
    assert (whole[1] >= whole[0]).all()
    part = made.half_widths(score[50:90, 30:77], prediction[50:90, 30:77])
    np.testing.assert_allclose(part, whole[:, 50:90, 30:77], rtol=0, atol=1e-15)
    # Rounding of the network's output is not enlarged: there are no steps between classes.
    moved = made.half_widths(score * (1 + 1e-14), prediction + 1e-14)
    np.testing.assert_allclose(moved, whole, rtol=1e-11)


def test_constant_scores_and_too_few_pixels_are_known():
    flat = np.zeros(1000)
    made = calibrated([flat], [flat], [np.linspace(-1, 1, 1000)], is_sigma=False)
    held = np.abs(np.linspace(-1, 1, 500)) <= made.half_widths(flat[:500], flat[:500])[0]
    assert abs(held.mean() - 0.68) < 0.02
    assert calibrated([flat[:50]], [flat[:50]], [flat[:50]], is_sigma=True) is None


def test_a_model_file_keeps_the_calibration_and_a_damaged_one_is_refused(tmp_path):
    made = made_from()
    save_model(with_calibration(plain_model(), made), tmp_path / "m.aeanet")
    kept = IntervalCalibration.of(load_model(tmp_path / "m.aeanet").statistics, "m")
    for name, values in made.to_arrays().items():
        np.testing.assert_array_equal(kept.to_arrays()[name], values)
    arrays = made.to_arrays()
    for name, values in (("trust_factors", arrays["trust_factors"][:, :1]), ("trust_levels", None)):
        broken = {k: v for k, v in arrays.items() if k != name}
        broken |= {} if values is None else {name: values}
        with pytest.raises(ValueError, match="m: its calibrated intervals are damaged"):
            IntervalCalibration.of(broken, "m")


@pytest.mark.parametrize("sigma", [True, False])
def test_the_maps_hold_the_errors_of_the_image_that_was_calibrated_on(sigma):
    pair = plain_pair()
    event = calibrate(plain_model(sigma), [pair])
    assert event.score == ("sigma" if sigma else "disagreement")
    assert event.images == 1
    assert any("Only 1 image" in notice for notice in event.notices)
    maps = trust_maps(pair.source, event.model)
    error = np.abs(maps.restored.read() - pair.target.read().astype(float))
    for name, share in zip(("uncertainty", "uncertainty_90"), SHARES, strict=True):
        assert abs(np.mean(error <= maps.maps[name]) - share) < 0.02
    tiled = trust_maps(pair.source, event.model, TrustSettings(tile=32))
    np.testing.assert_allclose(
        tiled.maps["uncertainty_90"], maps.maps["uncertainty_90"], rtol=2e-3, atol=1e-3
    )  # in float32, whose rounding hangs on the number of threads
    alone = trust_maps(pair.source, event.model, TrustSettings(symmetries=False))
    assert ("uncertainty_90" in alone.maps) == sigma
    assert any("need all flips" in notice for notice in alone.notices) != sigma


def test_errors_of_a_shifted_pair_are_not_taken_for_those_of_the_model():
    pair = plain_pair(shape=(160, 192))
    pixels = gaussian_filter(pair.target.read().astype(float), 2) * 3
    shifted = [Image(pixels[:, at : at + 180].astype(np.uint8), "YX") for at in (0, 6)]
    with pytest.raises(ValueError, match=r"shifted, by up to 6\.0 px, .*register it first"):
        calibrate(plain_model(), [ImagePair(*shifted)])


def test_pixels_of_the_training_are_never_used(tmp_path):
    pair, model = plain_pair(), plain_model()
    (sample,) = samples_of({0: pair}, model.card.normalisation, tmp_path).samples
    plan = {
        "pairs": [{"name": "a", "hash": "", "target_hash": target_fingerprint(sample)}],
        "split": {"check": []},
    }
    trained = replace(model, card=replace(model.card, provenance={"plan": plan}))
    with pytest.raises(ValueError, match="trained on all of these pairs"):
        calibrate(trained, [pair])
    plan["split"]["check"] = [(0, (0, 64), (96, 112))]
    first = calibrate(trained, [pair]).model.statistics["trust_factors"]
    other = pair.target.read().copy()
    other[:, :32] = other[::-1, :32]  # training pixels are far off now, but not looked at
    moved = replace(pair, target=Image(other, "YX"))
    (sample,) = samples_of({0: moved}, model.card.normalisation, tmp_path).samples
    plan["pairs"][0]["target_hash"] = target_fingerprint(sample)
    again = calibrate(trained, [moved]).model.statistics["trust_factors"]
    np.testing.assert_allclose(again, first, rtol=1e-5)


def test_the_command_keeps_the_calibration_in_the_model_file(tmp_path, capsys):
    source, _, _ = registration_pair(1, source_shape=(96, 96))
    for name, image in (("lr", source), ("hr", source)):
        (tmp_path / name).mkdir()
        write_image(replace(image, name="S01"), tmp_path / name / "S01.tif")
    save_model(plain_model(), tmp_path / "m.aeanet")
    words = [
        "calibrate",
        str(tmp_path / "lr"),
        str(tmp_path / "hr"),
        "-m",
        str(tmp_path / "m.aeanet"),
    ]
    assert main(words) == 0
    assert "made from the disagreement" in capsys.readouterr().err
    assert main(words) == 2
    assert "has a calibration already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert main(["trust", str(tmp_path / "lr" / "S01.tif"), "-m", str(tmp_path / "m.aeanet")]) == 0
    assert read_image(tmp_path / "lr" / "S01-trust.ome.tif").sizes["C"] == 6
