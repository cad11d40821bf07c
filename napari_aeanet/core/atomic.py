"""Atomic writing: into a temporary file beside the target, flushed to disk, then renamed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

# Bytes of a name that a temporary name keeps; file systems allow 255 in all.
LONGEST_STEM = 200


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` unless the block raises.

    The block creates a file or a folder (a zarr store) there. If it raises, that is removed and
    `path` stays unchanged. The temporary name keeps the suffix, by which writers choose their
    format. An OSError (disk full, no permission) is raised again as one clear sentence.

    Examples
    --------
    >>> with replacing("table.csv") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("a,b")
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        path.parent.stat()  # some writers would create a missing folder and hide a typo
        yield temporary
        _flush(temporary)
        _move(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        msg = (
            f"{path} was not written ({error.strerror or error}): "
            "check that its folder exists, is writable and has free space."
        )
        raise type(error)(msg) from error
    finally:
        _remove(temporary)


def write_bytes_atomically(path: str | Path, content: bytes) -> None:
    """Write `content` to the file at `path`, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def remove_leftovers(path: str | Path) -> None:
    """Remove temporary files that a killed process left beside `path`."""
    path = Path(path)
    pattern = re.compile(
        rf"\.{re.escape(_shortened(path.stem))}-[0-9a-f]{{8}}{re.escape(path.suffix)}"
    )
    if path.parent.is_dir():
        for file in path.parent.iterdir():
            if pattern.fullmatch(file.name):
                _remove(file)


def _beside(path: Path) -> Path:
    return path.with_name(f".{_shortened(path.stem)}-{uuid4().hex[:8]}{path.suffix}")


def _shortened(stem: str) -> str:
    """Cut a name so that a temporary one, which is longer, is not too long for the disk."""
    return stem.encode()[:LONGEST_STEM].decode(errors="ignore")


def _move(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; an existing folder is moved aside until then."""
    if not path.is_dir():
        temporary.replace(path)
        return
    if temporary.is_file():
        msg = "a folder has this name"
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
    except NotADirectoryError:  # the parent is a file: nothing was written
        return


def _flush(path: Path) -> None:
    """Flush a file, or every file of a folder, to disk."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        # Windows flushes only files that are open for writing.
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Flush the folder itself (POSIX only), so that a rename in it survives a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
