"""AEANet: Relevance, with the real engine on a tiny model."""

import numpy as np
import pytest
from stand_ins import micrograph

from napari_aeanet.data.files import write_image
from napari_aeanet.gui.gallery import Order, ordered
from napari_aeanet.gui.layers import image_to_layer
from napari_aeanet.models import UNetConfig, config_to_json

PIXELS = 6  # abstract pixels of the tiny model


@pytest.fixture
def relevance(dock):
    return dock("Relevance")


def overlays(viewer):
    return [layer for layer in viewer.layers if layer.name.startswith("relevance")]


def test_the_empty_dock_says_what_to_do(relevance, card_file):
    assert "Choose a model" in relevance.row.line.text
    relevance.models.take(card_file())
    assert "Choose an image" in relevance.row.line.text


def test_a_model_without_abstract_pixels_is_refused_in_words(viewer, relevance, card_file):
    viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(card_file(network=config_to_json(UNetConfig(bottom="block"))))
    assert "no abstract pixels" in relevance.row.line.text


def test_an_image_of_another_pixel_size_is_refused_in_words(viewer, relevance, card_file):
    viewer.add_layer(image_to_layer(micrograph(pixel_size=(30.0, 30.0))))
    relevance.models.take(card_file())
    assert "Trained at 10 nm a pixel" in relevance.row.line.text


def test_a_click_on_a_thumbnail_lays_its_map_over_the_image(
    viewer, relevance, session, model_file, finish, click
):
    layer = viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(model_file)
    click(relevance, "relevance_run")
    finish(session)
    assert relevance.gallery.count() == PIXELS
    (overlay,) = overlays(viewer)
    first = overlay.data
    assert overlay.units == layer.units
    # The attention grid of the enlarged image has a step of 4 pixels of 5 nm.
    assert tuple(overlay.scale) == pytest.approx((20, 20))
    low, high = layer.extent.world
    assert np.all(overlay.extent.world[0] > low - 20)
    assert np.all(overlay.extent.world[1] < high + 20)
    assert overlay.contrast_limits[0] == -overlay.contrast_limits[1]

    relevance.gallery.pick(3)
    assert overlays(viewer) == [overlay]
    assert overlay.data is not first
    relevance.opacity.setValue(30)
    assert overlay.opacity == pytest.approx(0.3)


def test_a_deleted_overlay_is_made_anew(viewer, relevance, session, model_file, finish, click):
    viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(model_file)
    click(relevance, "relevance_run")
    finish(session)
    viewer.layers.remove(overlays(viewer)[0])
    relevance.gallery.pick(2)
    assert len(overlays(viewer)) == 1


def test_a_dropped_image_is_chosen_and_results_are_not_offered(viewer, relevance, tmp_path):
    viewer.add_layer(image_to_layer(micrograph(name="S06")))
    viewer.add_image(np.zeros((4, 4)), name="made here", metadata={"napari-aeanet": "restored"})
    write_image(micrograph(), tmp_path / "S07.ome.tif")
    relevance.take_files([tmp_path / "S07.ome.tif"])
    assert relevance.image.currentText() == "S07"
    offered = {relevance.image.itemText(i) for i in range(relevance.image.count())}
    assert offered == {"S06", "S07"}


def test_the_strongest_maps_come_first():
    maps = np.zeros((3, 4, 4))
    maps[1, 0] = 5
    maps[2, 0] = 1
    assert list(ordered(maps, Order.STRONGEST)) == [1, 2, 0]
    assert list(ordered(maps, Order.NUMBER)) == [0, 1, 2]
