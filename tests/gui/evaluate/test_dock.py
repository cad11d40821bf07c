"""AEANet: Evaluate, with the real engine on small images and a tiny model."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import micrograph
from published_sets import write_sem
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton
from scipy.ndimage import gaussian_filter

from napari_aeanet.core import metrics
from napari_aeanet.core.image import Image
from napari_aeanet.evaluation import leakage
from napari_aeanet.evaluation.leakage import TrainedOn
from napari_aeanet.gui.common.session import Decision
from napari_aeanet.gui.common.text import pair_state
from napari_aeanet.gui.evaluate import dock as evaluate_dock
from napari_aeanet.gui.evaluate import error_maps
from napari_aeanet.gui.viewer.image_list import PLUGIN_METADATA_KEY, SOURCE_METADATA_KEY
from napari_aeanet.gui.viewer.layers import image_to_layer, layer_to_image
from napari_aeanet.gui.viewer.truth import truth_of
from napari_aeanet.pairs.pair import ImagePair
from napari_aeanet.registration.result import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind


@pytest.fixture
def evaluate(dock):
    return dock("Evaluate")


def noisy(image, deviation, name):
    noise = np.random.default_rng(1).normal(0, deviation, image.shape)
    values = np.clip(image.read() + noise, 0, 255).astype(np.uint8)
    return image.with_array(values, name=name)


@pytest.fixture
def opened(viewer, evaluate):
    """A truth and two images of it, as layers."""
    truth = micrograph(name="truth")
    images = [truth, noisy(truth, 4, "mild"), noisy(truth, 25, "bad")]
    layers = [viewer.add_layer(image_to_layer(image)) for image in images]
    evaluate.truth.setCurrentText("truth")
    evaluate.images.tick_only(*layers[1:])
    return images


def cells(table):
    rows, columns = range(table.rowCount()), range(table.columnCount())
    return [[table.item(row, column).text() for column in columns] for row in rows]


def test_the_empty_dock_says_what_to_do(evaluate):
    assert "Open the truth" in evaluate.row.line.text
    evaluate.what.setCurrentText(evaluate_dock.PAIRS)
    assert "Collect pairs first" in evaluate.row.line.text
    assert not evaluate.row.run_button.isEnabled()
    assert not evaluate.save_page.isEnabled()


def test_the_truth_is_not_compared_with_itself(opened, evaluate):
    listed = [evaluate.images.item(i).text() for i in range(evaluate.images.count())]
    assert sorted(listed) == ["bad", "mild"]
    evaluate.truth.setCurrentText("mild")
    listed = [evaluate.images.item(i).text() for i in range(evaluate.images.count())]
    assert sorted(listed) == ["bad", "truth"]


def test_layers_are_compared_with_the_truth(opened, evaluate, session, finish, click):
    assert evaluate.row.run_button.text() == "Compare 2 images"
    click(evaluate, "evaluate_run")
    finish(session)
    truth, mild, _ = (image.read() for image in opened)
    first, second = cells(evaluate.results.table)
    assert [first[0], second[0]] == ["mild", "bad"]
    expected = metrics.psnr(truth, metrics.affine_matched(mild, truth), 255)
    assert first[1] == f"{expected:.2f}"
    assert "nearest to the truth: mild" in evaluate.row.line.text
    assert "mild is ahead of bad" in evaluate.results.verdict.text()
    assert "too few images" in evaluate.results.verdict.text()
    assert not evaluate.row.run_button.property("role")  # until something else is chosen
    evaluate.images.tick_only(evaluate.images.ticked[0])
    assert evaluate.row.run_button.property("role") == "primary"


def test_an_error_map_lies_on_the_truth(opened, viewer, evaluate, session, finish, click):
    click(evaluate, "evaluate_run")
    finish(session)
    evaluate.results.errors.box.setCurrentText("bad, truth")
    (overlay,) = (layer for layer in viewer.layers if layer.name.startswith("error"))
    truth = viewer.layers["truth"]
    np.testing.assert_allclose(overlay.extent.world, truth.extent.world)
    assert overlay.colorbar.visible  # a legend
    low, high = overlay.contrast_limits
    assert low == -high
    before = overlay.data
    evaluate.results.errors.box.setCurrentText("mild, truth")
    assert overlay in viewer.layers
    assert overlay.data is not before
    evaluate.results.errors.box.setCurrentText(error_maps.NO_ERROR)
    assert not overlay.visible
    # and it is not offered as an image to compare
    names = {evaluate.truth.itemText(i) for i in range(evaluate.truth.count())}
    assert names == {"truth", "mild", "bad"}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (micrograph((40, 40), name="small", origin=(0.0, 0.0)), "40 × 40 pixels"),
        (micrograph(name="moved", origin=(1e5, 50.0)), "do not overlap"),
    ],
)
def test_what_cannot_be_compared_is_told_instead_of_a_number(viewer, evaluate, image, words):
    truth = viewer.add_layer(image_to_layer(micrograph(name="truth", origin=(0.0, 0.0))))
    layer = viewer.add_layer(image_to_layer(image))
    evaluate.choose_layers(truth, layer)
    assert words in evaluate.row.line.text
    assert "register" in evaluate.row.line.text
    assert not evaluate.row.run_button.isEnabled()


def test_the_truth_is_the_image_in_the_same_place(viewer, evaluate):
    elsewhere = micrograph(name="elsewhere", origin=(1e5, 50.0))
    layers = [
        viewer.add_layer(image_to_layer(image))
        for image in (micrograph(name="here"), micrograph(seed=1, name="made"), elsewhere)
    ]
    evaluate.truth.setCurrentText("elsewhere")
    evaluate.images.tick_only(layers[1])
    evaluate.images.changed.emit()
    assert evaluate.truth.currentText() == "here"
    # unless the user has chosen
    evaluate.truth.setCurrentText("elsewhere")
    evaluate.truth.activated.emit(evaluate.truth.currentIndex())
    evaluate.images.changed.emit()
    assert evaluate.truth.currentText() == "elsewhere"


def test_an_image_of_another_field_is_not_called_nearest_to_the_truth(
    viewer, evaluate, session, finish, click
):
    layers = [
        viewer.add_layer(image_to_layer(micrograph(seed=seed, name=name)))
        for seed, name in ((0, "truth"), (1, "other"))
    ]
    evaluate.choose_layers(*layers)
    click(evaluate, "evaluate_run")
    finish(session)
    assert "No image resembles the truth" in evaluate.row.line.text
    assert "nearest" not in evaluate.row.line.text


def test_a_result_is_compared_with_its_enlarged_source(viewer, evaluate, session, finish, click):
    coarse = micrograph(name="S05", origin=(0.0, 0.0))
    fine = coarse.regridded(coarse.read().repeat(2, 0).repeat(2, 1), (2, 2), name="truth")
    source, truth = (viewer.add_layer(image_to_layer(image)) for image in (coarse, fine))
    result = viewer.add_layer(image_to_layer(noisy(fine, 2, "S05 restored")))
    result.metadata.update(
        {PLUGIN_METADATA_KEY: "restored", SOURCE_METADATA_KEY: str(source.unique_id)}
    )
    evaluate.choose_layers(truth, result)
    click(evaluate, "evaluate_run")
    finish(session)
    by_method = {row[0]: row[1:] for row in cells(evaluate.results.table)}
    assert set(by_method) == {"input, enlarged", "S05 restored"}
    assert by_method["input, enlarged"][-1] == "–"
    gain = float(by_method["S05 restored"][0]) - float(by_method["input, enlarged"][0])
    assert float(by_method["S05 restored"][-1]) == pytest.approx(gain, abs=0.011)
    assert "dB over the input, enlarged" in evaluate.row.line.text


@pytest.fixture
def paired(session):
    """Three pairs of the tiny model's magnification."""
    pairs = []
    for seed in range(3):
        source = micrograph(seed=seed, name=f"S{seed}")
        target = source.regridded(source.read().repeat(2, 0).repeat(2, 1), (2, 2))
        pairs.append(ImagePair(source, noisy(target, 5, f"S{seed} HR")))
    session.add_pairs(pairs)
    return pairs


