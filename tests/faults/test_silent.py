"""Faults that gave a wrong image without a word: each now gives no image, and a sentence."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from helpers import integer_noise, micrograph, model_of, small_network

from napari_aeanet.batch import run as batch_run
from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.core.intensity import Normalisation, NormalisationKind
from napari_aeanet.core.intensity_range import TrainedRange, image_range
from napari_aeanet.io import lazy, ome_zarr
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.io.ome_zarr import open_levels
from napari_aeanet.models import model_file
from napari_aeanet.models.model_file import save_model
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import Output, RestoreSettings, Use

TILES = RestoreSettings(tile=32)


@pytest.fixture(scope="module")
def model():
    return model_of(small_network("aeanet-2d", features=2))


@pytest.fixture(scope="module")
def saved_model(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.aeanet"
    save_model(model, path)
    return path


@pytest.fixture
def on_disk(monkeypatch):
    """Images are read chunk by chunk, however small."""
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    monkeypatch.setattr(ome_zarr, "_SHARD", 40)


def restore(*words: object) -> int:
    return main(["restore", *map(str, words)])


def interrupted(image, model, out, events=14):
    work = restore_events(image, model, TILES, out=out)
    list(islice(work, events))
    work.close()


def sentence(capsys) -> str:
    """The one line on standard error that is no note."""
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("napari-aeanet:")]
    return line


def change(path: Path) -> None:
    """Change the pixels of one chunk of an OME-Zarr image in place."""
    open_levels(path, "r+")[0][:40, :40] = 7


# --- a source that changes in the middle


@pytest.mark.usefixtures("on_disk")
def test_a_source_that_changed_since_the_interruption_is_not_mixed(
    model, saved_model, tmp_path, capsys
):
    source, out = tmp_path / "S.ome.zarr", tmp_path / "R.ome.zarr"
    write_image(micrograph((96, 96)), source)
    interrupted(read_image(source), model, out, events=16)  # some of nine chunks are complete
    assert (tmp_path / "R.partial.ome.zarr" / "restoration" / "chunks-done.txt").exists()
    change(source)
    assert restore(source, "-m", saved_model, "-o", out, "--tile", "32") == 2
    assert "before that was changed" in sentence(capsys)
    assert not out.exists()


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("ending", [".ome.zarr", ".ome.tif"])
def test_a_source_that_changes_while_it_is_read_gives_no_result(ending, model, tmp_path):
    source, out = tmp_path / "S.ome.zarr", tmp_path / f"R{ending}"
    write_image(micrograph((96, 96)), source)
    streamed = out if ending == ".ome.zarr" else None
    work = restore_events(read_image(source), model, TILES, out=streamed)
    list(islice(work, 12))
    change(source)
    with pytest.raises(ValueError, match=r"S\.ome\.zarr was changed while it was being restored"):
        list(work)
    assert not out.exists()


@pytest.mark.usefixtures("on_disk")
def test_a_change_of_any_file_of_a_set_is_seen(model, tmp_path):
    stack = Image(integer_noise(4, 48, 48), "ZYX")
    write_image(stack, tmp_path / "S.ome.zarr")
    image = read_image(tmp_path / "S.ome.zarr")
    chunk = next(p for p in (tmp_path / "S.ome.zarr" / "0" / "c" / "3").rglob("*") if p.is_file())
    work = restore_events(image, model, TILES)
    next(work)
    kept = chunk.stat()
    os.utime(chunk, ns=(kept.st_atime_ns, kept.st_mtime_ns + 10**9))
    with pytest.raises(ValueError, match="was changed"):
        list(work)


def test_a_file_that_changes_after_it_was_read_is_not_taken_for_the_restored_one(
    saved_model, tmp_path, capsys, monkeypatch
):
    source, words = tmp_path / "S.tif", ("-m", saved_model, "-o", tmp_path / "R.tif")
    write_image(micrograph((32, 32), seed=1), source)
    plain = batch_run.read_images

    def read(path):
        images = plain(path)
        write_image(micrograph((32, 32), seed=2), source)
        return images

    with monkeypatch.context() as patched:
        patched.setattr(batch_run, "read_images", read)
        assert restore(source, *words) == 0
    assert restore(source, *words, "--skip-existing") == 2
    assert "before the image was changed" in sentence(capsys)


def test_pixels_in_memory_count_by_their_content(model, tmp_path):
    image, out = micrograph((96, 96)), tmp_path / "R.ome.zarr"
    interrupted(image, model, out)
    other = image.array.copy()
    other[0, 0] += 1
    with pytest.raises(ValueError, match="of another image"):
        list(restore_events(image.with_array(other), model, TILES, out=out))
    list(restore_events(image, model, TILES, out=out))


# --- a run killed in its last step


def killed_at_the_end(image, model, out) -> bytes:
    """Restore, but stop the process's work between the last rename and the removal of notes."""
    from napari_aeanet.restoration.output import FileOutputStore

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FileOutputStore, "clean", lambda self: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            list(restore_events(image, model, TILES, out=out))


