"""What the plugin tells napari about itself is true."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from helpers import micrograph
from npe2 import PluginManifest

from napari_aeanet.gui.common import preferences
from napari_aeanet.gui.viewer import files
from napari_aeanet.gui.viewer.layers import image_to_layer
from napari_aeanet.io.files import read_image, write_image

PLUGIN = "napari-aeanet"


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_distribution(PLUGIN)


def test_the_names_are_those_that_open_docks_by_menu_and_by_code_alike(manifest):
    # napari names docks by the display name in menus, and by the plugin's name elsewhere.
    assert manifest.name == manifest.display_name == PLUGIN
    titles = [widget.display_name for widget in manifest.contributions.widgets]
    tabs = ("Pairs", "Train", "Restore", "Relevance", "Evaluate", "Repair")
    assert titles[: len(tabs)] == [f"AEANet: {tab}" for tab in tabs]


def test_every_command_leads_to_something_that_exists(manifest):
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name)), command.id


def test_no_reader_is_offered_for_tiff(manifest):
    assert [p for r in manifest.contributions.readers for p in r.filename_patterns] == ["*.aeanet"]
    assert files.model_reader("S05.tif") is None


def test_opening_a_model_shows_and_chooses_it(viewer, session, card_file):
    path = card_file("opened")
    assert viewer.open(str(path), plugin=PLUGIN) == []
    assert session.card.name == "opened"
    restore = viewer.window.dock_widgets[f"AEANet: Restore ({PLUGIN})"]
    assert restore.models.box.currentText() == "opened"


def test_a_layer_is_saved_with_its_pixel_size(viewer, tmp_path):
    image = micrograph()
    layer = viewer.add_layer(image_to_layer(image))
    layer.save(str(tmp_path / "saved.ome.tif"), plugin=PLUGIN)
    saved = read_image(tmp_path / "saved.ome.tif")
    assert (saved.pixel_size, saved.unit, saved.origin) == (
        image.pixel_size,
        image.unit,
        image.origin,
    )
    np.testing.assert_array_equal(saved.read(), image.read())


def test_the_menu_command_opens_tiffs_calibrated(viewer, session, qtbot, tmp_path, monkeypatch):
    path = tmp_path / "S05.ome.tif"
    write_image(micrograph(), path)
    monkeypatch.setattr(files.QFileDialog, "getOpenFileNames", lambda *_, **__: ([str(path)], ""))
    files.open_calibrated(viewer)
    qtbot.waitUntil(lambda: not session.beside)
    (layer,) = viewer.layers
    assert tuple(layer.scale) == (10, 10)
    assert str(layer.units[0]) == "nanometer"


@pytest.mark.parametrize(
    "key", ["paired_sem", "fluorescence", "epithelium", "label_free", "serial_sections"]
)
def test_every_sample_is_offered(manifest, key):
    assert key in [sample.key for sample in manifest.contributions.sample_data]


def test_preferences_decide_where_things_go(home, tmp_path):
    from napari.settings import get_plugin_settings

    settings = get_plugin_settings(PLUGIN).general
    assert preferences.output_folder() == home / "AEANet"
    assert preferences.device() == "auto"
    try:
        settings.output_folder, settings.device = str(tmp_path / "elsewhere"), "cpu"
        assert preferences.output_folder() == tmp_path / "elsewhere"
        assert preferences.device() == "cpu"
    finally:
        settings.output_folder, settings.device = "", "auto"


def test_opening_all_docks_loads_no_torch():
    code = """
import sys, napari
from napari_aeanet.gui.train import dock as train_dock
from napari_aeanet.gui.common.dock import open_dock
train_dock.probe = lambda: []
viewer = napari.Viewer(show=False)
for tab in ("Pairs", "Train", "Restore", "Relevance", "Evaluate", "Repair"):
    open_dock(viewer, tab)
print("loaded:", [name for name in ("torch", "matplotlib.pyplot") if name in sys.modules])
viewer.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert "loaded: []" in done.stdout