def test_models_are_compared_with_the_input_on_the_pairs(
    paired, evaluate, session, model_file, finish, click
):
    evaluate.take_files([model_file])
    assert evaluate.what.currentText() == evaluate_dock.PAIRS
    assert evaluate.row.run_button.text() == "Evaluate 1 model"
    evaluate.classical.setChecked(True)
    evaluate.model_choice.library.setChecked(True)
    assert evaluate.row.run_button.text() == "Evaluate 3 methods"
    click(evaluate, "evaluate_run")
    finish(session, seconds=120)
    methods = {row[0] for row in cells(evaluate.results.table)}
    assert methods == {"input, enlarged", "NLM", "LB-NLM", "tiny"}
    # the tiny model changes nothing
    by_method = {row[0]: row[1:] for row in cells(evaluate.results.table)}
    assert by_method["input, enlarged"][-1] == "–"
    assert abs(float(by_method["tiny"][-1])) < 0.01
    assert evaluate.results.plot.isVisibleTo(evaluate)
    assert "3 images" in evaluate.results.about.text()


def test_methods_without_training_need_no_model(paired, evaluate, session, finish):
    evaluate.what.setCurrentText(evaluate_dock.PAIRS)
    assert "or a method without training" in evaluate.model_choice.reason
    evaluate.model_choice.sparse.setChecked(True)
    assert evaluate.row.run_button.isEnabled()
    evaluate.run()
    finish(session, seconds=120)
    assert {row[0] for row in cells(evaluate.results.table)} == {"input, enlarged", "SRSW"}


