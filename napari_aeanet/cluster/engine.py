"""The workers of dask, and calls on them whose results come in order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any

import torch

from napari_aeanet.cluster.settings import LOCAL, SLURM, ClusterSettings
from napari_aeanet.cluster.slurm import SlurmJobs, job_script, read_site

# Calls waiting for each worker: few, so that a large image makes no large graph of tasks.
WAITING = 3
# A call is given up after so many workers died of it.
MOST_DEATHS = 10
# A call that dask dropped without being asked is sent again so many times.
MOST_RESENDS = 5
SECONDS_BETWEEN_LOOKS = 5.0
# While nothing is finished, the caller may stop so often.
SECONDS_BETWEEN_STOPS = 0.5
SECONDS_FOR_WORKERS = 120.0
# A worker of a busy computer takes long to start (again).
SECONDS_TO_START = 300.0
# Less looking at workers than by default, which takes 10 % of their CPU time: no samples of what
# they compute, and their state every two seconds.
CONFIGURATION = {
    "distributed.scheduler.allowed-failures": MOST_DEATHS,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.tick.interval": "500ms",
    # Sections that were made go to the worker that writes them: no mistake to warn of.
    "distributed.admin.large-graph-warning-threshold": "1TB",
}


@dataclass(frozen=True, eq=False)
class RemoteCall:
    """A function with its arguments, and the worker that has something for it, if known."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    worker: str = ""


@dataclass(frozen=True, eq=False)
class Workers:
    """A client of dask, and the jobs of SLURM, if there are any."""

    client: Any
    jobs: SlurmJobs | None = None


def distributed() -> ModuleType:
    """Return dask.distributed; raise a ValueError that tells how to install it."""
    try:
        return import_module("distributed")
    except ImportError as error:
        msg = 'Work on several processes needs dask: pip install "napari-aeanet[dask]".'
        raise ValueError(msg) from error


@contextmanager
def connected(settings: ClusterSettings) -> Iterator[Workers]:
    """Yield workers; those on this computer and jobs of SLURM are started, and ended with it."""
    dask = import_module("dask")
    library = distributed()
    if settings.dask == LOCAL:
        limit = int(settings.worker_memory * 1e9) or 0
        with (
            dask.config.set(CONFIGURATION),
            _own_cluster(n_workers=settings.workers, memory_limit=limit) as cluster,
            library.Client(cluster) as client,
        ):
            yield Workers(client)
    elif settings.dask == SLURM:
        assert settings.site is not None
        site = read_site(settings.site)
        # Without a name of the network, the address by which other computers are reached.
        host = {"interface": site.interface} if site.interface else {"host": _own_address()}
        with (
            dask.config.set(CONFIGURATION),
            _own_cluster(n_workers=0, **host) as cluster,
            library.Client(cluster) as client,
        ):
            script = job_script(site, cluster.scheduler_address, CONFIGURATION)
            with SlurmJobs(script, Path(site.logs), settings.workers) as jobs:
                yield Workers(client, jobs)
    else:
        try:
            client = library.Client(settings.dask, timeout=SECONDS_FOR_WORKERS)
        except OSError as error:
            msg = f"{settings.dask} does not answer: check that its scheduler runs."
            raise OSError(msg) from error
        with dask.config.set(CONFIGURATION), client:
            client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)
            yield Workers(client)


def threads_of_worker(settings: ClusterSettings) -> int:
    """Return the threads of PyTorch of each worker."""
    if settings.worker_threads:
        return settings.worker_threads
    return read_site(settings.site).cores if settings.site else torch.get_num_threads()


def _own_cluster(**options: Any) -> Any:
    """Return a scheduler in this process, with or without workers on this computer."""
    try:
        return distributed().LocalCluster(
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            death_timeout=SECONDS_TO_START,
            **options,
        )
    # Errors of many kinds, of starting or of ending what has not started.
    except Exception as error:
        msg = (
            f"The workers could not be started ({type(error).__name__} {error}): take fewer "
            "(--workers), or try again when this computer is less busy."
        )
        raise RuntimeError(msg) from error


def _own_address() -> str:
    return import_module("distributed.utils").get_ip()


def dashboard(client: Any) -> str:
    """Return the address of the page of a scheduler; empty if it has none."""
    has_page = "dashboard" in client.scheduler_info().get("services", {})
    # Without bokeh a scheduler of our own has no page there.
    return client.dashboard_link if has_page and (client.cluster is None or _has_bokeh()) else ""


def in_order(workers: Workers, calls: Iterable[RemoteCall]) -> Generator[Any, None, None]:
    """Yield the results of calls on the workers, in the order of the calls; None while they work.

    Few calls wait at a time. What a dead worker had begun or kept is computed again by others.
    When the generator is closed, the calls that wait are withdrawn.
    """
    client = workers.client
    waiting: deque[tuple[RemoteCall, Any]] = deque()
    try:
        for call in calls:
            waiting.append((call, _submitted(client, call)))
            while len(waiting) >= WAITING * max(1, len(client.ncores())):
                yield from _first_result(workers, waiting)
        while waiting:
            yield from _first_result(workers, waiting)
    finally:
        client.cancel([future for _, future in waiting], force=True)


def _submitted(client: Any, call: RemoteCall) -> Any:
    hint = {"workers": [call.worker], "allow_other_workers": True} if call.worker else {}
    return client.submit(call.function, *call.arguments, pure=False, **hint)


def _first_result(workers: Workers, waiting: deque[tuple[RemoteCall, Any]]) -> Iterator[Any]:
    """Yield the result of the call that waits longest, and drop it; None until it is there."""
    client, library = workers.client, distributed()
    looked_at, resent = monotonic(), 0
    while True:
        first, future = waiting[0]
        try:
            found = future.result(timeout=SECONDS_BETWEEN_STOPS)
        except TimeoutError:
            yield None
            if monotonic() - looked_at < SECONDS_BETWEEN_LOOKS:
                continue
            looked_at = monotonic()
            if workers.jobs is not None:
                workers.jobs.renew()
            # If all workers died, dask goes on waiting for the one that is named.
            for number, (call, _) in enumerate(waiting):
                if call.worker and call.worker not in client.ncores():
                    freed = replace(call, worker="")
                    waiting[number] = (freed, _submitted(client, freed))
        except library.KilledWorker as error:
            msg = (
                f"{MOST_DEATHS} workers died of the same part of the work: give each more memory "
                "(smaller tiles take less)."
            )
            raise RuntimeError(msg) from error
        # What dask's `sync` raises, too, where the result of a dropped call is waited for.
        except (CancelledError, UnboundLocalError) as error:
            if future.status == "error":  # raised by the call itself
                raise
            resent += 1
            if resent > MOST_RESENDS:
                msg = (
                    f"dask dropped the same part of the work {resent} times: start again to go on "
                    "from what is finished, or see the log of its scheduler."
                )
                raise RuntimeError(msg) from error
            waiting[0] = (first, _submitted(client, first))
        else:
            waiting.popleft()
            yield found
            return


def _has_bokeh() -> bool:
    """Return True if the page of dask can be shown."""
    try:
        import_module("bokeh")
    except ImportError:
        return False
    return True
