"""AEANet: Pairs, from open images or folders to registered pairs."""

import re
from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QStyleOptionViewItem
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.scrolling import DockScroll
from napari_aeanet.gui.common.session import Decision, PairEntry
from napari_aeanet.gui.common.text import pair_state
from napari_aeanet.gui.common.theme import colours
from napari_aeanet.gui.pairs import dock as pairs_dock
from napari_aeanet.gui.pairs.evidence_layers import (
    CHECKERBOARD,
    DRIFT,
    MATCHES,
    OVERLAY,
    REMAINING,
)
from napari_aeanet.gui.pairs.evidence_panel import _evidence, _evidence_lines
from napari_aeanet.gui.pairs.pair_table import BESIDE_NAME
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.pairs.pair import ImagePair, PairList
from napari_aeanet.pairs.pair_list import load_pairs
from napari_aeanet.registration import Deformation, transforms
from napari_aeanet.registration.result import Verdict
from napari_aeanet.registration.run import register
from napari_aeanet.samples import label_free_volume, paired_sem

SHAPE = (236, 320)


@pytest.fixture(scope="module")
def specimens():
    return paired_sem(2, shape=SHAPE)


@pytest.fixture
def pairs(dock):
    return dock("Pairs")


def states(pairs):
    return [pairs.table.item(row, 2).text() for row in range(pairs.table.rowCount())]


def test_the_empty_dock_says_what_to_do(pairs):
    assert "Drop two folders" in pairs.table.placeholder
    assert "Add pairs first" in pairs.row.line.text
    assert not pairs.next.isEnabled()


def test_open_images_are_paired_by_name_when_the_dock_opens(viewer, dock, specimens):
    for specimen in specimens:
        viewer.add_layer(image_to_layer(specimen.target))
        viewer.add_layer(image_to_layer(specimen.source))
    viewer.add_layer(Labels(np.zeros(SHAPE, int), name="specimen 1 lr labels"))
    pairs = dock("Pairs")
    assert [entry.pair.name for entry in pairs.session.pairs] == ["specimen 1 LR", "specimen 2 LR"]
    assert [entry.pair.target.name for entry in pairs.session.pairs] == [
        "specimen 1 HR",
        "specimen 2 HR",
    ]
    # Same number of pixels, but twice the field: not to be trained on as they are.
    assert states(pairs) == ["· to register", "· to register"]
    assert not pairs.next.isEnabled()


def test_images_without_a_partner_are_named(viewer, pairs, click):
    viewer.add_layer(image_to_layer(Image(np.zeros((4, 5)), "YX", name="S01 lr")))
    click(pairs, "pairs_layers")
    assert "S01 lr: no target found" in pairs.notes.text()


def test_registering_shows_the_evidence_and_opens_the_way_to_training(
    viewer, dock, specimens, click, finish, qtbot
):
    specimen = specimens[0]
    viewer.add_layer(image_to_layer(specimen.target))
    viewer.add_layer(image_to_layer(specimen.source))
    pairs = dock("Pairs")
    assert pairs.row.run_button.text() == "Register 1 pair"
    click(pairs, "pairs_run")
    finish(pairs.session)
    registration = pairs.session.pairs[0].pair.registration
    error = transforms.corner_distance(registration.matrix, specimen.matrix, SHAPE)
    assert error < 0.5
    assert states(pairs)[0].startswith("✓ good")
    qtbot.waitUntil(lambda: MATCHES in viewer.layers)
    board = viewer.layers[CHECKERBOARD]
    assert board.data.shape == SHAPE
    assert tuple(board.scale) == specimen.target.pixel_size
    click(pairs, "pairs_next")
    train = viewer.window.dock_widgets["AEANet: Train (napari-aeanet)"]
    assert "1 to train on" in train.choices.pairs_line.text()


def test_the_evidence_of_another_pair_swaps_the_data_of_the_same_layers(
    viewer, dock, specimens, click, finish, qtbot
):
    for specimen in specimens:
        viewer.add_layer(image_to_layer(specimen.target))
        viewer.add_layer(image_to_layer(specimen.source))
    pairs = dock("Pairs")
    click(pairs, "pairs_run")
    finish(pairs.session)
    qtbot.waitUntil(lambda: MATCHES in viewer.layers)
    count, before = len(viewer.layers), viewer.layers[CHECKERBOARD].data
    pairs.table.selectRow(1)
    qtbot.waitUntil(lambda: viewer.layers[CHECKERBOARD].data is not before)
    assert len(viewer.layers) == count


