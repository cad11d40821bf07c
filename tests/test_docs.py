"""Every Python example of the README and the docs runs as it is printed."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import model_of, registration_pair, small_config, small_network

import napari_aeanet
from napari_aeanet import ImagePair, register_all, save_model, save_pairs, write_image
from napari_aeanet.models import presets

TOP = Path(__file__).parents[1]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md"))]
EXAMPLES = {page.name: re.findall(r"```python\n(.*?)```", page.read_text(), re.S) for page in PAGES}
# What an example asks of a computer in minutes, a test asks in steps.
SHORTER = {"TrainSettings(minutes=10)": 'TrainSettings(steps=2, patch=16, batch=2, device="cpu")'}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the examples name."""
    model = model_of(small_network("aeanet-2d"), ratio=(2.0, 2.0))
    for name in ("sem", "mine"):
        save_model(model, tmp_path / f"{name}.aeanet")
    pairs = []
    for side in ("lr", "hr"):
        (tmp_path / side).mkdir()
    for number in (1, 2):
        source, target, _ = registration_pair(number, source_shape=(128, 128))
        for side, image in (("lr", source), ("hr", target)):
            write_image(replace(image, name=f"S0{number}"), tmp_path / side / f"S0{number}.tif")
        write_image(source, tmp_path / f"S0{number}_lr.tif")
        write_image(target, tmp_path / f"S0{number}_hr.tif")
        pairs.append(
            ImagePair(
                napari_aeanet.read_image(tmp_path / f"S0{number}_lr.tif"),
                napari_aeanet.read_image(tmp_path / f"S0{number}_hr.tif"),
            )
        )
    write_image(source, tmp_path / "S05.tif")
    save_pairs(register_all(pairs), tmp_path / "pairs.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(presets, "quick_config", small_config)
    return tmp_path


@pytest.mark.parametrize("page", [name for name, blocks in EXAMPLES.items() if blocks])
@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_the_examples_of_a_page_run(page, folder):
    names: dict[str, object] = {}
    for number, block in enumerate(EXAMPLES[page], start=1):
        for long, short in SHORTER.items():
            block = block.replace(long, short)
        exec(compile(block, f"{page}, example {number}", "exec"), names)


def test_every_public_name_is_listed_as_stable():
    text = (TOP / "docs" / "api.md").read_text().partition("## Stable names")[2]
    assert set(re.findall(r"`(\w+)`", text)) >= set(napari_aeanet.__all__)


def test_every_public_name_can_be_imported():
    for name in napari_aeanet.__all__:
        assert getattr(napari_aeanet, name).__name__ == name


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_an_array_of_any_type_gives_an_array(folder):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 28)).astype(np.uint8)
    restored = napari_aeanet.restore(pixels, "sem.aeanet")
    assert isinstance(restored, np.ndarray)
    assert restored.shape == (48, 56)
