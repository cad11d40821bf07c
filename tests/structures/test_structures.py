"""Structures: fitted from pairs, exact in tiles, kept in the model file, named in words."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from helpers import float_noise, model_of, small_network, with_random_structures
from scipy.ndimage import gaussian_filter, uniform_filter

from napari_aeanet.core.image import Image
from napari_aeanet.models import (
    Model,
    ModelCard,
    load_model,
    read_card,
    rename_structure,
    save_model,
)
from napari_aeanet.networks import SuperResConfig, build
from napari_aeanet.pairs import ImagePair
from napari_aeanet.restoration import TileRunner
from napari_aeanet.structures import (
    FitSettings,
    StructureSettings,
    fit,
    fit_structures,
    structure_maps,
    structures_of,
)
from napari_aeanet.structures.features import SPACING, encoder_of, features_of
from napari_aeanet.structures.filters import BANDS, ENERGIES, MEAN, filtered
from napari_aeanet.structures.naming import names_of
from napari_aeanet.structures.teaching import teach

KINDS = 3
SHAPE = (96, 288)
# Of the three fields of a scene, without the places whose window reaches over their borders.
FIELDS = (np.s_[:, 5:19], np.s_[:, 29:43], np.s_[:, 53:67])


class Pixels:
    """An array as a source."""

    def __init__(self, values):
        self.values, self.shape = values, values.shape

    def read(self, region):
        return self.values[region]


def scene(seed: int) -> np.ndarray:
    """Three fields side by side: dark and smooth, grey and rough, bright and smooth."""
    rng = np.random.default_rng(seed)
    third = SHAPE[1] // 3
    target = np.repeat([60.0, 128.0, 200.0], third)[None] + rng.normal(0, 1, SHAPE)
    target[:, third : 2 * third] += rng.normal(0, 35, (SHAPE[0], third))
    return np.clip(target, 0, 255).astype(np.uint8)


def pairs(count: int = 2) -> list[ImagePair]:
    targets = [scene(seed) for seed in range(count)]
    return [ImagePair(Image(t, "YX"), Image(t, "YX"), name=f"S{i}") for i, t in enumerate(targets)]


@pytest.fixture(scope="module", autouse=True)
def short():
    """Fewer steps, so that the tests are quick; three fields are soon told apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "STEPS", 80)
        patch.setattr(fit, "BATCH", 256)
        yield


@cache
def fitted(name: str = "aeanet-2d", kinds: int = KINDS, seed: int = 0):
    model = model_of(small_network(name, features=2))
    return fit_structures(model, pairs(), FitSettings(kinds=kinds, seed=seed))


@pytest.fixture
def model() -> Model:
    return fitted().model


@pytest.mark.parametrize("name", ["aeanet-2d", "gvtnet-2d", "unet-2d", "aeanet-2d-fast"])
def test_the_kinds_of_an_image_are_those_of_the_targets(name):
    event = fitted(name)
    maps = structure_maps(Image(scene(7), "YX"), event.model)
    assert event.agreement is None or event.agreement > 0.7
    np.testing.assert_allclose(maps.maps.sum(axis=0), 1, atol=1e-5)
    most = [np.bincount(maps.labels[field].ravel(), minlength=4).argmax() for field in FIELDS]
    # Kinds are counted from dark to bright.
    assert most == [1, 2, 3]
    for field, kind in zip(FIELDS, most, strict=True):
        assert np.mean(maps.labels[field] == kind) > 0.9
    assert maps.names[0] == "very dark smooth"
    assert maps.names[2] == "very bright smooth"
    assert "rough" in maps.names[1]
    assert abs(maps.shares.sum() - 1) < 1e-9


@pytest.mark.parametrize("name", ["aeanet-2d", "gvtnet-2d", "unet-2d", "aeanet-2d-fast"])
def test_tiles_give_the_probabilities_of_the_whole_image(name, monkeypatch):
    model = fitted(name).model
    single = Model.network
    monkeypatch.setattr(Model, "network", lambda self: single(self).double())
    image = Image(float_noise((70, 101)), "YX")
    whole = structure_maps(image, model, StructureSettings(tile=1024)).maps
    tiled = structure_maps(image, model, StructureSettings(tile=24)).maps
    assert whole.dtype == np.float64
    assert whole.std() > 1e-3
    assert np.abs(tiled - whole).max() < 1e-11


