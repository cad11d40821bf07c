"""From pairs without pixel sizes to figures: register, train, restore, evaluate, by command."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import REAL_DATA, needs_real_data, registration_pair, small_config

from napari_aeanet import EvaluateSettings, Input, Restoration, evaluate, load_model, load_pairs
from napari_aeanet.cli import main
from napari_aeanet.evaluation.methods import Case
from napari_aeanet.models import presets

OUTSIDE = Path(__file__).parents[2] / "benchmarks" / "outside_check.py"


@pytest.fixture(scope="module")
def outside():
    """The script that warps and scores without the package."""
    spec = importlib.util.spec_from_file_location("outside_check", OUTSIDE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_synthetic(folder: Path) -> None:
    for number, part in ((0, "train"), (12, "test"), (13, "test")):
        source, target, _ = registration_pair(
            number, rotation=0.0, shift=(3.3, -4.6), target_shape=(320, 352), noise=0.03
        )
        write_pair(folder / part, number, source.read(), target.read())


def write_real(folder: Path) -> None:
    """Parts of real micrographs, two acquisitions of each field."""
    stacks = [tifffile.imread(REAL_DATA / f"sem_pairs_wzl/{side}.tif") for side in ("lr", "hr")]
    for number, part in ((0, "train"), (12, "test"), (13, "test")):
        source, target = (stack[number] for stack in stacks)
        write_pair(folder / part, number, source[:224, :320], target[:448, :640])


def write_pair(folder: Path, number: int, source: np.ndarray, target: np.ndarray) -> None:
    for side, pixels in (("lr", source), ("hr", target)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / side / f"S{number:02d}.tif", pixels)


@pytest.fixture(params=["synthetic", pytest.param("real", marks=needs_real_data)])
def chain(request, tmp_path, monkeypatch, capsys):
    """A folder with test pairs, a model of a short training, and the restored test images."""
    monkeypatch.setattr(presets, "quick_config", small_config)
    {"synthetic": write_synthetic, "real": write_real}[request.param](tmp_path)
    for part in ("train", "test"):
        folders = (tmp_path / part / side for side in ("lr", "hr"))
        assert main(["register", *map(str, folders), "-o", str(tmp_path / part / "reg")]) == 0
    budget = ["--preset", "unet-2d", "--steps", "2", "--patch", "32", "--batch", "2"]
    pairs = str(tmp_path / "train/reg/pairs.json")
    assert main(["train", pairs, "-o", str(tmp_path / "run"), *budget]) == 0
    inputs = [str(path) for path in sorted((tmp_path / "test/lr").iterdir())]
    model = str(tmp_path / "run/best.aeanet")
    assert main(["restore", *inputs, "-m", model, "-o", str(tmp_path / "restored")]) == 0
    capsys.readouterr()
    return tmp_path


def test_the_figures_are_those_of_an_outside_script(chain, outside, capsys):
    model, pairs = chain / "run/best.aeanet", chain / "test/reg/pairs.json"
    assert main(["evaluate", str(pairs), "-m", str(model), "--deform", "off", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["baseline"] == "input, enlarged"
    assert len(told["rows"]) == 4
    expected = outside.outside_figures(chain, [12, 13])
    for row in told["rows"]:
        method = "input" if row["method"] == told["baseline"] else "restored"
        psnr, ssim = expected[method][row["image"]]
        assert row["psnr"] == pytest.approx(psnr, abs=0.02)
        assert row["ssim"] == pytest.approx(ssim, abs=0.002)
    # and those of Python
    cases = [Case.of(pair) for pair in load_pairs(pairs)]
    methods = [Input.of(cases), Restoration("model", load_model(model))]
    found = evaluate(cases, methods, EvaluateSettings(deform="off"))
    gain = next(v for name, v in told["methods"].items() if name != told["baseline"])["gains"]
    assert found.gain("model", "psnr").value == pytest.approx(gain["psnr"]["mean"], abs=1e-6)


def test_restored_files_are_compared_with_truths_of_their_names(chain, capsys):
    words = ["evaluate", str(chain / "restored"), "-t", str(chain / "test/hr")]
    assert main([*words, "--source", str(chain / "test/lr")]) == 0
    told = capsys.readouterr()
    assert "input, enlarged" in told.out
    assert "baseline" in told.out
    assert "shifted against the truth" in told.err  # the pairs are not registered here
