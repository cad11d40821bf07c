"""AEANet: Restore, from a dropped file to a result in place and on disk."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from stand_ins import Gate, micrograph

from napari_aeanet.data.files import read_image, write_image
from napari_aeanet.data.progress import Progress
from napari_aeanet.engine.restoration import Use
from napari_aeanet.gui import restore_dock
from napari_aeanet.gui.image_list import MADE_HERE
from napari_aeanet.gui.job import State
from napari_aeanet.gui.layers import image_to_layer
from napari_aeanet.gui.work import ImageRefused, ImageRestored, Working


@pytest.fixture
def restore(dock):
    return dock("Restore")


@pytest.fixture
def engine(monkeypatch):
    """An engine that enlarges by repeating pixels, a step for each opening of the gate."""
    gate = Gate()

    def fake(orders, model_path, settings):
        for index, order in enumerate(orders):
            gate.wait()
            yield Working(Progress(f"restoring {order.image.name}", index, len(orders)))
            if order.image.name == "odd":
                yield ImageRefused(index, "odd does not suit.", Progress("restoring", 1, 1))
                continue
            pixels = np.kron(order.image.read(), np.ones((2, 2), np.uint8))
            result = order.image.regridded(pixels, (2, 2), name=f"{order.image.name} restored")
            done = Progress("restoring", index + 1, len(orders))
            yield ImageRestored(index, result, None, ("a remark",), done)

    monkeypatch.setattr(restore_dock, "restore_images", fake)
    return gate


def add(viewer, **changes):
    return viewer.add_layer(image_to_layer(micrograph(**changes)))


def results(viewer):
    return [layer for layer in viewer.layers if layer.metadata.get(MADE_HERE) == "restored"]


def press_b(viewer):
    (pressed,) = [act for key, act in viewer.keymap.items() if str(key) == "B"]
    pressed(viewer)


def drop(widget, *paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    arguments = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton)
    widget.dropEvent(QDropEvent(QPointF(5, 5), *arguments, Qt.KeyboardModifier.NoModifier))


def test_the_empty_dock_says_what_to_do(restore):
    assert not restore.row.run_button.isEnabled()
    assert "model" in restore.row.line.text
    assert "sample" in restore.images.placeholder


def test_it_says_that_an_image_is_missing(restore, card_file):
    restore.models.take(card_file())
    assert "Tick an image" in restore.row.line.text
    assert restore.row.run_button.toolTip() == restore.row.line.text


def test_the_active_layer_is_ticked_when_the_dock_opens(viewer, dock):
    first, second = add(viewer), add(viewer, name="S06")
    viewer.layers.selection.active = first
    assert dock("Restore").images.ticked == [first]
    assert second in viewer.layers


def test_only_images_are_listed_and_renaming_keeps_the_tick(viewer, restore):
    layer = add(viewer)
    viewer.add_layer(Labels(np.zeros((4, 5), int)))
    restore.images.tick_only(layer)
    layer.name = "renamed"
    assert [restore.images.item(i).text() for i in range(restore.images.count())] == ["renamed"]
    assert restore.images.ticked == [layer]


def test_a_result_lies_on_its_source_with_scale_and_units(
    viewer, restore, session, card_file, engine, finish, click
):
    layer = add(viewer)
    restore.models.take(card_file())
    restore.images.tick_only(layer)
    assert restore.row.run_button.text() == "Restore 1 image"
    click(restore, "restore_run")
    engine.open()
    finish(session)
    (result,) = results(viewer)
    assert viewer.layers.index(result) > viewer.layers.index(layer)
    assert tuple(result.scale) == (5, 5)
    assert result.units == layer.units
    centre = (np.array(layer.data.shape) - 1) / 2
    middle = (np.array(result.data.shape) - 1) / 2
    assert result.data_to_world(middle) == pytest.approx(layer.data_to_world(centre))
    assert tuple(result.contrast_limits) == tuple(layer.contrast_limits)
    assert "S05 is restored" in restore.row.line.text
    assert "a remark" in restore.row.line.text


def test_an_image_that_does_not_suit_does_not_stop_the_others(
    viewer, restore, session, card_file, engine, finish, told
):
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer, name="odd"), add(viewer, name="S06"))
    restore.run()
    engine.open(2)
    finish(session)
    assert [layer.name for layer in results(viewer)] == ["S06 restored"]
    assert "odd does not suit." in told()


def test_a_source_deleted_while_it_is_restored_leaves_the_result_in_place(
    viewer, restore, session, card_file, engine, finish
):
    layer = add(viewer)
    place = tuple(layer.extent.world[0])
    restore.models.take(card_file())
    restore.images.tick_only(layer)
    restore.run()
    viewer.layers.remove(layer)
    engine.open()
    finish(session)
    (result,) = results(viewer)
    # Of pixel centres: the finer ones begin a quarter of a source pixel further out.
    assert tuple(result.extent.world[0]) == pytest.approx(np.array(place) - 2.5)


def test_stopping_keeps_what_is_finished(
    viewer, restore, session, card_file, engine, finish, qtbot
):
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer), add(viewer, name="S06"))
    restore.run()
    engine.open()
    qtbot.waitUntil(lambda: len(results(viewer)) == 1)
    restore.row.stop_button.click()
    assert not restore.row.stop_button.isEnabled()
    engine.open()
    finish(session)
    assert restore.job.state is State.STOPPED
    assert len(results(viewer)) == 1


def test_key_b_shows_before_and_after(viewer, restore, session, card_file, engine, finish):
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer))
    restore.run()
    engine.open()
    finish(session)
    (result,) = results(viewer)
    press_b(viewer)
    assert not result.visible
    press_b(viewer)
    assert result.visible


def test_a_wrong_pixel_size_is_a_question_before_it_is_a_run(viewer, restore, card_file, click):
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer, pixel_size=(12.0, 12.0)))
    assert "Trained at 10 nm a pixel, S05 has 12 nm" in restore.question.text.text()
    assert not restore.row.run_button.isEnabled()
    click(restore, "restore_resample")
    assert restore.row.run_button.isEnabled()
    assert restore._settings().resample
    # Another image asks again.
    restore.images.tick_only(add(viewer, name="S06", pixel_size=(30.0, 30.0)))
    assert not restore.row.run_button.isEnabled()
    click(restore, "restore_force")
    assert restore._settings().force
    assert not restore._settings().resample


def test_the_settings_of_the_dock_reach_the_engine(restore):
    restore.use.setCurrentText(Use.PATCHES)
    restore.patch_size.setCurrentText("128")
    restore.margin.setValue(16)
    settings = restore._settings()
    assert (settings.use, settings.patch_size, settings.margin) == (Use.PATCHES, 128, 16)


def test_a_dropped_model_is_chosen_and_a_dropped_tiff_is_ticked(
    viewer, restore, session, card_file, tmp_path
):
    path = tmp_path / "S07.ome.tif"
    write_image(micrograph(), path)
    drop(restore, card_file("dropped"), path)
    assert session.card.name == "dropped"
    (layer,) = restore.images.ticked
    assert layer.name == "S07"
    assert tuple(layer.scale) == (10, 10)


def test_unreadable_files_are_refused_in_words(viewer, restore, told, tmp_path):
    for name in ("broken.tif", "broken.aeanet"):
        (tmp_path / name).write_text("this is no image")
        drop(restore, tmp_path / name)
    assert len(told()) == 2
    assert all("broken" in message for message in told())
    assert len(viewer.layers) == 0


def test_while_another_job_runs_the_reason_is_shown(
    viewer, restore, session, dock, card_file, engine, finish
):
    relevance = dock("Relevance")
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer))
    restore.run()
    assert "busy restoring S05" in relevance.row.line.text
    assert not relevance.row.run_button.isEnabled()
    engine.open()
    finish(session)
    assert "busy" not in relevance.row.line.text


def test_closing_the_dock_stops_its_job(viewer, restore, session, card_file, engine, finish, told):
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer), add(viewer, name="S06"))
    restore.run()
    viewer.window.remove_dock_widget(restore)
    engine.open(2)
    finish(session)
    assert session.job.state is State.STOPPED
    assert any("stopped" in message for message in told())
    assert "B" not in [str(key) for key in viewer.keymap]


def test_closing_the_viewer_stops_its_job(make_napari_viewer, qtbot, card_file, engine):
    from napari_aeanet.gui.dock import open_dock

    viewer = make_napari_viewer()
    restore = open_dock(viewer, "Restore")
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer), add(viewer, name="S06"))
    restore.run()
    job = restore.job
    viewer.close()
    engine.open(2)
    qtbot.waitUntil(lambda: not job.state.is_active)
    assert job.state is State.STOPPED


def test_a_dropped_tiff_is_restored_by_the_engine_and_saved_calibrated(
    viewer, restore, session, model_file, finish, click, tmp_path
):
    path = tmp_path / "S07.ome.tif"
    write_image(micrograph(), path)
    drop(restore, model_file, path)
    click(restore, "restore_run")
    finish(session)
    saved = read_image(tmp_path / "S07-restored.ome.tif")
    (result,) = results(viewer)
    assert saved.shape == (96, 128) == result.data.shape
    assert saved.pixel_size == pytest.approx((5, 5))
    assert saved.unit == "nm"
    assert saved.origin == pytest.approx((97.5, 47.5))
    np.testing.assert_array_equal(saved.read(), result.data)
    # Again: nothing is overwritten.
    click(restore, "restore_run")
    finish(session)
    assert (tmp_path / "S07-restored-2.ome.tif").exists()


def test_a_folder_that_cannot_be_written_to_does_not_cost_the_result(
    viewer, restore, session, model_file, finish, monkeypatch
):
    def refuse(image, path):
        raise PermissionError(f"{path} cannot be written to.")

    monkeypatch.setattr("napari_aeanet.gui.work.write_image", refuse)
    restore.models.take(model_file)
    restore.images.tick_only(add(viewer))
    restore.run()
    finish(session)
    assert len(results(viewer)) == 1
    assert "could not be saved" in restore.row.line.text


def test_a_published_checkpoint_that_is_dropped_becomes_a_model(dock, session, qtbot, tmp_path):
    vectors = Path(__file__).parents[1] / "reference" / "vectors"
    for file in vectors.glob("aeanet.ckpt.*"):
        shutil.copy(file, tmp_path)
    dock("Restore").take_files([tmp_path / "aeanet.ckpt.index"])
    made = tmp_path / "aeanet.ckpt.aeanet"
    qtbot.waitUntil(lambda: session.model == made, timeout=60_000)
    assert session.card.note == "published checkpoint"
