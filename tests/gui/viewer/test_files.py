"""Dropped files become layers that are seen, and that are what the user says they are."""

import threading

import numpy as np
import pytest
import tifffile
from helpers import micrograph
from napari.utils import progress

from napari_aeanet.gui.common.session import session_of
from napari_aeanet.gui.viewer import opening, pages
from napari_aeanet.gui.viewer.layers import image_to_layer, layer_to_image
from napari_aeanet.gui.viewer.opening import open_images
from napari_aeanet.io import read_images


def write_pages(path, count=12, **options):
    """A TIFF file of separate pages, as cameras write it."""
    with tifffile.TiffWriter(path) as file:
        for page in range(count):
            file.write(np.full((20, 30), page, np.uint16), contiguous=False, **options)
    return path


@pytest.fixture
def answers(monkeypatch):
    """Answers to the question about pages; what was asked is kept."""

    def say(planes):
        asked = []

        def ask(images, files):
            asked.append((images[0].source.name, len(images), files))
            return planes

        monkeypatch.setattr(opening, "ask_if_planes", ask)
        return asked

    return say


@pytest.fixture
def opened(viewer, qtbot):
    """Open files, and return their layers when they are in the viewer."""

    def act(*paths):
        found = []
        made = open_images(viewer, paths)
        made.opened.connect(found.extend)
        qtbot.waitUntil(lambda: not session_of(viewer).beside, timeout=10_000)
        return found

    return act


def test_files_are_read_in_a_worker_and_a_bad_one_leaves_the_others(
    opened, told, tmp_path, monkeypatch
):
    readers = []

    def read(path):
        readers.append(threading.current_thread())
        return read_images(path)

    monkeypatch.setattr(opening, "read_images", read)
    for name in "ac":
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((20, 30), np.uint16))
    (tmp_path / "b.tif").write_bytes(b"no image")
    layers = opened(*(tmp_path / f"{name}.tif" for name in "abc"))
    assert [layer.name for layer in layers] == ["a", "c"]
    assert len(readers) == 3
    assert threading.main_thread() not in readers
    assert [message for message in told() if "b.tif" in message]


def test_what_was_read_before_a_stop_is_opened(viewer, qtbot, tmp_path, monkeypatch):
    gate = threading.Semaphore(1)

    def read(path):
        gate.acquire()
        return [micrograph(name=path.stem)]

    monkeypatch.setattr(opening, "read_images", read)
    made = open_images(viewer, [tmp_path / f"{name}.tif" for name in "abc"])
    qtbot.waitUntil(lambda: made.job.progress is not None and made.job.progress.done == 1)
    (bar,) = progress._all_instances
    bar.cancel()  # the button of napari's activity dock
    gate.release()
    qtbot.waitUntil(lambda: not session_of(viewer).beside)
    assert [layer.name for layer in viewer.layers] == ["a", "b"]


def test_a_dock_shows_and_stops_the_reading(viewer, dock, qtbot, tmp_path, monkeypatch):
    gate = threading.Event()

    def read(path):
        gate.wait()
        return [micrograph(name=path.stem)]

    monkeypatch.setattr(opening, "read_images", read)
    restore = dock("Restore")
    restore.take_files([tmp_path / f"{name}.tif" for name in "ab"])
    qtbot.waitUntil(lambda: "reading a.tif" in restore.row.line.text)
    restore.row.stop_button.click()
    gate.set()
    qtbot.waitUntil(lambda: not restore.session.beside)
    assert [layer.name for layer in restore.images.ticked] == ["a"]


def test_pages_without_axes_are_asked_about_once(opened, answers, tmp_path):
    asked = answers(planes=True)
    paths = [write_pages(tmp_path / f"{name}.tif") for name in "ab"]
    layers = opened(*paths)
    assert asked == [("a.tif", 12, 2)]
    assert [layer.name for layer in layers] == ["a", "b"]
    image = layer_to_image(layers[0])
    assert (image.axes, image.shape, image.source) == ("ZYX", (12, 20, 30), paths[0])
    assert image.read()[:, 0, 0].tolist() == list(range(12))


def test_pages_stay_images_if_they_are_no_planes(opened, answers, tmp_path):
    answers(planes=False)
    layers = opened(write_pages(tmp_path / "a.tif", 4))
    assert [layer.data.shape for layer in layers] == [(20, 30)] * 4


def test_nothing_is_asked_about_stacks_and_pairs(opened, answers, tmp_path):
    asked = answers(planes=True)
    stack = np.zeros((5, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    paths = [tmp_path / "stack.tif", write_pages(tmp_path / "two.tif", 2)]
    assert len(opened(*paths)) == 3
    assert not asked


def test_the_question_names_the_file_and_both_answers(qtbot, monkeypatch, tmp_path):
    seen = {}

    def answer(box):
        seen.update(text=box.text(), buttons=[b.text() for b in box.buttons()])
        box.buttons()[-1].click()

    monkeypatch.setattr(pages.QMessageBox, "exec", answer)
    images = [micrograph(source=tmp_path / "S05.tif")] * 12
    pages.ask_if_planes(images)
    assert "S05.tif has 12 pages of 48 × 64" in seen["text"]
    assert sorted(seen["buttons"]) == ["12 images", "Planes of one volume"]


def test_an_image_without_pixel_size_is_in_view_beside_calibrated_ones(
    viewer, opened, tmp_path, told
):
    calibrated = micrograph((400, 400), pixel_size=(100.0, 100.0))
    viewer.add_layer(image_to_layer(calibrated))
    for name in ("first", "second"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.ones((50, 60), np.uint8))
        opened(tmp_path / f"{name}.tif")
        height = viewer.scene.camera.zoom * 49  # on the screen
        assert height > 0.5 * viewer.canvas.size[0]
    assert [m for m in told() if "pixel size" in m] == [
        "first has no pixel size: it is not to the scale of the other images."
    ]


def test_a_dark_file_is_shown_by_the_range_of_its_pixels(opened, tmp_path):
    pixels = np.tile(np.arange(4, 20, dtype=np.uint8), (300, 20))
    pixels[0, 0] = 255  # a hot pixel
    tifffile.imwrite(tmp_path / "dark.tif", pixels)
    tifffile.imwrite(tmp_path / "flat.tif", np.full((20, 30), 7, np.uint8))
    dark, flat = opened(tmp_path / "dark.tif", tmp_path / "flat.tif")
    assert tuple(dark.contrast_limits) == (4, 19)
    assert tuple(dark.contrast_limits_range) == (0, 255)
    assert tuple(flat.contrast_limits) == (0, 255)
