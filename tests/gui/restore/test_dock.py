"""AEANet: Restore, from a dropped file to a result in place and on disk."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from helpers import Gate, micrograph
from napari.layers import Labels

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.restore import dock as restore_dock
from napari_aeanet.gui.restore import next_steps
from napari_aeanet.gui.restore import worker as work
from napari_aeanet.gui.restore.choices import SaveLocation
from napari_aeanet.gui.restore.results import Results
from napari_aeanet.gui.restore.text import differences_words
from napari_aeanet.gui.restore.worker import BlockRestored, ImageBegun, ImageRefused, ImageRestored
from napari_aeanet.gui.viewer import levels
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import image_to_layer, layer_to_image
from napari_aeanet.io import ome_zarr
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.restoration import cost
from napari_aeanet.restoration import output as canvas
from napari_aeanet.restoration.cost import Estimate, estimate
from napari_aeanet.restoration.settings import Use


@pytest.fixture
def restore(dock):
    return dock("Restore")


@pytest.fixture
def engine(monkeypatch):
    """An engine that enlarges by repeating pixels, a step for each opening of the gate."""
    gate = Gate()

    def fake(requests, model_path, settings, cluster):
        for index, request in enumerate(requests):
            gate.wait()
            start = Progress(f"restoring {request.image.name}", index, len(requests))
            yield Progressed(start)
            if request.image.name == "odd":
                yield ImageRefused(index, "odd does not suit.", Progress("restoring", 1, 1))
                continue
            pixels = np.kron(request.image.read(), np.ones((2, 2), np.uint8))
            result = request.image.regridded(pixels, (2, 2), name=f"{request.image.name} restored")
            done = Progress("restoring", index + 1, len(requests))
            yield ImageRestored(index, result, request.path, ("a remark",), done, pixels)

    monkeypatch.setattr(restore_dock, "restore_images", fake)
    return gate


def add(viewer, **changes):
    return viewer.add_layer(image_to_layer(micrograph(**changes)))


def results(viewer):
    return [
        layer for layer in viewer.layers if layer.metadata.get(PLUGIN_METADATA_KEY) == "restored"
    ]


def press_b(viewer):
    (pressed,) = [act for key, act in viewer.keymap.items() if str(key) == "B"]
    pressed(viewer)


def test_the_empty_dock_says_what_to_do(restore):
    assert not restore.row.run_button.isEnabled()
    assert "model" in restore.row.line.text
    assert "sample" in restore.images.placeholder


def test_it_says_that_an_image_is_missing(restore, card_file):
    restore.models.take(card_file())
    assert "Drop an image here" in restore.row.line.text
    assert restore.row.run_button.toolTip() == restore.row.line.text


def test_the_active_layer_is_ticked_when_the_dock_opens(viewer, dock):
    first, second = add(viewer), add(viewer, name="S06")
    viewer.layers.selection.active = first
    assert dock("Restore").images.ticked == [first]
    assert second in viewer.layers


def test_an_image_is_ticked_though_labels_are_selected(viewer, dock):
    source = add(viewer)
    add(viewer)
    viewer.add_labels(np.ones((8, 8), int))
    assert dock("Restore").images.ticked == [source]


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
    assert "odd does not suit." in restore.row.line.text
    assert "S06 is restored" in restore.row.line.text
    assert "odd does not suit." not in told()  # an error is told once


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
    assert "Trained at 10 nm a pixel, S05 has 12 nm" in restore.question.notice.text.text()
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
    restore.choices.use.setCurrentText(Use.PATCHES)
    restore.choices.patch_size.setCurrentText("128")
    restore.choices.margin.setValue(16)
    settings = restore._settings()
    assert (settings.use, settings.patch_size, settings.margin) == (Use.PATCHES, 128, 16)


def test_a_dropped_model_is_chosen_and_a_dropped_tiff_is_ticked(
    viewer, restore, session, card_file, tmp_path, drop
):
    path = tmp_path / "S07.ome.tif"
    write_image(micrograph(), path)
    drop(restore, card_file("dropped"), path)
    assert session.card.name == "dropped"
    (layer,) = restore.images.ticked
    assert layer.name == "S07"
    assert tuple(layer.scale) == (10, 10)


def test_a_second_drop_adds_to_the_ticked(viewer, dock, tmp_path, drop):
    add(viewer, name="open before")
    restore = dock("Restore")
    for name in ("S06", "S07"):
        write_image(micrograph(name=name), tmp_path / f"{name}.tif")
    drop(restore, tmp_path / "S06.tif")
    drop(restore, tmp_path / "S07.tif")
    assert {layer.name for layer in restore.images.ticked} == {"S06", "S07"}


def test_unreadable_files_are_refused_in_words(viewer, restore, told, tmp_path, drop):
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
    assert "busy restoring S05" in relevance.row.run_button.toolTip()
    assert not relevance.row.run_button.isEnabled()
    engine.open()
    finish(session)
    assert "busy" not in relevance.row.line.text


def test_closing_the_dock_completes_its_job(
    viewer, restore, session, card_file, engine, finish, told
):
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer), add(viewer, name="S06"))
    restore.run()
    viewer.window.remove_dock_widget(restore)
    engine.open(2)
    finish(session)
    assert session.job.state is State.DONE
    assert any("continues restoring 2 images" in message for message in told())
    assert len(results(viewer)) == 2
    assert "B" not in [str(key) for key in viewer.keymap]


def test_closing_the_viewer_stops_its_job(make_napari_viewer, qtbot, card_file, engine):
    from napari_aeanet.gui.common.dock import open_dock

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
    viewer, restore, session, model_file, finish, click, tmp_path, drop
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

    monkeypatch.setattr("napari_aeanet.gui.restore.worker.write_image", refuse)
    restore.models.take(model_file)
    restore.images.tick_only(add(viewer))
    restore.run()
    finish(session)
    assert len(results(viewer)) == 1
    assert "could not be saved" in restore.row.line.text


def test_a_published_checkpoint_that_is_dropped_becomes_a_model(dock, session, qtbot, tmp_path):
    vectors = Path(__file__).parents[2] / "reference" / "vectors"
    for file in vectors.glob("aeanet.ckpt.*"):
        shutil.copy(file, tmp_path)
    dock("Restore").take_files([tmp_path / "aeanet.ckpt.index"])
    made = tmp_path / "aeanet.ckpt.aeanet"
    qtbot.waitUntil(lambda: session.model == made, timeout=60_000)
    assert session.card.note == "published checkpoint"


@pytest.fixture
def in_pieces(monkeypatch):
    """An engine that gives a provisional upper half, then the upper half, then the lower."""
    gate = Gate()

    def fake(requests, model_path, settings, cluster):
        for index, request in enumerate(requests):
            now = Progress("restoring", 0, 3)
            empty = request.image.regridded(np.full((96, 128), 7, np.uint8), (2, 2), name="result")
            yield ImageBegun(index, empty, now)
            for rows, value, provisional in (
                (slice(0, 48), 50, True),
                (slice(0, 48), 100, False),
                (slice(48, 96), 200, False),
            ):
                gate.wait()
                block = np.full((48, 128), value, np.uint8)
                yield BlockRestored(index, (rows, slice(0, 128)), block, provisional, now)
            gate.wait()
            yield ImageRestored(index, empty, None, (), now, empty.array)

    monkeypatch.setattr(restore_dock, "restore_images", fake)
    return gate


@pytest.fixture
def in_work(viewer, restore, card_file, in_pieces, qtbot):
    """A restoration whose first, provisional piece has arrived; its result."""
    restore.models.take(card_file())
    restore.images.tick_only(add(viewer))
    restore.run()
    in_pieces.open()
    qtbot.waitUntil(lambda: bool(results(viewer)) and bool(results(viewer)[0].data[0, 0] == 50))
    return results(viewer)[0]


def test_what_is_finished_is_seen_while_the_rest_is_in_work(in_work, in_pieces, session, finish):
    assert in_work.data[-1, -1] == 7
    in_pieces.open(3)
    finish(session)


def test_a_stopped_restoration_keeps_its_finished_part_and_says_so(
    in_work, restore, in_pieces, session, finish, qtbot
):
    in_pieces.open()
    qtbot.waitUntil(lambda: bool(in_work.data[0, 0] == 100))
    restore.row.stop_button.click()
    in_pieces.open()
    finish(session)
    np.testing.assert_array_equal(in_work.data[:48], 100)
    # The step that was under way may still have been finished.
    assert set(np.unique(in_work.data[48:])) in ({0}, {200})
    assert "(part)" in in_work.name
    assert "are kept" in restore.row.line.text
    # The next step is to restore again.
    assert restore.row.run_button.property("role") == "primary"
    assert restore.next.trust.property("role") != "primary"
    assert in_work.name in restore.next.trust.toolTip()


def test_stopped_before_anything_is_finished_nothing_is_left(
    viewer, in_work, restore, in_pieces, session, finish
):
    restore.job.stop()
    in_pieces.open()
    finish(session)
    left = results(viewer)
    assert not left or "(part)" in left[0].name


def test_a_result_that_is_deleted_while_it_is_in_work_comes_back_whole(
    viewer, in_work, in_pieces, session, finish
):
    viewer.layers.remove(in_work)
    in_pieces.open(3)
    finish(session)
    (result,) = results(viewer)
    assert result is not in_work


@pytest.fixture
def done(viewer, restore, session, card_file, engine, finish):
    """A source and its result."""
    restore.models.take(card_file())
    source = add(viewer)
    restore.images.tick_only(source)
    restore.run()
    engine.open()
    finish(session)
    return source, results(viewer)[0]


def test_side_by_side_shows_the_image_left_and_the_result_right(viewer, restore, done, click):
    other = add(viewer, name="other")
    click(restore, "restore_beside")
    grid = viewer.canvas.grid
    places = [grid.position(viewer.layers.index(layer), viewer.layers) for layer in done]
    assert places == [(0, 0), (0, 1)]
    assert not other.visible
    click(restore, "restore_beside")
    assert not grid.enabled
    assert other.visible


def test_the_profile_is_scrolled_into_view(viewer, restore, done, click, qtbot):
    viewer.window._qt_window.show()
    viewer.window._qt_window.resize(1000, 750)
    qtbot.waitUntil(lambda: restore.isVisible())
    click(restore, "restore_profile")
    seen = restore.profile.visibleRegion
    qtbot.waitUntil(lambda: seen().boundingRect().height() == restore.profile.height())


def test_the_profile_follows_the_line_over_both_images(viewer, restore, done, click):
    source, _ = done
    click(restore, "restore_profile")
    line = viewer.layers["line profile"]
    left, right = (source.data_to_world((10, x)) for x in (5, 40))
    line.data = [np.array([left, right])]
    (at, before), (_, after) = restore.profile.curves
    assert at[-1] == pytest.approx(350)  # 35 pixels of 10 nm
    assert before[0] == pytest.approx(source.data[10, 5])
    assert before[-1] == pytest.approx(source.data[10, 40])
    assert len(after) > len(before)
    click(restore, "restore_profile")
    assert line not in viewer.layers


def test_the_axes_of_a_stack_are_asked_in_words_and_kept_by_the_layer(viewer, restore, card_file):
    layer = viewer.add_image(np.zeros((12, 40, 50), np.uint8))
    restore.models.take(card_file())
    restore.images.tick_only(layer)
    box = restore.axes.box
    offered = [box.itemText(i) for i in range(box.count())]
    assert offered == [f"12 {what} of 40 × 50" for what in ("planes", "time points", "channels")]
    assert box.currentText().startswith("12 planes")
    box.setCurrentIndex(1)
    box.activated.emit(1)
    assert tuple(layer.axis_labels) == ("t", "y", "x")
    assert box.currentText().startswith("12 time points")
    restore.images.tick_only()
    assert restore.axes.isHidden()


def test_sixteen_bit_results_of_eight_bit_images_are_as_bright(
    viewer, restore, session, model_file, finish, click
):
    restore.models.take(model_file)
    layer = add(viewer)
    restore.images.tick_only(layer)
    restore.choices.output.setCurrentText("16 bit")
    click(restore, "restore_run")
    finish(session)
    (result,) = results(viewer)
    assert result.data.dtype == np.uint16
    assert result.contrast_limits[1] == pytest.approx(257 * layer.contrast_limits[1])


def test_sizes_are_compared_on_the_view(
    viewer, restore, session, model_file, finish, click, monkeypatch
):
    monkeypatch.setattr(restore_dock, "visible_region", lambda *_, **__: (slice(0, 48),) * 2)
    restore.models.take(model_file)
    restore.images.tick_only(add(viewer))
    click(restore, "restore_compare")
    finish(session)
    panels = [
        layer for layer in viewer.layers if layer.metadata.get(PLUGIN_METADATA_KEY) == "preview"
    ]
    assert [layer.name.partition(" (")[0] for layer in panels] == ["patches 64", "whole view"]
    assert {layer.data.shape for layer in panels} == {(96, 96)}
    assert not results(viewer)


def test_an_estimate_is_of_the_right_size(model_file):
    from napari_aeanet.restoration.settings import RestoreSettings

    small, large = (
        estimate([micrograph((n, n))], model_file, RestoreSettings()) for n in (64, 256)
    )
    assert isinstance(small, Estimate)
    assert large.bytes > small.bytes > 0
    assert large.seconds > small.seconds > 0


def test_an_image_that_does_not_suit_has_no_estimate(model_file):
    from napari_aeanet.restoration.settings import RestoreSettings

    odd = micrograph(pixel_size=(30.0, 30.0))
    assert estimate([odd], model_file, RestoreSettings()) is None


def test_a_height_map_is_offered_for_projections_only(restore, card_file, projection_file):
    restore.models.take(card_file())
    assert restore.choices.height_box.isHidden()
    restore.models.take(projection_file)
    assert not restore.choices.height_box.isHidden()
    assert not restore._settings().height
    restore.choices.height_box.setChecked(True)
    assert restore._settings().height
    # The tick stays, but another model is not asked for what it does not give.
    restore.models.take(card_file())
    assert not restore._settings().height


def test_a_height_map_is_a_layer_on_top_in_the_place_of_its_result(
    viewer, restore, session, projection_file, finish, click, drop, tmp_path
):
    path = tmp_path / "S08.ome.tif"
    pixels = np.random.default_rng(0).integers(20, 200, (5, 32, 48)).astype(np.uint8)
    known = {"pixel_size": (200.0, 10.0, 10.0), "unit": "nm", "origin": (1000.0, 50.0, 100.0)}
    write_image(Image(pixels, "ZYX", **known), path)
    drop(restore, projection_file, path)
    restore.choices.height_box.setChecked(True)
    click(restore, "restore_run")
    finish(session)
    (result,), height = results(viewer), viewer.layers[-1]
    assert height.name == "S08 height (nm)"
    assert height.data.shape == result.data.shape == (32, 48)
    np.testing.assert_allclose(height.scale, result.scale)
    np.testing.assert_allclose(height.translate, result.translate)
    assert height.units == result.units
    assert set(np.unique(height.data)) <= {1000.0, 1200.0, 1400.0, 1600.0, 1800.0}
    assert "height map" in restore.row.line.text
    # What was computed about an image is not offered to be restored.
    assert height not in restore.images._listed
    saved = read_image(tmp_path / "S08-restored-height.ome.tif")
    np.testing.assert_array_equal(saved.read(), height.data)


# --- results larger than memory


@pytest.fixture
def little_memory(monkeypatch):
    """A computer with memory for the tiles, but not for the result of the micrograph."""
    monkeypatch.setattr(cost, "RESULT_SHARE", 1e-9)
    # Nothing of the size of a result is made in memory.
    monkeypatch.setattr(canvas.MemoryOutputStore, "__init__", lambda *_: pytest.fail("in memory"))
    monkeypatch.setattr(work, "_first_look", lambda *_: pytest.fail("in memory"))


@pytest.fixture
def in_chunks(monkeypatch):
    """OME-Zarr files with chunks so small that results have several, and coarser levels."""
    monkeypatch.setattr(ome_zarr, "_SHARD", 16)


def test_a_result_larger_than_memory_is_written_as_it_comes_and_seen_from_its_file(
    viewer, restore, session, model_file, finish, click, tmp_path, little_memory, in_chunks, drop
):
    path = tmp_path / "S07.ome.tif"
    write_image(micrograph(), path)
    drop(restore, model_file, path)
    (layer,) = restore.images.ticked
    click(restore, "restore_run")
    finish(session)
    (result,) = results(viewer)
    assert [file.name for file in tmp_path.glob("S07-*")] == ["S07-restored.ome.zarr"]
    assert result.multiscale
    assert all(isinstance(level, zarr.Array) for level in result.data)
    assert result.data[0].shape == (96, 128)
    assert tuple(result.scale) == (5, 5)
    assert result.units == layer.units
    assert "saved as S07-restored.ome.zarr" in restore.row.line.text
    found, saved = layer_to_image(result), read_image(tmp_path / "S07-restored.ome.zarr")
    assert found.pixel_size == pytest.approx((5, 5))
    np.testing.assert_array_equal(found.read(), saved.read())
    # What compares results reads only a line of it.
    click(restore, "restore_profile")
    (_, before), (_, after) = restore.profile.curves
    assert np.isfinite(before).any()
    assert np.isfinite(after).any()
    click(restore, "restore_profile")


def test_where_a_large_result_goes_must_be_said_before_it_is_begun(
    viewer, restore, session, model_file, little_memory, qtbot, monkeypatch
):
    restore.models.take(model_file)
    restore.images.tick_only(add(viewer))
    restore.choices.save.setCurrentText(SaveLocation.NOT)
    monkeypatch.setattr(cost, "seconds_per_pixel", lambda *_: 1e-6)
    restore.cost.start()
    qtbot.waitUntil(lambda: not restore.row.run_button.isEnabled())
    assert "does not fit into the free memory" in restore.row.line.text
    assert "Choose under Save" in restore.row.run_button.toolTip()
    restore.choices.save.setCurrentText(SaveLocation.BESIDE)
    assert restore.row.run_button.isEnabled()
    assert "needs an OME-Zarr folder" in restore.choices.estimate_line.text()


def test_a_large_result_that_goes_nowhere_is_refused_even_without_an_estimate(
    viewer, restore, session, model_file, finish, click, told, little_memory
):
    restore.models.take(model_file)
    restore.images.tick_only(add(viewer))
    restore.choices.save.setCurrentText(SaveLocation.NOT)
    click(restore, "restore_run")
    finish(session)
    assert not results(viewer)
    assert "S05: The result of 12 kB does not fit" in restore.row.line.text
    assert not told()


def test_ome_zarr_can_be_chosen_for_any_result_and_goes_on_after_a_stop(
    viewer, restore, session, model_file, finish, click, tmp_path, monkeypatch, in_chunks, qtbot
):
    monkeypatch.setattr(restore.choices, "ask_folder", lambda: tmp_path)
    monkeypatch.setattr(canvas.MemoryOutputStore, "__init__", lambda *_: pytest.fail("in memory"))
    gate, plain = Gate(), canvas.FileOutputStore.write

    def slow(self, region, block):
        gate.wait()
        plain(self, region, block)

    monkeypatch.setattr(canvas.FileOutputStore, "write", slow)
    restore.models.take(model_file)
    layer = add(viewer)
    restore.images.tick_only(layer)
    restore.choices.save.setCurrentText(SaveLocation.STREAM)
    restore.choices.more.set("tile", 32)
    restore.choices.output.setCurrentText("16 bit")
    click(restore, "restore_run")
    gate.open(4)
    partial = tmp_path / "S05-restored.partial.ome.zarr"
    done = partial / "restoration" / "chunks-done.txt"
    qtbot.waitUntil(lambda: done.exists(), timeout=20_000)
    line = restore.choices.estimate_line
    qtbot.waitUntil(lambda: "written to S05-restored.ome.zarr" in line.text())
    restore.row.stop_button.click()
    gate.open(40)
    finish(session)
    assert partial.exists()
    assert "Restore again" in restore.row.line.text
    assert not line.text()
    assert not results(viewer)
    monkeypatch.setattr(canvas.FileOutputStore, "write", plain)
    click(restore, "restore_run")
    finish(session)
    assert not partial.exists()
    (result,) = results(viewer)
    assert result.data[0].shape == (96, 128)
    assert np.asarray(result.data[0]).any()
    assert result.data[0].dtype == np.uint16
    assert result.contrast_limits[1] == pytest.approx(257 * layer.contrast_limits[1])


def test_the_height_map_of_a_large_projection_is_written_as_it_comes_too(
    viewer, restore, session, projection_file, finish, click, tmp_path, little_memory
):
    restore.models.take(projection_file)
    pixels = np.random.default_rng(0).integers(20, 200, (5, 32, 48)).astype(np.uint8)
    layer = viewer.add_layer(image_to_layer(Image(pixels, "ZYX", name="S08")))
    restore.images.tick_only(layer)
    restore.choices.height_box.setChecked(True)
    click(restore, "restore_run")
    finish(session)
    height = viewer.layers["S08 height (plane)"]
    assert isinstance(height.data, zarr.Array)
    assert set(np.unique(np.asarray(height.data))) <= set(range(5))


# --- what comes next


def test_a_result_is_handed_to_evaluation_where_there_is_a_truth(
    viewer, restore, done, dock, click
):
    _, result = done
    evaluate_button = restore.next.evaluate
    assert not evaluate_button.isEnabled()
    assert "truth" in evaluate_button.toolTip()
    add(viewer, name="another", shape=(20, 30), pixel_size=(), unit=None)
    assert not evaluate_button.isEnabled()
    elsewhere = add(viewer, name="elsewhere", shape=result.data.shape, origin=(1e5, 50.0))
    assert not evaluate_button.isEnabled()
    field = {"pixel_size": (5.0, 5.0), "origin": tuple(result.translate)}
    truth = add(viewer, name="HR", shape=result.data.shape, **field)
    viewer.layers.move(viewer.layers.index(elsewhere), len(viewer.layers))
    assert "HR" in evaluate_button.toolTip()
    click(restore, "restore_evaluate")
    evaluate = dock("Evaluate")
    assert evaluate.is_in_front
    assert evaluate.truth.currentText() == "HR"
    assert evaluate.images.ticked == [result]
    assert evaluate.row.run_button.isEnabled()
    assert evaluate.row.run_button.text() == "Compare 1 image"
    viewer.layers.remove(truth)
    assert not evaluate_button.isEnabled()


def test_trust_opens_on_the_image_and_the_model_of_the_result(
    restore, session, done, dock, card_file, click, monkeypatch
):
    source, _ = done
    judged = []
    monkeypatch.setattr(type(dock("Relevance")), "judge", lambda self: judged.append(self))
    restore.models.take(card_file("another"))
    click(restore, "restore_trust")
    relevance = dock("Relevance")
    assert relevance.image.chosen is source
    assert session.model.stem == "tiny"
    assert judged == [relevance]


def test_the_folder_of_a_saved_result_is_named_and_opened(restore, done, click, monkeypatch):
    opened = []
    monkeypatch.setattr(next_steps.QDesktopServices, "openUrl", opened.append)
    assert "saved as S05-restored.ome.tif in AEANet" in restore.row.line.text
    click(restore, "restore_open_folder")
    assert Path(opened[0].toLocalFile()) == Path.home() / "AEANet"


@pytest.fixture
def two_done(viewer, restore, session, card_file, engine, finish):
    """Two sources with their results."""
    restore.models.take(card_file())
    sources = add(viewer), add(viewer, name="S06", seed=1)
    restore.images.tick_only(*sources)
    restore.run()
    engine.open(2)
    finish(session)
    return sources


def test_what_comes_next_is_of_the_ticked_image(
    viewer, restore, two_done, dock, click, monkeypatch
):
    monkeypatch.setattr(type(dock("Relevance")), "judge", lambda _: None)
    for source in two_done:
        dock("Restore")
        restore.images.tick_only(source)
        for step in (restore.next.trust, restore.next.evaluate, restore.next.folder):
            assert f"{source.name} restored" in step.toolTip()
        click(restore, "restore_trust")
        assert dock("Relevance").image.chosen is source
    # of an image without a result, the latest of all, and named
    restore.images.tick_only(add(viewer, name="S07", seed=2))
    assert "restored" in restore.next.trust.toolTip()
    assert "S07" not in restore.next.trust.toolTip()


def test_side_by_side_shows_the_ticked_image(viewer, restore, two_done, click):
    for source in two_done:
        restore.images.tick_only(source)
        click(restore, "restore_beside")
        shown = {layer.name for layer in viewer.layers if layer.visible}
        assert shown == {source.name, f"{source.name} restored"}
        click(restore, "restore_beside")


def test_the_report_of_many_images_stays_small_and_is_complete_in_the_body(
    viewer, restore, session, card_file, engine, finish, monkeypatch
):
    remark = " ".join(["The pixel size of this image is unknown."] * 8)
    monkeypatch.setattr(restore_dock, "restore_images", remarking(engine, remark))
    window = viewer.window._qt_window
    window.show()
    window.resize(1280, 900)
    restore.models.take(card_file())
    layers = [add(viewer, name=f"image {number}", seed=number) for number in range(10)]
    restore.images.tick_only(*layers)
    restore.run()
    engine.open(10)
    finish(session)
    line = restore.row.line
    assert line.text.startswith("✓ 10 images are restored, saved in AEANet; ")
    assert "10 of them have remarks" in line.text
    assert line.height() <= 6 * line.fontMetrics().lineSpacing()
    assert restore.minimumSizeHint().height() < 600
    assert window.height() == 900
    report = restore.report.lines.text()
    assert report.count(remark) == report.count("is restored") == 10
    # what one image has to say stays in the foot
    restore.images.tick_only(layers[0])
    restore.run()
    engine.open()
    finish(session)
    assert remark in line.text
    assert restore.minimumSizeHint().height() < 600
    assert not restore.report.isVisibleTo(restore)


def remarking(engine, remark):
    """An engine whose results have the same remark."""
    plain = restore_dock.restore_images

    def fake(*arguments):
        for event in plain(*arguments):
            is_done = isinstance(event, ImageRestored)
            yield replace(event, notices=(remark,)) if is_done else event

    return fake


# --- repeated restorations


@pytest.fixture
def again(restore, session, engine, finish):
    def act():
        restore.run()
        if session.is_busy:
            engine.open()
            finish(session)

    return act


def test_a_repeated_restoration_replaces_its_own_result(viewer, done, again, told):
    _, result = done
    below = viewer.layers.index(result)
    result.colormap, result.contrast_limits = "viridis", (3, 90)
    add(viewer, name="above")
    again()
    (new,) = results(viewer)
    assert new is not result
    assert (new.name, viewer.layers.index(new)) == ("S05 restored", below)
    assert new.colormap.name == "viridis"
    assert tuple(new.contrast_limits) == (3, 90)


@pytest.mark.parametrize("answer", [True, False, None])
@pytest.mark.parametrize("change", ["renamed", "edited", "other settings"])
def test_a_result_that_would_be_lost_is_asked_about(
    viewer, restore, done, again, monkeypatch, answer, change
):
    _, result = done
    asked = []
    monkeypatch.setattr(restore_dock, "ask_about", lambda lost: asked.append(lost) or answer)
    if change == "renamed":
        result.name = "the good one"
    elif change == "edited":
        result.data = result.data + 1
    else:
        restore.choices.save.setCurrentText(SaveLocation.NOT)
        again()  # the same settings and saved: no question
        assert not asked
        (result,) = results(viewer)
        restore.choices.use.setCurrentText(Use.PATCHES)
    again()
    assert asked == [[result]]
    assert (result in viewer.layers) is (answer is not True)
    assert len(results(viewer)) == (2 if answer is False else 1)


def test_a_result_of_another_model_stays(viewer, restore, done, again, card_file):
    restore.models.take(card_file("another"))
    again()
    assert len(results(viewer)) == 2


# --- large results


def test_a_large_result_is_drawn_in_levels_while_and_after_it_is_made(
    viewer, restore, session, model_file, finish, click, monkeypatch
):
    monkeypatch.setattr(levels, "LARGEST_PLANE", 64)
    monkeypatch.setattr(levels, "COARSEST_PLANE", 32)
    restore.models.take(model_file)
    layer = add(viewer)
    restore.images.tick_only(layer)
    kinds = []

    def put(self, event, put=Results.put):
        put(self, event)
        kinds.append([pixels.shape for pixels in results(viewer)[0].data])

    monkeypatch.setattr(Results, "put", put)
    click(restore, "restore_run")
    finish(session)
    (result,) = results(viewer)
    shapes = [(96, 128), (48, 64), (24, 32)]
    assert kinds[0] == shapes
    assert [pixels.shape for pixels in result.data] == shapes
    whole = np.asarray(result.data[0]).astype(float)
    means = whole.reshape(48, 2, 64, 2).mean((1, 3))
    np.testing.assert_allclose(result.data[1], means, atol=1)
    corner = result.data_to_world((-0.5, -0.5))
    assert corner == pytest.approx(layer.data_to_world((-0.5, -0.5)))
    click(restore, "restore_profile")  # the comparisons read the finest level
    assert len(restore.profile.curves[1][0]) > 30


@pytest.mark.parametrize(("gain", "trust"), [({"psnr": 2.0}, "primary"), ({"psnr": -3.0}, "")])
def test_blue_goes_on_to_trust_when_an_image_is_restored_by_a_sound_model(
    viewer, restore, session, card_file, engine, finish, gain, trust
):
    layer, other = add(viewer), add(viewer, name="S06", seed=1)
    restore.models.take(card_file(gain=gain))
    restore.images.tick_only(layer)

    def roles():
        buttons = (restore.row.run_button, restore.next.trust)
        return [button.property("role") or "" for button in buttons]

    assert roles() == ["primary", ""]
    restore.run()
    engine.open()
    finish(session)
    assert roles() == ["", trust]
    restore.choices.use.setCurrentText(str(Use.PATCHES))
    assert roles() == ["primary", ""]
    restore.choices.use.setCurrentText(str(Use.WHOLE_IMAGE))
    assert roles() == ["", trust]
    restore.images.tick_only(other)
    assert roles() == ["primary", ""]


def test_a_model_of_stacks_says_so_before_a_single_plane_is_restored(
    viewer, restore, projection_file
):
    restore.models.take(projection_file)
    plane = add(viewer)
    restore.images.tick_only(plane, add(viewer, name="S06"))
    assert "projector restores stacks of planes, and S06 is a single plane" in restore.row.line.text
    assert not restore.row.run_button.isEnabled()
    stack = viewer.add_image(np.zeros((5, 32, 48), np.uint8), axis_labels=("t", "y", "x"))
    restore.images.tick_only(stack)
    assert "Choose under Axes" in restore.row.line.text
    restore.axes.box.setCurrentIndex(0)
    restore.axes.box.activated.emit(0)
    assert restore.row.run_button.isEnabled()


def test_colour_images_are_said_to_be_left_out(viewer, restore):
    add(viewer)
    assert not restore.left_out.isVisibleTo(restore)
    colour = viewer.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True, name="photo")
    assert restore.left_out.isVisibleTo(restore)
    assert "photo is a colour (RGB) image" in restore.left_out.text()
    viewer.layers.remove(viewer.layers[0])
    assert not restore.left_out.isVisibleTo(restore)  # the reason below tells
    viewer.layers.remove(colour)
    assert not restore.left_out.isVisibleTo(restore)


def test_a_dropped_truth_of_a_result_is_not_ticked(viewer, restore, done, tmp_path, drop):
    source, result = done
    write_image(layer_to_image(result), tmp_path / "HR.ome.tif")
    write_image(micrograph(seed=3), tmp_path / "S07.ome.tif")
    drop(restore, tmp_path / "HR.ome.tif")
    assert restore.images.ticked == [source]
    assert "HR lies on S05 restored" in restore.left_out.text()
    assert "HR" in restore.next.evaluate.toolTip()
    drop(restore, tmp_path / "S07.ome.tif")
    assert {layer.name for layer in restore.images.ticked} == {"S05", "S07"}


def test_the_result_of_a_mask_is_shown_by_its_own_range(
    viewer, restore, session, card_file, engine, finish, monkeypatch
):
    mask = viewer.add_image(np.arange(48 * 64).reshape(48, 64) % 3 == 0, name="mask")
    monkeypatch.setattr(restore_dock, "layer_to_image", lambda _: micrograph(name="mask"))
    restore.models.take(card_file())
    restore.images.tick_only(mask)
    restore.run()
    engine.open()
    finish(session)
    (result,) = results(viewer)
    assert result.contrast_limits[1] > 190


def test_differences_are_told_apart_from_sizes():
    assert "patches 64: 1.4 %" in differences_words((("patches 64", 0.014),))
