"""Pages that do not say what they are, in files added to AEANet: Pairs."""

import pytest
import tifffile
from helpers import integer_noise

from napari_aeanet.gui.pairs import add_panel
from napari_aeanet.gui.pairs import dock as pairs_dock


@pytest.fixture
def pairs(dock):
    return dock("Pairs")


@pytest.fixture
def paged(tmp_path):
    """Write a TIFF file of pages that do not say what they are."""

    def write(name, pages=4):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with tifffile.TiffWriter(path) as file:
            for page in range(pages):
                file.write(integer_noise(48, 64, seed=page), contiguous=False)
        return path

    return write


@pytest.fixture
def pages(monkeypatch):
    """Answer the question about pages, and return what was asked."""

    def answer(planes):
        asked = []
        monkeypatch.setattr(
            add_panel,
            "ask_if_planes",
            lambda images, files: asked.append((len(images), files)) or planes,
        )
        return asked

    return answer


WAYS = ("dropped files", "dropped folder", "dropped folders", "files", "folders")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("planes", [True, False])
def test_pages_without_axes_are_asked_about_once(
    pairs, paged, pages, finish, click, monkeypatch, tmp_path, way, planes
):
    asked = pages(planes)
    one_folder = way == "dropped folder"
    files = [
        paged("both/S1_lr.tif" if one_folder else "lr/S1.tif"),
        paged("both/S1_hr.tif" if one_folder else "hr/S1.tif"),
    ]
    if way == "dropped files":
        files = [file.rename(tmp_path / f"S1_{file.parent.name}.tif") for file in files]
    folders = [file.parent for file in files]
    dialogs = pairs_dock.QFileDialog
    monkeypatch.setattr(dialogs, "getExistingDirectory", lambda *_, **__: str(folders.pop(0)))
    monkeypatch.setattr(dialogs, "getOpenFileNames", lambda *_, **__: ([str(files.pop(0))], ""))
    match way:
        case "dropped files":
            pairs.take_files(files)
        case "dropped folder":
            pairs.take_files(folders[:1])
        case "dropped folders":
            pairs.take_files(folders)
        case _:
            click(pairs, f"pairs_{way}")
    finish(pairs.session)
    assert asked == [(4, 2)]
    found = [entry.pair for entry in pairs.session.pairs]
    assert [pair.source.axes for pair in found] == (["ZYX"] if planes else ["YX"] * 4)
    assert not pairs.notes.toolTip()


def test_files_of_one_and_two_pages_are_not_asked_about(pairs, paged, pages, finish):
    asked = pages(planes=True)
    pairs.take_files([paged("S1_lr.tif", 2), paged("S1_hr.tif", 2)])
    finish(pairs.session)
    assert not asked
    assert len(pairs.session.pairs) == 2
