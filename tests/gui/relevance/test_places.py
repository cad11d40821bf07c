"""AEANet: Relevance: a click on a place shows what it attends to."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import micrograph, model_of, small_network
from napari.layers import Points
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtWidgets import QPushButton

from napari_aeanet import attention_map
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.models.model_file import save_model


@pytest.fixture
def press(viewer, session, finish, qtbot):
    """Click into the canvas at a position of the world, as napari tells it."""

    def act(world, moved=0.0, button=1):
        def event(kind, by=0.0):
            pos = np.array([100.0, 100.0]) + by
            return read_only_mouse_event(
                type=kind, button=button, position=tuple(world), pos=pos, is_dragging=bool(by)
            )

        mouse_press_callbacks(viewer, event("mouse_press"))
        if moved:
            mouse_move_callbacks(viewer, event("mouse_move", moved))
        mouse_release_callbacks(viewer, event("mouse_release", moved))
        finish(session)
        qtbot.wait(10)

    return act


@pytest.fixture
def asked(viewer, relevance, lively_model, click):
    """The dock with an image and a model, ready for clicks, and the layer of the image."""
    layer = viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(lively_model)
    click(relevance, "relevance_places_fold")
    return relevance, layer


def markers(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Points)]


def attention_layers(viewer):
    return [layer for layer in viewer.layers if layer.name.startswith("attention")]


def test_a_click_shows_what_the_place_attends_to_and_marks_it(
    viewer, asked, lively_model, press, session
):
    dock, image = asked
    press(image.data_to_world((11, 30)))
    expected = attention_map(micrograph(), lively_model, (11, 30))
    (layer,) = attention_layers(viewer)
    np.testing.assert_allclose(layer.data, expected.values, rtol=1e-4, atol=1e-5)
    assert layer.units == image.units
    assert layer.contrast_limits[0] == -layer.contrast_limits[1]
    (marker,) = markers(viewer)
    assert np.allclose(marker.face_color, marker.border_color)  # which napari draws in part
    assert tuple(marker.data_to_world(marker.data[0])) == pytest.approx(
        tuple(image.data_to_world((11, 30)))
    )
    assert len(dock.places.bars.scores) == 5
    assert viewer.layers.selection.active is image
    # The next place takes no further job, and the layers are the same.
    job = session.job
    press(image.data_to_world((40, 8)), moved=2.0)  # a hand trembles
    assert session.job is job
    other = attention_map(micrograph(), lively_model, (40, 8))
    np.testing.assert_allclose(layer.data, other.values, rtol=1e-4, atol=1e-5)
    assert attention_layers(viewer) == [layer]
    assert markers(viewer) == [marker]
    assert len(marker.data) == 1


def test_drags_other_buttons_and_drawing_are_left_to_napari(viewer, asked, press):
    _, image = asked
    there = image.data_to_world((11, 30))
    press(there, moved=30.0)
    press(there, button=2)
    press(image.data_to_world((-9, 30)))
    labels = viewer.add_labels(np.zeros(image.data.shape, int))
    labels.mode = "paint"
    press(there)
    assert not markers(viewer)
    assert not attention_layers(viewer)


def test_without_the_section_a_click_computes_nothing(viewer, asked, press, click):
    dock, image = asked
    press(image.data_to_world((11, 30)))
    click(dock, "relevance_places_fold")
    assert viewer.layers[:] == [image]
    press(image.data_to_world((11, 30)))
    assert viewer.layers[:] == [image]


def test_the_strongest_abstract_pixel_takes_the_place_of_the_attention_and_gives_it_back(
    viewer, asked, press, click
):
    dock, image = asked
    press(image.data_to_world((11, 30)))
    (layer,) = attention_layers(viewer)
    before = layer.data
    click(dock, "relevance_strongest")
    strongest = dock.places.bars.scores[0]
    assert layer.name == f"relevance: {strongest.name}"
    middle = np.mean(layer.contrast_limits)
    assert middle == pytest.approx(layer.data.mean(), abs=1e-3)
    click(dock, "relevance_strongest")
    assert layer.name.startswith("attention")
    np.testing.assert_array_equal(layer.data, before)


def test_a_network_without_abstract_pixels_can_be_asked_too(
    viewer, relevance, tmp_path, press, click
):
    network = small_network("gvtnet-2d", features=2)
    save_model(model_of(network, name="gvt"), tmp_path / "gvt.aeanet")
    image = viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(tmp_path / "gvt.aeanet")
    click(relevance, "relevance_places_fold")
    press(image.data_to_world((11, 30)))
    assert attention_layers(viewer)
    assert relevance.places.bars.isHidden()
    assert relevance.findChild(QPushButton, "relevance_strongest").isHidden()
    assert "no abstract pixels" in relevance.row.run_button.toolTip()


def test_every_attention_layer_can_be_chosen(viewer, relevance, tmp_path, press, click):
    network = small_network("gvtnet-3d", features=2)
    save_model(model_of(network, name="deep"), tmp_path / "deep.aeanet")
    rng = np.random.default_rng(0)
    stack = replace(
        micrograph(),
        array=rng.integers(0, 255, (4, 24, 32)).astype(np.uint8),
        axes="ZYX",
        pixel_size=(20.0, 10.0, 10.0),
        origin=(0.0, 0.0, 0.0),
    )
    image = viewer.add_layer(image_to_layer(stack))
    relevance.models.take(tmp_path / "deep.aeanet")
    click(relevance, "relevance_places_fold")
    count = relevance.attention.count()
    assert count == len(network.config.attention_layers()) > 1
    relevance.attention.setCurrentIndex(count - 1)
    press(image.data_to_world((1, 11, 20)))
    (layer,) = attention_layers(viewer)
    assert layer.data.ndim == 3
    first = layer.data.shape
    relevance.attention.setCurrentIndex(0)
    press(image.data_to_world((1, 11, 20)))
    assert attention_layers(viewer) == [layer]
    assert layer.data.shape != first


def test_a_plane_of_a_stack_is_marked_in_its_plane(viewer, asked, press):
    dock, _ = asked
    stack = replace(
        micrograph(name="stack"),
        array=np.random.default_rng(0).integers(0, 255, (3, 24, 32)).astype(np.uint8),
        axes="ZYX",
        pixel_size=(20.0, 10.0, 10.0),
        origin=(0.0, 0.0, 0.0),
    )
    image = viewer.add_layer(image_to_layer(stack))
    dock.image.choose(image)
    for plane in (2, 0):
        press(image.data_to_world((plane, 11, 20)))
        (layer,) = attention_layers(viewer)
        assert layer.data.shape[0] == 1
        assert layer.translate[0] == 20.0 * plane
        assert len(markers(viewer)) == 1


def test_the_raw_image_is_shown_beside_and_gone_again(viewer, asked, press):
    dock, image = asked
    hidden = viewer.add_image(np.zeros((9, 9)), name="other")
    press(image.data_to_world((11, 30)))
    before = viewer.layers[:]
    dock.places.raw.setChecked(True)
    grid = viewer.canvas.grid
    cells = [names for _, names in grid.iter_viewboxes(viewer.layers)]
    shown = [{viewer.layers[i].name for i in cell if viewer.layers[i].visible} for cell in cells]
    assert len(shown) == 2
    assert {"S05"} in shown
    (over,) = [cell for cell in shown if cell != {"S05"}]
    assert {"clicked place", "S05 below"} < over
    assert not hidden.visible
    press(image.data_to_world((40, 8)))  # goes on beside it
    dock.places.raw.setChecked(False)
    assert not grid.enabled
    assert set(viewer.layers) == set(before)
    assert hidden.visible


def test_an_overlay_takes_the_unit_of_the_next_image(
    viewer, relevance, lively_model, click, finish, session
):
    viewer.add_layer(image_to_layer(micrograph(pixel_size=(None, None), unit=None, name="plain")))
    relevance.models.take(lively_model)
    click(relevance, "relevance_run")
    finish(session)
    layer = relevance.overlay.layer
    assert str(layer.units[0]) == "pixel"
    other = viewer.add_layer(image_to_layer(micrograph(name="in nm")))
    relevance.image.choose(other)
    click(relevance, "relevance_run")
    finish(session)
    assert relevance.overlay.layer is layer
    assert layer.units == other.units
    assert tuple(layer.scale) == pytest.approx((20, 20))


def test_trust_can_be_opened_on_a_given_result(viewer, dock, lively_model, session, finish, click):
    layers = [viewer.add_layer(image_to_layer(micrograph(name=name))) for name in "abc"]
    session.add_model(lively_model)
    opened = dock("Relevance")
    opened.trust.symmetries.setChecked(False)
    opened.open_trust(layers[0], lively_model)
    finish(session)
    assert opened.image.chosen is layers[0]
    assert not opened.trust.sentence.isHidden()
    assert "of a" in opened.trust.overlay.layer.name
