"""The intensity range in AEANet: Restore: what automatic takes is shown, and asked if a guess."""

import dask.array as da
import numpy as np
import pytest
import tifffile
from helpers import micrograph

from napari_aeanet.core.declared_range import DeclaredRange
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.gui.restore import dock as restore_dock
from napari_aeanet.gui.restore.intensity_choice import RangeKind
from napari_aeanet.gui.viewer.layers import image_to_layer, layer_to_image
from napari_aeanet.io import write_image

PLACE = {"pixel_size": (10.0, 10.0), "unit": "nm"}


@pytest.fixture
def restore(dock):
    return dock("Restore")


@pytest.fixture
def tick(viewer, restore, card_file, qtbot):
    """Choose a model and tick an image with these pixels; wait until they were looked at."""

    def made(top, dtype="uint16", name="S05", **changes):
        restore.models.take(card_file(**changes))
        pixels = np.linspace(3, top, 48 * 64).reshape(48, 64).astype(dtype)
        layer = viewer.add_layer(image_to_layer(Image(pixels, "YX", name=name, **PLACE)))
        restore.images.tick_only(layer)
        qtbot.waitUntil(lambda: bool(changes) or " to " in shown(restore), timeout=5000)
        return layer

    return made


def choice(restore):
    return restore.choices.intensities


def shown(restore):
    return choice(restore).kind.itemText(0)


def choose(restore, kind):
    choice(restore).kind.setCurrentIndex(list(RangeKind).index(kind))


def test_what_automatic_takes_is_shown(restore, tick):
    tick(3900)
    assert shown(restore) == "automatic (0 to 4095)"
    assert not choice(restore).is_open
    assert restore.row.run_button.isEnabled()
    assert restore.choices.settings().range == "auto"


def test_8_bits_are_no_question(restore, tick):
    tick(90, "uint8")
    assert shown(restore) == "automatic (0 to 255)"
    assert not choice(restore).is_open


def test_a_guess_is_a_question_before_it_is_a_run(restore, tick, click):
    tick(900)
    assert "0 to 1023 (10 bit)" in choice(restore).notice.text.text()
    assert not restore.row.run_button.isEnabled()
    assert "intensity range" in restore.row.line.text
    click(restore, "restore_range_yes")
    assert restore.row.run_button.isEnabled()
    assert restore.choices.settings().range == "auto"


def test_the_range_can_be_entered_instead(restore, tick, click):
    tick(900)
    click(restore, "restore_range_enter")
    assert not choice(restore).is_open
    assert (choice(restore).low.value(), choice(restore).high.value()) == (0, 1023)
    choice(restore).high.setValue(4095)
    assert restore.row.run_button.isEnabled()
    assert restore.choices.settings().range == (0.0, 4095.0)


def test_a_range_may_begin_below_zero(restore, tick):
    tick(3900)
    choose(restore, RangeKind.OWN)
    choice(restore).low.setValue(-100)
    assert restore.row.run_button.isEnabled()
    assert restore.choices.settings().range[0] == -100


def test_numbers_in_the_wrong_order_are_told(restore, tick):
    tick(3900)
    choose(restore, RangeKind.OWN)
    choice(restore).low.setValue(5000)
    assert "lower" in restore.row.line.text
    assert not restore.row.run_button.isEnabled()


def test_the_full_range_of_the_file_can_be_chosen(restore, tick):
    tick(900)
    choose(restore, RangeKind.FULL)
    assert restore.row.run_button.isEnabled()
    assert restore.choices.settings().range == "full"


def test_images_ticked_together_share_one_range(viewer, restore, tick, qtbot):
    bright = tick(3900)
    dim = tick(900, name="S06")
    restore.images.tick_only(bright, dim)
    qtbot.waitUntil(lambda: shown(restore) == "automatic (0 to 4095)", timeout=5000)
    assert not choice(restore).is_open


def test_another_image_is_another_question(restore, tick, click):
    tick(900)
    click(restore, "restore_range_yes")
    tick(800, name="S06")
    assert choice(restore).is_open


def test_other_pixels_in_the_same_layer_are_another_question(restore, tick, click, qtbot):
    layer = tick(3900)
    assert not choice(restore).is_open
    layer.data = (layer.data // 5).astype("uint16")
    qtbot.waitUntil(lambda: choice(restore).is_open, timeout=5000)
    assert "0 to 1023 (10 bit)" in choice(restore).notice.text.text()
    click(restore, "restore_range_yes")
    layer.name = "renamed"
    assert not choice(restore).is_open
    assert restore.row.run_button.isEnabled()


def test_12_bits_from_another_program_are_asked_about_until_answered(
    viewer, restore, card_file, qtbot, tmp_path, click
):
    restore.models.take(card_file())
    pixels = np.linspace(90, 1700, 48 * 64).reshape(48, 64).astype("uint16")
    tifffile.imwrite(tmp_path / "camera.tif", pixels, software="Camera 3.1")
    for layer in (
        *viewer.open(tmp_path / "camera.tif", plugin="napari"),
        viewer.add_image(da.from_array(pixels, chunks=16), name="lazy"),
        viewer.add_image([pixels, pixels[::2, ::2]], name="levels", multiscale=True),
    ):
        restore.images.tick_only(layer)
        qtbot.waitUntil(lambda: choice(restore).is_open, timeout=5000)
        viewer.dims.ndisplay = 3
        viewer.dims.ndisplay = 2
        restore.refresh()
        assert choice(restore).is_open
        click(restore, "restore_range_yes")
        assert restore.row.run_button.isEnabled()


def test_a_model_that_needs_no_range_has_no_choice_of_one(restore, tick):
    tick(900, normalisation=Normalisation(kind=NormalisationKind.PERCENTILE))
    assert not choice(restore).isVisibleTo(restore)
    assert restore.row.run_button.isEnabled()


def test_a_view_is_compared_with_the_range_of_its_image(
    restore, tick, session, monkeypatch, finish
):
    seen = []

    def compared(view, model, settings):
        seen.append(settings.range)
        return iter(())

    monkeypatch.setattr(restore_dock, "compare_sizes", compared)
    tick(3900)
    restore.compare()
    finish(session)
    assert seen == [(0.0, 4095.0)]


def test_a_layer_has_the_range_that_its_file_states(viewer, tmp_path):
    known = DeclaredRange(0.0, 4095.0, "SignificantBits")
    pixels = micrograph().read().astype(np.uint16)
    write_image(Image(pixels, "YX", intensity_range=known, **PLACE), tmp_path / "S05.ome.tif")
    (layer,) = viewer.open(tmp_path / "S05.ome.tif", plugin="napari")
    assert layer_to_image(layer).intensity_range.high == 4095


def test_an_image_without_any_number_is_refused_in_one_sentence(viewer, restore, card_file, qtbot):
    restore.models.take(card_file())
    empty = Image(np.full((48, 64), np.nan, np.float32), "YX", name="empty", **PLACE)
    restore.images.tick_only(viewer.add_layer(image_to_layer(empty)))
    qtbot.waitUntil(lambda: "empty has no pixel with a number" in restore.row.line.text)
    assert not choice(restore).is_open
    assert not restore.row.run_button.isEnabled()
    restore.images.tick_only(viewer.add_layer(image_to_layer(micrograph())))
    assert restore.row.run_button.isEnabled()
