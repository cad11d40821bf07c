"""Damaged files and impossible numbers end in one sentence that names them, at once."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import tifffile
from helpers import integer_noise, model_of, small_config, small_network

from napari_aeanet import training
from napari_aeanet.batch import find_inputs
from napari_aeanet.cli import COMMANDS, main
from napari_aeanet.cli.options import recorded
from napari_aeanet.cli.parser import load
from napari_aeanet.cli.restore import Restore
from napari_aeanet.core.image import Image
from napari_aeanet.core.memory import is_out_of_memory
from napari_aeanet.io import describe_image, read_images
from napari_aeanet.models import load_model, presets, save_model
from napari_aeanet.pairs import load_pairs, pairs_from_csv, pairs_from_npz
from napari_aeanet.registration import Registration
from napari_aeanet.training import RunFolder

resource = pytest.importorskip("resource")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LONGEST = 450  # characters of a sentence without the path


def refusal(read, path: Path, error=ValueError) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(error) as caught:
        read(path)
    text = str(caught.value)
    assert path.name in text
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text.replace(str(path), "")) < LONGEST
    return text


@pytest.fixture(scope="module")
def fuzz():
    """The benchmark that damages files of every kind."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield import_module("fuzz")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def bench(fuzz, tmp_path_factory):
    return fuzz.Bench(tmp_path_factory.mktemp("fuzz"))


# Damaged files


def test_damaged_files_of_every_kind_are_opened_or_refused_in_one_sentence(fuzz, bench):
    for name in fuzz.READERS:
        for number in range(8):
            found = bench.read(name, number)
            assert found["outcome"] in (fuzz.OPENED, fuzz.REFUSED_IN_WORDS), (name, number, found)


@pytest.mark.parametrize("kind", ["card", "plan", "registration", "pairs", "run file"])
def test_deep_nesting_is_refused(kind, tmp_path, fuzz):
    deep = "[" * 100_000
    path = tmp_path / "a.json"
    if kind == "card":
        fuzz.READERS["model file"].make(path)
        path.write_bytes(fuzz.sealed({**fuzz.entries_of(path), "model.json": deep.encode()}))
        refusal(load_model, path)
    elif kind == "plan":
        (tmp_path / "plan.json").write_text(deep)
        with pytest.raises(ValueError, match=r"plan\.json is damaged"):
            RunFolder(tmp_path).read_plan()
    elif kind == "run file":
        path.write_text(f"options: {deep}")
        refusal(lambda file: recorded(Restore, "restore", file), path)
    else:
        path.write_text(deep)
        refusal(Registration.load if kind == "registration" else load_pairs, path)


