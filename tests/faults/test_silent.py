"""Faults that gave a wrong image without a word: each now gives no image, and a sentence."""

from __future__ import annotations

import os
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from helpers import integer_noise, micrograph, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.core.image import Image
from napari_aeanet.io import lazy, ome_zarr
from napari_aeanet.io.files import read_image, write_image
from napari_aeanet.io.ome_zarr import open_levels
from napari_aeanet.models.model_file import save_model
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import RestoreSettings

TILES = RestoreSettings(tile=32)


@pytest.fixture(scope="module")
def model():
    return model_of(small_network("aeanet-2d", features=2))


@pytest.fixture(scope="module")
def model_file(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.aeanet"
    save_model(model, path)
    return path


@pytest.fixture
def on_disk(monkeypatch):
    """Images are read chunk by chunk, however small."""
    monkeypatch.setattr(lazy, "LARGE_BYTES", 100)
    monkeypatch.setattr(ome_zarr, "_CHUNK", 40)


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
    model, model_file, tmp_path, capsys
):
    source, out = tmp_path / "S.ome.zarr", tmp_path / "R.ome.zarr"
    write_image(micrograph((96, 96)), source)
    interrupted(read_image(source), model, out, events=16)  # some of nine chunks are complete
    assert (tmp_path / "R.partial.ome.zarr" / "restoration" / "chunks-done.txt").exists()
    change(source)
    assert restore(source, "-m", model_file, "-o", out, "--tile", "32") == 2
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
