"""The process that a file belongs to, and lock files, which end with their process."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from napari_aeanet.core.schema import Document

MOST_PROCESSES = 2**31
UNKNOWN = -1.0
LARGEST_LOCK = 4096  # bytes; anything longer was not written here


@dataclass(frozen=True)
class Owner:
    """A process: its number, its start, since numbers are reused, and its computer.

    `since` counts from the boot of the computer where the system tells that, as the clock may be
    set. `host` is empty in locks of earlier versions.
    """

    process: int
    since: float
    host: str = ""

    @classmethod
    def of_this_process(cls) -> Owner:
        number = os.getpid()
        return cls(number, _start_of(number) or 0.0, this_host())

    def is_alive(self) -> bool:
        """Return True if the process runs, or may run: on another computer, it is not known."""
        if self.host not in ("", this_host()):
            return True
        if not 0 < self.process < MOST_PROCESSES:
            return False
        return _start_of(self.process) in (self.since, UNKNOWN)


_LOCK = Document(kind=Owner, title="lock", version=1)


@contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Hold the lock file `path` while the block lasts, as `take_lock`."""
    take_lock(path, refusal)
    try:
        yield
    finally:
        release_lock(path)


def take_lock(path: Path, refusal: str) -> None:
    """Make the lock file `path` in a folder that exists; one of a process that ended is replaced.

    Raises
    ------
    BlockingIOError
        If a process that still runs has it: `refusal`, in which {owner} is its number.
    OSError
        If it cannot be written.
    """
    with _one_at_a_time(path.parent):
        owner = _owner_in(path)
        if owner is not None and owner.is_alive():
            raise BlockingIOError(refusal.format(owner=owner.process))
        try:
            path.unlink(missing_ok=True)
            path.write_bytes(_LOCK.dump(Owner.of_this_process()))
        except OSError as error:
            release_lock(path)  # half of one
            msg = (
                f"{path} cannot be written ({error.strerror}): check that its folder is writable "
                "and has free space."
            )
            raise type(error)(msg) from error


def release_lock(path: Path) -> None:
    """Remove a lock file that this process took."""
    with suppress(OSError):  # the folder was removed, or the disk is gone
        path.unlink(missing_ok=True)


@cache
def this_host() -> str:
    """Return a short name for this computer, or for the container on it."""
    name = platform.node()
    with suppress(OSError):  # numbers of processes differ between containers
        name += os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it points to no file
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]


def _owner_in(path: Path) -> Owner | None:
    """Return the owner of a lock; None if there is none, or it is no lock."""
    try:
        with path.open("rb") as file:
            return _LOCK.load(file.read(LARGEST_LOCK), path)
    except (OSError, ValueError):
        return None


def _start_of(process: int) -> float | None:
    """Return the time when a process started; None if there is no such process."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        return _start_elsewhere(process)
    state, *numbers = text.rpartition(")")[2].split()
    return None if state in "ZX" else float(numbers[18])


def _start_elsewhere(process: int) -> float | None:
    """Return the time when a process started on a system without /proc; `UNKNOWN` if not told."""
    import psutil  # not needed where there is /proc

    try:
        found = psutil.Process(process)
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(round(found.create_time() * 100))
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return UNKNOWN


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let other processes wait, so that of two one takes over an old lock (POSIX only)."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows; no such folder, which is told when it is written to
        yield
        return
    try:
        with suppress(OSError):  # some network disks have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
