"""AEANet: Train, with an engine that learns nothing but says what the real one says."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from helpers import Gate, blurred_pairs, micrograph
from qtpy.QtCore import Qt

from napari_aeanet.core.image import Image
from napari_aeanet.core.progress import Progress
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.train import dock as train_dock
from napari_aeanet.gui.train import model_row, preparation
from napari_aeanet.gui.train.earlier_runs import find_runs
from napari_aeanet.gui.train.recipes import train_command, train_python
from napari_aeanet.gui.train.region_layer import NAME as REGION
from napari_aeanet.gui.train.tasks import TIMES, new_folder
from napari_aeanet.models.model_file import Model, save_model
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.training.settings import (
    Finished,
    FinishReason,
    KeptOut,
    Loss,
    Planned,
    Previewed,
    Profile,
    Saved,
    Stepped,
    TrainSettings,
    Validated,
)

STEPS, CHECK_EVERY = 6, 2


@pytest.fixture
def engine(monkeypatch, card):
    """`opened` steps are made; every second one is followed by a check, a preview and a save."""
    gate = Gate()
    gate.calls, gate.closed, gate.gain = [], [], 0.6

    def fake(pairs, settings, folder):
        gate.calls.append((pairs, settings, folder))
        best = folder / "best.aeanet"
        folder.mkdir(parents=True)
        try:
            begun = Progress("training", 0, STEPS)
            yield Planned(STEPS, folder, "CPU", "Six steps. On a CPU.", ("A note.",), begun)
            for step in range(1, STEPS + 1):
                gate.wait()
                now = Progress("training", step, STEPS)
                yield Stepped(step, 1 / step, now)
                if step % CHECK_EVERY == 0:
                    save_model(Model(replace(card, name="learnt"), {}), best)
                    yield Validated(step, step / 10, 0.01, True, now)
                    pixels = np.full((8, 8), step, np.float32)
                    yield Previewed(step, 0, (2, 3), pixels, pixels, pixels, now)
                    yield Saved(step, best, now)
            yield Validated(STEPS, 0.1, 0.01, True, now, is_final=True)  # on other data
            yield Finished(FinishReason.COMPLETE, best, gate.gain, 0.01, "Good. Very.", now)
        finally:
            gate.closed.append(folder)

    monkeypatch.setattr(train_dock, "train_model", fake)
    return gate


@pytest.fixture
def checks(monkeypatch):
    """The check before a training finds what `checks.answer` says; it tells what it was asked."""
    from napari_aeanet.training import PreflightReport

    class Checks:
        good = PreflightReport(is_aligned=True)
        answer = good

    def check(pairs, settings, folder):
        Checks.asked.append((pairs, settings))
        return Checks.answer

    Checks.asked = []
    monkeypatch.setattr(preparation, "check", check)
    monkeypatch.setattr(preparation, "CHECK_AFTER_MS", 0)
    return Checks


@pytest.fixture
def train(dock, session, qtbot, checks):
    """The dock with a pair that has passed its check."""
    session.add_pairs([ImagePair(micrograph(), micrograph(seed=1))])
    made = dock("Train")
    qtbot.waitUntil(lambda: "✓" in made.check.line.text())
    return made


def wait_for(qtbot, train, checks):
    qtbot.waitUntil(lambda: len(train.curve.gains) >= checks)


def previews(viewer):
    return [layer for layer in viewer.layers if layer.name.startswith("preview")]


def test_without_pairs_it_says_what_is_missing(dock):
    train = dock("Train")
    assert "Add pairs first" in train.row.line.text
    assert not train.row.run_button.isEnabled()


def test_pairs_that_cannot_be_used_are_told_apart_from_none(dock, session):
    session.add_pairs([ImagePair(micrograph(), micrograph(pixel_size=(5.0, 5.0)))])
    train = dock("Train")
    assert "register them" in train.row.line.text
    assert "1 to register" in train.choices.pairs_line.text()


def test_a_pair_with_the_same_image_on_both_sides_is_found_before_the_start(dock, session, qtbot):
    session.add_pairs([ImagePair(micrograph(), micrograph())])
    train = dock("Train")
    qtbot.waitUntil(lambda: "same image" in train.check.line.text())
    assert not train.row.run_button.isEnabled()
    assert "same image" in train.row.run_button.toolTip()
    assert train.row.line.text == ""  # told once


def is_blue(button):
    return button.property("role") == "primary" and not button.isHidden()


def blue(train):
    buttons = (
        train.row.run_button,
        train.model.next,
        train.check.register,
        train.choices.open_pairs,
    )
    return [button.text() for button in buttons if is_blue(button)]


def shifted(pair, by):
    return ImagePair(pair.source.with_array(np.roll(pair.source.array, by, axis=0)), pair.target)


def test_shifted_pairs_are_registered_first(dock, session, qtbot, click, finish):
    session.add_pairs([shifted(pair, 5) for pair in blurred_pairs(2)])
    train = dock("Train")
    qtbot.waitUntil(lambda: "shifted, by up to 5.0 px" in train.check.line.text(), timeout=30_000)
    assert "✓" not in train.check.line.text()
    assert not train.row.run_button.isEnabled()
    assert "2 of 2 pairs are shifted" in train.row.run_button.toolTip()
    assert blue(train) == ["Register 2 pairs first"]
    click(train, "train_register")
    finish(session)
    assert all(entry.pair.registration is not None for entry in session.pairs)


def test_pairs_of_other_sizes_are_offered_to_be_registered(dock, session):
    session.add_pairs([ImagePair(micrograph(), micrograph(pixel_size=(5.0, 5.0)))])
    train = dock("Train")
    assert blue(train) == ["Register 1 pair first"]
    assert not train.row.run_button.isEnabled()


def test_without_pairs_the_blue_button_leads_to_them(dock):
    assert blue(dock("Train")) == ["Pairs"]


def test_a_task_that_does_not_fit_the_axes_disables_the_start(dock, session, qtbot):
    session.add_pairs(blurred_pairs(2))
    train = dock("Train")
    train.choices.more.set("patch", 32)
    task = train.choices.task
    task.setCurrentIndex(task.findData("denoising"))
    qtbot.waitUntil(
        lambda: "needs pairs of stacks" in train.row.run_button.toolTip(), timeout=30_000
    )
    assert not train.row.run_button.isEnabled()
    task.setCurrentIndex(task.findData("super-resolution"))
    assert "✗" not in train.check.line.text()
    assert not train.row.run_button.isEnabled()
    qtbot.waitUntil(train.row.run_button.isEnabled, timeout=30_000)
    assert "✓" in train.check.line.text()


def test_no_result_of_a_check_stays_after_a_change(train, session, checks, qtbot):
    assert train.row.run_button.isEnabled()
    checks.answer = replace(checks.good, is_aligned=False, objections=("Two are one.",))
    session.add_pairs([ImagePair(micrograph(seed=2), micrograph(seed=3), name="S06")])
    assert "✓" not in train.check.line.text()
    assert not train.row.run_button.isEnabled()
    assert "Checking" in train.row.run_button.toolTip()
    qtbot.waitUntil(lambda: "Two are one." in train.row.run_button.toolTip())
    assert len(checks.asked[-1][0]) == 2
    checks.answer = checks.good
    train.choices.more.set("patch", 32)
    assert "Two are one." not in train.check.line.text()
    qtbot.waitUntil(train.row.run_button.isEnabled)
    assert checks.asked[-1][1].patch == 32


def test_an_answer_about_pairs_that_have_changed_since_is_not_shown(
    dock, session, monkeypatch, checks, qtbot
):
    gate = Gate()

    def slow(pairs, settings, folder):
        gate.wait()
        return replace(checks.good, objections=() if len(pairs) == 2 else ("One is too few.",))

    monkeypatch.setattr(preparation, "check", slow)
    session.add_pairs([ImagePair(micrograph(), micrograph(seed=1))])
    train = dock("Train")
    qtbot.waitUntil(lambda: train.checking.is_running)
    session.add_pairs([ImagePair(micrograph(seed=2), micrograph(seed=3), name="S06")])
    gate.open(2)
    qtbot.waitUntil(train.row.run_button.isEnabled)
    assert "too few" not in train.check.line.text()


def test_settings_that_the_pairs_do_not_depend_on_need_no_other_check(train, checks):
    train.choices.time.setCurrentText(TIMES[0].text)
    train.choices.more.set("seed", 3)
    assert train.row.run_button.isEnabled()
    assert len(checks.asked) == 1


def test_impossible_settings_disable_the_start_in_words(train, qtbot):
    train.choices.more.set("patch", 3)
    assert "patch must be at least 8 pixels, got 3" in train.row.line.text
    assert not train.row.run_button.isEnabled()
    assert not train.copy.isEnabled()
    train.choices.more.set("patch", 0)
    qtbot.waitUntil(train.row.run_button.isEnabled)


def test_unregistered_pairs_of_two_grids_are_never_good(dock, session, checks, qtbot):
    checks.answer = replace(checks.good, is_aligned=False)
    session.add_pairs([ImagePair(micrograph(), micrograph(seed=1))])
    train = dock("Train")
    qtbot.waitUntil(train.row.run_button.isEnabled)
    assert "✓" not in train.check.line.text()
    assert train.check.line.property("role") == "plain"
    assert "not registered" in train.check.line.text()


def test_a_check_that_fails_is_told(dock, session, monkeypatch, checks, qtbot):
    monkeypatch.setattr(preparation, "check", lambda *_: "The pairs could not be checked: gone.")
    session.add_pairs([ImagePair(micrograph(), micrograph(seed=1))])
    train = dock("Train")
    qtbot.waitUntil(lambda: "could not be checked: gone." in train.row.run_button.toolTip())
    assert not train.row.run_button.isEnabled()


def test_a_check_that_fails_in_any_way_has_an_answer(monkeypatch, tmp_path):
    def broken(*_):
        raise KeyError("no such thing")

    monkeypatch.setattr("napari_aeanet.training.check_training", broken)
    assert "could not be checked: 'no such thing'" in preparation.check(
        (), TrainSettings(), tmp_path
    )


def test_blue_follows_the_next_step(train, engine, session, finish, card_file):
    session.add_model(card_file("other"))
    assert not train.model.next.isEnabled()
    assert blue(train) == ["Start"]
    train.start()
    engine.open(STEPS)
    finish(session)
    assert train.model.next.isEnabled()
    assert blue(train) == ["Restore with it →"]


def test_a_gain_on_other_pairs_is_no_longer_shown(train, engine, session, finish, qtbot):
    train.start()
    engine.open(STEPS)
    finish(session)
    first = session.pairs
    session.set_pairs([])
    assert blue(train) == ["Restore with it →"] and train.gain_line.text()
    session.add_pairs([ImagePair(micrograph(seed=2, name="new"), micrograph(seed=3))])
    qtbot.waitUntil(lambda: "✓" in train.check.line.text())
    assert blue(train) == ["Start"]
    assert train.curve.isHidden() and not train.gain_line.text()
    assert train.model.next.isEnabled()
    session.set_pairs(first)
    assert blue(train) != ["Restore with it →"]


def test_the_task_follows_the_pairs_until_the_user_has_chosen_it(dock, session, checks):
    train = dock("Train")
    volume = Image(np.zeros((8, 32, 32), np.uint8), "ZYX", name="V")
    session.add_pairs([ImagePair(volume, volume)])
    assert train.choices.task.currentData() == "denoising"
    train.choices.task.setCurrentIndex(train.choices.task.findData("label-free"))
    train.choices.task.activated.emit(train.choices.task.currentIndex())
    session.add_pairs([ImagePair(volume, volume, name="W")])
    assert train.choices.task.currentData() == "label-free"


def test_the_devices_of_the_machine_are_named(train, qtbot):
    qtbot.waitUntil(lambda: train.choices.device.count() == 2)
    assert train.choices.device.itemText(0) == "automatic (CPU, 2 cores)"
    assert train.choices.device.itemText(1) == "CPU, 2 cores, 8.6 GB free"


def test_what_is_chosen_reaches_the_engine(train, engine, session, click, finish, home, qtbot):
    train.choices.time.setCurrentText(TIMES[0].text)
    train.choices.network.setCurrentText("U-Net, 2D")
    qtbot.waitUntil(train.row.run_button.isEnabled)
    click(train, "train_run")
    engine.open(STEPS)
    finish(session)
    ((pairs, settings, folder),) = engine.calls
    assert pairs == session.usable_pairs
    assert settings.preset == "unet-2d"
    assert (settings.minutes, settings.profile) == (1.0, Profile.QUICK)
    assert folder.parent == home / "AEANet"


def test_the_first_detail_follows_the_pairs_until_it_is_chosen(train, session):
    choices = train.choices
    assert choices.detail.currentText().startswith("fine")
    enlarged = ImagePair(micrograph(), micrograph((96, 128), seed=1, pixel_size=(5.0, 5.0)))
    session.set_pairs([])
    session.add_pairs([enlarged])
    assert choices.settings().preset == "aeanet-2d-fast"
    assert choices.detail.currentText() == "fast"
    choices.network.setCurrentText("U-Net, 2D")
    session.add_pairs([replace(enlarged, name="another")])
    assert choices.settings().preset == "unet-2d"


def test_the_detail_is_chosen_in_words(train, session):
    choices = train.choices

    def choose(text):
        choices.detail.setCurrentIndex(choices.detail.findText(text, Qt.MatchFlag.MatchStartsWith))
        choices.detail.activated.emit(choices.detail.currentIndex())
        return choices.settings().preset

    assert choose("fine") == "aeanet-2d"
    assert choose("fast") == "aeanet-2d-fast"
    choices.network.setCurrentText("U-Net, 2D")
    assert choices.detail.currentText().startswith("fine")
    assert choose("fast") == "unet-2d-fast"
    choices.time.setCurrentText(TIMES[-1].text)  # as published: there is no fast network
    assert choices.settings().preset == "aeanet-2d"
    assert choices.detail.currentText().startswith("fine")
    assert not choices.detail.isEnabled()
    choices.time.setCurrentText(TIMES[0].text)
    assert choices.detail.isEnabled()
    volume = Image(np.zeros((8, 32, 32), np.uint8), "ZYX", name="V")
    session.set_pairs([])
    session.add_pairs([ImagePair(volume, volume)])
    assert choose("fine") == "aeanet-3d"
    assert choose("fast") == "aeanet-3d-fast"


def test_the_curve_and_the_preview_follow_the_training(
    viewer, train, engine, session, finish, qtbot
):
    train.start()
    engine.open(2)
    wait_for(qtbot, train, 1)
    assert "+0.2 dB" in train.gain_line.text()
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    first = previews(viewer)
    assert [layer.name for layer in first] == [
        "preview: input",
        "preview: restored",
        "preview: truth",
    ]
    assert len({tuple(layer.contrast_limits) for layer in first}) == 1
    engine.open(2)
    qtbot.waitUntil(lambda: first[1].data[0, 0] == 4)
    assert previews(viewer) == first
    engine.open(STEPS - 4)
    finish(session)
    assert train.curve.gains == pytest.approx((0.2, 0.4, 0.6))


def test_the_preview_goes_when_the_run_is_over(viewer, train, engine, session, finish, qtbot):
    other = viewer.add_image(np.zeros((100, 100)), units=("nm", "nm"))
    before = viewer.scene.camera.zoom
    train.start()
    engine.open(2)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    assert viewer.scene.camera.zoom != before
    engine.open(STEPS - 2)
    finish(session)
    assert list(viewer.layers) == [other]
    assert viewer.scene.camera.zoom == before


def test_the_layers_of_the_preview_are_added_one_by_one(
    viewer, train, engine, session, finish, qtbot
):
    counts = []
    train._preview._timer.timeout.connect(lambda: counts.append(len(previews(viewer))))
    train.start()
    engine.open(2)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    engine.open(STEPS)
    finish(session)
    assert counts == [1, 2, 3]


def test_the_preview_of_a_run_that_goes_on_stays(viewer, train, engine, dock, finish, qtbot):
    train.start()
    engine.open(2)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    dock("Restore")
    qtbot.waitUntil(lambda: not train.is_in_front)
    assert previews(viewer)
    engine.open(STEPS - 2)
    finish(train.session)
    assert not previews(viewer)


def test_the_panels_of_the_preview_stand_side_by_side_and_off_the_other_layers(
    viewer, train, engine, session, finish, qtbot
):
    other = viewer.add_image(np.zeros((100, 100)), scale=(10, 10), units=("nm", "nm"))
    train.start()
    engine.open(2)
    qtbot.waitUntil(lambda: len(previews(viewer)) == 3)
    panels = previews(viewer)
    assert all(layer.extent.world[0, -1] > other.extent.world[1, -1] for layer in panels)
    for first, second in pairwise(panels):  # in a row, or in a column
        assert any(second.extent.world[0] > first.extent.world[1])
    engine.open(STEPS)
    finish(session)


def test_a_finished_model_can_be_chosen_at_once(train, engine, session, dock, finish, click):
    train.start()
    engine.open(STEPS)
    finish(session)
    assert session.card.name == "learnt"
    assert "ready" in train.row.line.text
    click(train, "train_next")
    assert dock("Restore").models.box.currentText() == "learnt"


def test_finish_now_keeps_the_best_model(train, engine, session, finish, click, qtbot):
    train.start()
    engine.open(2)
    wait_for(qtbot, train, 1)
    click(train, "train_stop")
    engine.open()
    finish(session)
    assert train.job.state is State.STOPPED
    assert engine.closed
    assert session.card.name == "learnt"
    assert train.model.save.isEnabled()
    ((_, _, folder),) = engine.calls
    assert f"best model so far is ready, in AEANet/{folder.name}" in train.row.line.text


def test_finishing_before_the_first_check_says_that_there_is_no_model(
    train, engine, session, finish, click
):
    train.start()
    click(train, "train_stop")
    engine.open()
    finish(session)
    assert "no model yet" in train.row.line.text


def test_discarding_asks_and_deletes_the_run(
    train, engine, session, finish, qtbot, click, monkeypatch
):
    train.start()
    engine.open(2)
    wait_for(qtbot, train, 1)
    buttons, asked = train_dock.QMessageBox.StandardButton, []
    monkeypatch.setattr(
        train_dock.QMessageBox, "question", lambda *texts: asked.append(texts) or answers.pop(0)
    )
    answers = [buttons.No, buttons.Yes]
    click(train, "train_discard")
    assert session.is_busy and train.job.state is State.RUNNING
    click(train, "train_discard")
    assert len(asked) == 2
    engine.open()
    finish(session)
    ((_, _, folder),) = engine.calls
    assert not folder.exists()
    assert "discarded" in train.row.line.text


def test_a_paused_training_goes_on(train, engine, session, finish, click, qtbot):
    train.start()
    click(train, "train_pause")
    engine.open(STEPS)
    qtbot.waitUntil(lambda: train.job.state is State.PAUSED)
    assert train.row.pause_button.text() == "Resume"
    click(train, "train_pause")
    finish(session)
    assert train.job.state is State.DONE


def test_an_error_is_shown_in_the_dock_and_told_once(train, session, finish, told, monkeypatch):
    def fail(*_):
        raise OSError("The disk is full: free some space.")
        yield

    monkeypatch.setattr(train_dock, "train_model", fail)
    train.start()
    finish(session)
    assert "The disk is full" in train.row.line.text
    assert told() == ["The disk is full: free some space."]
    assert train.row.run_button.isEnabled()


def test_a_training_goes_on_when_its_dock_is_closed(viewer, train, engine, session, finish):
    train.start()
    engine.open()
    viewer.window.remove_dock_widget(train)
    engine.open(STEPS - 1)
    finish(session)
    assert session.job.state is State.DONE
    assert session.card.name == "learnt"


def test_saving_writes_a_copy_and_names_its_folder_which_can_be_opened(
    train, engine, session, finish, tmp_path, click, monkeypatch
):
    opened = []
    monkeypatch.setattr(model_row, "open_folder", opened.append)
    assert not train.model.folder.isEnabled()
    train.start()
    engine.open(STEPS)
    finish(session)
    ((_, _, folder),) = engine.calls
    assert f"in AEANet/{folder.name}" in train.row.line.text
    click(train, "train_folder")
    (tmp_path / "models").mkdir()
    train.model.save_as(tmp_path / "models" / "mine")
    assert session.model == tmp_path / "models" / "mine.aeanet"
    assert "Saved as mine.aeanet in the folder models" in train.row.line.text
    click(train, "train_folder")
    assert opened == [folder, tmp_path / "models"]


def test_a_model_is_not_saved_over_a_file_that_was_not_named(
    train, engine, session, finish, tmp_path, told
):
    train.start()
    engine.open(STEPS)
    finish(session)
    for name in ("mine.aeanet", "mine.v2.aeanet"):
        (tmp_path / name).write_bytes(b"kept")
    train.model.save_as(tmp_path / "mine")
    train.model.save_as(tmp_path / "mine.v2")
    assert (tmp_path / "mine.aeanet").read_bytes() == b"kept"
    assert (tmp_path / "mine.v2.aeanet").read_bytes() == b"kept"
    assert "mine.v2.aeanet exists already: choose another name." in told()


def test_a_run_gets_a_folder_of_its_own(tmp_path):
    first = new_folder(tmp_path, "S05/lr")
    assert first == tmp_path / "S05-lr"
    first.mkdir()
    assert new_folder(tmp_path, "S05/lr") == tmp_path / "S05-lr-2"


def draw_region(train):
    box = train.choices.kept_out
    box.setCurrentIndex(box.findData(KeptOut.REGION))


def test_the_region_to_keep_out_is_drawn_on_the_image(viewer, train, dock, qtbot):
    target = train.session.usable_pairs[0].target
    draw_region(train)
    layer = viewer.layers[REGION]
    # In the target's pixels, and where the target lies.
    layer.data = [np.array([[4, 6], [4, 30], [20, 30], [20, 6]]) - 0.5]
    assert train.choices.settings().region == (4, 6, 20, 30)
    assert tuple(layer.translate) == target.origin
    assert tuple(layer.scale) == target.pixel_size
    layer.data = [np.array([[-9, -9], [-9, 999], [999, 999], [999, -9]])]
    assert train.choices.settings().region == (0, 0, *target.plane_shape)
    # It goes while something else is looked at, and is not forgotten.
    layer.data = [np.array([[4, 6], [4, 30], [20, 30], [20, 6]]) - 0.5]
    dock("Restore")
    qtbot.waitUntil(lambda: REGION not in viewer.layers)
    dock("Train")
    qtbot.waitUntil(lambda: REGION in viewer.layers)
    assert train.choices.settings().region == (4, 6, 20, 30)


def test_without_a_region_there_is_no_start_and_the_dock_says_why(viewer, train, qtbot):
    draw_region(train)
    qtbot.waitUntil(train.row.run_button.isEnabled)
    viewer.layers[REGION].data = []
    train.refresh()
    assert "Draw the region" in train.row.line.text
    assert not train.row.run_button.isEnabled()


def test_uncertainty_is_asked_for_in_plain_words(train):
    assert not train.choices.settings().uncertainty
    train.choices.uncertainty.setChecked(True)
    assert train.choices.settings().uncertainty


SETTINGS = TrainSettings(
    preset="unet-2d",
    minutes=3.0,
    kept_out=KeptOut.REGION,
    region=(1, 2, 30, 40),
    uncertainty=True,
    loss=Loss.MSE,
)


def test_the_command_that_is_copied_does_what_was_clicked(tmp_path):
    import shlex

    import tyro

    from napari_aeanet.cli.train import Train

    words = shlex.split(train_command(SETTINGS, tmp_path / "pairs.json", tmp_path / "a run"))
    assert words[:2] == ["napari-aeanet", "train"]
    parsed = tyro.cli(Train, args=words[2:])
    assert parsed.settings == SETTINGS
    assert parsed.inputs == (tmp_path / "pairs.json",)
    assert parsed.output == tmp_path / "a run"


def test_the_python_that_is_copied_does_what_was_clicked(tmp_path, monkeypatch):
    import napari_aeanet

    calls = []
    monkeypatch.setattr(napari_aeanet, "train", lambda *call, progress: calls.append(call))
    monkeypatch.setattr(napari_aeanet, "load_pairs", lambda path: type("List", (), {"pairs": path}))
    exec(train_python(SETTINGS, tmp_path / "pairs.json", tmp_path / "run"), {})
    assert calls == [(str(tmp_path / "pairs.json"), SETTINGS, tmp_path / "run")]


def test_copying_says_that_the_pairs_are_to_be_saved(train, qtbot):
    from qtpy.QtWidgets import QApplication

    command, python = train.copy.menu().actions()
    command.trigger()
    assert QApplication.clipboard().text().startswith("napari-aeanet train pairs.json")
    assert "Save the pairs" in train.row.line.text
    python.trigger()
    assert "import TrainSettings" in QApplication.clipboard().text()


@pytest.fixture
def on_disk(session, home):
    """A pair whose images lie in files."""
    from napari_aeanet.io.files import read_image, write_image

    target = micrograph((96, 128), name="target")
    noise = np.random.default_rng(1).integers(0, 20, target.shape).astype(np.uint8)
    source = replace(target, array=target.array + noise, name="source")
    sides = []
    for side, image in (("source", source), ("target", target)):
        write_image(image, home / f"{side}.ome.tif")
        sides.append(read_image(home / f"{side}.ome.tif"))
    return ImagePair(*sides)


def test_a_training_is_gone_on_with_after_napari_was_closed(
    dock, session, on_disk, click, finish, qtbot, home
):
    session.add_pairs([on_disk])
    train = dock("Train")
    for name, value in (("steps", 4), ("patch", 32), ("batch", 2)):
        train.choices.more.set(name, value)
    qtbot.waitUntil(train.row.run_button.isEnabled, timeout=30_000)
    click(train, "train_run")
    qtbot.waitUntil(lambda: len(train.curve.gains) >= 1, timeout=60_000)
    click(train, "train_stop")
    finish(session, 60)
    (run,) = find_runs(home / "AEANet")
    assert run.has_pairs
    assert "of 4" in run.text
    # As after a new start: no pairs, no job.
    session.set_pairs(())
    qtbot.waitUntil(lambda: train.runs.box.count() == 1)
    click(train, "train_go_on")
    finish(session, 60)
    assert train.job.state is State.DONE
    assert [pair.name for pair in session.usable_pairs] == ["source"]
    assert session.model == run.folder / "best.aeanet"
    assert find_runs(home / "AEANet") == []


def test_a_model_is_trained_for_every_pair_and_the_missing_ones_later(
    dock, session, on_disk, click, finish, qtbot, home
):
    pairs = [replace(on_disk, name=name) for name in ("left", "right")]
    session.add_pairs(pairs)
    train = dock("Train")
    for name, value in (("steps", 3), ("patch", 32), ("batch", 2)):
        train.choices.more.set(name, value)
    train.choices.each.setChecked(True)
    qtbot.waitUntil(train.row.run_button.isEnabled, timeout=30_000)
    click(train, "train_run")
    qtbot.waitUntil(lambda: len(session.models) == 1, timeout=60_000)  # that of the first pair
    click(train, "train_stop")
    finish(session, 60)
    assert "1 of 2 models are ready" in train.row.line.text
    (run,) = find_runs(home / "AEANet")
    assert run.text.endswith("1 of 2 models")
    assert run.has_pairs
    session.set_pairs(())
    qtbot.waitUntil(lambda: train.runs.box.count() == 1)
    click(train, "train_go_on")
    finish(session, 60)
    assert train.job.state is State.DONE
    assert "2 models of 2 pairs" in train.row.line.text
    assert {card.name.split(" on ")[1] for card in session.models.values()} == {"left", "right"}
    assert find_runs(home / "AEANet") == []


def test_a_pair_without_a_model_is_named_after_self_training(
    train, session, engine, click, finish, monkeypatch
):
    from napari_aeanet.gui.train.several_models import SeveralModels

    monkeypatch.setattr(SeveralModels, "outcome", lambda *_: pytest.fail("the error is lost"))

    def fake(pairs, settings, folder):
        engine.open(STEPS)
        yield from train_dock.train_model(pairs, settings, folder / "001")
        raise ValueError("1 of 2 pairs could not be trained on, the others were.\nS1: too small.")

    monkeypatch.setattr(train_dock, "train_models", fake)
    train.choices.each.setChecked(True)
    click(train, "train_run")
    finish(session)
    assert "1 of 2 pairs could not be trained on" in train.row.line.text
    assert [card.name for card in session.models.values()] == ["learnt"]


def test_self_training_is_copied_as_a_command_and_as_python(tmp_path):
    settings = TrainSettings(minutes=5.0)
    arguments = settings, tmp_path / "pairs.json", tmp_path / "run", True
    assert train_command(*arguments).endswith("--minutes 5.0 --each")
    code = train_python(*arguments)
    assert "import TrainSettings, load_pairs, train_each\n" in code
    assert "\ntrain_each(pairs, settings" in code


def test_a_run_without_its_pairs_is_refused_in_words(train, session, finish, told, tmp_path):
    session.set_pairs(())
    train.resume(tmp_path / "gone")
    finish(session)
    assert any("Open the pairs of gone first" in message for message in told())


def test_the_full_check_tells_what_training_will_take(dock, session, on_disk, click, finish, qtbot):
    session.add_pairs([on_disk])
    train = dock("Train")
    for name, value in (("steps", 4), ("patch", 32), ("batch", 2)):
        train.choices.more.set(name, value)
    qtbot.waitUntil(train.check.button.isEnabled, timeout=30_000)
    click(train, "train_check_all")
    finish(session, 60)
    assert "a step takes" in train.check.line.text()
    assert "a step takes" in train.check.line.text()
    assert train.row.run_button.isEnabled()
    assert not train.discard.isEnabled()


def test_a_finished_model_is_handed_to_evaluation(train, engine, session, dock, finish, click):
    assert not train.model.evaluate.isEnabled()
    train.start()
    engine.open(STEPS)
    finish(session)
    click(train, "train_evaluate")
    evaluate = dock("Evaluate")
    assert evaluate.is_in_front
    assert evaluate.models.ticked == [session.model]
    assert evaluate.row.run_button.text() == "Evaluate 1 model"
    assert evaluate.row.run_button.isEnabled()


def test_another_finished_model_is_ticked_beside_those_that_were(
    train, engine, session, dock, finish, click, card_file
):
    evaluate = dock("Evaluate")
    other = card_file("other")
    evaluate.take_files([other])
    evaluate.what.setCurrentIndex(0)
    train.start()
    engine.open(STEPS)
    finish(session)
    click(train, "train_evaluate")
    assert set(evaluate.models.ticked) == {other, session.model}
    assert evaluate.row.run_button.text() == "Evaluate 2 models"


def test_a_model_that_is_no_better_is_not_what_to_go_on_with(train, engine, session, finish):
    engine.gain = 0.01
    train.start()
    engine.open(STEPS)
    engine.open()
    finish(session)
    assert train.model.next.isEnabled()
    assert blue(train) == ["Start"]
    assert train.row.line.role == "caution"
    assert "does not restore better than its input" in train.row.line.text


def test_the_result_stays_while_the_pairs_are_checked_again(train, engine, session, finish, qtbot):
    train.start()
    engine.open(STEPS)
    engine.open()
    finish(session)
    train.choices.more.set("patch", 32)
    assert not train.row.run_button.isEnabled()
    qtbot.waitUntil(lambda: "✓" in train.check.line.text())
    assert "The model is ready" in train.row.line.text


def test_a_region_is_checked_before_the_start(train, checks):
    train.choices.kept_out.setCurrentIndex(list(KeptOut).index(KeptOut.REGION))
    assert not train.row.run_button.isEnabled()
    assert "Checking" in train.check.line.text()


def test_a_second_check_at_one_step_replaces_the_first(train):
    train.curve.clear(10)
    for step, gain in ((0, 0.0), (5, -1.2), (5, -0.9)):
        train.curve.add(step, gain, planned=10)
    assert train.curve.gains == (0.0, -0.9)
    (_, high) = train.curve.box.viewRange()[1]
    assert high > 0.2  # where the label of the input stands


def test_the_axis_of_the_curve_spans_what_is_planned_now(train):
    train.curve.clear(10)
    for step, planned in ((5, 10), (21, 30), (25, 26), (26, 26)):
        train.curve.add(step, 0.5, planned)
        assert planned <= train.curve.box.viewRange()[0][1] < 1.1 * planned


def test_what_is_kept_out_by_itself_is_said_for_the_chosen_time(train):
    def said():
        return train.choices.kept_out.currentText()

    assert said() == "automatic (right quarter)"
    train.choices.time.setCurrentIndex(train.choices.time.count() - 1)
    assert "published" in train.choices.time.currentText()
    assert said() == "automatic (as published: nothing)"