def test_a_table_of_the_papers_is_reproduced_stopped_and_gone_on_with(
    evaluate, session, finish, tmp_path, qtbot
):
    panel = evaluate.tables
    run = panel.findChild(QPushButton, "reproduce_run")
    assert not run.isEnabled()
    assert "folder of the data set" in run.toolTip()
    panel.choose(write_sem(tmp_path / "sem", 2, shape=(96, 128)), tmp_path / "out")
    listed = [panel.methods.item(i).text() for i in range(panel.methods.count())]
    assert "SRSW" in listed
    panel.methods.item(listed.index("NLM")).setCheckState(Qt.CheckState.Checked)
    assert run.isEnabled()
    evaluate.reproduce()
    results = tmp_path / "out" / "results"
    qtbot.waitUntil(lambda: any(results.glob("*.json")), timeout=60_000)
    evaluate.job.stop()
    finish(session)
    assert not panel.text.isVisibleTo(panel)
    assert "again to go on" in evaluate.row.line.text
    kept = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    run.click()
    finish(session, seconds=120)
    assert "table1.md" in evaluate.row.line.text
    assert (tmp_path / "out" / "table1.md").is_file()
    assert "NLM" in panel.text.toPlainText()
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_a_folder_without_the_data_is_told_in_one_sentence(evaluate, session, finish, tmp_path):
    evaluate.tables.choose(tmp_path, tmp_path / "out")
    evaluate.reproduce()
    finish(session)
    assert "NAME10000" in evaluate.row.line.text


def test_models_restore_patch_by_patch_on_request(paired, evaluate, session, model_file, finish):
    evaluate.take_files([model_file])
    patches = evaluate.model_choice.patches
    patches.set("patch_size", 16)
    assert evaluate.row.run_button.isEnabled() is False
    assert "choose larger patches or a smaller margin" in evaluate.model_choice.reason
    patches.set("margin", 4)
    assert evaluate.row.run_button.isEnabled()
    evaluate.run()
    finish(session)
    assert "tiny, patches of 16" in {row[0] for row in cells(evaluate.results.table)}


def test_a_damaged_model_is_told_in_words(evaluate, tmp_path, told):
    (tmp_path / "bad.aeanet").write_text("hello")
    evaluate.take_files([tmp_path / "bad.aeanet"])
    assert any("bad.aeanet" in message for message in told())
    assert evaluate.models.ticked == []


def test_what_a_model_learnt_from_is_refused_and_the_dock_says_why(
    paired, evaluate, session, model_file, finish, click, monkeypatch, told
):
    monkeypatch.setattr(leakage, "trained_on", lambda *_: TrainedOn("S0", ()))
    evaluate.take_files([model_file])
    click(evaluate, "evaluate_run")
    finish(session)
    assert "was used to train tiny" in " ".join([*told(), evaluate.row.line.text])
    assert evaluate.evaluation is None


@pytest.mark.parametrize(
    ("name", "ending", "begins"), [("page", ".pdf", b"%PDF"), ("table", ".csv", b"image,method")]
)
def test_results_are_saved(
    opened, evaluate, session, finish, click, tmp_path, monkeypatch, qtbot, name, ending, begins
):
    click(evaluate, "evaluate_run")
    finish(session)
    path = tmp_path / f"out{ending}"
    monkeypatch.setattr(
        evaluate_dock.QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), "")
    )
    click(evaluate, f"evaluate_save_{name}")
    qtbot.waitUntil(path.exists, timeout=20_000)
    assert path.read_bytes().startswith(begins)


