"""AEANet: Relevance, with the real engine on a tiny model."""

import csv
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from helpers import contrast, micrograph
from skimage.color import rgb2lab

from napari_aeanet.gui.relevance import keeping, trust
from napari_aeanet.gui.relevance.gallery import Order
from napari_aeanet.gui.relevance.trust import LEGEND, LIGHTS
from napari_aeanet.gui.viewer.colour_bar import ColourBar
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import read_card
from napari_aeanet.networks import UNetConfig, config_to_json

PIXELS = 6  # abstract pixels of the tiny model


def field(layer):
    """The edges of what a layer covers: its extent is that of pixel centres."""
    half = layer.extent.step / 2
    return np.stack([layer.extent.world[0] - half, layer.extent.world[1] + half])


def overlays(viewer):
    return [layer for layer in viewer.layers if layer.name.startswith("relevance")]


def test_the_events_of_the_worker_come_without_torch_and_qt():
    code = (
        "import sys; from napari_aeanet.gui.relevance import worker; worker.MapsReady;"
        "print([m for m in ('torch', 'qtpy', 'napari') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_empty_dock_says_what_to_do(relevance, card_file):
    assert "Choose a model" in relevance.row.line.text
    relevance.models.take(card_file())
    assert "Choose an image" in relevance.row.line.text


def test_the_image_that_was_just_restored_is_chosen(viewer, dock, relevance):
    layers = [viewer.add_layer(image_to_layer(micrograph(name=name))) for name in "abc"]
    restore = dock("Restore")
    relevance.session.restored_layer = layers[0]
    relevance.come_to_front()
    assert relevance.image.chosen is layers[0]
    # What the user chooses afterwards stays.
    relevance.image.choose(layers[1])
    restore.come_to_front()
    relevance.come_to_front()
    assert relevance.image.chosen is layers[1]


def test_the_image_like_those_of_the_training_is_chosen_of_several(viewer, dock, session, card):
    # Topmost is the close-up, as in the sample of pairs.
    size = card.pixel_size[-1] * card.ratio[-1]
    close, source = micrograph(pixel_size=(size / 2,) * 2), micrograph(pixel_size=(size, size))
    layer = viewer.add_layer(image_to_layer(source))
    viewer.add_layer(image_to_layer(close))
    viewer.add_labels(np.zeros((8, 8), np.uint8))
    session.models = {Path("a.aeanet"): card}
    session.model = Path("a.aeanet")
    assert dock("Relevance").image.chosen is layer


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
    relevance.view.alike.setChecked(False)
    assert sorted(relevance.gallery.numbers) == list(range(PIXELS))
    (overlay,) = overlays(viewer)
    first = overlay.data
    assert overlay.units == layer.units
    # The attention grid of the enlarged image has a step of 4 pixels of 5 nm.
    assert tuple(overlay.scale) == pytest.approx((20, 20))
    low, high = layer.extent.world
    assert np.all(overlay.extent.world[0] > low - 20)
    assert np.all(overlay.extent.world[1] < high + 20)
    # Colours tell places apart: they are full on either side of the mean, or else of zero.
    assert np.mean(overlay.contrast_limits) == pytest.approx(first.mean(), abs=1e-3)
    relevance.view.zero.setChecked(True)
    assert overlay.contrast_limits[0] == -overlay.contrast_limits[1]

    relevance.view.pick(3)
    assert overlays(viewer) == [overlay]
    assert overlay.data is not first
    relevance.view.opacity.setValue(30)
    assert overlay.opacity == pytest.approx(0.3)


def test_a_deleted_overlay_is_made_anew(viewer, relevance, session, model_file, finish, click):
    viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(model_file)
    click(relevance, "relevance_run")
    finish(session)
    viewer.layers.remove(overlays(viewer)[0])
    relevance.gallery.pick(0)  # the one that is chosen already
    assert len(overlays(viewer)) == 1


def test_a_dropped_image_is_chosen_and_results_are_not_offered(viewer, relevance, drop, tmp_path):
    viewer.add_layer(image_to_layer(micrograph(name="S06")))
    viewer.add_image(np.zeros((4, 4)), name="made here", metadata={"napari-aeanet": "restored"})
    write_image(micrograph(), tmp_path / "S07.ome.tif")
    drop(relevance, tmp_path / "S07.ome.tif")
    assert relevance.image.currentText() == "S07"
    offered = {relevance.image.itemText(i) for i in range(relevance.image.count())}
    assert offered == {"S06", "S07"}


def test_alike_maps_are_one_thumbnail_until_all_are_asked_for(computed):
    groups = computed.shown.ready.groups
    assert computed.gallery.numbers == [group.leader for group in groups]
    computed.view.alike.setChecked(False)
    assert computed.gallery.numbers == [n for group in groups for n in group.members]
    computed.view.order.setCurrentIndex(list(Order).index(Order.NUMBER))
    assert computed.gallery.numbers == list(range(PIXELS))


def world_of(overlay, place):
    return tuple(overlay.data_to_world(place))


def test_what_speaks_under_the_cursor_is_told_and_a_click_sorts_by_it(computed, viewer):
    overlay = computed.overlay.layer
    maps, place = computed.shown.ready.maps.maps, (5, 7)
    assert computed._map_position(world_of(overlay, place)) == place
    assert computed._map_position(world_of(overlay, (-3, 2))) is None
    computed.view.sort_by(place)
    scores = (maps[:, 5, 7] - maps.mean(axis=(1, 2))) / maps.std(axis=(1, 2))
    assert computed.gallery.numbers == list(np.argsort(-np.abs(scores)))
    first = computed.view.bars.scores[0]
    assert first.number == computed.gallery.numbers[0]
    assert first.value == pytest.approx(scores[first.number], rel=1e-3)


def test_the_callbacks_leave_the_viewer_with_the_dock(computed, viewer):
    before = len(viewer.mouse_move_callbacks)
    viewer.window.remove_dock_widget(computed.parent())
    assert len(viewer.mouse_move_callbacks) == before - 1


def test_a_pinned_map_stays_and_the_next_gets_a_layer_of_its_own(computed, viewer, click):
    click(computed, "relevance_pin")
    computed.view.pick(3)
    pinned, shown = overlays(viewer)
    assert "pinned" in pinned.name
    assert shown.name.endswith("4")
    assert pinned.data is not shown.data


def test_a_name_is_kept_in_the_model_file_and_shown(computed, lively_model, qtbot):
    computed.view.pick(2)
    computed.view.name.setText("particle edge")
    computed.view.name.editingFinished.emit()
    qtbot.waitUntil(lambda: read_card(lively_model).pixel_names == {"2": "particle edge"})
    qtbot.waitUntil(lambda: computed.view.name_of(2) == "particle edge")
    assert computed.overlay.layer.name == "relevance: particle edge"


def test_naming_does_not_rename_the_layer_of_a_map_chosen_since(computed, qtbot):
    computed.view.pick(2)
    computed.view.name.setText("particle edge")
    computed.view.name.editingFinished.emit()
    computed.view.pick(3)
    qtbot.waitUntil(lambda: computed.view.name_of(2) == "particle edge")
    assert computed.overlay.layer.name == "relevance: 4"


def test_what_an_abstract_pixel_changes_becomes_a_layer_on_its_image(
    computed, viewer, session, finish, click
):
    click(computed, "relevance_change")
    finish(session)
    (change,) = (layer for layer in viewer.layers if "influence of" in layer.name)
    assert np.allclose(field(change), field(viewer.layers[0]))
    assert change.contrast_limits[0] == -change.contrast_limits[1]
    assert f"Without abstract pixel {computed.view.current + 1} " in computed.row.line.text
    assert not computed.overlay.layer.visible  # blended colours mean nothing
    click(computed, "relevance_change")
    finish(session)
    assert [layer for layer in viewer.layers if "influence of" in layer.name] == [change]
    computed.view.pick(2)
    assert computed.overlay.layer.visible
    assert not change.visible


def test_compute_is_blue_until_its_maps_are_there(computed, viewer):
    assert not computed.row.run_button.property("role")
    viewer.add_layer(image_to_layer(micrograph()))
    computed.image.choose(viewer.layers[-1])
    assert computed.row.run_button.property("role") == "primary"
    computed.image.choose(viewer.layers[0])
    assert not computed.row.run_button.property("role")


def test_ranking_sorts_the_gallery_by_influence(computed, session, finish, click):
    click(computed, "relevance_rank")
    finish(session)
    assert computed.gallery.numbers == list(np.argsort(-computed.view.influence, kind="stable"))
    assert "Most influential" in computed.change.line.text()


def test_regions_are_measured_where_they_lie(computed, viewer, qtbot, click):
    image = viewer.layers[0]
    labels = np.zeros(image.data.shape, int)
    labels[:, :32] = 1
    labels[:, 32:] = 2
    place = {"scale": image.scale, "translate": image.translate, "units": image.units}
    viewer.add_labels(labels, name="halves", **place)
    corners = np.array([[10, 8], [10, 40], [30, 40], [30, 8]])
    viewer.add_shapes([corners], shape_type="rectangle", name="box", **place)
    maps = computed.shown.ready.maps.maps
    rows, table = measured(computed, "halves", qtbot, click)
    assert {row.region for row in rows} == {1, 2}
    left = next(row for row in rows if (row.region, row.pixel) == (1, 0))
    assert left.mean == pytest.approx(maps[0, :, : maps.shape[2] // 2].mean(), rel=0.05)
    assert table.rowCount() == 2 * PIXELS
    assert computed.regions.save_button.isEnabled()
    rows, _ = measured(computed, "box", qtbot, click)
    # 20 x 32 pixels of 10 nm on a grid of 20 nm
    assert rows[0].places == pytest.approx(160, rel=0.15)


def measured(dock, layer, qtbot, click):
    table = dock.regions.table
    table.fill([])
    box = dock.regions.layer
    box.setCurrentIndex(box.findText(layer))
    click(dock, "relevance_measure")
    qtbot.waitUntil(lambda: bool(table.rows))
    return table.rows, table


def test_compared_images_share_one_scale_and_stand_in_a_grid(
    computed, viewer, session, finish, click
):
    other = viewer.add_layer(image_to_layer(micrograph(seed=1, name="S06")))
    computed.comparison.images.tick_only(viewer.layers[0], other)
    click(computed, "relevance_compare")
    finish(session)
    grey, heat, captions = computed.mosaic.layers
    assert grey in viewer.layers
    assert heat.contrast_limits[0] == -heat.contrast_limits[1]
    assert heat.data.shape[0] > 2 * 24  # two rows of maps, and captions below
    assert np.allclose(field(grey), field(heat))
    assert grey.extent.world[0, 1] > viewer.layers[0].extent.world[1, 1]
    numbers = [number + 1 for number in computed.gallery.numbers[:4]]
    said = [f"{number} in {name}" for name in ("S06", "S05") for number in numbers]
    assert list(captions.text.string.array) == said


def test_trust_is_a_sentence_and_a_layer_that_can_show_its_reasons(
    computed, viewer, session, finish, click
):
    computed.trust.symmetries.setChecked(False)
    click(computed, "relevance_trust")
    finish(session)
    assert "of the image" in computed.trust.sentence.text()
    layer = computed.trust.overlay.layer
    assert np.allclose(field(layer), field(viewer.layers[0]))
    light = layer.data
    assert not computed.overlay.layer.visible  # two on each other say nothing
    computed.view.pick(2)
    assert computed.overlay.layer.visible
    assert not layer.visible
    computed.trust.shown.setCurrentIndex(1)
    assert computed.trust.overlay.layer is layer
    assert layer.visible
    assert layer.data is not light
    assert "contradiction" in layer.name
    assert layer.colorbar.visible
    computed.trust.shown.setCurrentIndex(0)
    assert not layer.colorbar.visible  # the lights have their legend


def test_results_are_shown_for_their_own_image_and_model_only(
    computed, viewer, session, finish, click, card_file
):
    computed.trust.symmetries.setChecked(False)
    click(computed, "relevance_trust")
    finish(session)
    first, model = viewer.layers[0], session.model

    def shown():
        parts = (computed.trust.judged, computed.view)
        return [not part.isHidden() for part in parts] + ["judged" in computed.row.line.text]

    assert shown() == [True, True, True]
    other = viewer.add_layer(image_to_layer(micrograph(seed=5, name="other")))
    computed.image.choose(other)
    assert shown() == [False, False, False]
    assert not computed.change.show_button.isEnabled()
    computed.image.choose(first)
    assert shown() == [True, True, False]
    session.add_model(card_file("another"))
    assert shown() == [False, False, False]
    session.choose_model(model)
    assert shown() == [True, True, False]
    viewer.layers.remove(first)
    assert shown() == [False, False, False]


def test_the_maps_of_trust_are_saved_as_one_calibrated_stack(
    computed, session, finish, click, tmp_path, monkeypatch, qtbot
):
    assert not computed.trust.save_button.isVisibleTo(computed.trust)
    computed.trust.symmetries.setChecked(False)
    click(computed, "relevance_trust")
    finish(session)
    asked = []
    path = tmp_path / "S05-trust.ome.tif"
    monkeypatch.setattr(trust, "ask_path", lambda *words: asked.append(words[2]) or path)
    click(computed, "relevance_save_trust")
    qtbot.waitUntil(path.exists)
    assert asked == ["S05-trust.ome.tif"]
    written = read_image(path)
    assert (written.pixel_size, written.unit) == ((5.0, 5.0), "nm")
    names = [channel.name for channel in written.channels]
    assert names == ["light (0 green, 1 amber, 2 red)", "doubt", "contradiction (-log10 p)"]
    np.testing.assert_allclose(written.read()[1], computed.trust.overlay.layer.data, rtol=1e-6)


def test_a_model_without_abstract_pixels_can_still_be_asked_for_trust(viewer, relevance, card_file):
    viewer.add_layer(image_to_layer(micrograph()))
    relevance.models.take(card_file(network=config_to_json(UNetConfig(bottom="block"))))
    assert relevance.trust.button.isEnabled()
    assert not relevance.row.run_button.isEnabled()


@pytest.mark.parametrize("ending", [".csv", ".svg", ".ome.tif"])
def test_what_is_seen_can_be_exported(computed, tmp_path, monkeypatch, qtbot, click, ending):
    path = tmp_path / f"out{ending}"
    monkeypatch.setattr(keeping, "ask_path", lambda *_: path)
    click(computed, "relevance_export")
    qtbot.waitUntil(path.exists, timeout=20_000)
    if ending == ".csv":
        rows = list(csv.reader(path.read_text().splitlines()))
        assert len(rows) == PIXELS + 1
    elif ending == ".svg":
        assert b"<svg" in path.read_bytes()


def test_controls_that_need_maps_say_so_before(relevance):
    for name in ("export", "pin", "opacity"):
        widget = getattr(relevance.view, name)
        assert not widget.isEnabled()
        assert "Compute" in widget.toolTip()


# Machado, Oliveira, Fernandes 2009: how linear RGB is seen without one kind of cones.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
    "tritanopia": np.array(
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]
    ),
}


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("below", [0.1, 0.4, 0.8])
def test_the_lights_are_told_apart_by_the_colour_blind(kind, below):
    """On one grey of the image, and by yellow against blue on different ones."""
    seen = []
    for *colour, opacity in LIGHTS.colors:
        shown = 0.6 * opacity * np.array(colour) + (1 - 0.6 * opacity) * below
        linear = np.clip(BLINDNESS[kind] @ shown**2.2, 0, 1)
        seen.append(rgb2lab(linear ** (1 / 2.2)))
    apart = [np.linalg.norm(a - b) for a, b in combinations(seen, 2)]
    assert min(apart) > 15
    if kind in ("protanopia", "deuteranopia"):
        assert seen[1][2] - seen[2][2] > 20


def test_the_marks_of_the_legend_are_readable_in_every_theme():
    for back, front in LEGEND.values():
        assert contrast(back, front) >= 4.5


def test_the_values_of_the_colour_bar_have_equal_decimals(qtbot):
    bar = ColourBar("bar", "less", "more")
    qtbot.addWidget(bar)
    bar.set_values(-1.1, 1.93)
    assert [text.split("\n")[1] for text in bar.texts()] == ["−3.0", "−1.1", "+0.8"]
    bar.set_values(0.0, 0.0123)
    assert [text.split("\n")[1] for text in bar.texts()] == ["−0.012", "0", "+0.012"]
