"""Teaching in AEANet: Relevance: from marks in a layer to a map, its score, and the model file."""

import numpy as np
import pytest
from napari.layers import Labels, Shapes
from qtpy.QtWidgets import QMessageBox
from scipy.ndimage import gaussian_filter

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.job import State
from napari_aeanet.gui.relevance import reasons
from napari_aeanet.gui.relevance.teaching import score_words
from napari_aeanet.gui.viewer.drawn import WorldGrid
from napari_aeanet.gui.viewer.drawn_layers import drawn_in, grid_of
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.models import load_model, read_card, save_model
from napari_aeanet.structures import structure_maps, teach
from napari_aeanet.structures.discriminant import auc
from napari_aeanet.structures.settings import StructureTaught

SHAPE = (64, 96)


def rough_patches(seed, name="S05"):
    """An image that is rough in some places of both halves, and these places."""
    rng = np.random.default_rng(seed)
    inside = gaussian_filter(rng.standard_normal(SHAPE), 8) > 0
    values = 120 + np.where(inside, 30, 2) * rng.standard_normal(SHAPE)
    image = Image(values.clip(0, 255).astype(np.uint8), "YX", (10.0, 10.0), "nm", name=name)
    return image, inside


def add_marks(viewer, inside, **arguments):
    place = {"scale": (10, 10), "units": ("nm", "nm"), "name": "marks"} | arguments
    return viewer.add_layer(Labels(inside.astype(int), **place))


def add_image(viewer, seed, name="S05"):
    image, inside = rough_patches(seed, name)
    viewer.add_layer(image_to_layer(image))
    return image, inside


@pytest.fixture
def ready(viewer, relevance, structured):
    """The dock with an image, its marks, and a name for what is marked."""
    _, inside = add_image(viewer, 1)
    add_marks(viewer, inside)
    relevance.models.take(structured)
    relevance.folds[relevance.teaching].expand()
    relevance.teaching.name.setText("rough")
    return relevance


def rows(dock):
    return [dock.structures.kinds.item(i).text() for i in range(dock.structures.kinds.count())]


def failure(dock):
    assert dock.job.state is State.FAILED
    return dock.row.line.text


def test_from_marks_to_a_map_that_is_kept(
    viewer, ready, session, structured, finish, click, qtbot, monkeypatch
):
    image, inside = rough_patches(1)
    before = structured.read_bytes()
    assert "Learns from S05, marked in marks." in ready.teaching.line.text()
    click(ready, "relevance_teach")
    finish(session)
    expected = teach(structured, [image], [inside], "rough")
    layer = next(one for one in viewer.layers if one.name == "structures: rough")
    np.testing.assert_allclose(
        layer.data, structure_maps(image, expected.model).taught["rough"], rtol=0, atol=1e-3
    )
    assert auc(np.ravel(layer.data), inside[1::2, 1::2].ravel()) > 0.8
    assert layer.colorbar.visible
    assert layer.contrast_limits[0] == 0  # of no colour where it is not likely
    assert layer.units == viewer.layers[0].units
    assert rows(ready)[1] == "rough (taught)"
    half = f"{100 * expected.other_half:.0f} of 100 cases in the other half"
    assert half in ready.teaching.score.text()
    assert f"which mean nothing: {100 * expected.null:.0f}." in ready.teaching.score.text()
    # Nothing is written unasked.
    assert structured.read_bytes() == before

    click(ready, "relevance_keep")
    qtbot.waitUntil(lambda: session.models[structured].taught == ("rough",))
    assert read_card(structured).taught == ("rough",)
    assert not ready.teaching.keep_button.isEnabled()
    assert ready.row.line.text == "✓ It is kept in structured.aeanet."
    click(ready, "relevance_run")
    finish(session)
    assert rows(ready)[1] == "rough (taught)"
    ready.structures.kinds.setCurrentRow(0)
    assert not layer.colorbar.visible  # all kinds have the legend
    ready.structures.choose("rough")
    assert not ready.structures.name.isEnabled()
    assert "like the marked ones" in ready.structures.meaning.text()
    kept = structure_maps(image, structured).taught["rough"]
    np.testing.assert_allclose(layer.data, kept, rtol=0, atol=1e-3)

    # A kind of the same name is replaced only on request.
    taught = structured.read_bytes()
    for answer, is_same in (("No", True), ("Yes", False)):
        button = getattr(QMessageBox.StandardButton, answer)
        monkeypatch.setattr(QMessageBox, "question", lambda *_, button=button: button)
        viewer.layers["marks"].data = (~inside).astype(int)
        click(ready, "relevance_teach")
        finish(session)
        click(ready, "relevance_keep")
        if is_same:
            assert ready.teaching.keep_button.isEnabled()
        else:
            qtbot.waitUntil(lambda: not ready.teaching.keep_button.isEnabled())
        assert (structured.read_bytes() == taught) is is_same
    assert read_card(structured).taught == ("rough",)


