"""The command line: exit codes, help, and one sentence per error."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import float_noise, model_of, small_network

from napari_aeanet.cli import COMMANDS, main
from napari_aeanet.cli.parser import parse
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity_range import TrainedRange
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.models.model_file import save_model
from napari_aeanet.restoration import output as canvas
from napari_aeanet.restoration.settings import Seams, Use, height_path


@pytest.fixture
def tiff(tmp_path) -> Path:
    path = tmp_path / "S05.tif"
    pixels = np.random.default_rng(0).integers(0, 200, (40, 60), dtype=np.uint8)
    tifffile.imwrite(path, pixels)
    return path


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert name in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_a_sentence_for_every_option(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no line is wrapped
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"napari-aeanet {name}" in text
    assert not re.findall(r"│( +|.* {2,})\((default|required)", text)


@pytest.mark.parametrize("choice", ["whole-image", "WHOLE_IMAGE", "whole image"])
def test_choices_are_lower_case_and_read_in_every_spelling(choice, capsys):
    words = ["restore", "S.tif", "-m", "x.aeanet", "--use", choice, "--seams", "blended"]
    settings = parse(words, COMMANDS).command.settings
    assert (settings.use, settings.seams) == (Use.WHOLE_IMAGE, Seams.BLEND)
    assert main(["restore", "--help"]) == 0
    assert "{whole-image,patches}" in capsys.readouterr().out


def test_an_unknown_choice_is_refused_with_the_known_ones(capsys):
    assert main(["restore", "S.tif", "-m", "x.aeanet", "--use", "nothing"]) == 2
    assert "nothing is not one of {whole-image,patches}" in capsys.readouterr().err


def test_presets_are_listed_with_those_for_comparison_on_request(capsys):
    assert main(["presets"]) == 0
    few = capsys.readouterr().out
    assert main(["presets", "--all"]) == 0
    many = capsys.readouterr().out
    assert "aeanet-2d" in few
    assert "20 plain convolutions" not in few
    assert all(name in text for name in ("vdsr-2d", "aeanet-2d-references") for text in (few, many))


def test_the_demo_loads_matplotlib_only_to_draw():
    code = (
        "import sys, napari_aeanet.cli.demo, napari_aeanet.evaluation.specimen_figure;"
        "print('matplotlib' in sys.modules or 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"


def test_info_says_what_is_in_a_file(tiff, capsys):
    assert main(["info", str(tiff)]) == 0
    text = capsys.readouterr().out
    for fact in ("S05", "40", "60", "uint8", "unknown"):
        assert fact in text


def test_info_goes_on_after_an_unreadable_file(tiff, tmp_path, capsys):
    bad = tmp_path / "bad.tif"
    bad.write_text("hello")
    assert main(["info", str(bad), str(tiff)]) == 1
    output = capsys.readouterr()
    assert "bad.tif" in output.err and "1 of 2 files cannot be read" in output.err
    assert "S05" in output.out


def test_info_of_several_files_names_each_with_its_folder(tiff, tmp_path, capsys):
    for folder in ("lr", "hr"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "S05.tif").write_bytes(tiff.read_bytes())
    assert main(["info", str(tmp_path / "lr"), str(tmp_path / "hr")]) == 0
    headings = [line for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert headings == [str(tmp_path / folder / "S05.tif") for folder in ("lr", "hr")]


@pytest.fixture
def stack_and_model(tmp_path) -> tuple[Path, Path]:
    """A stack, and a model that projects it."""
    network = small_network("gvtnet-projection", features=2)
    write_image(Image(float_noise((3, 20, 24)), "ZYX", name="S"), tmp_path / "S.ome.tif")
    save_model(model_of(network), tmp_path / "model.aeanet")
    return tmp_path / "S.ome.tif", tmp_path / "model.aeanet"


def test_a_height_map_is_written_beside_the_result(stack_and_model, capsys):
    stack, model = stack_and_model
    assert main(["restore", str(stack), "-m", str(model), "--height"]) == 0
    written = [stack.with_name(f"S-restored{end}.ome.tif") for end in ("", "-height")]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    result, heights = map(read_image, written)
    assert heights.shape == result.shape == (20, 24)
    assert set(np.unique(heights.read())) <= {0, 1, 2}


def test_heights_beside_a_png_are_a_tiff_which_holds_decimal_numbers():
    assert height_path(Path("a/S.png")) == Path("a/S-height.tif")


def test_results_that_end_in_ome_zarr_are_written_as_they_come(stack_and_model, monkeypatch):
    monkeypatch.setattr(canvas.MemoryOutputStore, "__init__", lambda *_: pytest.fail("in memory"))
    stack, model = stack_and_model
    out = stack.with_name("big.ome.zarr")
    assert main(["restore", str(stack), "-m", str(model), "--height", "-o", str(out)]) == 0
    assert read_image(out).shape == read_image(stack.with_name("big-height.ome.zarr")).shape


@pytest.mark.parametrize(
    "words",
    [
        ["info", "nowhere.tif"],
        ["info"],
        ["nonsense"],
        ["restore", "x.tif"],
        ["restore", "x.tif", "-m", "nowhere.aeanet"],
        ["train", "nowhere.json", "-o", "run"],
        ["register", "a", "b", "c", "-o", "out"],
    ],
)
def test_wrong_use_is_2_and_no_traceback(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    output = capsys.readouterr()
    assert output.err.strip()
    assert "Traceback" not in output.err
    assert list(tmp_path.iterdir()) == []  # nothing was begun


def test_debug_shows_where_an_error_came_from():
    with pytest.raises(OSError, match=r"nowhere\.tif"):
        main(["restore", "nowhere.tif", "-m", "nowhere.tif", "--debug"])


def test_it_runs_as_a_module(tiff):
    done = subprocess.run(
        [sys.executable, "-m", "napari_aeanet", "info", str(tiff)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "S05" in done.stdout
    assert done.stderr == ""


def test_info_describes_a_model(tmp_path, capsys):
    model = model_of(
        small_network("aeanet-2d", features=2),
        ratio=(2.0, 2.0),
        pixel_size=(5.0, 5.0),
        unit="nm",
        gain={"psnr": -13.6},
        source_range=TrainedRange(0.0, 4095.0, "uint16"),
        provenance={"plan": {"pairs": [{}, {}]}},
    )
    save_model(model, tmp_path / "sem.aeanet")
    assert main(["info", str(tmp_path / "sem.aeanet")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "miniature",
        "  preset: aeanet-2d",
        "  pixel size: 10 nm, restored to 5 nm",
        "  intensities: full scale, 0 to 4095 (12 bit)",
        "  trained on: 2 pairs",
        "  gain: worse than the input by 13.6 dB",
    ]
    assert main(["info", str(tmp_path / "sem.aeanet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["gain"] == {"psnr": -13.6}
