"""Options and events of work on several processes or computers. No torch, no dask here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_aeanet.core.arguments import check_options
from napari_aeanet.core.progress import Progress, Progressed
from napari_aeanet.restoration import Restored

LOCAL, SLURM, TCP = "local", "slurm", ("tcp://", "tls://")


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Choice of workers for `restore_on_cluster` and `on_workers_events`.

    Parameters
    ----------
    dask
        "local" for workers on this computer, "slurm" for jobs of a cluster, or the address of a
        scheduler ("tcp://host:8786").
    site
        File (.yaml) that tells what a job of SLURM asks for.
    workers
        Number of workers on this computer, or of jobs of SLURM.
    worker_threads
        Threads of each worker; 0 for as many as one process uses, or for the cores of a job.
    worker_memory
        Memory in GB above which a worker on this computer is started again; 0 for no limit.
    """

    dask: str = ""
    site: Path | None = None
    workers: int = 2
    worker_threads: int = 0
    worker_memory: float = 0.0

    def __post_init__(self) -> None:
        check_options(self)
        if self.dask not in ("", LOCAL, SLURM) and not self.dask.startswith(TCP):
            msg = (
                f'dask must be "local", "slurm" or an address such as "tcp://host:8786", got '
                f'"{self.dask}".'
            )
            raise ValueError(msg)
        if (self.dask == SLURM) != (self.site is not None):
            raise ValueError(
                "dask slurm needs a site file (--site FILE.yaml), and nothing else does."
            )
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}.")


@dataclass(frozen=True)
class Connected:
    """The first event: the workers are there.

    Parameters
    ----------
    workers
        Their number, which may change; 0 while all jobs wait in the queue of SLURM.
    dashboard
        Address of the page on which dask shows their work; empty if there is none.
    """

    workers: int
    dashboard: str
    progress: Progress


ClusterEvent = Connected | Progressed | Restored
