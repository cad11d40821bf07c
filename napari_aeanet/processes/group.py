"""What processes exchange: messages of the first one, sums of tensors, and why one has stopped.

Messages and the tensors of CPUs go by gloo, tensors of GPUs by NCCL. A process that ends closes its
connections, so that the others, who wait without a limit, fail at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from time import sleep
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from napari_aeanet.core.memory import is_out_of_memory, memory_sentence
from napari_aeanet.processes.launch import TOLD, local_place, process_count

# Validations, in which the others wait for the first process, may take hours.
FOREVER = timedelta(days=365)
# A process that was told of the end of another waits so long for the word of the first one.
WORD_SECONDS = 5
# Time between two looks at a GPU that is waited for.
POLL_SECONDS = 2e-4
# Batch-aware attention needs more than one image.
SMALLEST_SHARE = 2
CPU = torch.device("cpu")


class ProcessGroup:
    """Processes that train one network together, or a process that trains alone.

    The first process leads: it tells the others what to do, and alone writes to disk.

    Parameters
    ----------
    rank, size
        Number of this process, from 0, and number of all.
    connection
        Connection of all of them.
    store
        Words that every process can read, also after another has ended.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        connection: dist.ProcessGroup | None = None,
        store: dist.Store | None = None,
    ) -> None:
        self.rank, self.size = rank, size
        self._all, self._store = connection, store
        self._is_told = False  # by the first process: why this one stops

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Return the part of `count` patches that this process computes.

        Raises
        ------
        ValueError
            If there are too few patches.
        """
        if self.size > 1 and count < SMALLEST_SHARE * self.size:
            msg = (
                f"A batch of {count} patches is too small for {self.size} processes, each of which "
                f"needs {SMALLEST_SHARE}: choose a batch of {SMALLEST_SHARE * self.size} "
                f"(--batch {SMALLEST_SHARE * self.size}), or fewer processes."
            )
            raise ValueError(msg)
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def device_name(self, name: str) -> str:
        """Return the device of this process where `name` was asked for: each has a GPU of its own.

        Raises
        ------
        ValueError
            If there are not enough GPUs, or one was asked for by its number.
        """
        place, count = local_place()
        if self.size == 1 or name == "cpu":
            return name
        gpus = torch.cuda.device_count()
        if name == "auto" and not gpus:
            return "cpu"
        if name not in ("auto", "cuda"):
            raise ValueError(f"Several processes cannot share {name}: choose cuda, or cpu.")
        if count > gpus:
            msg = (
                f"There are {count} processes on this computer, and {gpus} GPUs: start one process "
                "for each GPU (--nproc-per-node), or train on the CPU (--device cpu)."
            )
            raise ValueError(msg)
        torch.cuda.set_device(place)
        return f"cuda:{place}"

    def tell(self, message: object) -> None:
        """Send a message from the first process to the others, which `hear` it."""
        if self.size > 1:
            with self._connected():
                dist.broadcast_object_list([message], 0, group=self._all, device=CPU)

    def hear(self) -> Any:
        """Wait for the next message of the first process."""
        received = [None]
        with self._connected():
            dist.broadcast_object_list(received, 0, group=self._all, device=CPU)
        return received[0]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes; all have the same result."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with self._connected():
            dist.all_reduce(flat, group=self._all)
        for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(total.view(tensor.shape))

    def wait(self, device: torch.device) -> None:
        """Wait for sums on a GPU so that a signal can end it, as where another process has died."""
        if self.size > 1 and device.type == "cuda":
            event = torch.cuda.Event()
            event.record()
            while not event.query():
                sleep(POLL_SECONDS)

    def leave(self, error: BaseException) -> None:
        """Tell the others why this process stops, and close the connections to them."""
        if self.size == 1:
            return
        # The end of another process is no reason of this one.
        is_own = not isinstance(error, ConnectionError)
        is_heard = self._say(_reason(error) if is_own else "")
        if is_own:
            self._is_told = is_heard
        setattr(error, TOLD, self._is_told)
        self.abandon()

    def abandon(self) -> None:
        """Close the connections, also where the GPU waits for another process."""
        if self._all is not None:
            self._say("")
            with suppress(RuntimeError):
                if torch.cuda.is_initialized() and hasattr(self._all, "abort"):
                    self._all.abort()
                dist.destroy_process_group()
            self._all = None

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Turn the loss of a connection into a sentence about the process that has ended."""
        if self._all is None:
            raise ConnectionError("The processes of this training have stopped: start them anew.")
        try:
            yield
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            # torchrun ends all processes if one has ended; this one saves the training first.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._say("")
            raise ConnectionError(self._words_of_others()) from error

    def _say(self, word: str) -> bool:
        """Leave a word for the others, unless there is one already; False if none can hear it."""
        assert self._store is not None
        try:
            self._store.compare_set(_key(self.rank), "", word or " ")
        except RuntimeError:  # the process that keeps the words is gone
            return False
        return True

    def _words_of_others(self) -> str:
        """Return a sentence about the process that has ended."""
        assert self._store is not None
        words = {}
        with suppress(RuntimeError):
            if not self.leads:
                with suppress(dist.DistStoreError):
                    self._store.wait([_key(0)], timedelta(seconds=WORD_SECONDS))
                    self._is_told = True
            for rank in range(self.size):
                if rank != self.rank and self._store.check([_key(rank)]):
                    words[rank] = self._store.get(_key(rank)).decode().strip()
        for rank, word in words.items():
            if word:
                return f"Process {rank + 1} of {self.size} has stopped: {word}"
        return "Another process of the training has ended without a word, so this one stops too."


ALONE = ProcessGroup()
_joined: ProcessGroup | None = None


@contextmanager
def together() -> Iterator[ProcessGroup]:
    """Join the other processes, if there are any; an exception in the block ends them all."""
    group = _join()
    try:
        yield group
    except BaseException as error:
        group.leave(error)
        raise


def _join() -> ProcessGroup:
    """Wait for all processes at the first call, and return their group."""
    global _joined
    if process_count() == 1:
        return ALONE
    if _joined is None:
        store, rank, size = next(dist.rendezvous("env://"))
        has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
        backend = "cpu:gloo,cuda:nccl" if has_nccl else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
        _joined = ProcessGroup(rank, size, dist.new_group(timeout=FOREVER), store)
    return _joined


def _key(rank: int) -> str:
    return f"napari-aeanet/stopped/{rank}"


def _reason(error: BaseException) -> str:
    """Return why a process stops, for the others."""
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return "it was asked to."
    if is_out_of_memory(error):
        return memory_sentence(error)
    return str(error) if isinstance(error, ValueError | OSError) else repr(error)