def test_a_kind_that_was_named_meanwhile_stays_named(
    ready, session, structured, finish, click, qtbot
):
    click(ready, "relevance_teach")
    finish(session)
    ready.structures.kinds.setCurrentRow(2)
    kind = ready.structures.kind
    ready.structures.name.setText("pores")
    ready.structures.name.editingFinished.emit()
    qtbot.waitUntil(lambda: rows(ready)[2].startswith("pores, "))
    click(ready, "relevance_keep")
    qtbot.waitUntil(lambda: session.models[structured].taught == ("rough",))
    assert read_card(structured).structure_names == {str(kind): "pores"}


def test_several_images_are_learnt_from_each_with_marks_of_its_own(
    viewer, ready, session, structured, finish, click
):
    click(ready, "relevance_add_example")
    second, inside = add_image(viewer, 2, "S06")
    ready.image.choose(viewer.layers["S06"])
    assert "holds the marks of S05" in ready.teaching.add_button.toolTip()
    assert not ready.teaching.add_button.isEnabled()
    ready.teaching.marks.choose(add_marks(viewer, inside, name="marks of S06"))
    click(ready, "relevance_add_example")
    assert "Learns from 2 images; the map is that of S06." in ready.teaching.line.text()
    click(ready, "relevance_teach")
    finish(session)
    images, marks = zip(rough_patches(1), (second, inside), strict=True)
    expected = teach(structured, images, marks, "rough")
    assert f"in {100 * expected.other_images:.0f} in an image not learnt" in (
        ready.teaching.score.text()
    )
    viewer.layers.remove("S06")
    assert "Learns from 1 image; the map is that of S05." in ready.teaching.line.text()


@pytest.mark.parametrize("kind", ["nothing", "elsewhere", "everything", "too little"])
def test_marks_of_which_nothing_can_be_learnt_are_refused_in_words(
    kind, viewer, ready, session, structured, finish, click
):
    inside = np.zeros(SHAPE, bool)
    place = {}
    if kind == "elsewhere":
        inside[:40], place = True, {"translate": (2000, 0)}
    inside |= kind == "everything"
    inside[:2, :2] = kind == "too little"
    viewer.layers.remove("marks")
    add_marks(viewer, inside, **place)
    before = structured.read_bytes()
    click(ready, "relevance_teach")
    finish(session)
    assert {
        "nothing": "Nothing is marked in marks: mark some places of S05.",
        "elsewhere": "Most marks in marks lie outside of S05",
        "everything": "Mark a larger region, or a smaller one.",
        "too little": "Mark a larger region, or a smaller one.",
    }[kind] in failure(ready)
    assert structured.read_bytes() == before
    assert not ready.teaching.keep_button.isEnabled()
    assert not any(layer.name.startswith("structures") for layer in viewer.layers)


