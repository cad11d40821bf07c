"""Structures in AEANet: Relevance: the coloured map of kinds, its legend, names and the fit."""

import numpy as np
import pytest
from helpers import micrograph
from qtpy.QtCore import Qt

from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.models import load_model, read_card
from napari_aeanet.pairs import ImagePair
from napari_aeanet.relevance import averaged_over
from napari_aeanet.structures import fit, structure_maps, structures_of

KINDS = 3


@pytest.fixture
def shown(viewer, relevance, session, structured, finish, click):
    """The dock with the structures of one image."""
    viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(structured)
    click(relevance, "relevance_run")
    finish(session)
    return relevance


def overlay(viewer):
    (layer,) = [one for one in viewer.layers if one.name.startswith("structures")]
    return layer


def rows(dock):
    return [dock.structures.kinds.item(i).text() for i in range(dock.structures.kinds.count())]


def test_a_model_with_structures_opens_with_the_coloured_map_of_kinds(viewer, shown, structured):
    expected = structure_maps(micrograph(), structured)
    layer = overlay(viewer)
    np.testing.assert_array_equal(layer.data, expected.labels)
    assert len(layer.colormap.colors) == KINDS
    assert not shown.view.isVisibleTo(shown)
    assert not shown.structures.line.isVisibleTo(shown)
    assert rows(shown)[0] == "all kinds"
    for name, share in zip(expected.names, expected.shares, strict=True):
        percent = f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
        assert (f"{name}, {percent}" in rows(shown)) == (share > 0)


def test_a_click_on_a_kind_shows_its_probability(viewer, shown, structured):
    layer = overlay(viewer)
    shown.structures.kinds.setCurrentRow(1)
    kind = shown.structures.kinds.item(1).data(Qt.ItemDataRole.UserRole)
    assert overlay(viewer) is layer
    maps = structure_maps(micrograph(), structured).maps
    np.testing.assert_array_equal(layer.data, maps[kind])
    assert layer.contrast_limits == [0, 1]
    shown.averages.set_places(5)
    np.testing.assert_allclose(layer.data, averaged_over(maps[kind], 5))
    shown.structures.kinds.setCurrentRow(0)
    np.testing.assert_array_equal(layer.data, averaged_over(maps, 5).argmax(axis=0) + 1)


def test_raw_maps_are_one_click_further(viewer, shown, session, finish, click):
    shown.subject.setCurrentIndex(1)
    assert shown.view.isVisibleTo(shown)
    assert not shown.structures.isVisibleTo(shown)
    click(shown, "relevance_run")
    finish(session)
    assert not overlay(viewer).visible
    raw = next(layer for layer in viewer.layers if layer.name.startswith("relevance"))
    before = raw.data
    shown.averages.set_places(3)
    np.testing.assert_allclose(raw.data, averaged_over(before, 3), rtol=1e-5)


def test_the_name_of_a_kind_is_kept_in_the_model_file(viewer, shown, session, structured, qtbot):
    shown.structures.kinds.setCurrentRow(1)
    kind = shown.structures.kind
    shown.structures.name.setText("pores")
    shown.structures.name.editingFinished.emit()
    qtbot.waitUntil(lambda: rows(shown)[1].startswith("pores, "))
    assert read_card(structured).structure_names == {str(kind): "pores"}
    assert overlay(viewer).name == "structures: pores"
    assert session.models[structured].structure_names


def test_a_model_without_structures_says_so_and_offers_to_fit_them(
    viewer, relevance, session, model_file, finish, click, monkeypatch
):
    monkeypatch.setattr(fit, "STEPS", 10)
    viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(model_file)
    section = relevance.structures
    assert "no structures yet" in section.line.text()
    assert "Add registered pairs" in section.line.text()
    assert not section.fit_button.isVisibleTo(relevance)
    assert relevance.view.isVisibleTo(relevance)
    images = [micrograph((160, 160), seed, name=f"S{seed}") for seed in range(2)]
    session.add_pairs([ImagePair(image, image) for image in images])
    assert section.fit_button.isVisibleTo(relevance)
    section.fit_button.click()
    finish(session)
    assert len(structures_of(load_model(model_file))) == 16
    assert relevance.shows_structures
    click(relevance, "relevance_run")
    finish(session)
    assert overlay(viewer).data.max() <= 16
