"""The whole path in a real viewer, with the real engine: sample, register, train, restore, look."""

import numpy as np
import pytest

import napari_aeanet
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.pairs import dock as pairs_dock
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.samples import paired_sem

MOST_CLICKS = 6
MINUTE = 60


@pytest.fixture
def sample(viewer):
    """The layers of File > Open Sample > Paired SEM of nanoparticles."""
    return viewer.open_sample("napari-aeanet", "paired_sem")


@pytest.fixture
def trained(viewer, session, dock, click, finish, qtbot, sample):
    """From the open sample to a model: four clicks. Returns the Train dock."""
    click.done.append("menu: AEANet: Pairs")  # the open images are paired when the dock opens
    click(dock("Pairs"), "pairs_run")
    finish(session, MINUTE)
    click(dock("Pairs"), "pairs_next")
    train = dock("Train")
    for name, value in (("steps", 8), ("patch", 64), ("batch", 2)):  # seconds, not a minute
        train.choices.more.set(name, value)
    qtbot.waitUntil(train.row.run_button.isEnabled, timeout=1000 * MINUTE)
    click(train, "train_run")
    return train


def test_from_the_sample_to_a_saved_image_and_a_heat_map(
    trained, viewer, session, dock, click, finish, home
):
    finish(session, 5 * MINUTE)
    assert len(trained.curve.gains) >= 2

    # An image that the model has not seen, dropped on the Restore dock.
    new = paired_sem(1, seed=5, shape=(160, 200))[0].source
    write_image(new, home / "new.tif")
    click(trained, "train_next")
    restore = dock("Restore")
    restore.take_files([home / "new.tif"])
    click(restore, "restore_run")
    finish(session, MINUTE)

    saved = read_image(home / "new-restored.ome.tif")
    assert saved.shape == (320, 400)
    assert saved.pixel_size == (5.0, 5.0)
    assert saved.unit == "nm"
    assert saved.dtype == np.uint8
    layer = viewer.layers["new restored"]
    np.testing.assert_allclose(layer.scale, (5.0, 5.0))
    assert len(click.done) <= MOST_CLICKS, click.done

    relevance = dock("Relevance")
    relevance.image.choose(viewer.layers["new"])
    click(relevance, "relevance_run")
    finish(session, MINUTE)
    overlay = next(layer for layer in viewer.layers if layer.name.startswith("relevance"))
    np.testing.assert_allclose(overlay.scale, (20.0, 20.0))  # a quarter of the 5-nm grid


MOST_CLICKS_FROM_FOLDERS = 12


def test_from_two_folders_to_a_saved_image(
    viewer, session, dock, click, finish, qtbot, home, monkeypatch
):
    for side in ("lr", "hr"):
        (home / side).mkdir()
    for number, specimen in enumerate(paired_sem(2, shape=(236, 320)), start=1):
        write_image(specimen.source, home / "lr" / f"S0{number}.tif")
        write_image(specimen.target, home / "hr" / f"S0{number}.tif")
    answers = [str(home / "lr"), str(home / "hr")]
    monkeypatch.setattr(
        pairs_dock.QFileDialog, "getExistingDirectory", lambda *_, **__: answers.pop(0)
    )
    click.done.append("menu: AEANet: Pairs")
    pairs = dock("Pairs")
    click(pairs, "pairs_folders")
    click.done.extend(["choose lr", "choose hr"])
    finish(session, MINUTE)
    click(pairs, "pairs_run")
    finish(session, MINUTE)
    click(pairs, "pairs_next")
    train = dock("Train")
    for name, value in (("steps", 4), ("patch", 64), ("batch", 2)):  # seconds, not a minute
        train.choices.more.set(name, value)
    qtbot.waitUntil(train.row.run_button.isEnabled, timeout=1000 * MINUTE)
    click(train, "train_run")
    finish(session, 5 * MINUTE)
    click(train, "train_next")
    restore = dock("Restore")
    click.done.append("drop S01.tif")
    restore.take_files([home / "lr" / "S01.tif"])
    click(restore, "restore_run")
    finish(session, MINUTE)
    saved = read_image(home / "lr" / "S01-restored.ome.tif")
    assert saved.shape == (472, 640)
    assert saved.pixel_size == (5.0, 5.0)
    assert len(click.done) <= MOST_CLICKS_FROM_FOLDERS, click.done


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_closing_napari_in_the_middle_of_training_leaves_a_run_that_goes_on(
    trained, viewer, session, qtbot, paused
):
    qtbot.waitUntil(lambda: len(trained.curve.gains) >= 1, timeout=1000 * MINUTE)
    job, pairs, folder = session.job, session.usable_pairs, trained._folder
    if paused:
        job.pause()
        qtbot.waitUntil(lambda: job.state is State.PAUSED, timeout=1000 * MINUTE)
    viewer.close()
    qtbot.waitUntil(lambda: job.state is State.STOPPED, timeout=1000 * MINUTE)
    assert (folder / "last.state").is_file()
    finished = napari_aeanet.resume(pairs, folder)
    assert finished.bundle.is_file()
    assert finished.progress.done == finished.progress.total
