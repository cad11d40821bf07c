"""Output files of `restore`, `relevance` and `trust`: one for each image, and never an input."""

from pathlib import Path

import pytest
from helpers import micrograph, model_of, small_network

from napari_aeanet.cli import main
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


# --- the commands


@every_command
def test_inputs_of_one_name_get_an_output_each(command, model, tmp_path, capsys):
    inputs = write(tmp_path, "a/S01.tif", "b/S01.tif")
    out = tmp_path / "out"
    assert main([command, *map(str, inputs), "-m", str(model), "-o", str(out)]) == 0
    written = [out / f"{name}{ENDINGS[command]}" for name in ("a-S01", "b-S01")]
    assert sorted(out.glob("*.tif")) == written
    widths = [read_image(path).sizes["X"] for path in written]
    assert widths[0] < widths[1]
    errors = capsys.readouterr().err
    for path, name in zip(inputs, ("a-S01", "b-S01"), strict=True):
        assert f"note: {path}: another input is also called S01; results: {name}" in errors


@every_command
def test_inputs_that_differ_in_the_ending_get_an_output_each(command, model, tmp_path):
    inputs = write(tmp_path, "S01.tif", "S01.png")
    assert main([command, *map(str, inputs), "-m", str(model)]) == 0
    written = {path.name for path in tmp_path.glob("*.tif")} - {"S01.tif"}
    assert written == {f"S01-{kind}{ENDINGS[command]}" for kind in ("tif", "png")}


@every_command
def test_an_input_is_not_replaced_by_an_output(command, model, tmp_path, capsys):
    inputs = write(tmp_path, "S00.tif", "S01.tif", f"S01{ENDINGS[command]}")
    before = inputs[-1].read_bytes()
    assert main([command, *map(str, inputs), "-m", str(model)]) == 1
    errors = capsys.readouterr().err
    assert f"{inputs[2].name} is a result of this program and was not taken as input" in errors
    assert f"{inputs[2]} exists already, and there is no record of how it was made" in errors
    assert inputs[-1].read_bytes() == before
    assert (tmp_path / f"S00{ENDINGS[command]}").exists()


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


@pytest.mark.parametrize("pixels", [["0"], ["1", "99"]])
def test_abstract_pixels_that_a_model_lacks_are_refused_before_the_work(
    pixels, model, tmp_path, capsys
):
    (path,) = write(tmp_path, "S01.tif")
    words = ["-m", str(model), "-o", str(tmp_path / "out"), "--change", "--pixels", *pixels]
    assert main(["relevance", str(path), *words]) == 2
    assert "--pixels must be from 1 to" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