def test_a_run_killed_in_its_last_step_is_completed(model, tmp_path):
    image, out = micrograph((96, 96)), tmp_path / "R.ome.zarr"
    killed_at_the_end(image, model, out)
    assert (out / "restoration" / "plan.json").exists()  # complete: renamed before
    *_, done = restore_events(image, model, TILES, out=out)
    *_, expected = restore_events(image, model, TILES)
    np.testing.assert_array_equal(done.image.read(), expected.image.read())
    assert [path.name for path in tmp_path.iterdir()] == ["R.ome.zarr"]
    assert not (out / "restoration").exists()


def test_another_image_never_gets_the_pixels_of_a_killed_run(model, tmp_path):
    first, other = micrograph((96, 96), seed=1), micrograph((96, 96), seed=2, name="S06")
    out = tmp_path / "R.ome.zarr"
    killed_at_the_end(first, model, out)
    with pytest.raises(FileExistsError, match="exists already"):
        list(restore_events(other, model, TILES, out=out))
    # Notes are gone, or a part of them, as after a run of an earlier version was killed.
    for gone in ("plan.json", "."):
        shutil.rmtree(out, ignore_errors=True)
        interrupted(first, model, out, events=16)
        notes = tmp_path / "R.partial.ome.zarr" / "restoration"
        shutil.rmtree(notes) if gone == "." else (notes / gone).unlink()
        try:
            *_, done = restore_events(other, model, TILES, out=out)
        except FileExistsError as error:
            assert "rename or remove it" in str(error)
            shutil.rmtree(notes.parent)
            continue
        *_, expected = restore_events(other, model, TILES)
        np.testing.assert_array_equal(done.image.read(), expected.image.read())


@pytest.mark.usefixtures("on_disk")
def test_damaged_chunks_of_an_unfinished_result_are_made_again(model, tmp_path):
    """A power cut may leave empty or old blocks in files that were noted as finished."""
    image, out = micrograph((96, 96)), tmp_path / "R.ome.zarr"
    interrupted(image, model, out, events=16)
    partial = tmp_path / "R.partial.ome.zarr"
    chunks = sorted(p for p in (partial / "0" / "c").rglob("*") if p.is_file())
    assert len(chunks) >= 2
    chunks[0].write_bytes(b"")
    open_levels(partial, "r+")[0][:3, 40:43] = 9
    *_, done = restore_events(image, model, TILES, out=out)
    *_, expected = restore_events(image, model, TILES)
    np.testing.assert_array_equal(done.image.read(), expected.image.read())


# --- numbers that are none, or that no number type holds


