"""AEANet: Repair: find, look, tick, repair, save."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from helpers import micrograph
from napari.layers import Shapes
from qtpy.QtCore import QPointF, Qt

from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.repair import choices, quality_line, worker
from napari_aeanet.gui.repair import dock as repair_dock
from napari_aeanet.gui.viewer.layers import image_to_layer, layer_to_image
from napari_aeanet.io import read_image
from napari_aeanet.repair import RepairMethod, find_damage_events
from napari_aeanet.samples.sections import SectionSettings, serial_sections

DAMAGED = (2, 5)


def texts(dock):
    return [dock.slices.list.item(row).text() for row in range(dock.slices.list.count())]


def tick(dock, index, is_ticked=True):
    (row,) = [row for row, text in enumerate(texts(dock)) if text.startswith(f"{index} –")]
    state = Qt.CheckState.Checked if is_ticked else Qt.CheckState.Unchecked
    dock.slices.list.item(row).setCheckState(state)


def z_in_view(viewer, layer):
    return round(layer.world_to_data(viewer.dims.point)[0])


def add(dock, *indices):
    for index in indices:
        dock.slices.jump(index)
        dock.slices.add_shown()


# --- the stack


def test_the_empty_dock_says_what_to_do(repair):
    assert "Open a stack of sections" in repair.row.line.text
    assert not repair.row.run_button.isEnabled()


def test_the_sample_is_chosen_and_its_hidden_truth_is_not(repair, viewer, click):
    click(repair, "repair_sample")
    assert repair.stack.layer is viewer.layers["sections"]
    assert repair.row.run_button.isEnabled()


def test_what_is_no_stack_is_refused_at_once(repair, viewer):
    for shape, labels, words in (
        ((64, 64), "yx", "is a single image"),
        ((2, 64, 64), "zyx", "2 slices: a repair needs at least 3"),
        ((9, 64, 64), "cyx", "axes 'CYX'"),
        ((2, 9, 64, 64), "tzyx", "axes 'TZYX'"),
    ):
        viewer.layers.clear()
        viewer.add_image(np.zeros(shape, np.uint8), name="S05", axis_labels=tuple(labels))
        assert words in repair.row.line.text
        assert not repair.row.run_button.isEnabled()
        assert repair.slices.isHidden()


def test_a_stack_is_preferred_to_a_single_image_above_it(repair, viewer, stack):
    viewer.add_layer(image_to_layer(micrograph()))
    assert repair.stack.layer is stack


def test_another_stack_that_is_opened_later_does_not_interrupt_the_work(proposed, viewer, stack):
    viewer.add_image(np.zeros((5, 64, 64), np.uint8), name="other")
    assert proposed.stack.layer is stack
    assert len(texts(proposed)) == len(DAMAGED)


def test_a_dropped_file_is_chosen(repair, drop, tmp_path, specimen):
    from napari_aeanet.io import write_image

    write_image(specimen, tmp_path / "block.ome.tif")
    drop(repair, tmp_path / "block.ome.tif")
    assert repair.stack.layer.name == "block"


# --- finding


def test_found_slices_are_listed_with_reasons_and_nothing_is_repaired(proposed, viewer, stack):
    assert texts(proposed) == [f"{z} – fold: dark line 40 px long" for z in DAMAGED]
    assert proposed.row.run_button.text() == "Repair 2 slices"
    assert list(viewer.layers) == [stack]
    assert z_in_view(viewer, stack) == DAMAGED[0]
    assert "2 slices proposed" in proposed.row.line.text


def test_a_blank_slice_is_really_found(repair, stack, session, finish, click, monkeypatch):
    monkeypatch.setattr(repair_dock, "find_damage_events", find_damage_events)
    click(repair, "repair_run")
    finish(session)
    assert set(DAMAGED) <= repair.slices.ticked
    assert any(text.startswith("2 – missing") for text in texts(repair))


def test_nothing_found_is_said_and_slices_can_be_added(
    repair, found, stack, session, finish, click
):
    found()
    click(repair, "repair_run")
    finish(session)
    assert "No slice looks damaged" in repair.row.line.text
    repair.slices.jump(4)
    assert repair.slices.add.text() == "Add slice 4"
    click(repair, "repair_add")
    assert texts(repair) == ["4 – added by you"]
    assert repair.row.line.text == ""  # what was said before
    assert repair.row.run_button.text() == "Repair 1 slice"
    assert not repair.slices.add.isEnabled()


def test_the_list_and_the_plot_lead_to_a_slice(proposed, viewer, stack, qtbot):
    proposed.slices.list.setCurrentRow(1)
    assert z_in_view(viewer, stack) == DAMAGED[1]
    plot = proposed.slices.plot
    plot.grab()  # lays it out
    place = plot.box.mapViewToScene(QPointF(7, 1))
    view = plot.box.getViewWidget()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=view.mapFromScene(place))
    assert z_in_view(viewer, stack) == 7
    assert plot.shown.value() == 7


def test_a_stack_replaced_during_the_search_is_not_judged_by_old_pixels(
    repair, stack, session, finish, monkeypatch
):
    found, may_end = repair_dock.find_damage_events, Event()

    def slow(image, settings):
        yield Progressed(Progress("looking", 0, 1))
        may_end.wait(10)
        yield from found(image, settings)

    monkeypatch.setattr(repair_dock, "find_damage_events", slow)
    repair.find_damage()
    stack.data = np.zeros((7, 64, 64), np.uint8)
    may_end.set()
    finish(session)
    assert texts(repair) == []
    assert "changed meanwhile" in repair.row.line.text
    assert repair.row.run_button.text() == "Find damage"


# --- refusals


def test_first_last_and_three_in_a_row_are_refused_at_once(repair, stack):
    add(repair, 0)
    assert "cannot be repaired: no good slice lies before it" in texts(repair)[0]
    assert not repair.row.run_button.isEnabled()
    add(repair, 3, 4)
    assert "two in a row, less certain: from 2 and 5" in texts(repair)[1]
    assert repair.row.run_button.text() == "Repair 2 slices"
    add(repair, 5)
    assert all("one of 3 in a row" in text for text in texts(repair)[1:])
    assert not repair.row.run_button.isEnabled()
    tick(repair, 5, False)
    assert repair.row.run_button.text() == "Repair 2 slices"
    assert "would be made from 5" not in "".join(texts(repair))  # it was not proposed


def test_slices_that_do_not_match_are_refused_and_nothing_is_added(
    repair, viewer, session, finish, click
):
    noise = np.random.default_rng(0).integers(0, 255, (5, 64, 64), np.uint8)
    layer = viewer.add_image(noise, name="noise")
    add(repair, 2)
    click(repair, "repair_run")
    finish(session)
    assert "No slice could be repaired" in repair.row.line.text
    assert list(viewer.layers) == [layer]


# --- preview


def test_a_preview_lies_over_its_slice_and_goes_with_the_run(
    proposed, viewer, stack, session, finish, click, qtbot
):
    click(proposed, "repair_preview")
    preview = proposed.slices.preview
    qtbot.waitUntil(lambda: preview.layer is not None)
    layer = preview.layer
    assert layer.data.shape == (1, 64, 64)
    np.testing.assert_allclose(layer.extent.data[0] * 0, 0)
    np.testing.assert_allclose(layer.data_to_world((0, 3, 5)), stack.data_to_world((2, 3, 5)))
    assert [picture.text() for picture in preview.pictures] == ["1", "2 now", "2 new", "3"]
    assert viewer.layers.selection.active is not layer
    shown = layer.data[0]
    click(proposed, "repair_run")
    finish(session)
    assert layer not in viewer.layers
    np.testing.assert_array_equal(viewer.layers["block repaired"].data[2], shown)


def test_the_pictures_and_the_key_compare_before_and_after(proposed, viewer, stack, click, qtbot):
    proposed.choices.method.setCurrentIndex(1)
    click(proposed, "repair_preview")
    preview = proposed.slices.preview
    qtbot.waitUntil(lambda: preview.layer is not None)
    assert "by optical flow" in preview.line.text()  # not by the network, which has not learnt
    preview.pictures[0].click()
    assert z_in_view(viewer, stack) == 1
    proposed.on_toggle_key()
    assert not preview.layer.visible
    assert z_in_view(viewer, stack) == 2
    proposed.on_toggle_key()
    assert preview.layer.visible
    assert [picture.isChecked() for picture in preview.pictures] == [False, False, True, False]


def test_a_preview_of_other_choices_is_not_shown(proposed, click, qtbot, viewer, stack):
    click(proposed, "repair_preview")
    proposed.choices.texture.setChecked(True)
    worker_is_done = proposed.slices.preview.button.isEnabled
    qtbot.waitUntil(worker_is_done)
    assert proposed.slices.preview.layer is None
    assert list(viewer.layers) == [stack]


def test_what_cannot_be_previewed_says_why(proposed):
    add(proposed, 0)
    assert not proposed.slices.preview.button.isEnabled()
    assert "no good slice lies before it" in proposed.slices.preview.button.toolTip()
    tick(proposed, 0, False)
    assert "Tick slice 0 first" in proposed.slices.preview.button.toolTip()


# --- quality


def test_the_expected_quality_is_shown_before_anything_is_repaired(
    repair, viewer, qtbot, session, finish
):
    sections = serial_sections(shape=(9, 96, 96), settings=SectionSettings(damaged=0)).stack
    stack = viewer.add_layer(image_to_layer(sections))
    repair.quality._timer.setInterval(1)
    repair.choices.more.set("checks", 2)
    add(repair, 3, 5)
    qtbot.waitUntil(lambda: bool(repair.quality.quality), timeout=30_000)
    assert "Measured on" in repair.choices.quality.text()
    assert list(viewer.layers) == [stack]
    asked = repair.quality._wanted
    tick(repair, 3, False)  # the same question, as no measured slice is concerned
    assert "Measured on" in repair.choices.quality.text()
    repair.choices.texture.setChecked(True)
    assert repair.choices.quality.text() == quality_line.MEASURING
    assert repair.quality._wanted > asked
    repair.find_damage()  # what is not measured while a job runs is not promised
    assert repair.choices.quality.text() == ""
    finish(session)


# --- repairing


def test_the_repaired_stack_lies_on_its_source_with_kept_slices_unchanged(
    repaired, viewer, stack, specimen
):
    result = viewer.layers["block repaired"]
    kept = [z for z in range(9) if z not in DAMAGED]
    np.testing.assert_array_equal(result.data[kept], specimen.array[kept])
    assert result.data.dtype == specimen.array.dtype
    for z in DAMAGED:
        assert np.ptp(result.data[z]) > 0
    np.testing.assert_array_equal(stack.data, specimen.array)
    np.testing.assert_allclose(result.extent.world, stack.extent.world)
    assert result.units == stack.units
    assert result.contrast_limits == stack.contrast_limits
    assert "2 slices repaired (2, 5)" in repaired.row.line.text
    assert texts(repaired)[0].endswith("✓ repaired from 1 and 3")
    assert repaired.row.run_button.text() == "Save …"


def test_made_slices_are_framed_and_marked(repaired, viewer):
    (frames,) = [layer for layer in viewer.layers if isinstance(layer, Shapes)]
    assert [shape[0, 0] for shape in frames.data] == list(DAMAGED)
    np.testing.assert_allclose(
        frames.data_to_world((2, 0, 0)), viewer.layers["block repaired"].data_to_world((2, 0, 0))
    )
    image = layer_to_image(viewer.layers["block repaired"])
    assert sorted(image.interpolated) == list(DAMAGED)
    assert "between slices 1 and 3" in image.interpolated[2]


def test_what_was_added_stays_when_slices_are_found_again(proposed, session, finish, click):
    add(proposed, 1, 7)
    tick(proposed, 2, False)
    assert "would be made from 2, which may be damaged" in texts(proposed)[0]
    click(proposed, "repair_again")
    finish(session)
    assert sorted(proposed.slices.ticked) == [1, 2, 5, 7]


def test_only_ticked_slices_are_repaired(proposed, viewer, specimen, session, finish, click):
    tick(proposed, 5, False)
    click(proposed, "repair_run")
    finish(session)
    result = viewer.layers["block repaired"]
    np.testing.assert_array_equal(result.data[5], specimen.array[5])
    assert np.ptp(result.data[2]) > 0


def test_other_choices_replace_the_result_unless_the_user_renamed_it(
    repaired, viewer, session, finish, click
):
    first = viewer.layers["block repaired"]
    repaired.choices.texture.setChecked(True)
    assert repaired.row.run_button.text() == "Repair 2 slices"
    click(repaired, "repair_run")
    finish(session)
    assert first not in viewer.layers
    assert [layer.name for layer in viewer.layers] == [
        "block",
        "block repaired",
        "block made slices",
    ]
    viewer.layers["block repaired"].name = "mine"
    repaired.choices.texture.setChecked(False)
    click(repaired, "repair_run")
    finish(session)
    assert {"mine", "block repaired"} <= {layer.name for layer in viewer.layers}


def test_a_result_is_compared_by_key_and_made_again_if_it_was_deleted(repaired, viewer):
    repaired.on_toggle_key()
    assert not viewer.layers["block repaired"].visible
    assert not viewer.layers["block made slices"].visible
    repaired.on_toggle_key()
    assert viewer.layers["block repaired"].visible
    viewer.layers.remove("block repaired")
    assert repaired.row.run_button.text() == "Repair 2 slices"


def test_a_stopped_repair_changes_nothing(proposed, viewer, stack, session, finish, monkeypatch):
    may_end = Event()

    def slow(*_arguments):
        while not may_end.is_set():
            yield Progressed(Progress("repairing", 0, 1))

    monkeypatch.setattr(repair_dock, "repair", slow)
    proposed.run()
    proposed.row.stop_button.click()
    finish(session)
    assert proposed.job.state is State.STOPPED
    assert "nothing was changed" in proposed.row.line.text
    assert list(viewer.layers) == [stack]
    assert proposed.row.run_button.text() == "Repair 2 slices"


def test_a_stack_replaced_during_the_repair_is_told(
    proposed, viewer, stack, session, finish, monkeypatch
):
    real, may_end = repair_dock.repair, Event()

    def slow(*arguments):
        yield Progressed(Progress("repairing", 0, 1))
        may_end.wait(10)
        yield from real(*arguments)

    monkeypatch.setattr(repair_dock, "repair", slow)
    proposed.run()
    stack.data = np.zeros_like(stack.data)
    may_end.set()
    finish(session)
    assert "as it was before it was changed" in proposed.row.line.text
    assert viewer.layers["block repaired"].data.any()
    assert proposed.row.run_button.text() == "Find damage"


def test_time_points_are_taken_as_slices_and_this_is_said(
    repair, viewer, specimen, session, finish
):
    stack = viewer.add_image(specimen.array, name="film", axis_labels=("t", "y", "x"))
    assert "time points are taken as sections" in repair.stack.line.text()
    add(repair, 2)
    repair.run()
    finish(session)
    result = viewer.layers["film repaired"]
    np.testing.assert_allclose(result.extent.world, stack.extent.world)
    assert list(layer_to_image(result).interpolated) == [2]


def test_a_result_lies_on_a_turned_source_without_a_pixel_size(
    repair, viewer, specimen, session, finish
):
    stack = viewer.add_image(specimen.array, name="plain", rotate=30)
    add(repair, 2)
    repair.run()
    finish(session)
    place = stack.data_to_world((2, 10, 40))
    for name in ("plain repaired", "plain made slices"):
        np.testing.assert_allclose(viewer.layers[name].data_to_world((2, 10, 40)), place)


# --- saving


@pytest.fixture
def save_as(monkeypatch, tmp_path):
    def answer(name):
        path = str(tmp_path / name) if name else ""
        monkeypatch.setattr(
            choices.QFileDialog, "getSaveFileName", lambda *_: (path, "OME-TIFF (*.ome.tif)")
        )
        return Path(path)

    return answer


def test_the_stack_is_saved_with_its_marks_and_a_table_beside_it(
    repaired, viewer, session, finish, click, save_as, tmp_path
):
    save_as("")
    click(repaired, "repair_run")  # the dialog is closed
    assert not list(tmp_path.glob("*.csv"))
    path = save_as("made.tif")  # an ending that holds no marks
    click(repaired, "repair_run")
    finish(session)
    assert not path.exists()
    assert "saved as made.ome.tif" in repaired.row.line.text
    assert repaired.row.run_button.text() == "Open folder"
    saved = read_image(path.with_name("made.ome.tif"))
    np.testing.assert_array_equal(saved.read(), viewer.layers["block repaired"].data)
    assert sorted(saved.interpolated) == list(DAMAGED)
    rows = path.with_name("made-slices.csv").read_text().splitlines()
    assert len(rows) == 10
    assert rows[3].startswith("2,repaired")


def test_a_stack_that_does_not_fit_into_memory_is_written_as_it_is_repaired(
    proposed, viewer, session, finish, click, save_as, monkeypatch, specimen
):
    monkeypatch.setattr(worker, "LARGEST_SHARE", 0.0)
    proposed.refresh()
    assert proposed.row.run_button.text() == "Repair 2 slices …"
    path = save_as("made.ome.zarr")
    click(proposed, "repair_run")
    finish(session)
    assert path.is_dir()
    result = viewer.layers["block repaired"]
    kept = [z for z in range(9) if z not in DAMAGED]
    np.testing.assert_array_equal(read_image(path).read()[kept], specimen.array[kept])
    assert not isinstance(result.data, np.ndarray)
    assert proposed.row.run_button.text() == "Open folder"


# --- learning


def test_a_network_learns_in_a_folder_of_its_own_and_goes_on_after_a_stop(
    proposed, session, finish, click, monkeypatch
):
    folders = []

    def learning(_image, _slices, settings, _out, folder, _before_the_end):
        assert settings.method is RepairMethod.LEARNT
        folders.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        yield Progressed(Progress("learning", 0, 1))

    monkeypatch.setattr(repair_dock, "repair", learning)
    assert proposed.choices.learning.native.isHidden()
    proposed.choices.method.setCurrentIndex(1)
    assert not proposed.choices.learning.native.isHidden()
    for minutes in (None, None, 5.0):
        if minutes is not None:
            proposed.choices.learning.set("minutes", minutes)
        click(proposed, "repair_run")
        finish(session)
    assert folders[0] == folders[1]
    assert folders[2] not in folders[:2]
    assert folders[0].parent.name == "AEANet"
