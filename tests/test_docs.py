"""Every example of the README and the docs runs as it is printed: Python and commands."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    model_of,
    registration_pair,
    small_config,
    small_network,
    with_random_structures,
)

import napari_aeanet
from napari_aeanet import ImagePair, register_all, save_model, save_pairs, write_image
from napari_aeanet.cli import COMMANDS, main
from napari_aeanet.cli.parser import examples, load, parse
from napari_aeanet.models import presets
from napari_aeanet.samples import SectionSettings, paired_sem, serial_sections

TOP = Path(__file__).parents[1]
TOP_PAGES = [TOP / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = [*TOP_PAGES, *sorted((TOP / "docs").rglob("*.md"))]
NAMES = {page: page.relative_to(TOP).as_posix() for page in PAGES}
EXAMPLES = {
    NAMES[page]: re.findall(r"```python\n(.*?)```", page.read_text(), re.S) for page in PAGES
}
# What an example asks of a computer in minutes, a test asks in steps.
SHORT_TRAINING = ["--steps", "2", "--patch", "16", "--batch", "2", "--device", "cpu"]
SHORTER = {"TrainSettings(minutes=10)": 'TrainSettings(steps=2, patch=16, batch=2, device="cpu")'}
SMALL = (256, 320)
SECTIONS = SectionSettings(damaged=0)
# Commands that are not run here, and why; they are checked as far as possible.
ELSEWHERE = {
    "pip": "installs packages",
    "make": "builds an environment",
    "python -m venv": "makes an environment",
    "python -m build": "makes packages",
    "source": "enters an environment",
    "uv": "installs packages",
    "conda": "makes an environment",
    "twine": "a tool of releases",
    "validate-pyproject": "a tool of releases",
    "torchrun": "starts processes; tests/cli/test_train_together.py runs it",
    "napari-aeanet reproduce": "needs the data of the papers",
    "napari-aeanet demo": "trains for minutes; tests/cli/test_demo.py runs it in small",
    "napari-aeanet doctor": "checks this computer; tests/doctor runs it",
    "napari-aeanet import-published": "needs a checkpoint that was published",
    "napari-aeanet restore S05.ome.zarr": "starts workers; tests/cluster runs it",
    "napari-aeanet trust S05.ome.zarr": "starts workers; tests/cluster runs it",
    "napari-aeanet relevance S05.ome.zarr": "starts workers; tests/cluster runs it",
    "napari-aeanet align sections.ome.zarr": "starts workers; tests/cluster runs it",
    "napari-aeanet repair aligned.ome.zarr -o repaired.ome.zarr --repair-found --dask": (
        "starts workers; tests/cluster runs it"
    ),
    "napari-aeanet evaluate pairs.json -m sem.aeanet --nlm --lb-nlm --srsw": (
        "searches patches for long; tests/cli/test_evaluate.py runs it"
    ),
    "napari-aeanet export": "needs packages of an extra; tests/exchange runs it",
    "napari-aeanet import-bioimageio": "needs an exported model; tests/exchange runs it",
}
PROGRAM = "napari-aeanet"
AS_MODULE = "python -m napari_aeanet"


def documented_commands(text: str) -> list[str]:
    """The commands in the blocks of a page, fenced as those of a shell or indented."""
    fenced = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.S | re.M)
    shells = [block for kind, block in fenced.findall(text) if kind in ("sh", "bash", "console")]
    lines = "\n".join(shells).replace("\\\n", " ").splitlines()
    indented = re.findall(rf"^    (?:{PROGRAM}|{AS_MODULE}) .*$", fenced.sub("", text), re.M)
    commands = [line.strip().removeprefix("$ ") for line in [*lines, *indented]]
    return [command for command in commands if shlex.split(command, comments=True)]


COMMANDS_OF = {NAMES[page]: documented_commands(page.read_text()) for page in PAGES}
EXAMPLES_OF = {name: examples(load(place)).splitlines() for name, place in COMMANDS.items()}


def run(command: str) -> None:
    """Run a command in the present folder, or check it as far as possible."""
    command = command.replace(AS_MODULE, PROGRAM)
    words = shlex.split(command, comments=True)
    if any(f"{command} ".startswith(f"{known} ") for known in ELSEWHERE):
        check(words)
    elif words[0] != PROGRAM or any(sign in words for sign in ("|", ">", "<")):
        found = Path(sys.executable).parent
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            env={"PATH": f"{found}:/usr/bin:/bin", "HOME": str(Path.cwd())},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    else:
        assert main([*words[1:], *(SHORT_TRAINING if words[1] == "train" else [])]) == 0, command


def check(words: list[str]) -> None:
    """Check a command that is not run here: its options, target or extras exist."""
    if words[0] == "torchrun":
        words = [PROGRAM, *words[words.index("napari_aeanet") + 1 :]]
    if words[0] == PROGRAM:
        parse(words[1:], COMMANDS)
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (TOP / "Makefile").read_text(), re.M), words
    else:
        project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
        for extra in re.findall(rf"^{PROGRAM}\[([\w,-]+)\]$", "\n".join(words), re.M):
            assert set(extra.split(",")) <= set(project["optional-dependencies"]), words


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the examples name."""
    model = model_of(small_network("aeanet-2d"), ratio=(2.0, 2.0))
    save_model(model, tmp_path / "sem.aeanet")
    save_model(with_random_structures(model), tmp_path / "mine.aeanet")
    pairs = []
    for side in ("lr", "hr", "denoised"):
        (tmp_path / side).mkdir()
    for number in (1, 2):
        source, target, _ = registration_pair(number, source_shape=(128, 128))
        for side, image in (("lr", source), ("hr", target)):
            write_image(replace(image, name=f"S0{number}"), tmp_path / side / f"S0{number}.tif")
        write_image(replace(target, name=f"S0{number}"), tmp_path / "denoised" / f"S0{number}.tif")
        write_image(source, tmp_path / f"S0{number}_lr.tif")
        write_image(target, tmp_path / f"S0{number}_hr.tif")
        pairs.append(
            ImagePair(
                napari_aeanet.read_image(tmp_path / f"S0{number}_lr.tif"),
                napari_aeanet.read_image(tmp_path / f"S0{number}_hr.tif"),
            )
        )
    write_image(source, tmp_path / "S05.tif")
    marks = np.zeros(source.shape, np.uint8)
    marks[20:90, 20:90] = 1
    write_image(napari_aeanet.Image(marks, "YX"), tmp_path / "S05-labels.tif")
    write_image(serial_sections(0, (9, 96, 96), SECTIONS).stack, tmp_path / "sections.tif")
    save_pairs(register_all(pairs), tmp_path / "pairs.json")
    for name in ("restored", "restored-a", "restored-b"):
        shutil.copytree(tmp_path / "hr", tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(presets, "quick_config", small_config)
    monkeypatch.setattr(
        napari_aeanet.samples,
        "paired_sem",
        lambda count, seed=0, shape=None: paired_sem(count, seed, SMALL),
    )
    return tmp_path


@pytest.mark.parametrize("page", [name for name, blocks in EXAMPLES.items() if blocks])
@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_the_examples_of_a_page_run(page, folder):
    names: dict[str, object] = {}
    for number, block in enumerate(EXAMPLES[page], start=1):
        for long, short in SHORTER.items():
            block = block.replace(long, short)
        exec(compile(block, f"{page}, example {number}", "exec"), names)


@pytest.mark.parametrize("page", [name for name, found in COMMANDS_OF.items() if found])
def test_the_commands_of_a_page_run(page, folder):
    for command in COMMANDS_OF[page]:
        run(command)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_in_the_help_of_a_command_run(name, folder, capsys):
    assert EXAMPLES_OF[name]
    assert main([name, "--help"]) == 0
    help_text = capsys.readouterr().out
    for command in EXAMPLES_OF[name]:
        assert command in help_text
        assert command.startswith(f"{PROGRAM} {name}")
        run(command)


def test_commands_and_options_in_the_text_exist(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # no line is wrapped
    known = {"--help", "--version"}
    for name in COMMANDS:
        main([name, "--help"])
        known |= set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
        if page.name == "benchmarks.md":  # is about scripts with options of their own
            continue
        for words in re.findall(rf"`{PROGRAM} ([\w-]+)[^`]*`", text):
            assert words in {*COMMANDS, *known, "COMMAND"}, f"{page.name}: {words}"
        for option in re.findall(r"`(--[\w-]+)[^`]*`", text):
            assert option in known, f"{page.name}: {option}"


def test_every_public_name_is_listed_as_stable():
    text = (TOP / "docs" / "api.md").read_text().partition("## Stable names")[2]
    assert set(re.findall(r"`(\w+)`", text)) >= set(napari_aeanet.__all__)


def test_every_public_name_can_be_imported():
    for name in napari_aeanet.__all__:
        assert getattr(napari_aeanet, name).__name__ == name


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the website makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    plain = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading) for heading in headings)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", one).strip().lower()) for one in plain}


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_links_and_pictures_of_a_page_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other), f"{target}#{anchor}"


def test_every_picture_and_every_page_is_used():
    used = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)#:]+)", page.read_text())
    }
    assert {picture.resolve() for picture in (TOP / "docs" / "images").iterdir()} <= used
    listed = re.findall(r": ([\w/-]+\.md)$", (TOP / "mkdocs.yml").read_text(), re.M)
    pages = [page.relative_to(TOP / "docs").as_posix() for page in PAGES if page.parent != TOP]
    assert sorted(listed) == sorted(pages)


def test_an_array_of_any_type_gives_an_array(folder):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 28)).astype(np.uint8)
    restored = napari_aeanet.restore(pixels, "sem.aeanet")
    assert isinstance(restored, np.ndarray)
    assert restored.shape == (48, 56)