def test_a_pair_that_does_not_match_is_told_apart_and_cannot_be_accepted(
    pairs, specimens, finish, click
):
    first, second = specimens
    wrong = replace(second.target, name="wrong HR")
    pairs.session.add_pairs([pairs_dock.ImagePair(first.source, wrong)])
    click(pairs, "pairs_run")
    finish(pairs.session)
    assert states(pairs) in (["✗ failed"], ["! doubtful"])
    assert pairs.session.usable_pairs == ()
    failed = states(pairs) == ["✗ failed"]
    assert pairs.evidence.accept.isEnabled() is not failed


def test_a_pair_can_be_left_out_and_taken_back(pairs, specimens, click):
    truth = replace(specimens[0].truth, name="S01 truth")
    pairs.session.add_pairs([pairs_dock.ImagePair(specimens[0].target, truth)])
    pairs.table.selectRow(0)
    click(pairs, "pairs_reject")
    assert states(pairs) == ["– left out"]
    assert pairs.session.pairs[0].decision is Decision.REJECTED
    assert not pairs.next.isEnabled()
    click(pairs, "pairs_accept")
    assert pairs.next.text() == "Train on 1 pair →"


def test_delete_removes_the_selected_pairs(pairs, specimens, qtbot):
    pairs.session.add_pairs(pairs_dock.ImagePair(s.target, s.truth) for s in specimens)
    pairs.table.selectRow(0)
    qtbot.keyClick(pairs.table, Qt.Key.Key_Delete)
    assert [entry.pair.source.name for entry in pairs.session.pairs] == ["specimen 2 HR"]


def test_two_dropped_folders_become_pairs_source_first(pairs, finish, tmp_path):
    for folder in ("gt", "noisy"):
        (tmp_path / folder).mkdir()
        for name in ("S01", "S02"):
            image = Image(np.full((20, 20), ord(folder[0]), np.uint8), "YX")
            write_image(image, tmp_path / folder / f"{name}.tif")
    write_image(image, tmp_path / "noisy" / "S03.tif")
    pairs.take_files([tmp_path / "gt", tmp_path / "noisy"])
    finish(pairs.session)
    assert [entry.pair.name for entry in pairs.session.pairs] == ["S01", "S02"]
    assert pairs.session.pairs[0].pair.source.read()[0, 0] == ord("n")
    assert "S03: no target found" in pairs.notes.text()


def names(pairs):
    return [
        tuple(pairs.table.item(row, column).text() for column in (0, 1))
        for row in range(pairs.table.rowCount())
    ]


def test_a_guessed_role_is_marked_and_can_be_changed(pairs, viewer, click):
    clean = gaussian_filter(np.random.default_rng(0).random((64, 64)), 3)
    noisy = clean + np.random.default_rng(1).normal(0, 0.1, clean.shape)
    for name, values in (("mean of 400", clean), ("single", noisy)):
        viewer.add_layer(image_to_layer(Image(values, "YX", name=name)))
    click(pairs, "pairs_layers")
    assert names(pairs) == [("single", "mean of 400")]
    assert "guess" in pairs.roles.line.text()
    assert pairs.table.item(0, 0).font().italic()
    assert "guessed" in pairs.table.item(0, 0).toolTip()
    click(pairs, "pairs_swap")
    assert names(pairs) == [("mean of 400", "single")]
    assert "guess" not in pairs.roles.line.text()
    assert not pairs.table.item(0, 0).font().italic()
    assert not pairs.table.item(0, 0).icon().isNull()


def test_only_the_selected_pairs_are_swapped(pairs, specimens, click):
    pairs.session.add_pairs(pairs_dock.ImagePair(s.source, s.target) for s in specimens)
    before = names(pairs)
    pairs.table.selectRow(1)
    click(pairs, "pairs_swap")
    assert names(pairs) == [before[0], before[1][::-1]]


