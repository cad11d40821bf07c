"""`napari-aeanet repair`."""

import numpy as np
import pytest

from napari_aeanet.cli import main
from napari_aeanet.io import read_image, write_image
from napari_aeanet.samples import SectionSettings, serial_sections


@pytest.fixture(scope="module")
def specimen():
    return serial_sections(0, (12, 128, 128), SectionSettings(damaged=3, neurite_size=24))


@pytest.fixture
def stack(specimen, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(specimen.stack, "S.ome.tif")
    return specimen


def test_without_slices_damage_is_told_and_nothing_written(stack, tmp_path, capsys):
    assert main(["repair", "S.ome.tif"]) == 0
    said = capsys.readouterr().out
    assert f"{len(stack.damaged)} damaged slices of 12 found" in said
    assert all(f"slice {index}: " in said for index in stack.damaged)
    assert [path.name for path in tmp_path.iterdir()] == ["S.ome.tif"]
    words = said.splitlines()[-1].removeprefix("next: napari-aeanet ").split()
    slices = [str(index) for index in stack.damaged]
    assert words == ["repair", "S.ome.tif", "-o", "S-repaired.ome.zarr", "--slices", *slices]


@pytest.mark.parametrize("name", ["R.ome.zarr", "R.ome.tif"])
def test_named_slices_are_repaired_with_table_and_run_file(name, stack, tmp_path, capsys):
    slices = [str(index) for index in stack.damaged]
    words = ["repair", "S.ome.tif", "-o", name, "--checks", "1", "--slices", *slices]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out == f"3 of 3 slices repaired: {name}\n"
    assert "Measured on 1 good slice of this stack" in said.err
    repaired = read_image(name)
    assert set(repaired.interpolated) == set(stack.damaged)
    kept = [n for n in range(12) if n not in stack.damaged]
    np.testing.assert_array_equal(repaired.read()[kept], stack.stack.read()[kept])
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"S.ome.tif", name, "R-slices.csv", "R.run.yaml"}
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["repair", "--config", "R.run.yaml", "--overwrite"]) == 0


def test_found_slices_are_repaired_when_asked(stack, capsys):
    assert main(["repair", "S.ome.tif", "-o", "R.ome.tif", "--repair-found", "--checks", "0"]) == 0
    assert set(read_image("R.ome.tif").interpolated) == set(stack.damaged)
    assert "3 of 3 slices repaired" in capsys.readouterr().out


def test_a_slice_that_cannot_be_repaired_is_told(stack, capsys):
    words = ["repair", "S.ome.tif", "-o", "R.ome.tif", "--checks", "0", "--slices", "0"]
    assert main(words) == 1
    said = capsys.readouterr()
    assert "0 of 1 slices repaired" in said.out
    assert "Slice 0 was left as it is: no good slice lies before it." in said.err


def test_slices_are_inserted_between_all(stack, tmp_path, capsys):
    write_image(stack.truth, "T.ome.tif")
    assert main(["repair", "T.ome.tif", "-o", "F.ome.zarr", "--insert", "1"]) == 0
    assert capsys.readouterr().out == "11 slices inserted, 23 in all: F.ome.zarr\n"
    np.testing.assert_array_equal(read_image("F.ome.zarr").read()[::2], stack.truth.read())
    assert (tmp_path / "F.run.yaml").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "R.ome.tif"], "Say what to repair"),
        (["--slices", "3"], "Name a file for the stack that is made"),
        (["-o", "R.ome.tif", "--slices", "3", "--repair-found"], "exclude each other"),
        (["-o", "R.ome.tif", "--slices", "3", "--insert", "1"], "exclude each other"),
        (["-o", "R.ome.tif", "--insert", "10"], "between must be 1 to 9"),
        (["-o", "R.ome.tif", "--slices", "12"], "no slice 12: its slices are 0 to 11"),
        (["-o", "R.tif", "--slices", "3"], "ends in .ome.tif or .ome.zarr"),
        (["-o", "R.ome.tif", "--slices", "three"], "three"),
    ],
)
def test_wrong_use_is_refused_and_writes_nothing(words, message, stack, tmp_path, capsys):
    assert main(["repair", "S.ome.tif", *words]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["S.ome.tif"]
