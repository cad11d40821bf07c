"""The folder of an unfinished result: locked, with notes of what is finished in it.

NAME.partial.ome.zarr holds, besides the pixels, a folder of notes: the plan, the finished chunks
with a checksum of each, intermediate sums, and the lock of the process that works on it. In the end
the whole is renamed to NAME.ome.zarr first, and the notes are removed last. So a result with
notes in it is complete, and pixels without notes are of no use.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from napari_aeanet.core.atomic import (
    move,
    remove_folder,
    remove_leftovers,
    replacing,
    write_bytes_atomically,
)
from napari_aeanet.core.lock import release_lock, take_lock
from napari_aeanet.restoration.settings import STREAMED

# Ending of an unfinished file.
PARTIAL_ENDING = ".partial.ome.zarr"
# Folder and files beside the pixels of an unfinished file.
NOTES, PLAN, DONE, LOCK = "restoration", "plan.json", "chunks-done.txt", "lock"

Arrays = Mapping[str, np.ndarray]
Index = tuple[int, ...]


class PartialFolder:
    """The unfinished folder of the result `path`, new or left by an interrupted run.

    Parameters
    ----------
    path
        NAME.ome.zarr.
    overwrite
        Replace a result of this name in the end.

    Raises
    ------
    FileExistsError
        If the result exists and is to be kept, or another folder has the name of the unfinished
        one.
    BlockingIOError
        If another process works on it.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = partial_path(path)
        self._final = path
        self._overwrite = overwrite
        self._notes = self.path / NOTES
        remove_leftovers(path.parent)
        self._check_names()
        with explaining(self.path):
            self._is_new = not self.path.exists()
            self._notes.mkdir(parents=True, exist_ok=True)
        refusal = (
            f"{path} is being restored by another process (number {{owner}}): wait for it, or "
            "choose another name."
        )
        try:
            take_lock(self._notes / LOCK, refusal)
        except OSError:
            with suppress(OSError):  # not empty: of another run
                self._notes.rmdir()
                self.path.rmdir()
            raise
        try:
            self._check_names()  # another process may have finished it just now
        except OSError:
            self.release(discard=self._is_new)
            raise

    def _check_names(self) -> None:
        if not self._overwrite:
            check_is_free(self._final)
        if self.path.exists() and not self._notes.is_dir() and any(self.path.iterdir()):
            msg = (
                f"{self.path} has the name of an unfinished restoration and is none: rename or "
                "remove it, or choose another name for the result."
            )
            raise FileExistsError(msg)

    def stored_plan(self) -> bytes | None:
        """Return the plan of an interrupted run; None if there is none."""
        return unfinished_plan(self.path)

    def begin(self, plan: bytes) -> None:
        """Begin anew, with nothing but a plan."""
        with explaining(self.path):
            for one in [*self.path.iterdir(), *self._notes.iterdir()]:
                if one.name not in (NOTES, LOCK):
                    shutil.rmtree(one) if one.is_dir() else one.unlink()
            write_bytes_atomically(self._notes / PLAN, plan)

    def done(self) -> dict[Index, int]:
        """Return the finished chunks, and the checksum of each."""
        file = self._notes / DONE
        # The last line may be cut, and a line of an earlier version has no checksum.
        text = file.read_text(errors="replace") if file.exists() else ""
        lines = (line.partition(":") for line in text.split("\n")[:-1])
        return {
            tuple(map(int, index.split())): int(checksum)
            for index, _, checksum in lines
            if checksum.isdigit() and index.replace(" ", "").isdigit()
        }

    def add_done(self, index: Index, checksum: int) -> None:
        with (self._notes / DONE).open("a") as file:
            file.write(f"{' '.join(map(str, index))}:{checksum}\n")

    def keep_chunks(self, whole: Collection[Index]) -> None:
        """Remove the chunks of the finest level but these, and all of the coarser levels."""
        for file in [one for one in self.path.glob("*/c/**/*") if one.is_file()]:
            level, _, *place = file.relative_to(self.path).parts
            index = tuple(int(n) for n in place if n.isdigit())
            if level != "0" or index not in whole or len(index) < len(place):
                file.unlink()

    def load(self, name: str) -> Arrays | None:
        """Return the arrays saved under a name; None if there are none, or they are damaged."""
        try:
            with np.load(self._notes / f"{name}.npz") as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, name: str, arrays: Arrays) -> None:
        with explaining(self.path), replacing(self._notes / f"{name}.npz") as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]

    def complete(self) -> Path:
        """Give the folder its final name, which is returned."""
        with explaining(self.path):
            for leftover in self.path.rglob("*.partial"):  # of writes that were interrupted
                leftover.unlink()
            if not self._overwrite:
                check_is_free(self._final)
            move(self.path, self._final)
        self._notes = self._final / NOTES
        return self._final

    def clean(self) -> None:
        """Remove the notes from the complete result."""
        with explaining(self.path):
            remove_folder(self._notes, self._final)

    def release(self, *, discard: bool = False) -> None:
        """Let other processes work on it; with `discard`, remove it if this run began it."""
        release_lock(self._notes / LOCK)
        if discard and self._is_new:
            shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Add the remedy to an error of the disk on which an unfinished folder lies."""
    try:
        yield
    except OSError as error:
        cause = error.__cause__ if error.strerror is None else error
        reason = getattr(cause, "strerror", None) or error
        msg = (
            f"{path} cannot be written ({reason}). Solve this, then restore again with the same "
            "settings: what is finished is kept."
        )
        raise type(error)(msg) from error


def partial_path(path: Path) -> Path:
    """Return the name of a result until it is complete."""
    if not path.name.endswith(STREAMED):
        raise ValueError(f"{path.name}: results are streamed to files that end in {STREAMED}.")
    return path.with_name(path.name.removesuffix(STREAMED) + PARTIAL_ENDING)


def check_is_free(path: Path) -> None:
    """Refuse a name that exists, or that is not of the kind that is written block by block."""
    partial_path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another name, or remove it first.")


def unfinished_plan(path: Path) -> bytes | None:
    """Return the plan of a result that was complete when its run was killed, in its last step."""
    file = path / NOTES / PLAN
    return file.read_bytes() if file.is_file() else None


def take_back(path: Path) -> None:
    """Give such a result the name of an unfinished one again."""
    lock = path / NOTES / LOCK
    take_lock(lock, f"{path} is being restored by another process (number {{owner}}): wait for it.")
    release_lock(lock)
    if not partial_path(path).exists():
        path.rename(partial_path(path))
