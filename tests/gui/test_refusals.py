"""What cannot work is refused, or handled, in plain words: never a traceback, never in silence."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import micrograph

from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.networks import UNetConfig, config_to_json
from napari_aeanet.pairs.pair import ImagePair


@pytest.fixture
def restore(dock, model_file):
    made = dock("Restore")
    made.models.take(model_file)
    return made


def add(viewer, image):
    return viewer.add_layer(image_to_layer(image))


def results(viewer):
    return [
        layer for layer in viewer.layers if layer.metadata.get(PLUGIN_METADATA_KEY) == "restored"
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda v: v.add_labels(np.ones((8, 9), int), name="cells"), "cells is a labels layer"),
        (
            lambda v: v.add_image(np.zeros((8, 9, 3), np.uint8), rgb=True, name="photo"),
            "photo is a colour",
        ),
        (lambda v: v.add_points(np.zeros((3, 2)), name="dots"), "dots is a points layer"),
    ],
    ids=["labels", "rgb", "points"],
)
def test_layers_that_are_no_images_are_not_offered_and_the_dock_says_why(
    viewer, restore, make, words
):
    make(viewer)
    assert restore.images.count() == 0
    assert words in restore.row.line.text
    assert not restore.row.run_button.isEnabled()


def test_pairs_are_not_made_of_labels(viewer, dock, click):
    add(viewer, micrograph(name="S01 lr"))
    viewer.add_labels(np.ones((48, 64), int), name="S01 hr")
    pairs = dock("Pairs")
    click(pairs, "pairs_layers")
    assert pairs.session.pairs == ()
    assert "S01 lr" in pairs.notes.text()


def test_pixels_without_a_number_stay_so_and_are_told_of(viewer, restore, session, finish, click):
    pixels = micrograph().read().astype(np.float32)
    pixels[4:8, 10:14] = np.nan
    restore.images.tick_only(add(viewer, replace(micrograph(), array=pixels)))
    click(restore, "restore_run")
    finish(session)
    (result,) = results(viewer)
    gone = np.isnan(result.data)
    assert gone[8:16, 20:28].all()
    assert gone.sum() == 8 * 8
    assert "16 pixels of S05 hold no number" in restore.row.line.text


def test_an_image_smaller_than_a_patch_is_restored(viewer, restore, session, finish, click):
    restore.images.tick_only(add(viewer, micrograph((10, 12))))
    restore.choices.use.setCurrentText("patches")
    click(restore, "restore_run")
    finish(session)
    assert results(viewer)[0].data.shape == (20, 24)


def test_a_model_for_volumes_refuses_a_plane_in_words_before_it_is_run(viewer, dock, card_file):
    restore = dock("Restore")
    restore.models.take(card_file(network=config_to_json(UNetConfig(dims=3, features=4))))
    restore.images.tick_only(add(viewer, micrograph(pixel_size=(), unit=None)))
    assert "is a single plane" in restore.row.line.text
    assert not restore.row.run_button.isEnabled()


def test_a_second_job_is_refused_while_one_runs(viewer, restore, session, dock, finish, told):
    restore.images.tick_only(add(viewer, micrograph()))
    restore.run()
    other = dock("Pairs")
    other.register_pair(ImagePair(micrograph(), micrograph(seed=1)))
    assert any("busy restoring S05" in message for message in told())
    finish(session)
    assert len(results(viewer)) == 1


def test_an_image_and_itself_are_no_pair_to_learn_from(dock, session, qtbot):
    image = micrograph()
    session.add_pairs([ImagePair(image, image)])
    train = dock("Train")
    qtbot.waitUntil(lambda: "same image" in train.check.line.text())
    assert not train.row.run_button.isEnabled()


def test_a_target_of_twice_the_field_is_not_trained_on_before_it_is_registered(dock, session):
    larger = micrograph((96, 128), name="hr")
    session.add_pairs([ImagePair(micrograph(), larger)])
    train = dock("Train")
    assert "register them" in train.row.line.text
    assert not train.row.run_button.isEnabled()


def test_images_too_small_to_learn_from_are_found_before_the_start(dock, session, qtbot):
    small = [micrograph((10, 12), seed=seed) for seed in (0, 1)]
    session.add_pairs([ImagePair(*small)])
    train = dock("Train")
    qtbot.waitUntil(lambda: "at least 16" in train.check.line.text())
    assert "Leave out or correct S05" in train.row.run_button.toolTip()


def test_an_output_folder_that_cannot_be_made_is_named(dock, session, finish, told, home, qtbot):
    (home / "AEANet").write_text("a file where the folder should be")
    session.add_pairs([ImagePair(micrograph((96, 128)), micrograph((96, 128), seed=1))])
    train = dock("Train")
    qtbot.waitUntil(lambda: "Checking" not in train.check.line.text())
    train.start()
    finish(session, 60)
    assert train.job.state is State.FAILED
    assert any("AEANet" in message and "folder" in message for message in told())


def test_layers_that_are_deleted_while_their_pair_is_registered_change_nothing(
    viewer, dock, session, finish, click
):
    layers = [add(viewer, micrograph(name=name)) for name in ("S01 lr", "S01 hr")]
    pairs = dock("Pairs")
    click(pairs, "pairs_run")
    for layer in layers:
        viewer.layers.remove(layer)
    finish(session)
    assert session.pairs[0].pair.registration is not None