def with_spacing(model: Model, spacing: int) -> Model:
    return replace(model, card=replace(model.card, structure_spacing=spacing))


@pytest.mark.parametrize("name", ["aeanet-2d", "aeanet-2d-fast"])
def test_the_maps_of_every_network_are_equally_fine_and_lie_where_the_structures_are(name):
    image = Image(scene(3), "YX", pixel_size=(2.0, 2.0), unit="nm", origin=(10.0, 100.0))
    maps = structure_maps(image, fitted(name).model)
    assert maps.scale == (2 * SPACING, 2 * SPACING)
    assert maps.labels.shape == tuple(n // SPACING for n in SHAPE)
    rough = np.flatnonzero(maps.labels[12] == 2)  # the middle third, and as far on both sides
    at = maps.translate[1] + maps.scale[1] * rough.mean()
    assert abs(at - (100 + 2 * 143.5)) < 2 * 3


def features_at(model: Model, spacing: int, image: Pixels):
    """Return the network's features of an image, the same before they are averaged, and places."""
    encoder = encoder_of(model.network(), with_spacing(model, spacing).card)
    whole = tuple(slice(0, n) for n in image.shape)
    with TileRunner(encoder, torch.device("cpu")) as runner:
        found = features_of(runner, image, whole, encoder)[: encoder.channels]
        ((_, bottom),) = runner.at_attention(
            image, whole, [], lambda pending: pending.interior_features()[0].numpy()
        )
    return found, bottom, encoder


def test_features_of_a_fast_network_are_linear_between_the_places_of_its_bottom():
    model = model_of(small_network("aeanet-2d-fast", features=2))
    found, bottom, encoder = features_at(model, SPACING, Pixels(float_noise((64, 96))))
    expected = uniform_filter(bottom, (1, 3, 3), mode="nearest")
    for axis in (0, 1):
        coarse, fine = (
            grid.centre[axis] + grid.stride[axis] * np.arange(count)
            for grid, count in (
                (encoder.bottom, expected.shape[axis + 1]),
                (encoder.places, found.shape[axis + 1]),
            )
        )
        interpolated = partial(np.interp, fine, coarse)
        expected = np.apply_along_axis(interpolated, axis + 1, expected)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_older_file_of_a_fast_network_keeps_the_places_of_its_bottom():
    model = with_random_structures(model_of(small_network("aeanet-2d-fast", features=2)))
    older = with_spacing(model, 0)
    found, bottom, _ = features_at(older, 0, Pixels(float_noise((64, 96))))
    np.testing.assert_allclose(found, uniform_filter(bottom, (1, 5, 5), mode="nearest"), atol=1e-5)
    assert structure_maps(Image(scene(0), "YX"), older).labels.shape == (12, 36)
    assert ModelCard(name="older", preset="aeanet-2d-fast", network={}).structure_spacing == 0
    assert fit_structures(older, pairs(), FitSettings(kinds=2)).model.card.structure_spacing == 4


def test_fitting_again_keeps_the_places_at_which_a_kind_was_taught():
    model = with_random_structures(model_of(small_network("aeanet-2d-fast", features=2)))
    marks = np.zeros(SHAPE)
    marks[:, :100] = 1
    taught = teach(with_spacing(model, 0), [Image(scene(0), "YX")], [marks], "lines").model
    again = fit_structures(taught, pairs(), FitSettings(kinds=2)).model
    before, after = (structure_maps(Image(scene(1), "YX"), one) for one in (taught, again))
    assert (before.taught["lines"] == after.taught["lines"]).all()


@pytest.mark.parametrize("spacing", [3, -4])
def test_a_spacing_that_does_not_suit_the_network_is_refused_in_one_sentence(spacing):
    model = with_random_structures(model_of(small_network("aeanet-2d-fast", features=2)))
    with pytest.raises(ValueError, match=rf"^miniature: structures every {spacing} pixels do not"):
        structure_maps(Image(scene(0), "YX"), with_spacing(model, spacing))


def test_the_same_pairs_and_seed_give_the_same_structures(model):
    again = fitted.__wrapped__().model
    others = fitted(seed=1).model
    assert all((again.statistics[k] == v).all() for k, v in model.statistics.items())
    assert any((others.statistics[k] != v).any() for k, v in model.statistics.items())


def test_the_restoration_stays_as_it_is(model):
    before = model_of(small_network("aeanet-2d", features=2))
    assert before.weights.keys() == model.weights.keys()
    assert all((model.weights[name] == values).all() for name, values in before.weights.items())


def test_structures_and_their_names_are_kept_in_the_file(model, tmp_path):
    path = tmp_path / "a.aeanet"
    save_model(model, path)
    image = Image(scene(4), "YX")
    before = structure_maps(image, model)
    assert (structure_maps(image, path).maps == before.maps).all()
    rename_structure(path, 1, " grain ")
    renamed = structure_maps(image, path)
    assert renamed.names == (before.names[0], "grain", before.names[2])
    rename_structure(path, 1, "")
    assert structure_maps(image, path).names == before.names
    assert read_card(path).structure_names == {}


def test_fitting_again_replaces_the_structures(model):
    again = fit_structures(model, pairs(), FitSettings(kinds=2)).model
    assert len(structures_of(again)) == 2
    assert again.statistics.keys() == model.statistics.keys()


def test_other_statistics_stay(model):
    other = replace(model, statistics={"feature_mean": np.ones(2)})
    kept = fit_structures(other, pairs(), FitSettings(kinds=2)).model.statistics
    assert (kept["feature_mean"] == 1).all()


def test_structures_that_do_not_fit_are_refused_in_one_sentence(model):
    image = Image(scene(0), "YX")
    for name, change in (
        ("kinds", lambda a: a[:, :-1]),
        ("mean", lambda a: a * np.nan),
        ("scale", lambda a: a * 0),
        ("share", lambda a: a[None]),
        ("sharpness", lambda a: a.astype(int)),
    ):
        key = f"structures_{name}"
        wrong = {**model.statistics, key: change(model.statistics[key])}
        with pytest.raises(ValueError, match=r"^miniature: its structures do not fit .* again\.$"):
            structure_maps(image, replace(model, statistics=wrong))
    fewer = {k: v for k, v in model.statistics.items() if k != "structures_mean"}
    with pytest.raises(ValueError, match="do not fit its network"):
        structure_maps(image, replace(model, statistics=fewer))


def test_a_file_with_numbers_that_are_none_is_refused(model, tmp_path, monkeypatch):
    path = tmp_path / "a.aeanet"
    wrong = {**model.statistics, "structures_mean": model.statistics["structures_mean"] * np.nan}
    save_model(replace(model, statistics=wrong), path)
    with pytest.raises(ValueError, match=r"structures_mean.*not finite"):
        load_model(path)


def test_a_model_without_structures_says_how_to_get_them():
    plain = model_of(small_network("aeanet-2d", features=2))
    with pytest.raises(ValueError, match=r"no structures yet\. Fit them from pairs"):
        structure_maps(Image(scene(0), "YX"), plain)


@pytest.mark.parametrize("name", ["aeanet-3d", "aeanet-projection", "vdsr"])
def test_other_networks_are_refused_in_one_sentence(name):
    if name == "vdsr":
        network = build(SuperResConfig(architecture="vdsr", features=2, blocks=2)).eval()
    else:
        network = small_network(name, features=2)
    with pytest.raises(ValueError, match=r"^miniature: .* Choose another model\.$"):
        fit_structures(model_of(network), pairs())


def test_pairs_that_are_too_small_or_none_are_refused():
    model = model_of(small_network("aeanet-2d", features=2))
    small = Image(scene(0)[:16, :16], "YX")
    with pytest.raises(ValueError, match="too small to fit 16 kinds"):
        fit_structures(model, [ImagePair(small, small)])
    with pytest.raises(ValueError, match="no registered pair"):
        fit_structures(model, [])
    with pytest.raises(ValueError, match="kinds must be from 2 to"):
        FitSettings(kinds=1)


# --- filters and names


def test_structures_are_not_fitted_from_shifted_pairs(model):
    pixels = gaussian_filter(float_noise((160, 192)), 2) * 600
    shifted = [Image(pixels[:, at : at + 180].astype(np.uint8), "YX") for at in (0, 6)]
    with pytest.raises(ValueError, match=r"shifted, by up to 6.* register it first"):
        fit_structures(model, [ImagePair(*shifted)])


def test_filters_of_parts_are_those_of_the_whole():
    image = Pixels(float_noise((64, 96)).astype(np.float64))
    whole = filtered(image, (slice(0, 64), slice(0, 96)), (4, 4), (3.0, 3.0))
    part = filtered(image, (slice(16, 40), slice(48, 96)), (4, 4), (3.0, 3.0))
    np.testing.assert_allclose(part, whole[:, 4:10, 12:24], atol=1e-12)


@pytest.mark.parametrize("number", range(len(BANDS)))
def test_a_band_answers_to_waves_of_its_width(number):
    def energy(period: float) -> float:
        wave = np.sin(2 * np.pi * np.arange(256) / period)
        image = Pixels(np.broadcast_to(0.5 + 0.2 * wave, (256, 256)).copy())
        inner = (slice(96, 160), slice(96, 160))
        return filtered(image, inner, (4, 4), (3.0, 3.0))[ENERGIES][number].mean()

    at_band = energy(5 * BANDS[number])
    assert all(at_band > energy(5 * b) for i, b in enumerate(BANDS) if abs(i - number) > 1)


def test_brightness_is_the_mean_of_the_place():
    ramp = np.add.outer(np.arange(128.0), 2 * np.arange(128.0))
    found = filtered(Pixels(ramp), (slice(48, 80), slice(48, 80)), (4, 4), (3.0, 3.0))
    place = 48 + 4 * np.arange(8) + 3.5
    np.testing.assert_allclose(found[MEAN], np.add.outer(place, 2 * place), rtol=1e-6)


def test_names_say_what_a_kind_is_and_none_is_given_twice():
    rows = np.array(
        [
            [-1, -1, -1, -1, -1.5],
            [-1, -1, -1, -1, 1.5],
            [1, 1, 1.2, 1.2, -2],
            [1, 1, 1.2, 1.2, 2],
            [2, 2, 0, 0, 0],
            [2.5, 2.5, 1, 1, 0],
            [-1, -1, -1, -1, -2],
        ]
    )
    assert names_of(rows) == (
        "very dark smooth (brighter)",
        "very bright smooth",
        "very dark gaps",
        "very bright rims",
        "rough",
        "very rough",
        "very dark smooth (darker)",
    )


def smooth(fine=0.0, strength=-1.0, brightness=0.0):
    """Descriptors of a kind that is called smooth."""
    return [*2 * [strength + fine], *2 * [strength - fine], brightness]


def test_kinds_of_one_name_are_told_apart_by_what_differs_most():
    assert names_of(np.array([smooth(fine=0.3), smooth(fine=-0.1, brightness=0.2)])) == (
        "smooth (finer)",
        "smooth (coarser)",
    )
    by_strength = [smooth(strength=-1.1), smooth(strength=-0.9), smooth(strength=-1.0)]
    assert names_of(np.array(by_strength)) == (
        "smooth (faintest)",
        "smooth (strongest)",
        "smooth (middle)",
    )
    by_brightness = [smooth(brightness=0.1 * number) for number in (0, 1, 2, 3)]
    assert names_of(np.array(by_brightness)) == (
        "smooth (darkest)",
        "smooth (second darkest)",
        "smooth (second brightest)",
        "smooth (brightest)",
    )
    # No single property tells these three apart.
    corner = [smooth(), smooth(brightness=0.2), smooth(fine=0.3)]
    assert sorted(names_of(np.array(corner))) == [
        "smooth (coarser, brighter)",
        "smooth (coarser, darker)",
        "smooth (finer)",
    ]


def test_a_number_stands_only_behind_kinds_that_differ_in_nothing():
    assert names_of(np.array([smooth(), smooth()])) == ("smooth (1)", "smooth (2)")
    rows = np.random.default_rng(0).normal(0, 0.4, (32, 5)) - [1, 1, 1, 1, 0]
    names = names_of(rows)
    assert len(set(names)) == len(rows)
    assert not any(name[-2].isdigit() for name in names if name.endswith(")"))
    assert names == names_of(rows)
    turned = names_of(rows[::-1])
    assert turned == names[::-1]
