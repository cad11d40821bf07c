"""Any work in independent pieces on the workers of dask: each call computes a part of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from operator import length_hint
from pathlib import Path
from time import monotonic
from typing import Any, Protocol
from uuid import uuid4

from napari_aeanet.cluster.engine import (
    WAITING,
    RemoteCall,
    Workers,
    connected,
    dashboard,
    distributed,
    in_order,
    threads_of_worker,
)
from napari_aeanet.cluster.process import SharedImage, compute
from napari_aeanet.cluster.settings import ClusterSettings, Connected
from napari_aeanet.cluster.slurm import read_site
from napari_aeanet.cluster.work import SharedRun, compute_tiles
from napari_aeanet.core.arguments import check_type
from napari_aeanet.core.image import Image
from napari_aeanet.core.pieces import Found, Mapper, Piece, Subject, Work
from napari_aeanet.core.progress import HasProgress
from napari_aeanet.io import Fingerprint
from napari_aeanet.relevance import OpenRun
from napari_aeanet.stacks import as_stack

ENDING = ".ome.zarr"
# Most pieces in a call, and fewest and most for each piece that is computed again.
MOST, FEWEST_PER_OVERLAP, MOST_PER_OVERLAP = 32, 4, 16

# Times as long as a look at the files of an image, until the next one.
LOOKING = 20


class MappedWork(Protocol):
    """Begins a long work, whose pieces `mapper` computes, and returns its events."""

    def __call__(self, *, mapper: Mapper) -> Generator[HasProgress, None, None]: ...


def on_workers_events(
    begin: MappedWork,
    cluster: ClusterSettings,
    reopen: Callable[[Path], Image] = as_stack,
) -> Iterator[HasProgress]:
    """Return the events of a work whose pieces are computed on the workers of dask.

    The first one is `Connected`; the others are those of the work. Close the generator to stop.

    Parameters
    ----------
    begin
        Such as `partial(align_stack_events, "sections.ome.zarr", out="aligned.ome.zarr")`.
    cluster
        Which workers; they must reach the files under the same paths.
    reopen
        Opens the file of an image on a worker.

    Raises
    ------
    As `begin`; also ValueError if the image is no file, or the result no OME-Zarr.
    """
    check_type("cluster", cluster, ClusterSettings)
    distributed()
    if cluster.site is not None:
        read_site(cluster.site)  # refused before anything is begun
    mapper = WorkerMapper(cluster, reopen)
    return _events(mapper, begin(mapper=mapper))


def _events(
    mapper: WorkerMapper, events: Generator[HasProgress, None, None]
) -> Iterator[HasProgress]:
    with connected(mapper.cluster) as workers, closing(events):
        mapper.workers = workers
        for number, event in enumerate(events):
            if number == 0:
                client = workers.client
                yield Connected(len(client.ncores()), dashboard(client), event.progress)
            yield event


class WorkerMapper(Mapper):
    """Lets the workers of dask compute the pieces, once there are `workers`."""

    def __init__(self, cluster: ClusterSettings, reopen: Callable[[Path], Image]) -> None:
        self.cluster = cluster
        self.workers: Workers | None = None
        self._reopen = reopen
        self._of: OpenRun | None = None
        self._job: SharedRun | None = None
        self._unchanged: _Unchanged | None = None

    def check(self, image: Image, out: Path | None) -> None:
        if image.source is None:
            msg = (
                f"{image.name} lies in the memory of this program, where workers cannot read it: "
                "save it."
            )
            raise ValueError(msg)
        if out is not None and not out.name.lower().endswith(ENDING):
            raise ValueError(f"{out}: workers write OME-Zarr: choose a name that ends in {ENDING}.")

    def map(
        self,
        work: Work[Subject, Piece, Found],
        subject: Subject,
        pieces: Iterable[Piece],
        *,
        overlap: int = 0,
    ) -> Generator[Found | None, None, None]:
        assert self.workers is not None
        image = subject.prepared.image if isinstance(subject, OpenRun) else subject
        assert isinstance(image, Image) and image.source is not None
        if self._unchanged is None or self._unchanged.image is not image:
            self._unchanged = _Unchanged(image)
        function, shared = self._shared(subject)
        size = self._size(length_hint(pieces), overlap)
        parts = iter(pieces)
        calls = (
            RemoteCall(function, (shared, work, part))
            for part in iter(lambda: list(islice(parts, size)), [])
        )
        with closing(in_order(self.workers, calls)) as results:
            for found in results:
                if found is None:
                    yield None
                else:
                    yield from found
        self._unchanged.check()

    def _shared(self, subject: object) -> tuple[Callable[..., Any], SharedImage | SharedRun]:
        """Return the function of a worker, and the subject as files that it reaches."""
        threads = threads_of_worker(self.cluster)
        if isinstance(subject, OpenRun):
            if self._of is not subject:  # one job: workers go on with what they have opened
                self._of, self._job = subject, shared_run(subject, threads)
            assert self._job is not None
            return compute_tiles, self._job
        assert isinstance(subject, Image) and subject.source is not None
        return compute, SharedImage(
            path=subject.source.absolute(),
            reopen=self._reopen,
            shape=subject.shape,
            dtype=str(subject.dtype),
            threads=threads,
            key=uuid4().hex,
        )

    def _size(self, count: int, overlap: int) -> int:
        """Return the number of pieces in a call: enough calls for all workers, of few pieces."""
        assert self.workers is not None
        workers = max(1, len(self.workers.client.ncores()))
        if self.cluster.dask != self.workers.client.scheduler.address:
            workers = max(workers, self.cluster.workers)  # of which some are still to come
        fewest = min(FEWEST_PER_OVERLAP * overlap, -(-count // workers))
        most = max(MOST, MOST_PER_OVERLAP * overlap)
        return min(most, max(1, fewest, -(-count // (WAITING * workers))))


class _Unchanged:
    """Notices that the file of an image changes. To look at many files takes long, so at times."""

    def __init__(self, image: Image) -> None:
        self.image = image
        began = monotonic()
        self._first = Fingerprint.of(image)
        self._looked_at = monotonic()
        self._seconds = self._looked_at - began

    def check(self) -> None:
        """Raise a ValueError if the file was changed."""
        if monotonic() - self._looked_at < LOOKING * self._seconds:
            return
        if Fingerprint.of(self.image) != self._first:
            source = self.image.source
            raise ValueError(f"{source} was changed while it was being read: begin again.")
        self._looked_at = monotonic()


def shared_run(run: OpenRun, threads: int) -> SharedRun:
    """Return a run that is open here for workers, which open its files."""
    prepared = run.prepared
    model, image, layout = prepared.model, prepared.image, prepared.layout
    if model.path is None:
        msg = f"{model.card.name} is no file, which workers could read: save the model first."
        raise ValueError(msg)
    assert image.source is not None
    return SharedRun(
        image=image.source.absolute(),
        number=image.source_index,
        model=model.path.absolute(),
        settings=prepared.settings,
        tiles=layout.tiles,
        kept=run.kept,
        ranges=tuple((one.low, one.high) for one in layout.intensities.ranges),
        results=(),
        threads=threads,
        key=uuid4().hex,
    )