def test_aliases_that_multiply_are_refused(tmp_path):
    path = tmp_path / "a.run.yaml"
    names = "abcdefghij"
    lines = ["command: restore", "a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    path.write_text("\n".join(lines))
    refusal(lambda file: recorded(Restore, "restore", file), path)
    lines[0] = "options:"
    path.write_text("\n".join([lines[0], *(f"  {line}" for line in lines[1:]), "  tile: *j"]))
    refusal(lambda file: recorded(Restore, "restore", file), path)


@pytest.mark.parametrize("values", [{"a": 1}, [[1, {}]], "x" * 5000, [[1e400]], None, 7])
def test_wrong_types_in_a_registration_are_refused(values, tmp_path, fuzz):
    path = tmp_path / "one.json"
    fuzz.READERS["registration"].make(path)
    content = json.loads(path.read_text())
    for key in ("matrix", "matches"):
        path.write_text(json.dumps(content | {key: values}))
        refusal(Registration.load, path)


def test_a_cell_of_a_table_that_is_too_long_is_refused(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text('source,target\n"' + "x" * 200_000 + '",b\n')
    refusal(pairs_from_csv, path)
    path.write_text("source,target\n" + "x" * 300 + ",b\n")
    (problem,) = pairs_from_csv(path).problems
    assert path.name in problem.message
    pairs = {"format": "napari-aeanet pairs", "version": 1}
    image = {"file": "x" * 300, "index": 0, "axes": "YX", "shape": [8, 8]}
    listed = tmp_path / "pairs.json"
    listed.write_text(json.dumps(pairs | {"pairs": [{"source": image, "target": image}]}))
    (problem,) = load_pairs(listed).problems
    assert problem.message.startswith(f"{listed} is damaged (it names a file 'xxx")
    refusal(read_images, tmp_path / ("x" * 300 + ".tif"), OSError)
    for name in ("/", "a\0b.tif"):
        path.write_text(f"input\n{name}\n")
        refusal(lambda file: find_inputs([file]), path)


def test_a_damaged_npz_is_refused(tmp_path, fuzz):
    path = tmp_path / "a.npz"
    np.savez(path, X=integer_noise(2, 1, 8, 8), Y=integer_noise(2, 1, 8, 8))
    entries = fuzz.entries_of(path)
    header = entries["X.npy"].replace(b"(2, 1, 8, 8)", b"(2, 1, 8, 8(")
    for damaged in (header, b"no array", entries["X.npy"][:50]):
        path.write_bytes(fuzz.sealed({**entries, "X.npy": damaged}))
        refusal(pairs_from_npz, path)
    np.savez_compressed(path, X=integer_noise(2, 1, 99, 99), Y=integer_noise(2, 1, 8, 8))
    content = bytearray(path.read_bytes())
    content[1000:1200] = bytes(200)  # within the compressed values
    path.write_bytes(content)
    refusal(pairs_from_npz, path)


def test_weights_that_do_not_fit_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "a.aeanet"
    model = model_of(small_network("aeanet-2d"))
    name = next(iter(model.weights))
    for weights in (
        {k: v for k, v in model.weights.items() if k != name},
        {**model.weights, name: np.zeros((2, 2), np.float32)},
        {**model.weights, "more": np.zeros(3, np.float32)},
    ):
        save_model(type(model)(model.card, weights), path)
        assert "do not fit" in refusal(lambda file: load_model(file).network(), path)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"step,loss\n\x80,1\n", b'step\n"' + b"x" * 200_000]
)
def test_a_damaged_log_is_refused(content, tmp_path):
    (tmp_path / "log.csv").write_bytes(content)
    try:
        RunFolder(tmp_path).read_log()
    except ValueError as error:
        assert str(error).startswith(f"{tmp_path / 'log.csv'} is not a complete log")


# Claims of more than a file can hold


@pytest.mark.parametrize(
    "changes",
    [
        {"encoder_blocks": [1_000_000, 1, 0]},
        {"features": 10**7},
        {"levels": 60, "encoder_blocks": [1] * 60, "decoder_blocks": [1] * 59},
        {"references": 10**12},
        {"out_kernel": 0},
        {"ratio": [1e6, 1e6]},
        {"ratio": [float("nan")] * 2},
        {"context": -1},
        {"pixel_size": [0.0, 5.0]},
    ],
)
def test_a_card_that_claims_too_much_is_refused_at_once(changes, tmp_path, fuzz):
    path = tmp_path / "a.aeanet"
    fuzz.READERS["model file"].make(path)
    entries = fuzz.entries_of(path)
    card = json.loads(entries["model.json"])
    for key, value in changes.items():
        (card if key in card else card["network"])[key] = value
    path.write_bytes(fuzz.sealed({**entries, "model.json": json.dumps(card).encode()}))
    start = time.process_time()
    refusal(load_model, path)
    assert time.process_time() - start < 1


def test_a_network_of_a_plan_is_bounded_too(tmp_path, fuzz):
    fuzz.READERS["run folder"].make(tmp_path / "run")
    path = tmp_path / "run" / "plan.json"
    plan = json.loads(path.read_text())
    for network in ({"encoder_blocks": [2**63, 1]}, {"features": 2**62}, {"kind": "other"}):
        path.write_text(json.dumps(plan | {"network": plan["network"] | network}))
        refusal(lambda _: RunFolder(tmp_path / "run").read_plan(), path)


@pytest.mark.parametrize("planes", [10**8, 2 * 10**6])
def test_a_tiff_that_claims_millions_of_planes_is_refused_at_once(planes, tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, integer_noise(2, 8, 8), ome=True, metadata={"axes": "ZYX"})
    xml = tifffile.tiffcomment(path).replace('SizeZ="2"', f'SizeZ="{planes}"')
    tifffile.imwrite(path, integer_noise(2, 8, 8), description=xml, metadata=None)
    start = time.process_time()
    assert f"{planes} planes" in refusal(read_images, path)
    assert time.process_time() - start < 1


