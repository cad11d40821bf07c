"""A whole folder in AEANet: Restore."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import micrograph

from napari_aeanet.batch import ItemFinished, Outcome
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.restore import folder
from napari_aeanet.io.files import read_image, write_image

NAMES = ("S1", "S2", "S10")


@pytest.fixture
def images(tmp_path):
    place = tmp_path / "images"
    place.mkdir()
    for number, name in enumerate(NAMES):
        write_image(micrograph((24, 32), number), place / f"{name}.tif")
    return place


@pytest.fixture
def restore(dock, session, model_file, qtbot):
    made = dock("Restore")
    made.models.take_models([model_file])
    qtbot.waitUntil(lambda: session.card is not None)
    return made


@pytest.fixture
def chosen(restore, images, qtbot):
    restore.folder.choose(images)
    qtbot.waitUntil(restore.folder._run.isEnabled)
    return restore


def listed(restore):
    rows = restore.folder._list
    return [rows.item(row).text() for row in range(rows.count())]


def test_every_image_is_restored_in_the_order_of_the_names(
    chosen, images, viewer, click, session, finish
):
    assert chosen.folder._run.text() == "Restore 3 images"
    click(chosen, "restore_folder_run")
    finish(session)
    assert listed(chosen) == [f"✓ {name}.tif → {name}-restored.ome.tif" for name in NAMES]
    for name in NAMES:
        assert read_image(images / "restored" / f"{name}-restored.ome.tif").array.size
    assert (images / "restored" / "outcomes.csv").exists()
    assert "✓ 3 of 3 restored." in chosen.row.line.text
    assert not viewer.layers


def test_a_bad_file_does_not_stop_the_others_and_is_named(chosen, images, click, session, finish):
    (images / "S2.tif").write_bytes(b"no image")
    click(chosen, "restore_folder_run")
    finish(session)
    assert [line[0] for line in listed(chosen)] == ["✓", "✗", "✓"]
    assert "S2.tif" in listed(chosen)[1]
    assert "✓ 2 of 3 restored." in chosen.row.line.text
    assert "✗ 1 of 3 failed" in chosen.row.line.text


def test_remarks_are_seen_and_other_pixel_sizes_resampled(chosen, images, click, session, finish):
    write_image(replace(micrograph((24, 32)), pixel_size=(3.0, 3.0)), images / "S1.tif")
    write_image(replace(micrograph((24, 32)), pixel_size=(), unit=None), images / "S2.tif")
    click(chosen, "restore_folder_run")
    finish(session)
    assert listed(chosen)[0].startswith("✗ S1.tif: S1: the model was trained on images of")
    assert listed(chosen)[1] == "! S2.tif → S2-restored.ome.tif"
    assert "pixel size of S2 is unknown" in chosen.folder._list.item(1).toolTip()
    assert "! 1 of 3 have remarks" in chosen.row.line.text
    chosen.folder._resample.setChecked(True)
    chosen.folder._results.choose(images / "resampled")
    click(chosen, "restore_folder_run")
    finish(session)
    assert [line[0] for line in listed(chosen)] == ["!", "!", "✓"]


def test_results_that_exist_are_kept(chosen, images, click, session, finish):
    click(chosen, "restore_folder_run")
    finish(session)
    first = images / "restored" / "S1-restored.ome.tif"
    before = first.stat().st_mtime_ns
    (images / "restored" / "S10-restored.ome.tif").unlink()
    click(chosen, "restore_folder_run")
    finish(session)
    assert [line[0] for line in listed(chosen)] == ["–", "–", "✓"]
    assert first.stat().st_mtime_ns == before


def test_a_stopped_folder_keeps_what_is_finished(chosen, click, session, finish, monkeypatch):
    def one_then_wait(source, model, settings, out):
        outcome = Outcome(input="S1.tif", outputs=(out / "S1-restored.ome.tif",))
        yield ItemFinished(outcome, Progress("restoring", 1, 3))
        while True:
            yield Progressed(Progress("restoring", 1, 3))

    monkeypatch.setattr(folder, "_restore", one_then_wait)
    click(chosen, "restore_folder_run")
    session.job.stop()
    finish(session)
    assert session.job is None or session.job.state is State.STOPPED
    assert folder.GOES_ON in chosen.row.line.text or not listed(chosen)


def test_a_folder_without_images_is_refused_at_once(restore, tmp_path, qtbot):
    (tmp_path / "empty").mkdir()
    restore.folder.choose(tmp_path / "empty")
    qtbot.waitUntil(lambda: "empty" in restore.folder._found.text())
    assert not restore.folder._run.isEnabled()
    assert "no image" in restore.folder._found.text()


def test_without_a_model_nothing_can_be_started(dock, images, qtbot):
    restore = dock("Restore")
    restore.session.model = None
    restore.folder.choose(images)
    qtbot.waitUntil(lambda: "3 images" in restore.folder._found.text())
    restore.refresh()
    assert not restore.folder._run.isEnabled()
    assert restore.folder._run.toolTip() == folder.NO_MODEL
    assert np.all([not row.startswith("✓") for row in listed(restore)])