def test_a_result_is_shown_only_where_it_belongs(opened, evaluate, session, finish, click):
    click(evaluate, "evaluate_run")
    finish(session)
    told, results = evaluate.row.line.text, evaluate.results
    assert told and results.isVisibleTo(evaluate)
    evaluate.what.setCurrentText(evaluate_dock.PAIRS)
    assert not results.isVisibleTo(evaluate)
    assert told not in evaluate.row.line.text
    assert not evaluate.save_table.isEnabled()
    evaluate.what.setCurrentText(evaluate_dock.LAYERS)
    assert results.isVisibleTo(evaluate)
    assert evaluate.row.line.text == told
    assert evaluate.save_table.isEnabled()


def test_the_form_begins_with_the_defaults(evaluate):
    assert evaluate.settings.value() == evaluate_dock.EvaluateSettings()


@pytest.fixture
def fields(viewer):
    """An input, its truth of twice the pixels, and an image of the truth from a file."""
    coarse = micrograph(name="S05", origin=(0.0, 0.0))
    fine = coarse.regridded(coarse.read().repeat(2, 0).repeat(2, 1), (2, 2), name="truth")
    images = coarse, fine, noisy(fine, 2, "from another program")
    return [viewer.add_layer(image_to_layer(image)) for image in images]


def test_the_input_is_the_baseline_wherever_an_image_comes_from(
    fields, evaluate, session, finish, click
):
    _, truth, image = fields
    evaluate.choose_layers(truth, image)
    assert evaluate.image_choice.input.currentText() == "S05"
    click(evaluate, "evaluate_run")
    finish(session)
    assert {row[0] for row in cells(evaluate.results.table)} == {
        "input, enlarged",
        "from another program",
    }
    # also if it is ticked to be compared itself, of a result that was made of it
    image.metadata.update(
        {PLUGIN_METADATA_KEY: "restored", SOURCE_METADATA_KEY: str(fields[0].unique_id)}
    )
    evaluate.images.tick_only(fields[0], image)
    click(evaluate, "evaluate_run")
    finish(session)
    assert [row[0] for row in cells(evaluate.results.table)].count("S05") == 0
    assert evaluate.evaluation.baseline == "input, enlarged"


def test_the_dock_opens_on_the_result_just_made(fields, viewer, session, dock):
    source, truth, result = fields
    result.metadata.update(
        {PLUGIN_METADATA_KEY: "restored", SOURCE_METADATA_KEY: str(source.unique_id)}
    )
    session.restored_layer = source
    evaluate = dock("Evaluate")
    assert evaluate.images.ticked == [result]
    assert evaluate.truth.chosen is truth
    assert evaluate.image_choice.input.chosen is source
    # only once: what the user ticks afterwards stays
    evaluate.images.tick_only()
    dock("Restore")
    assert dock("Evaluate").images.ticked == []


def test_registration_is_offered_for_what_does_not_lie_on_its_truth(
    viewer, evaluate, session, finish, click, dock, monkeypatch
):
    registered = []
    pairs = dock("Pairs")
    monkeypatch.setattr(type(pairs), "register_pair", lambda self, pair: registered.append(pair))
    dock("Evaluate")
    pixels = gaussian_filter(micrograph((96, 96)).read().astype(float), 2) * 3
    truth, shifted = (
        viewer.add_layer(image_to_layer(Image(pixels[:, at : at + 80].astype("u1"), "YX", name=n)))
        for at, n in ((0, "truth"), (6, "shifted"))
    )
    small = viewer.add_layer(image_to_layer(micrograph((40, 40), name="small")))
    evaluate.choose_layers(truth, small)
    assert not evaluate.row.run_button.property("role")  # blue is the next step
    click(evaluate, "evaluate_register")
    evaluate.choose_layers(truth, shifted)
    assert not evaluate.register.isVisibleTo(evaluate)
    assert evaluate.row.run_button.property("role") == "primary"
    click(evaluate, "evaluate_run")
    finish(session)
    click(evaluate, "evaluate_register")
    assert [(pair.source.name, pair.target.name) for pair in registered] == [
        ("small", "truth"),
        ("shifted", "truth"),
    ]