# Numbers that are none


def numeric_options(kind: Any) -> list[tuple[str, Any]]:
    """The options of a command that are numbers, or several, with their types."""
    found = []
    hints = get_type_hints(kind)
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint):
            found += numeric_options(hint)
        elif hint in (int, float) or (
            get_origin(hint) is tuple and {*get_args(hint)} & {int, float}
        ):
            found.append((field.name, hint))
    return found


REQUIRED = {
    "info": ["a.tif"],
    "register": ["a", "b", "-o", "o"],
    "align": ["a.tif", "-o", "o.ome.zarr"],
    "repair": ["a.tif", "-o", "o.ome.zarr", "--slices", "1"],
    "train": ["pairs.json", "-o", "o"],
    "restore": ["a.tif", "-m", "demo"],
    "relevance": ["a.tif", "-m", "demo"],
    "structures": ["pairs.json", "-m", "demo", "-o", "o.aeanet"],
    "teach": ["a.tif", "--marks", "b.tif", "--name", "n", "-m", "demo", "-o", "o.aeanet"],
    "calibrate": ["pairs.json", "-m", "demo", "-o", "o.aeanet"],
    "trust": ["a.tif", "-m", "demo"],
    "evaluate": ["pairs.json"],
    "reproduce": ["table1", "-d", "d", "-o", "o"],
    "import-published": ["a", "-o", "o"],
    "export": ["a", "-o", "o.zip"],
    "import-bioimageio": ["a.zip", "-o", "o"],
    "samples": ["-o", "o"],
    "demo": ["-o", "o"],
}