def test_after_registering_swap_exchanges_all_pairs_unless_some_are_selected(
    registered, click, qtbot
):
    before = names(registered)
    assert registered.table.selected_rows() == {0}  # by the program
    assert registered.roles.swap_button.text() == "Swap all"
    click(registered, "pairs_swap")
    swapped = [pair[::-1] for pair in before]
    assert names(registered) == swapped
    assert registered.row.line.text == "Swapped: 2 pairs must be registered again."
    assert not any(entry.pair.registration for entry in registered.session.pairs)
    place = registered.table.visualItemRect(registered.table.item(0, 0)).center()
    qtbot.mouseClick(registered.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert registered.roles.swap_button.text() == "Swap"
    assert "1 selected pair" in registered.roles.swap_button.toolTip()
    click(registered, "pairs_swap")
    assert names(registered) == [before[0], swapped[1]]


def test_a_guess_is_settled_by_a_click(pairs, specimens, click):
    pair = ImagePair(specimens[0].source, specimens[0].target, is_guess=True)
    pairs.session.add_pairs([pair])
    pairs.session.decide(pairs.session.pairs[0], Decision.REJECTED)
    click(pairs, "pairs_guess_yes")
    assert "guess" not in pairs.roles.line.text()
    assert pairs.roles.yes.isHidden()
    assert states(pairs) == ["– left out"]


def test_notes_go_with_the_last_pair(pairs, specimens, qtbot):
    pairs._take(PairList((ImagePair(specimens[0].source, specimens[0].target),), ("lost",)))
    assert pairs.notes.text() == "lost"
    pairs.table.selectRow(0)
    qtbot.keyClick(pairs.table, Qt.Key.Key_Delete)
    assert pairs.notes.text() == ""


def test_the_blue_button_is_the_next_step(registered):
    assert registered.next.property("role") == "primary"
    assert registered.row.run_button.property("role") == ""
    registered.table.clearSelection()
    registered.roles.swap_button.click()
    assert registered.next.property("role") == ""
    assert registered.row.run_button.property("role") == "primary"


def test_a_folder_without_images_is_refused_in_words(pairs, finish, told, tmp_path):
    (tmp_path / "empty").mkdir()
    pairs.add_folders(tmp_path / "empty", tmp_path / "empty")
    finish(pairs.session)
    assert any("holds no images" in message for message in told())
    assert "holds no images" in pairs.row.line.text


def test_pairs_are_saved_and_reopened(pairs, specimens, finish, click, tmp_path, monkeypatch):
    for side in ("source", "target"):
        write_image(getattr(specimens[0], side), tmp_path / f"{side}.ome.tif")
    (tmp_path / "list.csv").write_text("source,target\nsource.ome.tif,target.ome.tif\n")
    pairs.add_list(tmp_path / "list.csv")
    finish(pairs.session)
    path = tmp_path / "pairs.json"
    monkeypatch.setattr(pairs_dock.QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
    click(pairs, "pairs_save")
    assert [pair.name for pair in load_pairs(path).pairs] == ["source"]
    pairs.session.set_pairs(())
    pairs.take_files([path])
    finish(pairs.session)
    assert len(pairs.session.pairs) == 1
    # A pair that was left out does not come back by being saved.
    pairs.session.decide(pairs.session.pairs[0], Decision.REJECTED)
    click(pairs, "pairs_save")
    assert load_pairs(path).pairs == ()
    assert "without 1 pair left out" in pairs.row.line.text


def test_a_file_that_is_no_list_of_pairs_is_refused_in_a_sentence(
    pairs, click, tmp_path, told, monkeypatch
):
    path = str(tmp_path / "model.aeanet")
    monkeypatch.setattr(pairs_dock.QFileDialog, "getOpenFileName", lambda *_, **__: (path, ""))
    click(pairs, "pairs_list")
    assert told() == [f"{path} is no list of pairs: choose a file .json, .csv, .npz."]


def test_an_accepted_pair_is_still_accepted_when_its_list_is_reopened(
    pairs, specimens, finish, click, tmp_path, monkeypatch
):
    for side in ("source", "target"):
        write_image(getattr(specimens[0], side), tmp_path / f"{side}.ome.tif")
    images = [read_image(tmp_path / f"{side}.ome.tif") for side in ("source", "target")]
    doubtful = replace(register(specimens[0].source, specimens[0].target), verdict=Verdict.DOUBTFUL)
    session = pairs.session
    session.set_pairs([PairEntry(ImagePair(*images, doubtful))])
    pairs.table.selectRow(0)
    assert not session.usable_pairs
    click(pairs, "pairs_accept")
    assert len(session.usable_pairs) == 1
    path = tmp_path / "pairs.json"
    monkeypatch.setattr(pairs_dock.QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), ""))
    click(pairs, "pairs_save")
    session.set_pairs(())
    pairs.take_files([path])
    finish(session)
    assert states(pairs) == ["✓ accepted"]
    assert len(session.usable_pairs) == 1
    # What was accepted is this registration, not the next one.
    pairs.table.selectRow(0)
    click(pairs, "pairs_again")
    finish(session)
    (entry,) = session.pairs
    assert entry.decision is Decision.NONE
    assert not entry.pair.accepted