def test_what_is_missing_is_said_before_a_click(viewer, relevance, model_file, structured):
    section = relevance.teaching
    assert "Choose a model" in section.line.text()
    relevance.models.take(model_file)
    add_image(viewer, 1)
    assert "no structures yet" in section.line.text()
    relevance.models.take(structured)
    assert "Add a Labels or Shapes layer" in section.line.text()
    add_marks(viewer, np.zeros(SHAPE, bool))
    assert "Name the kind" in section.line.text()
    assert not section.teach_button.isEnabled()
    section.name.setText("rough")
    assert section.teach_button.isEnabled()
    viewer.add_image(np.zeros((3, *SHAPE)), name="stack")
    relevance.image.choose(viewer.layers["stack"])
    assert not section.teach_button.isEnabled()


def test_a_kind_that_cannot_be_kept_is_not_told_to_be(
    ready, session, structured, finish, click, monkeypatch
):
    monkeypatch.setattr(reasons, "demo_model", lambda: structured)
    click(ready, "relevance_teach")
    finish(session)
    assert not ready.teaching.keep_button.isEnabled()
    assert "Click Keep" not in ready.row.line.text
    assert "stays as it is" in ready.row.line.text


def test_teaching_can_be_stopped(viewer, ready, session, structured, finish, monkeypatch, qtbot):
    before = structured.read_bytes()
    ready.teaching.teach()
    ready.job.stop()
    finish(session)
    assert ready.job.state is State.STOPPED
    assert structured.read_bytes() == before
    assert not ready.teaching.keep_button.isEnabled()


def test_a_name_that_the_model_got_meanwhile_is_not_replaced(
    ready, session, structured, finish, click, qtbot, told
):
    image, inside = rough_patches(1)
    click(ready, "relevance_teach")
    finish(session)
    save_model(teach(load_model(structured), [image], [inside], "rough").model, structured)
    before = structured.read_bytes()
    click(ready, "relevance_keep")
    qtbot.waitUntil(lambda: any("by now" in message for message in told()))
    assert structured.read_bytes() == before


# --- what was drawn


def test_marks_are_read_in_the_unit_of_the_image(viewer):
    image, inside = add_image(viewer, 1)
    marks = add_marks(viewer, inside, scale=(0.01, 0.01), units=("um", "um"))
    grid = grid_of(viewer.layers["S05"], image.shape)
    np.testing.assert_array_equal(drawn_in(marks).on(grid) != 0, inside)
    assert grid.holds(grid.pixels_at(drawn_in(marks).points(), "µm")).all()


def test_shapes_enclose_places_and_lines_do_not():
    square, line = np.array([[1, 1], [1, 5], [5, 5], [5, 1]]), np.array([[0, 0], [9, 9]])
    layer = Shapes([square, line, square + 4], shape_type=["rectangle", "line", "ellipse"])
    grid = WorldGrid(np.zeros(2), np.eye(2), (12, 12), None)
    found = drawn_in(layer).on(grid)
    assert set(np.unique(found)) == {0, 1, 3}
    assert found[3, 3] == 1
    assert found[7, 7] == 3
    assert found[0, 0] == found[11, 11] == 0


# --- the score in words


def taught(half, others, null, *notices):
    return StructureTaught(None, "pores", half, others, null, notices, None)


def test_the_score_is_told_with_its_null_and_never_praised_without_reason():
    text, role = score_words(taught(0.94, 0.9, 0.58))
    assert role == "good"
    assert "94 of 100 cases in the other half" in text
    assert "in 90 in an image not learnt from" in text
    assert "which mean nothing: 58." in text
    text, role = score_words(taught(0.94, np.nan, 0.9))
    assert role == "caution"
    assert "in an image" not in text
    assert "Do not rely" in text
    assert score_words(taught(0.6, np.nan, 0.5))[1] == "caution"
    assert score_words(taught(0.5, np.nan, 0.6))[1] == "bad"
    text, role = score_words(taught(np.nan, np.nan, np.nan, "Mark both halves."))
    assert (text, role) == ("! Mark both halves.", "caution")
