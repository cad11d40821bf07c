"""The process of a worker: its threads, its memory, and the pieces that it computes. No torch."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Any, ParamSpec, TypeVar

import cv2

from napari_aeanet.core.image import Image
from napari_aeanet.core.pieces import Piece, Work

# Options of mallopt of the C library, and what they are without dask.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST_REUSED, MOST_KEPT = 2**25, 2**26

Given = ParamSpec("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class SharedImage:
    """The image that pieces are computed from, as a file that workers reach.

    Parameters
    ----------
    path, reopen
        The file, and the function that opens it.
    shape, dtype
        Of the pixels that it must have.
    threads
        Threads of the libraries of each worker.
    key
        Unlike that of every other image.
    """

    path: Path
    reopen: Callable[[Path], Image]
    shape: tuple[int, ...]
    dtype: str
    threads: int
    key: str


# A worker of several threads is given as many calls at once, and libraries have threads of their
# own.
_LOCK = Lock()


def one_at_a_time(function: Callable[Given, Found]) -> Callable[Given, Found]:
    """Return the function that waits until all others of this process are finished."""

    @wraps(function)
    def run(*given: Given.args, **named: Given.kwargs) -> Found:
        with _LOCK:
            return function(*given, **named)

    return run


def set_up(threads: int) -> None:
    """Let libraries use so many threads, and the C library keep what is freed for the next one.

    Workers are started with MALLOC_TRIM_THRESHOLD_, by which every map of features is returned to
    the system and its pages are cleared again: 60 % more CPU time.
    """
    cv2.setNumThreads(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # not in each C library
        library.mallopt(M_MMAP_THRESHOLD, MOST_REUSED)
        library.mallopt(M_TRIM_THRESHOLD, MOST_KEPT)


_LATEST: dict[str, Image] = {}


@one_at_a_time
def compute(shared: SharedImage, work: Work[Image, Piece, Any], pieces: list[Piece]) -> list[Any]:
    """Compute some pieces on a worker."""
    if shared.key not in _LATEST:
        _LATEST.clear()
        set_up(shared.threads)
        image = shared.reopen(shared.path)
        if (image.shape, str(image.dtype)) != (shared.shape, shared.dtype):
            msg = f"{shared.path} holds another image on a worker: give all the same file."
            raise ValueError(msg)
        _LATEST[shared.key] = image
    return list(work(_LATEST[shared.key], pieces))