def test_what_was_made_of_a_registered_pair_is_evaluated_on_that_pair(
    fields, viewer, evaluate, session, click, card_file
):
    source, truth, _ = fields
    made = {PLUGIN_METADATA_KEY: "restored", SOURCE_METADATA_KEY: str(source.unique_id)}
    result = image_to_layer(micrograph((40, 40), name="result", origin=(1e5, 0.0)))
    result.metadata.update(made)
    viewer.add_layer(result)
    session.add_model(card_file())
    evaluate.choose_result(result, truth, session.model)
    assert evaluate.what.currentText() == evaluate_dock.LAYERS
    assert evaluate.register.isVisibleTo(evaluate)
    assert "Register" in evaluate.register.text()
    pair = ImagePair(layer_to_image(source), layer_to_image(truth))
    session.add_pairs([replace(pair, registration=registration(pair))])
    assert "registered pair" in evaluate.register.text()
    click(evaluate, "evaluate_register")
    assert evaluate.what.currentText() == evaluate_dock.PAIRS
    assert evaluate.row.run_button.text() == "Evaluate 1 model"
    assert evaluate.row.run_button.property("role") == "primary"
    evaluate.what.setCurrentText(evaluate_dock.LAYERS)
    evaluate.choose_result(result, truth, session.model)
    assert evaluate.what.currentText() == evaluate_dock.PAIRS


def registration(pair):
    return Registration(
        matrix=np.diag((2.0, 2.0, 1.0)),
        kind=TransformKind.SIMILARITY,
        source_shape=pair.source.shape,
        target_shape=pair.target.shape,
        verdict=Verdict.GOOD,
        reason="for this test",
        matches=np.empty((0, 2, 2)),
        drift_vectors=np.empty((0, 2, 2)),
    )


@pytest.fixture
def restored(viewer):
    """Two images without pixel size, and results of twice the pixels: (image, result)."""
    made = []
    for seed, name in enumerate(("A1", "A2")):
        coarse = micrograph(seed=seed, name=name, pixel_size=(), unit=None)
        fine = coarse.regridded(coarse.read().repeat(2, 0).repeat(2, 1), (2, 2))
        source = viewer.add_layer(image_to_layer(coarse))
        result = viewer.add_layer(image_to_layer(noisy(fine, 2, f"{name} restored")))
        result.metadata.update(
            {PLUGIN_METADATA_KEY: "restored", SOURCE_METADATA_KEY: str(source.unique_id)}
        )
        made.append((source, result))
    return made


def test_neither_a_result_nor_what_was_restored_is_taken_as_truth_by_itself(
    restored, viewer, session, dock
):
    (first, result), (_, other) = restored
    assert truth_of([result], viewer.layers) is None
    session.restored_layer = first
    evaluate = dock("Evaluate")
    assert evaluate.images.ticked == [result]
    assert evaluate.truth.chosen is None
    assert "Choose the image that shows the truth" in evaluate.row.line.text
    assert not evaluate.register.isVisibleTo(evaluate)
    # but it may be chosen by hand
    evaluate.truth.setCurrentText("A2 restored")
    evaluate.truth.activated.emit(evaluate.truth.currentIndex())
    assert evaluate.truth.chosen is other
    assert evaluate.row.run_button.isEnabled()


def test_an_image_is_no_longer_the_truth_when_it_is_restored(viewer, evaluate):
    source = viewer.add_layer(image_to_layer(micrograph(name="A1")))
    assert evaluate.truth.chosen is source
    result = viewer.add_layer(image_to_layer(micrograph(name="A1 restored")))
    result.metadata.update(
        {PLUGIN_METADATA_KEY: "restored", SOURCE_METADATA_KEY: str(source.unique_id)}
    )
    evaluate.images.tick_only(result)
    assert evaluate.truth.chosen is None


def test_the_source_of_a_result_is_the_baseline_without_a_pixel_size(
    restored, viewer, evaluate, session, finish, click
):
    source, result = restored[0]
    truth = viewer.add_layer(image_to_layer(noisy(layer_to_image(result), 3, "truth")))
    evaluate.choose_layers(truth, result)
    assert evaluate.image_choice.input.chosen is source
    click(evaluate, "evaluate_run")
    finish(session)
    assert evaluate.evaluation.baseline == "input, enlarged"


