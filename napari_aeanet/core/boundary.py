"""One sentence with the name of the file for whatever goes wrong while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_aeanet.core.memory import is_out_of_memory
from napari_aeanet.core.words import shortened

_LONGEST = 120  # characters of a library's message
REMEDY = "copy it again, or export it again from the program that wrote it"


@contextmanager
def in_one_sentence(path: Path, kind: str, remedy: str = REMEDY) -> Iterator[None]:
    """Turn every exception of the block, of whatever library, into one sentence.

    Our own sentences begin with the path (or the name of a file), and pass.

    Parameters
    ----------
    kind
        What the file should be, such as "TIFF file".
    remedy
        What to do about one that is not.

    Raises
    ------
    OSError
        If the system refuses to read the file.
    MemoryError
        If the image does not fit into memory.
    ValueError
        For everything else.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError | OSError | MemoryError) and _is_ours(error, path):
            raise
        if is_out_of_memory(error):
            msg = f"{path} does not fit into memory: close other programs, or check its size."
            raise MemoryError(msg) from error
        # Without a number, it is a library's word for a damaged file.
        if isinstance(error, OSError) and error.errno is not None:
            msg = f"{path} cannot be read ({error.strerror}): check the path and its permissions."
            raise type(error)(msg) from error
        msg = f"{path} is not a complete {kind}{_short(error)}: {remedy}."
        raise ValueError(msg) from error


def _is_ours(error: Exception, path: Path) -> bool:
    return str(error).startswith((str(path), f"{path.name}:", f"{path.name} "))


def _short(error: BaseException) -> str:
    """Return the beginning of an error's first line in brackets; empty if it says nothing."""
    text = " ".join(str(error).split()).rstrip(".")
    # A KeyError is only the key, a number often.
    return f" ({shortened(text, _LONGEST)})" if any(c.isalpha() for c in text) else ""
