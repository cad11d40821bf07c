"""Number of the processes that torchrun started, and which of them this is. No torch here."""

from __future__ import annotations

import os

# Set by torchrun, as torch.distributed documents them.
COUNT, RANK, LOCAL_COUNT, LOCAL_RANK = "WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK"
TOLD = "is_told_elsewhere"  # attribute of an exception
NEEDED = (COUNT, RANK, "MASTER_ADDR", "MASTER_PORT")


def process_count() -> int:
    """Return the number of processes that work together; 1 without torchrun."""
    return int(os.environ[COUNT]) if all(name in os.environ for name in NEEDED) else 1


def is_first() -> bool:
    """Return True in the process that leads and writes; without torchrun it is the only one."""
    return process_count() == 1 or int(os.environ[RANK]) == 0


def is_told_elsewhere(error: BaseException) -> bool:
    """Return True if the first of several processes stops for the same reason, or tells it."""
    is_shared = not isinstance(error, ConnectionError | MemoryError)
    return not is_first() and (is_shared or getattr(error, TOLD, False))


def local_place() -> tuple[int, int]:
    """Return the number of this process among those on this computer, from 0, and their number."""
    place = os.environ.get(LOCAL_RANK) or os.environ.get(RANK) or "0"
    return int(place), int(os.environ.get(LOCAL_COUNT) or process_count())


def launcher() -> list[str]:
    """Return the words by which the command was started, up to its own options."""
    if process_count() == 1:
        return ["napari-aeanet"]
    return ["torchrun", "--nproc-per-node", str(local_place()[1]), "-m", "napari_aeanet"]
