"""Files are written whole or not at all: beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block ends well.

    What the block makes there may be a file or a folder (a zarr store). If the block raises, it
    is removed and whatever was at `path` stays as it was. The temporary name keeps the suffix,
    since writers choose their format by it. A full disk or a missing right becomes one sentence.

    Examples
    --------
    >>> with replacing("table.csv") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("a,b")
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        path.parent.stat()  # some writers would make a missing folder, and so hide a typo
        yield temporary
        _flush(temporary)
        _move(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        msg = (
            f"{path} was not written ({error.strerror or error}): "
            "check that its folder exists, may be written to and has space left."
        )
        raise type(error)(msg) from error
    finally:
        _remove(temporary)


def write_bytes_atomically(path: str | Path, content: bytes) -> None:
    """Put `content` into the file at `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.stem}-{uuid4().hex[:8]}{path.suffix}")


def _move(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; a folder already there is set aside until it is done."""
    if not path.is_dir():
        temporary.replace(path)
        return
    if temporary.is_file():
        msg = "there is a folder of that name"
        raise IsADirectoryError(msg)
    aside = _beside(path)
    path.rename(aside)
    try:
        temporary.rename(path)
    except OSError:
        aside.rename(path)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except NotADirectoryError:  # its "folder" is a file: nothing can have been written there
        return


def _flush(path: Path) -> None:
    """Have the system put the file, or every file of the folder, onto the disk."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        # Windows flushes only what is open for writing.
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system lets folders be flushed."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
