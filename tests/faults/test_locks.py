"""Locks, leftovers of killed processes, and disks that cannot be written to."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from helpers import micrograph, model_of, small_network

from napari_aeanet.core import atomic
from napari_aeanet.core.atomic import remove_leftovers, replacing, write_bytes_atomically
from napari_aeanet.core.lock import Owner, locked, take_lock
from napari_aeanet.io import ome_zarr
from napari_aeanet.models import save_model
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import RestoreSettings

TILES = RestoreSettings(tile=32)


@pytest.fixture(scope="module")
def model():
    return model_of(small_network("aeanet-2d", features=2))


@pytest.fixture(scope="module")
def gone() -> Owner:
    """A process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = Owner.of_this_process().since  # not before this process
    process.communicate(b"\n")
    return replace(Owner.of_this_process(), process=process.pid, since=started)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- two at the same time


def test_of_two_restorations_to_one_result_the_second_is_told_at_once(model, tmp_path):
    image, out = micrograph((96, 96)), tmp_path / "R.ome.zarr"
    first = restore_events(image, model, TILES, out=out)
    next(first)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BlockingIOError, match=rf"R\.ome\.zarr is being .*{os.getpid()}.*wait"):
        next(restore_events(image, model, TILES, out=out))
    assert sorted(tmp_path.rglob("*")) == before
    *_, done = first
    *_, expected = restore_events(image, model, TILES)
    np.testing.assert_array_equal(done.image.read(), expected.image.read())
    assert names(tmp_path) == ["R.ome.zarr"]


HOLDING = """
import sys
from pathlib import Path
import numpy as np
from napari_aeanet.core.image import Image
from napari_aeanet.restoration import RestoreSettings, restore_events
image = Image(np.load(sys.argv[1]), "YX")
events = restore_events(image, Path(sys.argv[2]), RestoreSettings(tile=32), out=Path(sys.argv[3]))
try:
    next(events)
    print("begun", flush=True)
    sys.stdin.readline()
    *_, done = events
    print("done", flush=True)
except BlockingIOError as error:
    print(error, flush=True)
"""


def test_of_two_processes_that_restore_to_one_result_the_second_is_told_at_once(model, tmp_path):
    save_model(model, tmp_path / "m.aeanet")
    np.save(tmp_path / "i.npy", micrograph((96, 96)).array)
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "R.ome.zarr"
    command = [sys.executable, "-c", HOLDING, tmp_path / "i.npy", tmp_path / "m.aeanet", out]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "begun\n"
        # The first one waits for its input: the second has to end by itself.
        second = subprocess.run(command, input="", capture_output=True, text=True, timeout=120)
        assert f"another process (number {first.pid}): wait for it" in second.stdout
        assert names(out.parent) == ["R.partial.ome.zarr"]
        assert first.communicate("\n", timeout=120)[0] == "done\n"
    assert names(out.parent) == ["R.ome.zarr"]


def test_a_lock_of_anything_but_a_running_process_is_replaced(gone, tmp_path):
    me, lock = Owner.of_this_process(), tmp_path / "lock"
    past = {"format": 1, **asdict(replace(me, since=me.since - 1))}
    odd = (b"", b"\0" * 9, b"[" * 10**5, b"[]", b'{"format": 1}', b'{"format": 9, "process": 1}')
    wrong = ({**past, "process": "a"}, {**past, "process": -1}, {**past, "process": 2**70})
    ended = (past, {"format": 1, **asdict(gone)}, {"process": me.process, "since": 0.0})
    for content in (*odd, *(json.dumps(one).encode() for one in (*wrong, *ended))):
        lock.write_bytes(content)
        with locked(lock, "taken by {owner}"):
            assert json.loads(lock.read_bytes())["process"] == me.process
            with pytest.raises(BlockingIOError, match=f"taken by {me.process}"):
                take_lock(lock, "taken by {owner}")
    assert not lock.exists()


