"""Atomic writing: into a temporary file beside the target, flushed to disk, then renamed.

The name of a temporary file tells whose it is: `.NAME.HOST-PROCESS-START-new12345678.SUFFIX`. What
killed processes left behind is removed when anything is next written into the folder.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from uuid import uuid4

from napari_aeanet.core.lock import Owner

# Bytes of a name that a temporary name keeps; file systems allow 255 in all.
LONGEST_STEM = 180
# Attempts to remove a folder, and seconds between them.
REMOVALS, REMOVAL_PAUSE = 3, 0.05
NEW, OLD = "new", "old"  # what is to become the target; a folder that it replaces
_TEMPORARY = re.compile(
    r"\.(?P<stem>.+)\.(?P<host>[0-9a-f]{8})-(?P<process>\d{1,10})-(?P<since>\d{1,18})-"
    rf"(?P<kind>{NEW}|{OLD})[0-9a-f]{{8}}(?P<suffix>\.[^.]*)?"
)


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
        remove_leftovers(path.parent)
        yield temporary
        move(temporary, path)
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


def move(temporary: Path, path: Path) -> None:
    """Flush a file or folder to disk and rename it to `path`, in the place of what was there.

    An existing folder is moved aside until then, from where `remove_leftovers` moves it back if
    this process is killed in between.
    """
    _flush(temporary)
    aside = None
    if path.is_dir():
        if temporary.is_file():
            msg = "a folder has this name"
            raise IsADirectoryError(msg)
        aside = _beside(path, OLD)
        path.rename(aside)
    try:
        temporary.replace(path)
    except OSError:
        if aside is not None:
            aside.rename(path)
        raise
    _sync_folder(path.parent)
    if aside is not None:
        _remove(aside)


def remove_folder(folder: Path, path: Path) -> None:
    """Remove `folder`, which lies in `path`, at once: rename it to a temporary name first."""
    temporary = _beside(path)
    folder.rename(temporary)
    _remove(temporary)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of processes that have ended, and of no other, from a folder."""
    with suppress(OSError):  # no such folder, or no permission
        for name in os.listdir(folder):  # noqa: PTH208 - iterdir takes several times as long
            found = _TEMPORARY.fullmatch(name) if name.startswith(".") else None
            if found is None:
                continue
            owner = Owner(int(found["process"]), float(found["since"]), found["host"])
            if owner.is_alive():
                continue
            left = folder / name
            target = folder / f"{found['stem']}{found['suffix'] or ''}"
            if found["kind"] == OLD and not target.exists():
                left.rename(target)
            else:
                _remove(left)


def _beside(path: Path, kind: str = NEW) -> Path:
    owner = Owner.of_this_process()
    tag = f"{owner.host}-{owner.process}-{owner.since:.0f}-{kind}{uuid4().hex[:8]}"
    return path.with_name(f".{_shortened(path.stem)}.{tag}{path.suffix}")


def _shortened(stem: str) -> str:
    """Cut a name so that a temporary one, which is longer, is not too long for the disk."""
    return stem.encode()[:LONGEST_STEM].decode(errors="ignore")


def _remove(path: Path) -> None:
    try:
        if not path.is_dir():
            path.unlink(missing_ok=True)
        elif not _is_removed(path):
            with suppress(FileNotFoundError):  # the other process has removed it
                path = path.rename(_beside(path))  # where nobody writes
                if not _is_removed(path):
                    shutil.rmtree(path)
    except NotADirectoryError:  # the parent is a file: nothing was written
        return


def _is_removed(folder: Path) -> bool:
    """Try to remove a folder into which another process writes, or which it removes as well."""
    for _ in range(REMOVALS):
        with suppress(OSError):
            shutil.rmtree(folder)
        if not folder.is_dir():
            return True
        sleep(REMOVAL_PAUSE)
    return False


def _flush(path: Path) -> None:
    """Flush a file, or every file and folder in a folder, to disk."""
    if path.is_file():
        files, folders = [path], []
    else:
        found = list(path.rglob("*"))
        files = [one for one in found if one.is_file()]
        folders = [one for one in found if one.is_dir()] + [path]
    for file in files:
        # Windows flushes only files that are open for writing.
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    for folder in folders:
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Flush the folder itself (POSIX only), so that a rename in it survives a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
