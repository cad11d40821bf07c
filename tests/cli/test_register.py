"""`napari-aeanet register`: files that cannot be read, and what to do next."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import blurred_pairs

from napari_aeanet.cli import main
from napari_aeanet.io import write_image
from napari_aeanet.pairs import run as registering
from napari_aeanet.registration import Registration, Verdict
from napari_aeanet.registration.transforms import TransformKind

VERDICTS = {"S0": Verdict.GOOD, "S1": Verdict.DOUBTFUL, "S2": Verdict.FAILED}


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The command for two folders of three pairs, which get the verdicts above."""

    def register(source, target, settings):
        return Registration(
            matrix=np.eye(3),
            kind=TransformKind.SIMILARITY,
            source_shape=source.shape,
            target_shape=target.shape,
            verdict=VERDICTS[source.name[:2]],
            reason="for a reason",
        )

    monkeypatch.setattr(registering, "register", register)
    for pair in blurred_pairs(3):
        for side, image in (("lr", pair.source), ("hr", pair.target)):
            (tmp_path / side).mkdir(exist_ok=True)
            write_image(replace(image), tmp_path / side / f"{pair.name}.ome.tif")
    monkeypatch.chdir(tmp_path)
    return ["register", "lr", "hr", "-o", "out"]


def test_pairs_that_cannot_be_read_are_told_listed_and_counted(words, tmp_path, capsys):
    for side in ("lr", "hr"):
        (tmp_path / side / "S9.tif").write_text("no image")
    assert main([*words, "--json"]) == 1
    said = capsys.readouterr()
    (told,) = [line for line in said.err.splitlines() if line.startswith("napari-aeanet: ")]
    assert "S9.tif" in told
    assert "1 of 4 pairs can be trained on: out/pairs.json" in said.err
    last = json.loads(said.out)[-1]
    assert (last["pair"], last["verdict"], last["usable"]) == ("S9", "failed", False)
    table = (tmp_path / "out" / "registration.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    assert [row["pair"] for row in rows] == ["S0", "S1", "S2", "S9"]
    assert rows[-1]["verdict"] == "failed"
    assert f"napari-aeanet: {rows[-1]['pair']}: {rows[-1]['reason']}" == told
    assert main([*words, "--overwrite", "-q"]) == 1
    assert capsys.readouterr().err.strip() == told


def test_the_next_step_is_told_and_what_to_do_about_doubtful_pairs(words, capsys):
    assert main(words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [
        "1 more if you accept what is doubtful: look at out/checkerboards.png, or in AEANet: "
        "Pairs, and add --accept-doubtful to train",
        "next: napari-aeanet train out/pairs.json -o run",
    ]