def test_the_lock_of_another_computer_counts(tmp_path):
    elsewhere = replace(Owner.of_this_process(), host="0" * 8, process=1)
    (tmp_path / "lock").write_text(json.dumps({"format": 1, **asdict(elsewhere)}))
    with pytest.raises(BlockingIOError):
        take_lock(tmp_path / "lock", "taken by {owner}")


# --- leftovers


def test_a_folder_that_others_still_write_into_is_removed(tmp_path, monkeypatch):
    removed = shutil.rmtree

    def contested(folder):
        """Remove a folder, into which a writer that knows its name puts one more file."""
        removed(folder)
        if folder == folders[0]:
            (folder / "late").mkdir(parents=True)
            raise OSError(errno.ENOTEMPTY, "Directory not empty")

    folders = []
    monkeypatch.setattr(atomic.shutil, "rmtree", contested)
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "out.zarr") as folder:
        folders.append(folder)
        (folder / "0").mkdir(parents=True)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_removed_at_the_next_use_of_their_folder_and_nothing_else(
    gone, tmp_path, monkeypatch
):
    def left_by(owner: Owner, name: str, kind: str) -> Path:
        with monkeypatch.context() as patched:
            patched.setattr(Owner, "of_this_process", lambda: owner)
            return atomic._beside(tmp_path / name, kind)

    me = Owner.of_this_process()
    kept = [
        left_by(me, "running.tif", atomic.NEW),
        left_by(replace(gone, host="0" * 8), "elsewhere.tif", atomic.NEW),
        tmp_path / ".hidden.tif",
        tmp_path / ".S-12345678.tif",
        tmp_path / "S.tif",
    ]
    for file in (*kept, left_by(gone, "S.tif", atomic.NEW), left_by(gone, "bare", atomic.NEW)):
        file.write_bytes(b"a")
    for kind, name in ((atomic.NEW, "new.zarr"), (atomic.OLD, "replaced.zarr")):
        (left_by(gone, name, kind) / "0").mkdir(parents=True)
    (tmp_path / "replaced.zarr").mkdir()  # by the run that was killed before it removed the old one
    (left_by(gone, "old.zarr", atomic.OLD) / "0").mkdir(parents=True)
    write_bytes_atomically(tmp_path / "next.txt", b"")
    assert names(tmp_path) == sorted(
        [*(file.name for file in kept), "next.txt", "old.zarr", "replaced.zarr"]
    )
    assert names(tmp_path / "old.zarr") == ["0"]  # moved back: there was no new one


def test_names_as_long_as_a_disk_allows_are_written(tmp_path):
    path = tmp_path / f"{'µ' * 120}.tif"
    write_bytes_atomically(path, b"a")
    assert names(tmp_path) == [path.name]
    remove_leftovers(tmp_path / "missing")


# --- disks


def test_a_full_disk_at_the_beginning_names_the_file_and_leaves_nothing(
    model, tmp_path, monkeypatch
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def full_after_opening(path, data):
        path.touch()
        full()

    out = tmp_path / "R.ome.zarr"
    with monkeypatch.context() as patched:
        patched.setattr(ome_zarr, "omero_metadata", full)
        patched.setattr(ome_zarr, "stated_range", full)
        with pytest.raises(OSError, match=r"R\.partial\.ome\.zarr .*No space left"):
            list(restore_events(micrograph((96, 96)), model, TILES, out=out))
    assert names(tmp_path) == []
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full_after_opening)
        with pytest.raises(OSError, match=r"lock .*No space left"):
            list(restore_events(micrograph((96, 96)), model, TILES, out=out))
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user without rights")
def test_a_folder_that_may_not_be_written_in_is_named(model, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=r"R\.partial\.ome\.zarr .*denied"):
            list(restore_events(micrograph((96, 96)), model, TILES, out=tmp_path / "R.ome.zarr"))
        with pytest.raises(PermissionError, match=r"S\.tif .*denied"):
            write_bytes_atomically(tmp_path / "S.tif", b"")
    finally:
        tmp_path.chmod(0o700)
