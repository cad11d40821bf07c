"""`train` under torchrun: one process speaks and writes, whatever becomes of the others."""

import json

import pytest
from helpers import blurred_pairs
from several_processes import DIED, commanded, in_processes

from napari_aeanet import load_model, read_image, restore, write_image
from napari_aeanet.models import presets
from napari_aeanet.networks import config_to_json


@pytest.fixture
def words(tmp_path):
    """A short training of a small network on images on disk."""
    for number, pair in enumerate(blurred_pairs(2, (64, 96))):
        for side, image in (("in", pair.source), ("out", pair.target)):
            (tmp_path / side).mkdir(exist_ok=True)
            write_image(image, tmp_path / side / f"{number}.tif")
    network = presets.quick_config(presets.preset("aeanet-2d")).with_changes(features=4)
    (tmp_path / "small.json").write_text(json.dumps(config_to_json(network)))
    options = {"--network": tmp_path / "small.json", "--steps": 3, "--patch": 16, "--batch": 4}
    return [
        *("train", str(tmp_path / "in"), str(tmp_path / "out"), "-o", str(tmp_path / "run")),
        *(str(word) for option in options.items() for word in option),
        *("--preset", "aeanet-2d"),
    ]


def test_one_process_speaks_and_its_model_opens_everywhere(tmp_path, words):
    first, second = in_processes(commanded, words)
    assert first[0] == 0
    assert "on 2 × CPU" in first[1]
    assert first[1].count("patches of 16 × 16 pixels") == 1
    assert second == (0, "", "")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"plan.json", "last.state", "best.aeanet", "best.run.yaml", "log.csv"}
    model = load_model(tmp_path / "run" / "best.aeanet")
    assert restore(read_image(tmp_path / "in" / "0.tif"), model).shape == (64, 96)
    assert model.card.provenance["plan"]["processes"] == 2


def test_a_process_that_dies_is_told_once_with_the_command_that_goes_on(tmp_path, words):
    first, second = in_processes(commanded, words, 2)
    assert second == DIED
    assert first[0] == 2
    told = first[2].strip().splitlines()[-1]
    assert told.startswith("napari-aeanet: Another process of the training has ended")
    assert told.endswith("run --resume.")
    assert "the training is kept, to go on: torchrun --nproc-per-node 2 -m napari_aeanet" in told
    again = in_processes(commanded, [*words[:5], "--resume"])
    assert [code for code, _, _ in again] == [0, 0]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda words: ["train", *words[2:]], "pairs are given as"),
        (lambda words: [*words, "--batch", "3"], "too small for 2 processes"),
        (lambda words: [*words, "--steps", "many"], "many"),
        (lambda words: [*words, "--each"], "leave torchrun out"),
        (lambda words: ["info", *words[1:3]], "Only train works in several processes"),
    ],
)
def test_wrong_use_is_told_once_and_leaves_nothing(tmp_path, words, change, sentence):
    first, second = in_processes(commanded, change(words))
    assert first[0] == 2
    assert sentence in first[2]
    assert second[1:] == ("", "")
    assert not (tmp_path / "run").exists()
