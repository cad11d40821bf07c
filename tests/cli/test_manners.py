"""Options of every command, what goes to which stream, and run files."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import tifffile
import yaml
from helpers import (
    blurred_pairs,
    micrograph,
    model_of,
    registration_pair,
    small_config,
    small_network,
)

from napari_aeanet import __version__
from napari_aeanet.cli import COMMANDS, main, streams
from napari_aeanet.cli.parser import load, parse
from napari_aeanet.io import read_image, read_record, write_image
from napari_aeanet.models import presets, save_model
from napari_aeanet.pairs import load_pairs
from napari_aeanet.transform_files import lengths_of, load_scene

PROGRAM = [sys.executable, "-m", "napari_aeanet"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "sem.aeanet"
    save_model(model_of(small_network("aeanet-2d", features=2)), path)
    return path


@pytest.fixture
def folder(model, tmp_path, monkeypatch) -> Path:
    """A folder with an image and a model, which is the present one."""
    write_image(micrograph((16, 24), unit="µm"), tmp_path / "S05.tif")
    (tmp_path / "sem.aeanet").write_bytes(model.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_file(folder: Path) -> Path:
    """The run file of the image, restored in patches with blended seams."""
    words = ["--use", "patches", "--seams", "blended", "--margin", "4", "--patch-size", "16"]
    assert main(["restore", "S05.tif", "-m", "sem.aeanet", *words, "-o", "a/S05.tif"]) == 0
    return folder / "a" / "S05.run.yaml"


# --- options of every command


@pytest.mark.parametrize("words", [["--version"], ["restore", "--version"]])
def test_the_version_is_printed(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out == f"napari-aeanet {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_common_options(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--quiet", "--config", "--debug"))


def test_a_word_that_is_no_command_is_refused_with_the_commands(capsys):
    assert main(["restor", "S05.tif"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "restor is no command: choose one of info, register" in line


@pytest.mark.parametrize("place", [0, 1, 4])
def test_quiet_prints_errors_only(place, folder, capsys):
    words = ["restore", "S05.tif", "-m", "sem.aeanet", "--use", "patches"]
    words.insert(place, "--quiet")
    assert main(words) == 0
    assert capsys.readouterr() == ("", "")
    assert (folder / "S05-restored.ome.tif").exists()
    assert main(words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "exists already" in output.err


def test_quiet_does_not_hide_what_was_asked_for(folder, capsys):
    assert main(["info", "S05.tif", "-q"]) == 0
    assert "S05" in capsys.readouterr().out


# --- choices

REQUIRED = {
    "restore": ["S05.tif", "-m", "x"],
    "train": ["pairs.json", "-o", "run"],
    "register": ["lr", "hr", "-o", "out"],
    "reproduce": ["table1", "-d", "d", "-o", "o"],
    "evaluate": ["restored"],
    "repair": ["sections.tif"],
    "align": ["sections.tif", "-o", "a.ome.tif"],
    "export": ["sem.aeanet", "-o", "sem.zip"],
}


def enums(kind):
    """The options of a command whose values are the members of an enum."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint):
            yield from enums(hint)
        elif isinstance(hint, type) and issubclass(hint, Enum):
            yield f"--{field.name.replace('_', '-')}", field.name, hint


CHOICES = [(name, *option) for name, place in COMMANDS.items() for option in enums(load(place))]


def value_of(command, name):
    return getattr(command, name, None) or getattr(command.settings, name)


def test_the_documented_choices_are_among_those_tested():
    assert {("restore", "--use"), ("restore", "--seams"), ("train", "--profile")} <= {
        (name, option) for name, option, *_ in CHOICES
    }


@pytest.mark.parametrize(("name", "option", "field", "kind"), CHOICES)
def test_every_choice_is_read_by_its_name_and_value_in_lower_case(name, option, field, kind):
    for member in kind:
        for text in (member.name, str(member.value)):
            words = [name, *REQUIRED[name], option, text.lower().replace("_", "-")]
            assert value_of(parse(words, COMMANDS).command, field) is member


