"""Two worker processes for all tests of this folder; they take long to start."""

import pytest

from napari_aeanet.cluster import ClusterSettings


@pytest.fixture(scope="session")
def started():
    """The client of a scheduler with two worker processes."""
    pytest.importorskip("distributed")
    import torch

    from napari_aeanet.cluster import run

    with run.connected(ClusterSettings(dask="local", workers=2)) as found:
        found.client.run(torch.set_num_threads, 1)
        yield found.client


@pytest.fixture
def workers(started):
    """The client, once two workers are there: one may have been killed before."""
    try:
        started.wait_for_workers(2, timeout=60)
    except TimeoutError:  # dask tries once only to start a worker again
        started.cluster.scale(len(started.cluster.worker_spec) + 1)
        started.wait_for_workers(2, timeout=120)
    return started


@pytest.fixture
def settings(workers):
    return ClusterSettings(dask=workers.scheduler.address, worker_threads=1)