@pytest.mark.parametrize("command", [c for c in COMMANDS if numeric_options(load(COMMANDS[c]))])
def test_every_number_of_every_command_is_checked_before_anything_happens(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name, hint in numeric_options(load(COMMANDS[command])):
        option, is_float = f"--{name.replace('_', '-')}", "float" in str(hint)
        count = len(get_args(hint)) if Ellipsis not in get_args(hint) else 1
        for value in ("-1", "9" * 40, *(("nan", "inf", "-inf") if is_float else ())):
            code = main([command, *REQUIRED[command], f"{option}", *[value] * max(1, count)])
            said = capsys.readouterr().err
            assert code == 2, (option, value, said)
            assert f"napari-aeanet: {name} must " in said, (option, value, said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["restore", "a.tif", "-m", "demo", "--context", "1"],
        ["restore", "a.tif", "-m", "demo", "--context", "-8"],
        ["train", "pairs.json", "-o", "o", "--patch", "-8"],
        ["train", "pairs.json", "-o", "o", "--minutes", "0"],
        ["samples", "-o", "o", "--count", "0"],
        ["demo", "-o", "o", "--minutes", "0"],
        ["demo", "-o", "o", "--specimens", "0"],
        ["demo", "-o", "o", "--height", "1"],
    ],
)
def test_impossible_settings_are_refused_in_words(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert words[-2].removeprefix("--") in said
    assert said.endswith(".\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("matching", ["gain-and-offset", "as-they-are", "care"])
def test_truth_without_a_usable_number_is_refused(matching, tmp_path, capsys):
    noise = np.random.default_rng(0).random((24, 24))
    prediction, truth = tmp_path / "a-restored.tif", tmp_path / "a.tif"
    tifffile.imwrite(prediction, noise)
    some = noise.copy()
    some[3, 4] = np.inf
    for values in (noise * np.nan, noise + np.inf, noise * 1e300, noise * 1e-300, some):
        tifffile.imwrite(truth, values)
        code = main(["evaluate", str(prediction), "-t", str(truth), "--matching", matching])
        said = capsys.readouterr().err.splitlines()[-1]
        assert code == 2
        assert said.startswith(f"napari-aeanet: {truth} ")
        assert said.endswith(".")


# Memory and disk


@pytest.mark.parametrize(
    "text",
    [
        "could not create a primitive",
        "could not create a primitive descriptor for a matmul",
        "could not create a memory object",
        "std::bad_alloc",
        "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
    ],
)
def test_every_name_of_too_little_memory_is_known(text, monkeypatch, capsys, tmp_path):
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(ValueError(text))

    def run(self):
        raise RuntimeError(text)

    monkeypatch.setattr("napari_aeanet.cli.samples.Samples.run", run)
    assert main(["samples", "-o", str(tmp_path / "o")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "too little memory" in said


LIMITED = """
import resource, sys
from pathlib import Path
from napari_aeanet.cli import main
from napari_aeanet.training import train_events  # with all libraries, as late as possible
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20,) * 2)
import napari_aeanet.cli as cli
cli.BYTES_OF_TORCH = 0
sys.exit(main(sys.argv[2:]))
"""


def words_of_training(tmp_path) -> list[str]:
    for name in ("lr", "hr"):
        (tmp_path / name).mkdir()
        for number in range(2):
            pixels = integer_noise(200, 200, seed=number) // (2 if name == "lr" else 1)
            tifffile.imwrite(tmp_path / name / f"S{number}.tif", pixels)
    folders = [str(tmp_path / name) for name in ("lr", "hr")]
    return ["train", *folders, "-o", str(tmp_path / "run"), "--steps", "2", "--device", "cpu"]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is one of Linux")
def test_training_with_too_little_memory_ends_in_one_sentence(tmp_path):
    words = words_of_training(tmp_path)
    command = [sys.executable, "-c", LIMITED, "120", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = done.stderr.strip().splitlines()
    assert done.returncode == 1, done.stderr
    assert said[-1].startswith("napari-aeanet: There is too little memory ")
    assert [line for line in said[:-1] if not line.startswith(("checking", "note"))] == []


def test_a_training_that_runs_out_of_memory_tells_how_it_goes_on(tmp_path, monkeypatch, capsys):
    words = words_of_training(tmp_path)
    real = training.train_events

    def until_the_first_check(*arguments, **options):
        for event in real(*arguments, **options):
            yield event
            if isinstance(event, training.Validated):
                raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(training, "train_events", until_the_first_check)
    monkeypatch.setattr(presets, "quick_config", small_config)
    assert main([*words, "--patch", "16", "--batch", "2", "--force"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("napari-aeanet: There is too little memory: ")
    assert (command := said.partition("to go on: napari-aeanet ")[2].removesuffix("."))
    assert main(shlex.split(command)) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is one of Linux")
def test_a_limit_below_what_pytorch_needs_is_told_before_it_is_loaded(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (800 * 2**20,) * 2)

    words = words_of_training(tmp_path)
    command = [sys.executable, "-m", "napari_aeanet", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("napari-aeanet: There is too little memory to load PyTorch")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_report_on_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    for name in ("p.tif", "t.tif"):
        tifffile.imwrite(tmp_path / name, integer_noise(64, 64))
    monkeypatch.chdir(tmp_path)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the size of files fails a write in its middle, as a full disk does.
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, former[1]))
    try:
        code = main(["evaluate", "p.tif", "-t", "t.tif", "-o", "out", "-q"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
        signal.signal(signal.SIGXFSZ, handler)
    said = capsys.readouterr().err
    assert code == 2
    assert "report.pdf was not written" in said
    assert said.count("\n") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["scores.csv"]


# Lengths in words


@pytest.mark.parametrize(
    ("size", "unit", "words"),
    [
        (5e-6, "cm", "50 nm"),
        (2e-4, "mm", "0.2 µm"),
        (3e-9, "m", "3 nm"),
        (12000.0, "µm", "12 mm"),
        (5.0, "nm", "5 nm"),
        (40.0, "Å", "4 nm"),
    ],
)
def test_lengths_are_shown_in_readable_units(size, unit, words):
    image = Image(integer_noise(20, 20), "YX", pixel_size=(size, size), unit=unit)
    line = next(line for line in describe_image(image) if "pixel size" in line)
    assert f"Y {words}, X {words} " in line


def test_a_pair_list_that_knows_an_image_without_rows_names_it_as_a_problem(tmp_path, fuzz):
    path = tmp_path / "pairs.json"
    fuzz.READERS["pair list"].make(path)
    content = json.loads(path.read_text())
    content["pairs"][0]["target"]["shape"][0] = 0
    path.write_text(json.dumps(content))
    (problem,) = load_pairs(path).problems
    assert "hr.tif has changed since the pair list was saved" in problem.message
