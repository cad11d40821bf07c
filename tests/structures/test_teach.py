"""A kind taught from marks is found elsewhere, is exact in tiles, and is scored honestly."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import model_of, small_network, with_random_structures
from scipy.ndimage import gaussian_filter

from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import load_model, save_model
from napari_aeanet.structures.discriminant import Classes, Marked, auc, fisher
from napari_aeanet.structures.run import structure_maps
from napari_aeanet.structures.settings import StructureSettings
from napari_aeanet.structures.teaching import teach, teach_events, with_kind_of

SHAPE = (96, 128)


@pytest.fixture(scope="module")
def model():
    return with_random_structures(model_of(small_network("aeanet-2d", features=4)))


def rough_patches(seed):
    """An image that is rough in some places of both halves, and these places."""
    rng = np.random.default_rng(seed)
    inside = gaussian_filter(rng.standard_normal(SHAPE), 8) > 0.01
    values = gaussian_filter(rng.standard_normal(SHAPE), 4) * 200
    values += np.where(inside, 30, 2) * rng.standard_normal(SHAPE)
    image = Image((values + 120).clip(0, 255).astype(np.uint8), "YX", name=f"S0{seed}")
    return image, inside.astype(np.uint8)


def test_a_taught_kind_is_found_in_other_images_and_its_scores_say_so(model):
    images, marks = zip(*(rough_patches(seed) for seed in (1, 2)), strict=True)
    taught = teach(model, images, marks, "rough")
    assert taught.other_half > 0.85
    assert taught.other_images > 0.85
    assert 0.3 < taught.null < 0.7
    other, inside = rough_patches(3)
    found = structure_maps(other, taught.model).taught["rough"]
    assert auc(found.ravel(), inside[3::4, 3::4].ravel() > 0) > 0.85
    assert np.mean((found > 0) == (inside[3::4, 3::4] > 0)) > 0.7


def test_marks_without_meaning_are_told_by_their_scores(model):
    image, _ = rough_patches(1)
    marks = np.random.default_rng(5).integers(0, 2, SHAPE)
    taught = teach(model, [image], [marks], "nothing")
    assert abs(taught.other_half - 0.5) < 0.15
    left = np.zeros(SHAPE)
    left[:, :40] = marks[:, :40]
    taught = teach(model, [image], [left], "half")
    assert np.isnan(taught.other_half)
    assert "in one half" in taught.notices[0]
    assert np.isnan(taught.other_images)


def test_tiles_give_the_map_of_the_whole(model, monkeypatch):
    image, marks = rough_patches(1)
    made = teach(model, [image], [marks], "rough").model
    network = made.network().double()
    monkeypatch.setattr(type(made), "network", lambda self: network)
    whole, tiled = (
        structure_maps(image, made, StructureSettings(tile=tile)).taught["rough"]
        for tile in (512, 32)
    )
    assert whole.dtype == np.float64
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-11 * np.abs(whole).max())


def test_a_model_keeps_several_kinds_and_replaces_one_of_the_same_name(model, tmp_path):
    image, marks = rough_patches(1)
    made = model
    for name, shown in (("rough", marks), ("smooth", 1 - marks), ("rough", 1 - marks)):
        made = teach(made, [image], [shown], name).model
    save_model(made, tmp_path / "m.aeanet")
    kept = load_model(tmp_path / "m.aeanet")
    found = structure_maps(image, kept).taught
    assert list(found) == ["smooth", "rough"]
    np.testing.assert_allclose(found["smooth"], found["rough"], rtol=1e-6)
    damaged = replace(kept, card=replace(kept.card, taught=("rough",)))
    with pytest.raises(ValueError, match="Teach it again"):
        structure_maps(image, damaged)


def test_a_kind_is_added_to_what_the_model_has_become_meanwhile(model):
    image, marks = rough_patches(1)
    taught = teach(model, [image], [marks], "rough")
    meanwhile = teach(model, [image], [1 - marks], "smooth").model
    meanwhile = replace(meanwhile, card=replace(meanwhile.card, structure_names={"0": "pores"}))
    both = with_kind_of(meanwhile, taught)
    assert both.card.structure_names == {"0": "pores"}
    found = structure_maps(image, both).taught
    assert list(found) == ["smooth", "rough"]
    alone = structure_maps(image, taught.model).taught["rough"]
    np.testing.assert_allclose(found["rough"], alone, rtol=0, atol=1e-4)


def test_the_discriminant_is_that_of_all_places_at_once():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(4, 30, 40)) + 5
    inside = rng.random((30, 40)) < 0.3
    features[:, inside] += np.array([1, 0, -1, 0.5])[:, None]
    shown = [Marked(features, inside), Marked(features[:, ::-1] * 1.1, inside[::-1])]
    classes = [Classes.of(half) for one in shown for half in one.halves()]
    weights, offset = fisher(sum(classes[1:], classes[0]))
    part, rest = (
        np.concatenate([one.features[:, one.inside == is_in] for one in shown], axis=1)
        for is_in in (True, False)
    )
    common = (np.cov(part) + np.cov(rest)) / 2
    common += (0.1 * np.trace(common) / 4 + 1e-9) * np.eye(4)
    means = part.mean(axis=1), rest.mean(axis=1)
    np.testing.assert_allclose(weights, np.linalg.solve(common, means[0] - means[1]), rtol=1e-8)
    assert offset == pytest.approx(-weights @ (means[0] + means[1]) / 2)


def test_marks_that_do_not_fit_are_refused(model):
    image, marks = rough_patches(1)
    with pytest.raises(ValueError, match="do not fit"):
        teach(model, [image], [marks[:-1]], "rough")
    with pytest.raises(ValueError, match="1 images and 2 images of marks"):
        teach(model, [image], [marks, marks], "rough")
    for refused in (np.zeros(SHAPE), np.ones(SHAPE)):
        events = teach_events(model, [image], [refused], "rough")
        # Before anything is computed.
        with pytest.raises(ValueError, match="Mark a larger region, or a smaller one"):
            next(events)
    with pytest.raises(ValueError, match="no structures yet"):
        teach(model_of(small_network("aeanet-2d", features=4)), [image], [marks], "rough")


def test_the_command_teaches_and_the_map_is_in_the_stack(model, tmp_path, capsys):
    image, marks = rough_patches(1)
    write_image(image, tmp_path / "S01.tif")
    write_image(Image(marks, "YX"), tmp_path / "marks.tif")
    save_model(model, tmp_path / "m.aeanet")
    path = str(tmp_path / "m.aeanet")
    words = ["teach", str(tmp_path / "S01.tif"), "--marks", str(tmp_path / "marks.tif")]
    words += ["--name", "rough", "-m", path]
    assert main(words) == 0
    assert "found in the other" in capsys.readouterr().out
    assert main(words) == 2
    assert "has a kind 'rough' already" in capsys.readouterr().err
    maps = ["relevance", str(tmp_path / "S01.tif"), "-m", path, "--structures", "--probabilities"]
    assert main(maps) == 0
    (stack,) = tmp_path.glob("S01-structures*.ome.tif")
    kinds = len(model.statistics["structures_kinds"])
    assert read_image(stack).sizes["C"] == kinds + 2


def test_places_are_ordered_by_chance_at_half():
    assert auc(np.arange(4.0), np.array([False, True, False, True])) == 0.75
