"""Exported models give the results of this program, or are not written; packages are read again."""

import hashlib
import io
import os
import pickle
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers import micrograph, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.exchange import (
    ExportSettings,
    Target,
    export_events,
    export_model,
    import_package,
    run,
)
from napari_aeanet.exchange.graph import of_torchscript
from napari_aeanet.exchange.package import CARD, WEIGHTS
from napari_aeanet.io import write_image
from napari_aeanet.models import load_model, save_model

JUDGE = os.environ.get("AEANET_BIOIMAGEIO_PYTHON")
PLAIN = ExportSettings(to=Target.TORCHSCRIPT)
PACKAGE = ExportSettings(onnx=False)


@pytest.fixture(scope="module")
def model():
    statistics = {"mean": np.arange(3, dtype=np.float32)}
    found = model_of(small_network("aeanet-2d", features=4), pixel_size=(4.0, 5.0), unit="nm")
    return replace(found, statistics=statistics)


@pytest.fixture
def trusting(monkeypatch):
    """An export whose package is not tested by bioimageio.core."""
    monkeypatch.setattr(run, "_tested", lambda *_: 0.0)


def description(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return yaml.safe_load(archive.read("rdf.yaml"))


def rewritten(path: Path, out: Path, **changed: bytes) -> Path:
    """The package with other content of some files; None leaves a file out."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | changed
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(name, content)
    return out


def state_of(values: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


# Export


def test_torchscript_gives_our_results_at_sizes_that_it_was_not_made_with(model, tmp_path):
    done = export_model(model, tmp_path / "a.pt", PLAIN)
    assert max(done.differences.values()) < 1e-5
    x = np.random.default_rng(0).random((1, 1, 44, 72), np.float32)
    (found,) = of_torchscript(done.path.read_bytes())(x)
    expected = model.network()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_onnx_gives_our_results_at_three_sizes(model, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    done = export_model(model, tmp_path / "a.onnx", ExportSettings(to=Target.ONNX))
    session = ort.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    for size in ((16, 16), (44, 72), (128, 20)):
        x = np.random.default_rng(0).random((1, 1, *size), np.float32)
        (found,) = session.run(["prediction"], {"input": x})
        expected = model.network()(torch.from_numpy(x)).detach().numpy()
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_model_that_gives_other_results_is_not_written(model, tmp_path, monkeypatch):
    def wrong(network):
        plain = whole_image_network(network)
        plain.output.conv.weight.mul_(1.01)
        return plain

    whole_image_network = run.whole_image_network
    monkeypatch.setattr(run, "whole_image_network", wrong)
    with pytest.raises(ValueError, match=r"was not exported: as pytorch_state_dict .* differs"):
        export_model(model, tmp_path / "a.pt", PLAIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [("echo no such axis; exit 1", "fails .no such axis"), ("exit 3", "cannot test it")],
)
def test_a_package_that_fails_its_test_is_not_written(answer, words, model, tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{answer}\n")
    python.chmod(0o755)
    with pytest.raises(ValueError, match=f"was not exported: .*{words}"):
        export_model(model, tmp_path / "a.zip", replace(PACKAGE, python=python))
    assert list(tmp_path.iterdir()) == [python]


def test_an_export_is_refused_at_the_call_and_writes_over_nothing(model, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.pt"):
        export_events(model, tmp_path / "a.zip", PLAIN)
    (tmp_path / "a.pt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        export_events(model, tmp_path / "a.pt", PLAIN)
    with pytest.raises(TypeError, match="model must be"):
        export_events(3, tmp_path / "b.pt", PLAIN)
    assert (tmp_path / "a.pt").read_text() == "mine"


def test_an_export_can_be_stopped_and_leaves_nothing(model, tmp_path, trusting):
    events = export_events(model, tmp_path / "a.zip", PACKAGE)
    for event in events:
        if event.progress.done == 3:  # the package lies in its temporary file
            break
    events.close()
    assert list(tmp_path.iterdir()) == []


# Packages


def test_a_package_describes_axes_intensities_and_files(model, tmp_path, trusting):
    settings = replace(PACKAGE, author=("A. Author",), license="CC-BY-4.0")
    done = export_model(model, tmp_path / "a.zip", settings)
    found = description(done.path)
    assert found["authors"] == [{"name": "A. Author"}]
    (source,), (output,) = found["inputs"], found["outputs"]
    *_, y, x = source["axes"]
    assert (y["scale"], x["scale"], x["unit"]) == (4.0, 5.0, "nanometer")
    assert y["size"] == {"min": 8, "step": 4}
    scaling = source["preprocessing"][0]["kwargs"], output["postprocessing"][0]["kwargs"]
    assert scaling[0]["gain"] * scaling[1]["gain"] == pytest.approx(1)
    assert scaling[1]["gain"] == 255
    assert "as a whole" in found["description"]
    with zipfile.ZipFile(done.path) as archive:
        forms = found["weights"]["pytorch_state_dict"]
        for file in (source["test_tensor"], output["test_tensor"], forms, forms["architecture"]):
            content = archive.read(file["source"])
            assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert "## Validation" in archive.read("README.md").decode()
        before, after = (np.load(archive.open(f"{n}.npy")) for n in ("input", "prediction"))
    with torch.no_grad():
        expected = model.network()(torch.from_numpy(before / 255)).numpy() * 255
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("rule", "step"), [("percentile", "scale_range"), ("z-score", "zero_mean_unit_variance")]
)
def test_models_that_scale_each_image_say_so(rule, step, model, tmp_path, trusting):
    card = replace(model.card, normalisation=Normalisation(kind=NormalisationKind(rule)))
    done = export_model(replace(model, card=card), tmp_path / "a.zip", PACKAGE)
    found = description(done.path)
    assert found["inputs"][0]["preprocessing"][0]["id"] == step
    assert found["outputs"][0]["postprocessing"] == []


def test_a_given_image_becomes_the_test(model, tmp_path, trusting):
    image = micrograph((50, 70))
    write_image(image, tmp_path / "S05.tif")
    done = export_model(model, tmp_path / "a.zip", replace(PACKAGE, image=tmp_path / "S05.tif"))
    with zipfile.ZipFile(done.path) as archive:
        found = np.load(archive.open("input.npy"))
    np.testing.assert_array_equal(found[0, 0], image.read()[1:49, 1:69])


@pytest.mark.skipif(not JUDGE, reason="AEANET_BIOIMAGEIO_PYTHON names no Python with it")
@pytest.mark.parametrize("name", ["aeanet-2d", "gvtnet-3d", "unet-2d"])
def test_bioimageio_core_passes_a_package_and_predicts_the_same(name, tmp_path):
    model = model_of(small_network(name))
    settings = ExportSettings(onnx=name == "aeanet-2d", python=Path(JUDGE))
    done = export_model(model, tmp_path / "a.zip", settings)
    assert done.differences["bioimageio.core"] < 1e-5


# Import


def test_a_package_gives_the_model_again(model, tmp_path, trusting):
    export_model(model, tmp_path / "a.zip", PACKAGE)
    found = import_package(tmp_path / "a.zip")
    assert found.card == model.card
    for ours, theirs in ((model.weights, found.weights), (model.statistics, found.statistics)):
        assert ours.keys() == theirs.keys()
        assert all((ours[name] == theirs[name]).all() for name in ours)


def test_weights_that_were_trained_elsewhere_are_taken(model, tmp_path, trusting):
    export_model(model, tmp_path / "a.zip", PACKAGE)
    state = {name: torch.from_numpy(value).double() for name, value in model.weights.items()}
    state["output.conv.weight"] = state["output.conv.weight"] * 2
    rewritten(tmp_path / "a.zip", tmp_path / "b.zip", **{WEIGHTS: state_of(state)})
    found = import_package(tmp_path / "b.zip").weights["output.conv.weight"]
    np.testing.assert_array_equal(found, model.weights["output.conv.weight"] * 2)


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({CARD: None}, "not a package of napari-aeanet"),
        ({CARD: b"{"}, "damaged|not"),
        ({WEIGHTS: b"no weights"}, "not a complete"),
        ({WEIGHTS: pickle.dumps(Harmful())}, "not a complete"),
        ({WEIGHTS: state_of({"a": torch.zeros(2)})}, "do not fit"),
        ({WEIGHTS: state_of([1, 2])}, "something else"),
        ({WEIGHTS: bytes(32 * 2**20)}, "too large"),
    ],
)
def test_other_and_damaged_packages_are_refused(
    changed, words, model, tmp_path, monkeypatch, trusting
):
    monkeypatch.chdir(tmp_path)
    export_model(model, tmp_path / "a.zip", PACKAGE)
    rewritten(tmp_path / "a.zip", tmp_path / "b.zip", **changed)
    with pytest.raises(ValueError, match=words) as caught:
        import_package(tmp_path / "b.zip")
    assert "b.zip" in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_what_is_no_zip_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK not really")
    with pytest.raises(ValueError, match=r"a\.zip is not a complete bioimage.io package"):
        import_package(tmp_path / "a.zip")
    with pytest.raises(OSError, match="cannot be read"):
        import_package(tmp_path / "b.zip")


# Commands


def test_the_commands_export_and_import(model, tmp_path, monkeypatch, capsys, trusting):
    monkeypatch.chdir(tmp_path)
    save_model(model, tmp_path / "sem.aeanet")
    assert main(["export", "sem.aeanet", "-o", "sem.zip", "--no-onnx"]) == 0
    output = capsys.readouterr()
    assert "pytorch_state_dict" in output.out
    assert "names no author" in output.err
    assert main(["import-bioimageio", "sem.zip", "-o", "again.aeanet"]) == 0
    assert load_model("again.aeanet").card == model.card
    assert main(["import-bioimageio", "sem.zip", "-o", "again.aeanet"]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("name", run.ONNX_LIBRARIES)
def test_a_missing_package_is_named_with_the_remedy(name, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"{name}: pip install \"napari-aeanet\[onnx\]\""):
        export_events(model, tmp_path / "a.onnx", ExportSettings(to=Target.ONNX))


def test_a_model_that_scales_nothing_is_described_as_such(model, tmp_path, trusting):
    rule = Normalisation(kind=NormalisationKind.NONE)
    model = replace(model, card=replace(model.card, normalisation=rule))
    export_model(model, tmp_path / "a.zip", PACKAGE)
    (source,) = description(tmp_path / "a.zip")["inputs"]
    scaled = [one for one in source.get("preprocessing", []) if one["id"] != "ensure_dtype"]
    assert scaled == []