@pytest.mark.parametrize(("name", "option", "field", "kind"), CHOICES)
def test_a_wrong_choice_is_refused_with_the_right_ones(name, option, field, kind, capsys):
    assert main([name, *REQUIRED[name], option, "nonsense"]) == 2
    text = re.sub(r"[│\s]+", "", capsys.readouterr().err)  # lines are broken in a frame
    listed = ",".join(member.name.lower().replace("_", "-") for member in kind)
    assert f"nonsenseisnotoneof{{{listed}}}" in text


# --- JSON


def printed_json(words, capsys, code=0):
    assert main(words) == code
    return json.loads(capsys.readouterr().out)


def test_info_as_json(folder, capsys):
    np.save(folder / "nan.npy", np.full((4, 5), np.nan, np.float32))
    (folder / "bad.tif").write_text("hello")
    found = printed_json(["info", "S05.tif", "nan.npy", "bad.tif", "--json"], capsys, code=1)
    assert found[0]["file"] == "S05.tif"
    assert found[0]["shape"] == [16, 24]
    assert found[0]["pixel_size"] == {"Y": 10.0, "X": 10.0}
    assert found[0]["unit"] == "µm"
    assert found[1]["lowest"] is None
    assert "bad.tif" in found[2]["error"]


def test_presets_as_json(capsys):
    few = printed_json(["presets", "--json"], capsys)
    many = printed_json(["presets", "--json", "--all", "--quiet"], capsys)
    assert "aeanet-2d" in {one["name"] for one in few} < {one["name"] for one in many}
    assert all(one["parameters"] > 0 and one["when_to_use"] for one in few)


def test_register_as_json_with_everything_else_on_standard_error(folder, capsys):
    for side, image in zip(("lr", "hr"), registration_pair(1)[:2], strict=True):
        write_image(image, folder / f"{side}.tif")
    assert main(["register", "lr.tif", "hr.tif", "-o", "out", "--json"]) == 0
    output = capsys.readouterr()
    (found,) = json.loads(output.out)
    assert found["usable"]
    assert found["scale"] == pytest.approx(2.0, abs=0.01)
    assert f"can be trained on: {Path('out') / 'pairs.json'}" in output.err
    record = yaml.safe_load((folder / "out" / "pairs.run.yaml").read_text())
    assert [file["path"] for file in record["inputs"]] == ["../lr.tif", "../hr.tif"]
    assert record["options"]["magnification"] == 0


def test_register_writes_transforms_for_other_programs_on_request(folder, capsys):
    for side, image in zip(("lr", "hr"), registration_pair(1)[:2], strict=True):
        for name in ("a", "b"):
            (folder / side).mkdir(exist_ok=True)
            write_image(image, folder / side / f"{name}.tif")
    flat = micrograph((96, 96)).array * 0
    for side in ("lr", "hr"):
        tifffile.imwrite(folder / side / "c.tif", flat)
    words = ["register", "lr", "hr", "-o", "out"]
    assert main([*words, "--itk", "--scenes"]) == 0
    told = capsys.readouterr().out
    for kind, ending in (("itk", "tfm"), ("scenes", "zarr")):
        names = [path.name for path in sorted((folder / "out" / kind).iterdir())]
        assert names == [f"a.{ending}", f"b.{ending}"]
        assert f"c.{ending} cannot be written: the pair is not registered" in told
    for option in ("--itk", "--scenes"):
        assert main([*words, option]) == 2
    assert main([*words, "--overwrite"]) == 0
    assert (folder / "out" / "itk" / "a.tfm").exists()
    record = load_pairs(folder / "out" / "pairs.json").pairs[0].registration
    sizes = lengths_of(*registration_pair(1)[:2])
    found = load_scene(
        folder / "out" / "scenes" / "a.zarr", record.source_shape, record.target_shape, **sizes
    )
    np.testing.assert_allclose(found.matrix, record.matrix, atol=1e-9)


