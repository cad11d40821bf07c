"""Options and events of work on several processes or computers. No torch, no dask here."""

from __future__ import annotations

from dataclasses import dataclass

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.restoration import Restored

LOCAL, TCP = "local", ("tcp://", "tls://")


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Options of `restore_on_cluster`.

    Parameters
    ----------
    dask
        "local" for workers on this computer, or the address of a scheduler ("tcp://host:8786").
    workers
        Number of workers on this computer.
    worker_threads
        Threads of each worker; 0 for as many as one process uses.
    worker_memory
        Memory in GB above which a worker on this computer is started again; 0 for no limit.
    """

    dask: str = ""
    workers: int = 2
    worker_threads: int = 0
    worker_memory: float = 0.0

    def __post_init__(self) -> None:
        check_options(self)
        if self.dask and self.dask != LOCAL and not self.dask.startswith(TCP):
            msg = (
                f'dask must be "local" or an address such as "tcp://host:8786", got "{self.dask}".'
            )
            raise ValueError(msg)
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}.")


@dataclass(frozen=True)
class Connected:
    """The first event: the workers are there.

    Parameters
    ----------
    workers
        Their number, which may change.
    dashboard
        Address of the page on which dask shows their work; empty if there is none.
    """

    workers: int
    dashboard: str
    progress: Progress


ClusterEvent = Connected | Progressed | Restored