@pytest.fixture
def registered(viewer, dock, specimens, click, finish, qtbot):
    """The dock with two registered pairs, the first of them selected, its evidence on show."""
    for specimen in specimens:
        viewer.add_layer(image_to_layer(specimen.target))
        viewer.add_layer(image_to_layer(specimen.source))
    pairs = dock("Pairs")
    click(pairs, "pairs_run")
    finish(pairs.session)
    qtbot.waitUntil(lambda: MATCHES in viewer.layers)
    return pairs


def test_evidence_goes_when_another_dock_comes_and_returns_with_this_one(
    viewer, registered, dock, qtbot
):
    dock("Train")
    shown = {CHECKERBOARD, MATCHES, OVERLAY}
    qtbot.waitUntil(lambda: shown.isdisjoint(layer.name for layer in viewer.layers))
    dock("Pairs")
    qtbot.waitUntil(lambda: MATCHES in viewer.layers)


def test_the_source_lies_over_the_target_as_the_warped_image_does(viewer, registered):
    """A bright dot of the source is shown where resampling takes it."""
    pair = registered.session.pairs[0].pair
    dots = np.zeros(pair.source.shape, np.float32)
    dots[90, 120] = dots[140, 200] = 1000
    marked = replace(pair, source=replace(pair.source, array=dots))
    warped = marked.on_target_grid().read()
    layers = registered.evidence.layers
    layers.show_source(marked, None)
    layer, target = viewer.layers[OVERLAY], viewer.layers[pair.target.name]
    for place in ((90, 120), (140, 200)):
        shown = target.world_to_data(layer.data_to_world(place))
        assert np.all(np.array(shown) > 5), "the dot lies outside of the target"
        y, x = np.round(shown).astype(int)
        near = np.clip(warped[y - 4 : y + 5, x - 4 : x + 5], 0, None)
        rows, columns = np.mgrid[y - 4 : y + 5, x - 4 : x + 5]
        centre = np.array([(near * rows).sum(), (near * columns).sum()]) / near.sum()
        assert np.allclose(centre, shown, atol=0.25)


def test_drift_is_shown_block_by_block_where_it_was_measured(viewer, registered):
    entry, boxes = registered.session.pairs[0], registered.evidence.boxes
    assert boxes[DRIFT].isVisibleTo(registered)
    assert not boxes[REMAINING].isVisibleTo(registered)  # there was none to be followed
    assert DRIFT not in viewer.layers
    boxes[DRIFT].setChecked(True)
    layer, drift = viewer.layers[DRIFT], entry.pair.registration.drift_vectors
    assert np.allclose(layer.data[:, 0], drift[:, 0])
    assert np.allclose(layer.data[:, 1], 10 * drift[:, 1])
    target = viewer.layers[entry.pair.target.name]
    assert np.allclose(layer.data_to_world((7, 11)), target.data_to_world((7, 11)))
    boxes[DRIFT].setChecked(False)
    assert not layer.visible


def test_a_source_that_drifts_lies_over_the_target_as_resampled(viewer, registered):
    pair = registered.session.pairs[0].pair
    drift = Deformation(coefficients=np.full((4, 4, 2), 0.01), before=3.0, after=0.2)
    drifting = replace(pair, registration=replace(pair.registration, deformation=drift))
    board, resampled = _evidence(drifting)
    assert np.array_equal(resampled.read(), drifting.on_target_grid().read())
    layers = registered.evidence.layers
    layers.show_checkerboard(board, pair.target)
    layers.show_source(drifting, resampled)
    layer, target = viewer.layers[OVERLAY], viewer.layers[pair.target.name]
    assert np.array_equal(layer.data, resampled.array)
    assert np.allclose(layer.data_to_world((7, 11)), target.data_to_world((7, 11)))
    assert ("Drift followed", "3.0 → 0.2 px") in _evidence_lines(drifting.registration)