# --- run files


def test_the_run_file_of_an_evaluation_repeats_it(folder):
    for name in ("restored", "hr"):
        write_image(micrograph((32, 40), seed=len(name)), folder / f"{name}.tif")
    words = ["evaluate", "restored.tif", "--truth", "hr.tif", "--matching", "none"]
    assert main([*words, "-o", "one"]) == 0
    assert main(["evaluate", "--config", "one/scores.run.yaml", "-o", "two"]) == 0
    scores = [(folder / place / "scores.csv").read_bytes() for place in ("one", "two")]
    assert scores[0] == scores[1]


def test_the_run_file_of_a_model_repeats_its_training(folder, monkeypatch):
    monkeypatch.setattr(presets, "quick_config", small_config)
    for pair in blurred_pairs(2):
        for side, image in (("lr", pair.source), ("hr", pair.target)):
            (folder / side).mkdir(exist_ok=True)
            write_image(image, folder / side / f"{pair.source.name}.tif")
    words = ["--steps", "2", "--patch", "16", "--batch", "2", "--device", "cpu", "--seed", "7"]
    assert main(["train", "lr", "hr", "-o", "run", *words]) == 0
    path = folder / "run" / "best.run.yaml"
    assert main(["train", "--config", str(path), "-o", "again"]) == 0
    models = [folder / run / "best.aeanet" for run in ("run", "again")]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert main(["train", "lr", "hr", "-o", "run", "--resume"]) == 0
    assert read_record(path).options["seed"] == 7
    assert read_record(path).are_results_unchanged()


def test_a_run_file_makes_the_same_result_again(folder, capsys):
    path = run_file(folder)
    before = read_image(folder / "a" / "S05.tif").read()
    (folder / "a" / "S05.tif").unlink()
    assert main(["restore", "--config", str(path)]) == 0
    assert (read_image(folder / "a" / "S05.tif").read() == before).all()


def test_options_on_the_command_line_win(folder):
    path = run_file(folder)
    call = parse(["restore", "--config", str(path), "--margin", "8", "-o", "b.tif"], COMMANDS)
    assert call.command.settings.margin == 8
    assert call.command.settings.patch_size == 16
    assert call.command.out == Path("b.tif")
    assert [file.resolve() for file in call.command.inputs] == [folder / "S05.tif"]
    other = parse(["restore", "other.tif", f"--config={path}"], COMMANDS)
    assert other.command.inputs == (Path("other.tif"),)


def test_a_run_file_works_from_anywhere(folder, monkeypatch):
    path = run_file(folder)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    relative = os.path.relpath(path)
    assert main(["restore", "--config", relative, "--overwrite"]) == 0
    assert list((folder / "elsewhere").iterdir()) == []


