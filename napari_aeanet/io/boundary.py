"""One sentence with the name of the file for whatever goes wrong while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 120  # characters of a library's message


@contextmanager
def in_one_sentence(path: Path, kind: str) -> Iterator[None]:
    """Turn every exception of the block, of whatever library, into one sentence.

    Our own sentences begin with the path, and pass.

    Parameters
    ----------
    kind
        What the file should be, such as "TIFF file".

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
    except OSError as error:
        if str(error).startswith(str(path)):
            raise
        if error.errno is None:  # a library's word for a damaged file
            raise ValueError(_sentence(path, kind, error)) from error
        msg = f"{path} cannot be read ({error.strerror}): check the path and its permissions."
        raise type(error)(msg) from error
    except MemoryError as error:
        msg = f"{path} does not fit into memory: close other programs, or check its size."
        raise MemoryError(msg) from error
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        raise ValueError(_sentence(path, kind, error)) from error


def _sentence(path: Path, kind: str, error: Exception) -> str:
    return (
        f"{path} is not a complete {kind} ({_short(error)}): "
        "copy it again, or export it again from the program that wrote it."
    )


def _short(error: BaseException) -> str:
    """Return the beginning of an error's first line, or its kind if it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