def test_a_model_with_weights_that_are_no_numbers_is_refused(model, tmp_path, capsys):
    path = tmp_path / "S.tif"
    write_image(micrograph((32, 32)), path)
    name = next(iter(model.weights))
    for number, half in ((np.nan, False), (np.inf, False), (np.inf, True)):
        weights = {**model.weights, name: np.full_like(model.weights[name], number)}
        file, bad = tmp_path / "bad.aeanet", replace(model, weights=weights)
        with pytest.raises(ValueError, match="not finite"):
            save_model(bad, file, half=half)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(model_file, "_check_finite", lambda *_: None)
            save_model(bad, file, half=half)
        assert restore(path, "-m", file) == 2
        assert re.search(r"bad\.aeanet.*not finite", sentence(capsys))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["S.tif", "bad.aeanet"]


def test_a_model_that_computes_no_numbers_gives_no_result(model):
    weights = {name: values.copy() for name, values in model.weights.items()}
    next(reversed(weights.values()))[...] = np.nan
    for settings in (TILES, RestoreSettings(use=Use.PATCHES, patch_size=32, margin=4)):
        with pytest.raises(ValueError, match="not finite"):
            list(restore_events(micrograph((48, 48)), replace(model, weights=weights), settings))


SCENE = np.linspace(0, 1, 48 * 48).reshape(48, 48)
EXTREMES = {
    "float32 of both signs": (SCENE * 6e38 - 3e38).astype(np.float32),
    "float32 near its end": (SCENE * np.finfo(np.float32).max).astype(np.float32),
    "float32 near zero": (SCENE * 1e-40).astype(np.float32),
    "float64 beyond float32": SCENE * 1e300,
    "float64 of both signs": (SCENE - 0.5) * 1e308,
    "float64 near zero": SCENE * 1e-300,
    "float16 near its end": (SCENE * 65504).astype(np.float16),
    "float16 of both signs": (SCENE * 131008 - 65504).astype(np.float16),
}
SCALED = [kind for kind in NormalisationKind if kind is not NormalisationKind.NONE]
NORMALISATIONS = [Normalisation(kind=kind) for kind in SCALED]


@pytest.mark.parametrize("rule", NORMALISATIONS, ids=lambda rule: rule.kind)
@pytest.mark.parametrize("values", EXTREMES.values(), ids=EXTREMES)
def test_numbers_near_the_end_of_their_type_are_restored(values, rule, model):
    """As the same scene is, moved to 0 to 1, to the precision of the type."""
    model = replace(model, card=replace(model.card, normalisation=rule))
    image = Image(values, "YX")
    *_, done = restore_events(image, model, TILES)
    found = done.image.read()
    assert found.dtype == values.dtype
    assert np.isfinite(found).all()
    span = image_range(image)
    low, width = span.low, span.high - span.low
    moved = Image(((values.astype(float) - low) / width).astype(np.float32), "YX")
    card = replace(model.card, source_range=TrainedRange(0.0, 1.0, "float32"))
    settings = replace(TILES, range=(0.0, 1.0))
    *_, expected = restore_events(moved, replace(model, card=card), settings)
    kept = np.abs(found.astype(float)) < float(np.finfo(values.dtype).max)  # not cut off
    shown = (found.astype(float) - low) / width
    np.testing.assert_allclose(shown[kept], expected.image.read()[kept], atol=2e-2)


@pytest.mark.parametrize("values", EXTREMES.values(), ids=EXTREMES)
def test_numbers_that_are_not_scaled_are_restored_or_refused(values, model):
    rule = Normalisation(kind=NormalisationKind.NONE)
    model = replace(model, card=replace(model.card, normalisation=rule))
    try:
        *_, done = restore_events(Image(values, "YX"), model, TILES)
    except ValueError as error:
        assert "far outside" in str(error)
    else:
        assert np.isfinite(done.image.read()).all()


def test_numbers_that_the_chosen_result_cannot_hold_are_refused(model):
    settings = RestoreSettings(output=Output.FLOAT32)
    with pytest.raises(ValueError, match="as input"):
        list(restore_events(Image(SCENE * 1e300, "YX"), model, settings))
    with pytest.raises(ValueError, match="wider"):
        list(restore_events(Image((2 * SCENE - 1) * 1.7e308, "YX"), model, TILES))