def test_options_by_hand_do_without_the_rest(folder, capsys):
    (folder / "mine.yaml").write_text("options: {use: patches, patch_size: 16, context: 512}")
    call = parse(["restore", "S.tif", "-m", "x", "--config", "mine.yaml"], COMMANDS)
    assert (call.command.settings.patch_size, call.command.settings.context) == (16, "512")
    assert main(["restore", "S05.tif", "--config", "mine.yaml"]) == 2
    assert "--model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("options: {patch-sise: 16}", "options: unknown patch-sise; known are "),
        ("options: {use: nothing}", "use: nothing is not one of whole-image, patches."),
        ("options: {margin: wide}", "margin: "),
        ("command: trust", "tells how to trust: call napari-aeanet trust --config mine.yaml."),
    ],
)
def test_a_run_file_that_does_not_fit_is_refused_in_one_sentence(text, words, folder, capsys):
    (folder / "mine.yaml").write_text(text)
    assert main(["restore", "S05.tif", "-m", "sem.aeanet", "--config", "mine.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("napari-aeanet: mine.yaml")
    assert words in line


def test_an_input_that_was_changed_since_is_mentioned(folder, capsys):
    path = run_file(folder)
    write_image(micrograph((16, 24), seed=3, unit="µm"), folder / "S05.tif")
    assert main(["restore", "--config", str(path), "-o", "b.tif"]) == 0
    assert "S05.tif was changed since" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_described_by_a_run_file(name, folder):
    (folder / "empty.yaml").write_text("{}")
    with pytest.raises(SystemExit) as caught:
        parse([name, "--config", "empty.yaml", "--help"], COMMANDS)
    assert caught.value.code == 0
    assert load(COMMANDS[name])


# --- streams


def test_a_terminal_without_the_characters_gets_others(folder):
    done = subprocess.run(
        [*PROGRAM, "info", "S05.tif"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"10 um" in done.stdout


def test_help_and_errors_are_plain_ascii_where_they_must(folder):
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for words, code in ((["restore", "--help"], 0), (["restore", "--nonsense"], 2)):
        done = subprocess.run([*PROGRAM, *words], env=env, capture_output=True, check=False)
        assert done.returncode == code
        assert (done.stdout + done.stderr).decode("ascii")
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        ("info S05.tif", "2>&-"),
        ("info S05.tif", ">&-"),
        ("restore S05.tif -m sem.aeanet", "2>/dev/full"),
    ],
)
def test_closed_or_full_streams_are_no_error(words, closed, folder):
    command = f"{shlex.quote(sys.executable)} -m napari_aeanet {words} {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("TERM", "xterm")]
)
def test_control_codes_are_written_only_where_they_are_wanted(name, value, folder):
    pty = pytest.importorskip("pty")
    environment = {**os.environ, "TERM": "xterm", name: value}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "info", "--help"], env=environment, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 4096):
                text += part
        except OSError:  # the end of a terminal, on Linux
            pass
        os.close(ours)
    assert process.returncode == 0
    assert (b"\x1b[" in text) == (value == "xterm")


def test_names_in_another_encoding_are_written_as_they_are(monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    streams.prepare()
    print("S\udce4 µ ☃", flush=True)
    assert buffer.getvalue() == b"S\xe4 u ?\n"


@pytest.mark.parametrize("name", ["deflate", "zlib"])
def test_the_compression_of_a_result_can_be_chosen(name, folder):
    words = ["restore", "S05.tif", "-m", "sem.aeanet", "--compression", name]
    assert main([*words, "-o", "S05.ome.tif"]) == 0
    with tifffile.TiffFile(folder / "S05.ome.tif") as file:
        assert file.pages[0].compression.name == "ADOBE_DEFLATE"


def test_a_compression_that_the_format_lacks_is_refused_before_the_work(folder, capsys):
    words = ["restore", "S05.tif", "-m", "sem.aeanet", "--compression", "lzw"]
    for name in ("S05.png", "S05.ome.zarr"):
        assert main([*words, "-o", name]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be written with lzw compression: this format has" in line
    assert {path.name for path in folder.iterdir()} == {"S05.tif", "sem.aeanet"}


# --- a result on standard output


@pytest.mark.parametrize("words", [[], ["--quiet"]])
def test_a_result_on_standard_output_is_nothing_but_the_image(words, folder):
    command = [*PROGRAM, "restore", "S05.tif", "-m", "sem.aeanet", "-o", "-", *words]
    done = subprocess.run(command, capture_output=True, check=True)
    with tifffile.TiffFile(io.BytesIO(done.stdout)) as file:
        assert file.is_ome
        assert file.asarray().shape == (16, 24)
    assert {path.name for path in folder.iterdir()} == {"S05.tif", "sem.aeanet"}


def test_standard_output_is_for_one_image(folder, capsys):
    write_image(micrograph((16, 24)), folder / "S06.tif")
    assert main(["restore", "S05.tif", "S06.tif", "-m", "sem.aeanet", "-o", "-"]) == 2
    assert "one image: got 2 images" in capsys.readouterr().err
