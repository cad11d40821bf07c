"""Output files of `restore`, `relevance` and `trust`: one for each image, and never an input."""

from pathlib import Path

import numpy as np
import pytest
from helpers import micrograph, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.cli.console import input_images
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import save_model

ENDINGS = {
    "restore": "-restored.ome.tif",
    "relevance": "-relevance.ome.tif",
    "trust": "-trust.ome.tif",
}
every_command = pytest.mark.parametrize("command", ENDINGS)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.aeanet"
    save_model(model_of(small_network("aeanet-2d", features=2)), path)
    return path


def write(folder: Path, *names: str) -> list[Path]:
    """Write images of different widths."""
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(micrograph((16, 24 + 8 * number), seed=number, unit="µm"), path)
    return paths


def outputs_of(inputs: list[Path], folder: Path | None = None) -> list[str]:
    """Names of the outputs without an ending, as paths where they lie beside the inputs."""
    found = [place / image.name for image, place in input_images(inputs, folder, ["-x.tif"])]
    return [path.name if folder else str(path) for path in found]


# --- the commands


@every_command
def test_inputs_of_one_name_get_an_output_each(command, model, tmp_path, capsys):
    inputs = write(tmp_path, "a/S01.tif", "b/S01.tif")
    out = tmp_path / "out"
    assert main([command, *map(str, inputs), "-m", str(model), "-o", str(out)]) == 0
    written = [out / f"{name}{ENDINGS[command]}" for name in ("a-S01", "b-S01")]
    assert sorted(out.iterdir()) == written
    widths = [read_image(path).sizes["X"] for path in written]
    assert widths[0] < widths[1]
    errors = capsys.readouterr().err
    for path, name in zip(inputs, ("a-S01", "b-S01"), strict=True):
        assert f"note: {path}: another input is also called S01; results: {name}" in errors


@every_command
def test_inputs_that_differ_in_the_ending_get_an_output_each(command, model, tmp_path):
    inputs = write(tmp_path, "S01.tif", "S01.png")
    assert main([command, *map(str, inputs), "-m", str(model)]) == 0
    written = {path.name for path in tmp_path.iterdir()} - {"S01.tif", "S01.png"}
    assert written == {f"S01-{kind}{ENDINGS[command]}" for kind in ("tif", "png")}


@every_command
def test_an_input_is_not_replaced_by_an_output(command, model, tmp_path, capsys):
    names = ("S00.tif", "S01.tif", f"S01{ENDINGS[command]}")
    inputs = write(tmp_path, *names)
    before = inputs[-1].read_bytes()
    assert main([command, *map(str, inputs), "-m", str(model)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the result of {inputs[1]} would replace the input {inputs[2]}" in line
    assert inputs[-1].read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == set(names)


@pytest.mark.parametrize(
    ("words", "replaced"),
    [
        (["restore", "S-height.tif", "-o", "S-height.tif"], "S-height.tif"),
        (["restore", "S-height.tif", "-o", "S.tif", "--height"], "S-height.tif"),
        (["relevance", "S-height.tif", "--figure", "S-height.tif"], "S-height.tif"),
    ],
)
def test_a_named_output_is_not_an_input(words, replaced, model, tmp_path, monkeypatch, capsys):
    write(tmp_path, "S-height.tif")
    monkeypatch.chdir(tmp_path)
    assert main([*words, "-m", str(model)]) == 2
    assert f"would replace the input {replaced}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["S-height.tif"]


def test_a_file_and_a_folder_may_be_named_for_one_image(model, tmp_path):
    (path,) = write(tmp_path, "S01.tif")
    for out in ("one.tif", "folder"):
        assert main(["restore", str(path), "-m", str(model), "-o", str(tmp_path / out)]) == 0
    assert read_image(tmp_path / "one.tif").shape == (16, 24)
    assert read_image(tmp_path / "folder" / "S01-restored.ome.tif").shape == (16, 24)


# --- the names


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["a/S1.tif", "b/S2.tif"], ["S1", "S2"]),
        (["x/a/lr/S1.tif", "x/b/lr/S1.tif"], ["a-S1", "b-S1"]),
        (["a/lr/S1.tif", "b/lr/S1.tif", "b/hr/S1.tif"], ["a-lr-S1", "b-lr-S1", "b-hr-S1"]),
        (["S1.tif", "a/S1.tif"], ["S1", "a-S1"]),
        (["a/S1.tif", "a/S1.png", "b/S1.tif"], ["a-S1-tif", "a-S1-png", "b-S1"]),
        (["S1.ome.tif", "S1.tif"], ["S1-ome-tif", "S1-tif"]),
        (["a/S1.tif", "b/s1.tif"], ["a-S1", "b-s1"]),  # one file on macOS and Windows
        (["a/b/S1.tif", "a-b/S1.tif"], ["a-b-S1-tif", "a-b-S1-tif-2"]),
        (["a/S1.tif", "b/S1.tif", "c/a-S1.tif"], ["a-S1-tif", "b-S1", "a-S1-tif-2"]),
    ],
)
def test_names_tell_the_inputs_apart(inputs, names, tmp_path):
    assert outputs_of(write(tmp_path, *inputs), tmp_path / "out") == names


def test_inputs_in_different_folders_keep_their_names_beside_them(tmp_path):
    inputs = write(tmp_path, "a/S1.tif", "b/S1.tif")
    assert outputs_of(inputs) == [str(path.with_suffix("")) for path in inputs]


def test_an_input_named_twice_is_read_once(tmp_path, monkeypatch):
    write(tmp_path, "S1.tif")
    monkeypatch.chdir(tmp_path)
    assert outputs_of([Path("S1.tif"), tmp_path / "S1.tif"], tmp_path) == ["S1"]


def test_pages_get_outputs_of_their_own(tmp_path):
    np.save(tmp_path / "S1.npy", np.zeros((2, 16, 16), np.uint8))
    pages = outputs_of([tmp_path / "S1.npy"], tmp_path / "out")
    assert len(set(pages)) == len(pages) > 1
    (other,) = write(tmp_path, f"{pages[1]}.tif")
    assert outputs_of([tmp_path / "S1.npy", other], tmp_path) == [*pages, f"{pages[1]}-2"]
    (result,) = write(tmp_path, f"{pages[0]}-x.tif")
    with pytest.raises(ValueError, match=r"would replace the input .*-x\.tif"):
        outputs_of([tmp_path / "S1.npy", result])
