"""The commands that fit structures and draw them."""

import numpy as np
import pytest
from helpers import micrograph, model_of, small_network, with_random_structures

from napari_aeanet.cli import main
from napari_aeanet.io import read_image, write_image
from napari_aeanet.models import load_model, save_model
from napari_aeanet.structures import fit, structure_maps, structures_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two folders of images, a model without structures and one with."""
    for side in ("lr", "hr"):
        (tmp_path / side).mkdir()
        for seed in range(2):
            image = micrograph((64, 80), seed, unit="nm")
            write_image(image, tmp_path / side / f"S{seed}.tif")
    model = model_of(small_network("aeanet-2d", features=2))
    save_model(model, tmp_path / "plain.aeanet")
    save_model(with_random_structures(model), tmp_path / "mine.aeanet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "STEPS", 20)
    return tmp_path


FIT = ["structures", "lr", "hr", "--kinds", "4"]


def test_structures_are_fitted_into_the_model_file(folder, capsys):
    before = load_model("plain.aeanet").weights
    assert main([*FIT, "-m", "plain.aeanet"]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert len(rows) == 4
    assert sum(float(row.split("%")[0]) for row in rows) == pytest.approx(100, abs=0.3)
    assert last == "plain.aeanet"
    after = load_model("plain.aeanet")
    assert len(structures_of(after)) == 4
    assert all((after.weights[name] == values).all() for name, values in before.items())


def test_nothing_is_replaced_unasked(folder, capsys):
    before = (folder / "mine.aeanet").read_bytes()
    assert main([*FIT, "-m", "mine.aeanet"]) == 2
    assert "has structures already: add --overwrite" in capsys.readouterr().err
    assert main([*FIT, "-m", "plain.aeanet", "-o", "mine.aeanet"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*FIT, "-m", "demo"]) == 2
    assert "name another file" in capsys.readouterr().err
    assert main([*FIT, "-m", "plain.aeanet", "-o", "a.txt"]) == 2
    assert (folder / "mine.aeanet").read_bytes() == before
    assert main([*FIT, "-m", "mine.aeanet", "--overwrite"]) == 0
    assert len(structures_of(load_model("mine.aeanet"))) == 4


def test_the_map_of_kinds_is_drawn_and_its_probabilities_are_written(folder, capsys):
    words = ["relevance", "lr/S1.tif", "-m", "mine.aeanet", "-o", "maps", "--structures"]
    assert main([*words, "--probabilities"]) == 0
    written = ["S1-structures.png", "S1-structures.ome.tif"]
    assert capsys.readouterr().out.split() == [f"maps/{name}" for name in written]
    stack = read_image(folder / "maps" / written[1])
    maps = structure_maps(folder / "lr" / "S1.tif", folder / "mine.aeanet")
    np.testing.assert_array_equal(stack.array[0], maps.labels)
    np.testing.assert_array_equal(stack.array[1:], maps.maps)
    assert stack.pixel_size == pytest.approx(maps.scale)
    assert (folder / "maps" / written[0]).read_bytes().startswith(b"\x89PNG")


def test_a_model_without_structures_is_refused_with_the_remedy(folder, capsys):
    assert main(["relevance", "lr/S1.tif", "-m", "plain.aeanet", "--structures"]) != 0
    assert "no structures yet" in capsys.readouterr().err
    assert not list(folder.glob("lr/*structures*"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--structures", "--table"], "--structures writes"),
        (["--structures", "--at", "3", "4"], "--at writes"),
        (["--probabilities"], "add --structures"),
    ],
)
def test_options_that_exclude_each_other_are_refused(words, reason, folder, capsys):
    assert main(["relevance", "lr/S1.tif", "-m", "mine.aeanet", *words]) == 2
    assert reason in capsys.readouterr().err