def test_no_verdict_stays_when_something_else_is_chosen(
    opened, viewer, evaluate, session, finish, click
):
    click(evaluate, "evaluate_run")
    finish(session)
    told, results, both = evaluate.row.line.text, evaluate.results, evaluate.images.ticked
    assert "evaluated" in told

    def is_shown():
        shown = (results.isVisibleTo(evaluate), evaluate.save_table.isEnabled())
        return {*shown, evaluate.row.line.text == told}

    evaluate.images.tick_only(both[0])
    assert is_shown() == {False}
    evaluate.images.tick_only(*both)
    assert is_shown() == {True}
    both[0].data = both[0].data + 1
    assert is_shown() == {False}
    click(evaluate, "evaluate_run")
    finish(session)
    viewer.layers.remove("truth")
    assert not results.isVisibleTo(evaluate)
    assert "evaluated" not in evaluate.row.line.text


def test_a_shift_of_one_image_does_not_register_another(viewer, evaluate, session, finish, click):
    pixels = gaussian_filter(micrograph((96, 96)).read().astype(float), 2) * 3
    truth, shifted = (
        viewer.add_layer(image_to_layer(Image(pixels[:, at : at + 80].astype("u1"), "YX", name=n)))
        for at, n in ((0, "truth"), (6, "shifted"))
    )
    other = viewer.add_layer(
        image_to_layer(
            micrograph((96, 80), pixel_size=(), unit=None, origin=(0.0, 0.0), name="other")
        )
    )
    evaluate.choose_layers(truth, shifted)
    click(evaluate, "evaluate_run")
    finish(session)
    assert evaluate.register.isVisibleTo(evaluate)
    evaluate.images.tick_only(other)
    assert not evaluate.register.isVisibleTo(evaluate)
    assert evaluate.row.run_button.property("role") == "primary"


def test_a_pair_left_out_afterwards_takes_the_verdict_away(
    paired, evaluate, session, model_file, finish, click
):
    evaluate.take_files([model_file])
    click(evaluate, "evaluate_run")
    finish(session)
    assert "3 images evaluated" in evaluate.row.line.text
    session.decide(session.pairs[0], Decision.REJECTED)
    assert "evaluated" not in evaluate.row.line.text
    assert not evaluate.results.isVisibleTo(evaluate)


def test_a_pair_registered_for_evaluation_is_not_trained_on_and_evaluated_alone(
    paired, viewer, evaluate, session, card_file, click, dock, monkeypatch
):
    session.add_model(card_file())
    pairs = dock("Pairs")

    def register(pair):
        (entry,) = (e for e in session.pairs if e.pair.name == pair.name)
        session.replace_pair(entry.pair, replace(entry.pair, registration=registration(pair)))

    monkeypatch.setattr(pairs, "register_pair", register)
    dock("Evaluate")
    truth, test = (
        viewer.add_layer(image_to_layer(micrograph(origin=(at, 0.0), name=name)))
        for at, name in ((0.0, "truth"), (1e5, "test"))
    )
    evaluate.choose_layers(truth, test)
    assert evaluate.register.isVisibleTo(evaluate)
    click(evaluate, "evaluate_register")
    (entry,) = (e for e in session.pairs if e.pair.name == "test")
    assert not entry.is_usable
    assert pair_state(entry.pair, entry.decision).text == "✓ for evaluation"
    assert [pair.name for pair in session.usable_pairs] == ["S0", "S1", "S2"]
    assert pairs.next.text() == "Train on 3 pairs →"
    # Evaluate knows it, and evaluates it alone
    dock("Evaluate")
    click(evaluate, "evaluate_register")
    choice = evaluate.model_choice
    assert [pair.name for pair in choice.pairs] == ["test"]
    assert choice.only.text() == "only test"
    assert "4 pairs, 1 not for training" in choice.line.text()
    choice.only.setChecked(False)
    assert len(choice.pairs) == 4
    # until the user accepts it
    session.decide(entry, Decision.ACCEPTED)
    assert len(session.usable_pairs) == 4


def test_a_turned_image_is_not_compared_as_if_it_lay_straight(viewer, evaluate):
    layers = [
        viewer.add_layer(image_to_layer(micrograph(name=name), rotate=angle))
        for name, angle in (("truth", 0), ("turned", 3))
    ]
    evaluate.choose_layers(*layers)
    assert "turned" in evaluate.row.line.text
    assert "register" in evaluate.row.line.text
    assert not evaluate.row.run_button.isEnabled()