def test_the_reason_of_a_registration_has_the_arrow_of_the_figures(specimens):
    source, target = specimens[0].source, specimens[0].target
    found = register(source, target)
    reason = "70 blocks confirm it; follows local drift: 3.0 px -> 0.2 px"
    told = pair_state(ImagePair(source, target, replace(found, reason=reason))).reason
    assert told == "Good: 70 blocks confirm it; follows local drift: 3.0 px → 0.2 px."


@pytest.fixture(scope="module")
def projection():
    """A bent surface, of which every plane shows some rows, and its projection."""
    target = paired_sem(1, shape=SHAPE)[0].target
    values = target.read()
    planes = np.zeros((5, *SHAPE), values.dtype)
    for plane, rows in zip(planes, np.array_split(np.arange(SHAPE[0]), 5), strict=True):
        plane[rows] = values[rows]
    noise = np.random.default_rng(0).integers(0, 20, planes.shape).astype(values.dtype)
    sizes = (2 * target.pixel_size[0], *target.pixel_size)
    stack = Image(planes // 2 + noise, "ZYX", sizes, target.unit, name="S01 stack")
    return ImagePair(stack, replace(target, name="S01 projected"))


def test_a_stack_registered_to_its_projection_shows_its_evidence(
    viewer, pairs, projection, click, finish, qtbot, told
):
    pairs.session.add_pairs([projection])
    click(pairs, "pairs_run")
    finish(pairs.session)
    pairs.evidence.boxes[OVERLAY].setChecked(True)  # before there is anything to show
    assert states(pairs)[0].startswith("✓ good")
    assert pairs.next.property("role") == "primary"
    qtbot.waitUntil(lambda: MATCHES in viewer.layers)
    assert viewer.layers[CHECKERBOARD].data.shape == SHAPE
    qtbot.waitUntil(lambda: OVERLAY in viewer.layers)
    for box in pairs.evidence.boxes.values():
        box.setChecked(True)
    pair = pairs.session.pairs[0].pair
    assert np.array_equal(viewer.layers[OVERLAY].data, pair.flat().on_target_grid().read())
    assert viewer.layers[DRIFT].visible
    click(pairs, "pairs_again")
    finish(pairs.session)
    assert not [one for one in told() if "must" in one]


def test_key_b_toggles_the_source_over_the_target(viewer, registered):
    (press,) = [act for key, act in viewer.keymap.items() if str(key) == "B"]
    press(viewer)
    assert viewer.layers[OVERLAY].visible
    assert not viewer.layers[CHECKERBOARD].visible
    press(viewer)
    assert not viewer.layers[OVERLAY].visible


def test_only_the_selected_pair_is_registered_again(registered, click, finish):
    before = [entry.pair.registration for entry in registered.session.pairs]
    registered.table.selectRow(1)
    click(registered, "pairs_again")
    finish(registered.session)
    after = [entry.pair.registration for entry in registered.session.pairs]
    assert [a is b for a, b in zip(before, after, strict=True)] == [True, False]


def test_a_pair_is_registered_by_three_places_clicked_in_both_images(
    viewer, pairs, specimens, click, finish, qtbot
):
    specimen = specimens[0]
    pairs.session.add_pairs([pairs_dock.ImagePair(specimen.source, specimen.target)])
    other = viewer.add_image(np.zeros((10, 10)))
    pairs.table.selectRow(0)
    click(pairs, "pairs_points")
    assert not other.visible
    use = pairs.by_hand.findChild(QPushButton, "pairs_use_points")
    assert not use.isEnabled()
    left, right, points = list(viewer.layers)[-3:]
    # Inside of the close-up, whose field is half as wide as that of the overview.
    on_target = np.array([[40.0, 50.0], [60.0, 250.0], [190.0, 120.0]])
    on_source = transforms.apply(np.linalg.inv(specimen.matrix), on_target)
    for panel, places in ((left, on_source), (right, on_target)):
        for place in places:
            points.add(panel.data_to_world(place))
    assert "3 in the source, 3 in the target" in pairs.by_hand.text.text()
    click(pairs, "pairs_use_points")
    assert other.visible
    assert points not in viewer.layers
    finish(pairs.session)
    registration = pairs.session.pairs[0].pair.registration
    assert transforms.corner_distance(registration.matrix, specimen.matrix, SHAPE) < 1


def test_cancelling_by_hand_leaves_everything_as_it_was(viewer, pairs, specimens, click):
    pairs.session.add_pairs([pairs_dock.ImagePair(specimens[0].source, specimens[0].target)])
    pairs.table.selectRow(0)
    click(pairs, "pairs_points")
    click(pairs, "pairs_cancel_points")
    assert len(viewer.layers) == 0
    assert pairs.by_hand.isHidden()


# Pairs that names alone do not tell


def plane(name, seed=0, size=32):
    values = np.random.default_rng(seed).integers(0, 255, (size, size), np.uint8)
    return Image(values, "YX", name=name)


@pytest.fixture
def folder(tmp_path):
    """Write a folder of images and return it."""

    def write(name, *files):
        (tmp_path / name).mkdir()
        for number, file in enumerate(files):
            write_image(plane(file, number), tmp_path / name / f"{file}.tif")
        return tmp_path / name

    return write


def test_images_opened_later_are_offered_in_one_line(pairs, viewer, qtbot, click):
    for number, name in enumerate(("S01_gt", "S01")):
        viewer.add_layer(image_to_layer(plane(name, number)))
    qtbot.waitUntil(lambda: bool(pairs.offer.line.text()))
    assert pairs.offer.line.text() == "2 images found"
    assert "S01 → S01_gt" in pairs.offer.line.toolTip()
    click(pairs, "pairs_offer")
    assert names(pairs) == [("S01", "S01_gt")]
    qtbot.waitUntil(pairs.offer.isHidden)


def test_damaged_sections_are_not_offered_as_a_pair(pairs, viewer, qtbot, click):
    viewer.open_sample("napari-aeanet", "serial_sections")
    qtbot.waitUntil(lambda: bool(pairs.offer.line.text()))
    assert "repair them" in pairs.offer.line.text()
    click(pairs, "pairs_layers")
    assert "repair them" in pairs.notes.text()
    assert names(pairs) == []
    click(pairs, "pairs_offer")
    repair = viewer.window.dock_widgets["AEANet: Repair (napari-aeanet)"]
    assert repair.stack.layer is viewer.layers["sections"]


def test_images_whose_names_tell_nothing_are_chosen(pairs, viewer, qtbot, click):
    for number, name in enumerate("abc"):
        viewer.add_layer(image_to_layer(plane(name, number)))
    qtbot.waitUntil(lambda: "which belong together" in pairs.offer.line.text())
    assert blue(pairs) == ["Choose …"]
    click(pairs, "pairs_offer")
    assert pairs.picker.isExpanded()
    assert blue(pairs) == ["Add pair"]
    pairs.picker.source.setCurrentText("a")
    pairs.picker.target.setCurrentText("a")
    assert not pairs.picker.add.isEnabled()
    assert "same image" in pairs.picker.add.toolTip()
    pairs.picker.target.setCurrentText("c")
    click(pairs, "pairs_pick")
    assert names(pairs) == [("a", "c")]
    click(pairs, "pairs_pick")
    assert names(pairs) == [("a", "c")]
    assert "1 pair left out: in the list already" in pairs.notes.text()


def test_dropped_files_whose_names_tell_nothing_can_be_chosen(pairs, folder, finish, click):
    files = sorted(folder("one", "a", "b", "c").iterdir())
    (files[0].parent / "d.tif").write_bytes(b"no image")
    pairs.take_files([*files, files[0].parent / "d.tif"])
    finish(pairs.session)
    assert "d.tif" in pairs.notes.toolTip()  # one bad file does not hide the others
    assert pairs.picker.isExpanded()
    assert blue(pairs) == ["Add pair"]
    pairs.picker.source.setCurrentText("b")
    pairs.picker.target.setCurrentText("c")
    click(pairs, "pairs_pick")
    assert names(pairs) == [("b", "c")]


def test_one_folder_asks_for_the_other(pairs, folder, finish, click, monkeypatch):
    noisy, clean = folder("short", "S1", "S2"), folder("long", "S1", "S2")
    pairs.take_files([noisy])
    finish(pairs.session)
    assert (
        "short has 2 images. Drop or choose the other folder" in pairs.adding.question.text.text()
    )
    pairs.take_files([clean])
    finish(pairs.session)
    assert len(names(pairs)) == 2
    assert pairs.adding.question.isHidden()
    pairs.session.set_pairs(())
    pairs.take_files([noisy])
    finish(pairs.session)
    monkeypatch.setattr(pairs_dock.QFileDialog, "getExistingDirectory", lambda *_, **__: str(clean))
    click(pairs, "pairs_answer")
    finish(pairs.session)
    assert len(names(pairs)) == 2


def test_a_folder_with_both_sides_is_paired_at_once(pairs, folder, finish, tmp_path):
    pairs.take_files([folder("both", "S1_lr", "S1_hr")])
    finish(pairs.session)
    assert names(pairs) == [("S1_lr", "S1_hr")]
    for side in ("noisy", "gt"):
        folder(side, "S2").rename(tmp_path / "both" / side)
    (tmp_path / "both").rename(tmp_path / "old")
    (tmp_path / "data").mkdir()
    for side in ("noisy", "gt"):
        (tmp_path / "old" / side).rename(tmp_path / "data" / side)
    pairs.take_files([tmp_path / "data"])
    finish(pairs.session)
    assert names(pairs)[1:] == [("S2", "S2")]


def test_folders_without_matching_names_are_paired_in_order_if_the_user_says_so(
    pairs, folder, finish, click
):
    pairs.take_files([folder("gt", "x1", "x2"), folder("noisy", "scan_b", "scan_c")])
    finish(pairs.session)
    assert names(pairs) == []
    assert "Pair the 2 files of each in their order?" in pairs.adding.question.text.text()
    click(pairs, "pairs_answer")
    finish(pairs.session)
    assert names(pairs) == [("scan_b", "x1"), ("scan_c", "x2")]
    assert "paired in their order" in pairs.notes.text()


def test_files_are_chosen_for_each_side(pairs, folder, finish, click, monkeypatch):
    answers = [[str(folder("one", "a") / "a.tif")], [str(folder("two", "b") / "b.tif")]]
    monkeypatch.setattr(
        pairs_dock.QFileDialog, "getOpenFileNames", lambda *_, **__: (answers.pop(0), "")
    )
    click(pairs, "pairs_files")
    finish(pairs.session)
    assert names(pairs) == [("a", "b")]


def test_an_image_that_cannot_be_paired_says_why(pairs, viewer, click):
    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo")
    click(pairs, "pairs_layers")
    assert "photo is a colour (RGB) image" in pairs.notes.text()


def test_a_theme_recolours_the_states_of_pairs(viewer, pairs, specimens):
    pairs.session.add_pairs([ImagePair(specimens[0].source, specimens[0].target)])
    viewer.theme = "light"
    light = pairs.table.item(0, 2).foreground().color().name()
    viewer.theme = "dark"
    dark = pairs.table.item(0, 2).foreground().color().name()
    assert light == colours("light").caution
    assert dark == colours("dark").caution


def blue(pairs):
    return [one.text() for one in pairs.findChildren(QPushButton) if is_primary(one)]


def is_primary(button):
    return button.property("role") == "primary" and not button.isHidden()


def test_by_hand_the_landmarks_are_the_next_step(registered, click):
    assert blue(registered) == ["Train on 2 pairs →"]
    click(registered, "pairs_points")
    assert blue(registered) == ["Register with them"]
    click(registered, "pairs_cancel_points")
    assert blue(registered) == ["Train on 2 pairs →"]


def test_a_pair_that_cannot_be_registered_leads_to_landmarks(pairs, specimens):
    source, target = specimens[0].source, specimens[0].target
    failed = replace(register(source, target), verdict=Verdict.FAILED)
    pairs.session.add_pairs([ImagePair(source, target, failed)])
    pairs.table.selectRow(0)
    assert blue(pairs) == ["By hand …"]
    assert pairs.evidence.reason.text().startswith("Failed: ")


def test_a_doubtful_pair_leads_to_a_decision_in_view(pairs, specimens, click, qtbot):
    pairs.parent().setFloating(True)
    pairs.parent().resize(360, 820)  # of a window of 900
    source, target = specimens[0].source, specimens[0].target
    doubtful = replace(register(source, target), verdict=Verdict.DOUBTFUL)
    pairs.session.add_pairs([ImagePair(source, target, doubtful)])
    pairs._tell_usable()
    pairs.picker.expand()
    pairs.table.selectRow(0)
    assert blue(pairs) == ["Accept"]
    assert pairs.row.line.text == "0 of 1 pair can be trained on."
    view, act = pairs.findChild(DockScroll).viewport(), pairs.evidence.accept
    qtbot.waitUntil(lambda: act.mapTo(view, act.rect().bottomLeft()).y() < view.height())
    click(pairs, "pairs_accept")
    assert blue(pairs) == ["Train on 1 pair →"]
    assert pairs.row.line.text == "1 of 1 pair can be trained on."
    pairs.session.set_pairs(())
    assert "can be trained on" not in pairs.row.line.text


def test_pairs_of_two_kinds_are_not_promised_to_training(pairs, projection, specimens):
    flat = ImagePair(specimens[0].target, replace(specimens[0].target, name="S01 hr"))
    pairs.session.add_pairs([projection, flat])
    pairs._tell_usable()
    assert pairs.row.line.text == (
        "2 of 2 pairs are ready, but pairs of a stack and its projection and of images cannot be "
        "trained on together: leave some out."
    )


def test_an_image_with_a_stack_as_its_target_cannot_be_trained_on(pairs, projection, specimens):
    found = register(specimens[0].source, specimens[0].target)
    pairs.session.add_pairs([replace(projection.swapped(), registration=found)])
    assert states(pairs) == ["✗ swapped"]
    assert not pairs.next.isEnabled()


def shown_sources(pairs):
    texts = []
    for row in range(pairs.table.rowCount()):
        option = QStyleOptionViewItem()
        index = pairs.table.model().index(row, 0)
        option.rect = pairs.table.visualRect(index)
        pairs.table.itemDelegateForColumn(0).initStyleOption(option, index)
        for word in re.split("[ \u200b]", option.text):
            assert option.fontMetrics.horizontalAdvance(word) <= option.rect.width() - BESIDE_NAME
        texts.append(option.text.replace("\u200b", ""))
    return texts


@pytest.mark.parametrize("width", [360, 300])
@pytest.mark.parametrize(
    ("own", "parts"),
    [
        (("cells 25 photons", "cells 100 photons"), ("25", "100")),
        (("grain_A1_fast", "grain_A2_fast", "grain_B1_fast"), ("A1", "A2", "B1")),
        (("longspecimenname0021scannedfast", "longspecimenname0022scannedfast"), ("0021", "0022")),
    ],
)
def test_names_that_differ_in_their_middle_are_told_apart(
    pairs, specimens, qtbot, width, own, parts
):
    pair = ImagePair(specimens[0].source, specimens[0].target)
    drifts = replace(register(pair.source, pair.target), verdict=Verdict.DRIFTS, drift=0.6)
    pairs.session.add_pairs(
        replace(
            pair,
            source=replace(pair.source, name=name, array=pair.source.array + i),
            registration=drifts,
        )
        for i, name in enumerate(own)
    )
    pairs.parent().setFloating(True)
    pairs.parent().resize(width, 800)
    qtbot.waitUntil(lambda: pairs.width() <= width)
    for text, part in zip(shown_sources(pairs), parts, strict=True):
        assert part in text
    assert pairs.table.rowHeight(0) > pairs.table.fontMetrics().height()


def test_the_evidence_of_one_pair_is_not_pushed_away_by_empty_rows(registered):
    table = registered.table
    rows = table.sizeHint().height() / table.verticalHeader().defaultSectionSize()
    assert rows < 8


def test_images_in_two_kinds_of_light_can_be_trained_on_as_they_lie(
    viewer, pairs, session, click, finish
):
    specimen = label_free_volume(shape=(8, 64, 64))
    plane = 4
    for image, name in ((specimen.transmitted, "S01 lr"), (specimen.fluorescence, "S01 hr")):
        flat = Image(image.read()[plane], "YX", name=name)
        viewer.add_layer(image_to_layer(flat))
    click(pairs, "pairs_layers")
    click(pairs, "pairs_run")
    finish(session)
    assert states(pairs) == ["✗ failed"]
    assert not pairs.next.isEnabled()
    click(pairs, "pairs_accept")
    assert states(pairs) == ["✓ accepted"]
    assert pairs.next.property("role") == "primary"
    assert session.usable_pairs[0].registration is None
