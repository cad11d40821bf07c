"""The Restore dock gives one image to several processes, and says where they are shown."""

import numpy as np
import pytest
from helpers import micrograph

from napari_aeanet.cluster import ClusterSettings
from napari_aeanet.core.image import Image
from napari_aeanet.gui.restore.choices import SaveLocation
from napari_aeanet.gui.restore.text import writing_words
from napari_aeanet.gui.restore.workers import Where
from napari_aeanet.gui.viewer.layers import FILE, image_to_layer
from napari_aeanet.io import open_levels, read_image, write_image
from napari_aeanet.restoration import RestoreSettings
from napari_aeanet.restoration import restore as restore_image


@pytest.fixture
def restore(dock, model_file, tmp_path, monkeypatch):
    made = dock("Restore")
    monkeypatch.setattr(made.choices, "ask_folder", lambda: tmp_path)
    made.models.take(model_file)
    return made


@pytest.fixture
def file(tmp_path):
    write_image(micrograph(), tmp_path / "S05.ome.tif")
    return tmp_path / "S05.ome.tif"


@pytest.fixture(scope="module")
def scheduler():
    """The address of a scheduler with a worker, both in this process."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1,
        processes=False,
        protocol="tcp",
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster.scheduler_address


def give_to(restore, address):
    restore.choices.save.setCurrentText(SaveLocation.STREAM)
    restore.choices.workers.where.setCurrentText(Where.ADDRESS)
    restore.choices.workers.address.setText(address)


def test_processes_are_chosen_and_what_is_missing_is_said(restore, file, drop, viewer):
    drop(restore, file)
    workers, run = restore.choices.workers, restore.row.run_button
    assert workers.settings == ClusterSettings()
    assert run.isEnabled()
    workers.where.setCurrentText(Where.LOCAL)
    assert not run.isEnabled()
    assert "choose that under Save" in restore.row.line.text
    restore.choices.save.setCurrentText(SaveLocation.STREAM)
    assert run.isEnabled()
    workers.number.setValue(3)
    assert workers.settings == ClusterSettings(dask="local", workers=3)
    for address in ("", "host:8786"):
        give_to(restore, address)
        assert "Type the address" in restore.row.line.text
        assert not run.isEnabled()
    give_to(restore, " tcp://host:8786 ")
    assert run.isEnabled()
    assert workers.settings.dask == "tcp://host:8786"
    second = viewer.add_layer(image_to_layer(micrograph(name="S06")))
    restore.images.add(second)
    assert "tick one" in restore.row.line.text


def test_workers_give_the_result_of_one_process(
    restore, file, drop, viewer, session, model_file, finish, click, tmp_path, scheduler
):
    drop(restore, file)
    give_to(restore, scheduler)
    click(restore, "restore_run")
    finish(session)
    assert "saved as S05-restored.ome.zarr" in restore.row.line.text
    (result,) = [layer for layer in viewer.layers if "restored" in layer.name]
    expected = restore_image(read_image(file), model_file, RestoreSettings(device="cpu")).array
    np.testing.assert_array_equal(np.asarray(result.data), expected)
    np.testing.assert_array_equal(open_levels(tmp_path / "S05-restored.ome.zarr")[0], expected)


@pytest.mark.parametrize(
    ("stored", "words"),
    [(None, "where workers cannot read it: save it"), ("CYX", "in its file")],
    ids=["no file", "other axes"],
)
def test_what_workers_would_read_otherwise_is_refused(
    stored, words, restore, viewer, session, finish, click, tmp_path, scheduler
):
    layer = image_to_layer(Image(np.zeros((2, 40, 48), np.uint8), "ZYX", name="S05"))
    if stored:
        write_image(Image(np.zeros((2, 40, 48), np.uint8), stored), tmp_path / "S05.ome.tif")
        layer.metadata[FILE] = str(tmp_path / "S05.ome.tif")
    viewer.add_layer(layer)
    restore.images.tick_only(layer)
    give_to(restore, scheduler)
    click(restore, "restore_run")
    finish(session)
    assert words in restore.row.line.text
    assert not list(tmp_path.glob("*restored*"))


def test_the_page_of_the_workers_is_named(tmp_path):
    words = writing_words(tmp_path / "a.ome.zarr", 2, "http://127.0.0.1:8787/status")
    assert "written to a.ome.zarr by 2 workers" in words
    assert words.endswith("shown at http://127.0.0.1:8787/status")
