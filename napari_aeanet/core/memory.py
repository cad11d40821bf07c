"""Too little memory: recognised by its many names, and told in one sentence."""

from __future__ import annotations

import errno

import numpy as np

# In the texts of torch, CUDA, oneDNN (which cannot make a "primitive" then), C++ and the system.
_SIGNS = (
    "can't allocate memory",
    "cannot allocate memory",
    "could not create a memory object",
    "could not create a primitive",
    "could not execute a primitive",
    "failed to allocate",
    "not enough memory",
    "out of memory",
    "bad allocation",
    "bad_alloc",
    "unable to mmap",
    "can't start new thread",
    "failed to map segment",
)
ADVICE = (
    "There is too little memory: close other programs, or choose smaller patches, tiles or images."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error means too little memory, on a GPU or on the host."""
    if isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno == errno.ENOMEM
    ):
        return True
    text = str(error).lower()
    kinds = RuntimeError, ImportError, SystemError
    return isinstance(error, kinds) and any(sign in text for sign in _SIGNS)


def require_memory(size: int, purpose: str) -> None:
    """Raise a MemoryError unless `size` more bytes can be had at once.

    Libraries that cannot have a little memory end the whole process, with no word that helps. The
    bytes are not touched, so that nothing is waited for.
    """
    try:
        np.empty(size, np.uint8)
    except MemoryError as error:
        msg = (
            f"There is too little memory {purpose} (about {size / 2**20:,.0f} MiB more are "
            "needed): close other programs, raise the limit of memory, or choose smaller patches, "
            "tiles or images."
        )
        raise MemoryError(msg) from error


def memory_sentence(error: BaseException) -> str:
    """Return the sentence of an error that `is_out_of_memory`: its own, if it is one of ours."""
    text = str(error)
    is_ours = isinstance(error, MemoryError) and ": " in text and text.endswith(".")
    return text if is_ours else ADVICE
