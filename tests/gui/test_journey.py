"""The whole path in a real viewer, with the real engine: sample, register, train, restore, look."""

from functools import partial

import numpy as np
import pytest

import napari_aeanet
from napari_aeanet import samples
from napari_aeanet.core.progress import Progress
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.pairs import dock as pairs_dock
from napari_aeanet.gui.train import dock as train_dock
from napari_aeanet.gui.train import preparation
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import Model, ModelCard, save_model
from napari_aeanet.samples import paired_sem
from napari_aeanet.training import PreflightReport
from napari_aeanet.training.settings import Finished, FinishReason

MOST_CLICKS = 6
MINUTE = 60


@pytest.fixture
def sample(viewer):
    """The layers of File > Open Sample > Paired SEM of nanoparticles."""
    return viewer.open_sample("napari-aeanet", "paired_sem")


@pytest.fixture
def small_specimens(monkeypatch):
    """Samples of a quarter of the size, for what does not depend on it."""
    monkeypatch.setattr(samples, "paired_sem", partial(paired_sem, shape=(236, 320)))


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
    trained, viewer, session, dock, click, finish, drop, home
):
    finish(session, 5 * MINUTE)
    assert len(trained.curve.gains) >= 2

    # An image that the model has not seen, dropped on the Restore dock.
    new = paired_sem(1, seed=5, shape=(160, 200))[0].source
    write_image(new, home / "new.tif")
    click(trained, "train_next")
    restore = dock("Restore")
    drop(restore, home / "new.tif")
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
    np.testing.assert_allclose(overlay.scale, (40.0, 40.0))  # an eighth of the 5-nm grid


@pytest.fixture
def trains_at_once(monkeypatch):
    """A training that takes no time: its model has fresh weights."""
    from napari_aeanet.networks import ProjectionConfig, UNetConfig, build, config_to_json

    plane = UNetConfig(features=4, references=6, zero_output=True, offset=True)
    networks = {
        "ZYX": UNetConfig(dims=3, features=4, bottom="none"),
        "YX": ProjectionConfig(image=plane, references=6),
    }

    def train(pairs, settings, folder):
        target = pairs[0].target
        network = networks[target.axes]
        sizes = (None, *target.pixel_size)[-3:]
        card = ModelCard(
            name="new",
            preset=settings.preset,
            network=config_to_json(network),
            ratio=(1.0, 1.0, 1.0),
            pixel_size=sizes,
            unit=target.unit,
        )
        weights = {name: one.numpy() for name, one in build(network).state_dict().items()}
        folder.mkdir(parents=True)
        save_model(Model(card, weights), folder / "best.aeanet")
        ended = Progress("training", 1, 1)
        yield Finished(FinishReason.COMPLETE, folder / "best.aeanet", 1.0, 0.1, "Good.", ended)

    monkeypatch.setattr(train_dock, "train_model", train)
    monkeypatch.setattr(preparation, "check", lambda *_: PreflightReport(is_aligned=True))


@pytest.mark.parametrize(
    ("sample", "pairs", "task"),
    [
        (
            "fluorescence",
            {(f"cells {n} photons", "cells truth") for n in (100, 25, 6)},
            "denoising",
        ),
        ("epithelium", {("epithelium volume", "epithelium projection")}, "projection"),
        ("label_free", {("transmitted light", "nuclei")}, "label-free"),
    ],
)
def test_a_sample_is_paired_trained_on_and_restored_in_six_clicks(
    viewer, session, dock, click, finish, qtbot, trains_at_once, monkeypatch, sample, pairs, task
):
    small = partial(getattr(samples, f"{sample}_volume"), shape=(30, 64, 64))
    monkeypatch.setattr(samples, f"{sample}_volume", small)
    click.done.append("menu: the sample")
    viewer.open_sample("napari-aeanet", sample)
    click.done.append("menu: AEANet: Pairs")
    paired = dock("Pairs")
    qtbot.waitUntil(lambda: bool(session.pairs), timeout=1000 * MINUTE)
    found = {(entry.pair.source.name, entry.pair.target.name) for entry in session.pairs}
    assert found == pairs
    # Blue is the next step: images in two kinds of light cannot be registered.
    assert (paired.next.property("role") == "primary") is (task == "label-free")
    click(paired, "pairs_next")
    train = dock("Train")
    assert train.choices.task.currentData() == task
    qtbot.waitUntil(train.row.run_button.isEnabled, timeout=1000 * MINUTE)
    click(train, "train_run")
    finish(session, MINUTE)
    click(train, "train_next")
    restore = dock("Restore")
    (image,) = restore.images.ticked
    assert image.name in {source for source, _ in pairs}
    click(restore, "restore_run")
    finish(session, 2 * MINUTE)
    assert f"{image.name} restored" in viewer.layers
    assert len(click.done) <= MOST_CLICKS, click.done


MOST_CLICKS_FROM_FOLDERS = 9


def test_from_two_folders_to_a_saved_image(
    viewer, session, dock, click, finish, drop, qtbot, home, monkeypatch
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
    # A drop is no click.
    drop(restore, home / "lr" / "S01.tif")
    click(restore, "restore_run")
    finish(session, MINUTE)
    saved = read_image(home / "lr" / "S01-restored.ome.tif")
    assert saved.shape == (472, 640)
    assert saved.pixel_size == (5.0, 5.0)
    assert len(click.done) <= MOST_CLICKS_FROM_FOLDERS, click.done


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_closing_napari_in_the_middle_of_training_leaves_a_run_that_goes_on(
    small_specimens, trained, viewer, session, qtbot, paused
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
