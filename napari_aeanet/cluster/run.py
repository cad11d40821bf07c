"""Restore an image larger than one process can: on the workers of dask, with the same result.

Every gathering and the prediction are spread over groups of tiles. The contexts are added here, in
the order of the layout, as one process does. A worker writes the chunks of the result that lie in
its tiles as a whole; what lies in tiles of several groups, and the coarser levels, is written here.
The notes beside the result are those of one process, which can finish it, and the other way round.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby, product
from pathlib import Path
from typing import Any
from uuid import uuid4

from napari_aeanet.cluster.engine import (
    RemoteCall,
    Workers,
    connected,
    dashboard,
    distributed,
    in_order,
    threads_of_worker,
)
from napari_aeanet.cluster.settings import ClusterEvent, ClusterSettings, Connected
from napari_aeanet.cluster.slurm import read_site
from napari_aeanet.cluster.work import (
    Corner,
    Predicted,
    SharedRun,
    corner,
    gather,
    predict,
    predict_patches,
)
from napari_aeanet.core.arguments import as_path, check_type
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import Progressed, ProgressOption, StepCounter, result_of
from napari_aeanet.core.tiles import Tile, extent, moved, partition
from napari_aeanet.io import Fingerprint, ImageSource, check_writable
from napari_aeanet.models import save_model
from napari_aeanet.restoration import (
    NOTES,
    ClippedPixels,
    Contexts,
    FileOutputStore,
    ModelSource,
    PreparedRun,
    Restored,
    RestoreSettings,
    Seams,
    check_is_free,
    explaining,
    open_files,
    partial_path,
    prepare,
    provenance,
    result_files,
    unfinished_plan,
    unlike_training,
)

DEFAULTS, LOCALLY = RestoreSettings(), ClusterSettings(dask="local")
MODEL = f"{NOTES}/model.aeanet"
# Pixels along Y and X of a group of tiles: those of a chunk of the result.
CHUNK = 1024


def restore_on_cluster(
    image: ImageSource,
    model: ModelSource,
    out: Path | str,
    settings: RestoreSettings = DEFAULTS,
    cluster: ClusterSettings = LOCALLY,
    *,
    overwrite: bool = False,
    progress: ProgressOption = False,
) -> Image:
    """Restore an image file on the workers of dask, and return the result.

    Parameters
    ----------
    image
        An image file, or an image that was read from one; all workers must reach it.
    model
        A model, or its file (.aeanet).
    out
        File NAME.ome.zarr for the result; all workers must reach its folder.
    settings
        How to restore.
    cluster
        Which workers.
    overwrite
        Replace a result that exists by the complete new one.
    progress
        True for a progress bar, or a function that is called with every `Progress`.

    Raises
    ------
    As `restore`; also ValueError if the image is no file, or a setting is not possible there.
    """
    events = restore_on_cluster_events(image, model, out, settings, cluster, overwrite=overwrite)
    done = result_of(Restored, events, progress)
    return replace(done.image, notices=done.notices)


def restore_on_cluster_events(
    image: ImageSource,
    model: ModelSource,
    out: Path | str,
    settings: RestoreSettings = DEFAULTS,
    cluster: ClusterSettings = LOCALLY,
    *,
    overwrite: bool = False,
) -> Iterator[ClusterEvent]:
    """Return the generator of a restoration on workers; see `restore_on_cluster`.

    Its first event is `Connected`, its last one `Restored`. Close it to stop; what is finished is
    kept, and the same call resumes it.
    """
    check_type("cluster", cluster, ClusterSettings)
    out = as_path("out", out)
    prepared = prepare(image, model, settings)
    distributed()
    if cluster.site is not None:
        read_site(cluster.site)  # refused before anything is written
    name = prepared.image.name
    if prepared.image.source is None:
        msg = f"{name} lies in the memory of this program, where workers cannot read it: save it."
        raise ValueError(msg)
    if prepared.layout.patches and settings.seams is Seams.BLEND:
        raise ValueError("Workers blend no seams: leave that out, or do without dask.")
    if not overwrite and unfinished_plan(out) is None:
        check_is_free(out)
    check_writable(prepared.layout.output, out, settings.compression)
    return _restored(prepared, out, cluster, overwrite)


def _restored(
    prepared: PreparedRun, out: Path, cluster: ClusterSettings, overwrite: bool
) -> Iterator[ClusterEvent]:
    fingerprint = Fingerprint.of(prepared.image)
    if not prepared.settings.tile:
        layout = replace(prepared.layout, tiles=tiles_in_chunks(prepared))
        prepared = replace(prepared, layout=layout)
    output, heights, layout = open_files(out, prepared, fingerprint, overwrite=overwrite)
    stores = [output] if heights is None else [output, heights]
    begun = False
    try:
        prepared = replace(prepared, layout=layout)
        folder = partial_path(out)
        with explaining(folder):
            save_model(prepared.model, folder / MODEL)
        files = result_files(out, prepared.settings)
        with connected(cluster) as workers:
            begun = True
            job = SharedRun(
                image=Path(prepared.image.source or "").absolute(),
                number=prepared.image.source_index,
                model=(folder / MODEL).absolute(),
                settings=prepared.settings,
                tiles=layout.tiles,
                kept=tuple(prepared.suspended_tiles()),
                ranges=tuple((one.low, one.high) for one in layout.intensities.ranges),
                results=tuple(partial_path(file).absolute() for file in files),
                threads=threads_of_worker(cluster),
                key=uuid4().hex,
            )
            done = yield from _Run(prepared, stores, job, workers).events()
        if Fingerprint.of(prepared.image) != fingerprint:
            msg = f"{fingerprint.source} was changed while it was being restored: restore it again."
            raise ValueError(msg)
        *height, image = [store.finish() for store in reversed(stores)]
        for store in stores:
            store.clean()
    finally:
        for store in stores:
            store.close(discard=not begun)
    yield replace(done, image=image, height=height[0] if height else None)


class _Run:
    """A restoration on workers: what is finished, and what is still to be done."""

    def __init__(
        self, prepared: PreparedRun, stores: list[FileOutputStore], job: SharedRun, workers: Workers
    ):
        self._prepared, self._stores, self._job, self._workers = prepared, stores, job, workers
        layout, contexts = prepared.layout, prepared.network.contexts
        steps = len(layout.patches) + (contexts + 1) * len(layout.tiles)
        self._counter = StepCounter(f"restoring {prepared.image.name}", steps * len(layout.inputs))
        self._clipped, self._halved = ClippedPixels(), 0

    def events(self) -> Generator[ClusterEvent, None, Restored]:
        prepared = self._prepared
        client = self._workers.client
        yield Connected(len(client.ncores()), dashboard(client), self._counter.begin())
        encoding = prepared.layout.encoding
        if encoding.dtype != prepared.image.dtype:
            for scaling in {source.scaling for source in prepared.inputs}:
                low = scaling.offset
                encoding.check(prepared.image.name, low, low + scaling.scale)
        for number in range(len(prepared.inputs)):
            yield from self._patches(number) if prepared.layout.patches else self._exactly(number)
        with prepared.runner() as runner:
            unlike = unlike_training(prepared, runner)
        notices = [*prepared.notices, unlike, self._clipped.sentence(encoding)]
        if self._halved:
            notices.append("Memory ran short, so smaller tiles were used; the result is the same.")
        made = provenance(prepared.image, prepared.model, prepared.settings)
        found = tuple(filter(None, notices))
        return Restored(prepared.layout.output, found, self._counter.finish(), made)

    def _exactly(self, number: int) -> Iterator[Progressed]:
        layout, attentions = self._prepared.layout, self._prepared.network.contexts
        source = self._prepared.inputs[number]
        missing = [tile for tile in layout.tiles if self._is_missing(number, tile)]
        if not missing:
            self._counter.skip((attentions + 1) * len(layout.tiles))
            return
        contexts, name = self._prepared.contexts(source), f"contexts-{number}"
        saved = self._stores[0].load(name)
        if saved is not None:
            contexts.add_arrays(saved)
            self._counter.skip(contexts.steps_done)
        places: dict[Corner, str] = {}  # the worker that keeps a suspended tile
        try:
            while contexts.steps_done < attentions * len(layout.tiles):
                for group, address, found in self._gathered(number, contexts):
                    if not group:
                        yield Progressed(self._counter.unchanged())  # the caller may stop
                    for tile, of_views in zip(group, found, strict=True):
                        places[corner(tile)] = address
                        contexts.add(tile, of_views)
                        yield Progressed(self._counter.step())
                    self._stores[0].save(name, contexts.to_arrays)
        finally:
            if attentions:
                self._stores[0].save(name, contexts.to_arrays, now=True)
        self._counter.skip(len(layout.tiles) - len(missing))
        calls = (
            RemoteCall(
                predict,
                (self._job, number, group, [self._known(contexts, tile) for tile in group]),
                places.get(corner(group[0]), ""),
            )
            for group in self._groups(number, missing)
        )
        yield from self._predicted(calls)

    def _gathered(
        self, number: int, contexts: Contexts
    ) -> Iterator[tuple[Sequence[Region], str, Any]]:
        """Yield groups of tiles with the contexts of the attention that is being gathered.

        An empty group means that workers are at work.
        """
        left = contexts.begin()
        groups = self._groups(number, left)
        calls = (
            RemoteCall(
                gather,
                (self._job, number, group, [self._earlier(contexts, tile) for tile in group]),
            )
            for group in groups
        )
        left_groups = iter(groups)
        with closing(in_order(self._workers, calls)) as results:
            for result in results:
                yield ((), "", ()) if result is None else (next(left_groups), *result)

    def _patches(self, number: int) -> Iterator[Progressed]:
        patches = self._prepared.layout.patches
        missing = [patch for patch in patches if self._is_missing(number, patch.inner)]
        self._counter.skip(len(patches) - len(missing))
        by_corner: dict[Corner, Tile] = {corner(patch.inner): patch for patch in missing}
        inner = sorted((patch.inner for patch in missing), key=lambda r: self._chunk(number, r))
        calls = (
            RemoteCall(
                predict_patches, (self._job, number, [by_corner[corner(one)] for one in group])
            )
            for group in self._groups(number, inner)
        )
        yield from self._predicted(calls)

    def _predicted(self, calls: Iterator[RemoteCall]) -> Iterator[Progressed]:
        with closing(in_order(self._workers, calls)) as results:
            for found in results:
                if found is None:
                    yield Progressed(self._counter.unchanged())  # the caller may stop
                    continue
                self._add(found)
                for _ in range(found.count):
                    yield Progressed(self._counter.step())

    def _add(self, found: Predicted) -> None:
        for store, stored in zip(self._stores, found.stored, strict=True):
            for one in stored.written:
                store.add_written(one.region, one.checksum, one.means)
            for region, block in stored.blocks:
                store.write(region, block)
        self._clipped.below += found.clipped.below
        self._clipped.above += found.clipped.above
        self._halved += found.times_halved

    def _known(self, contexts: Contexts, tile: Region) -> list[list[Any]]:
        return [contexts.around(tile, view) for view in range(len(contexts.views))]

    def _earlier(self, contexts: Contexts, tile: Region) -> list[list[Any]]:
        return [contexts.earlier(tile, view) for view in range(len(contexts.views))]

    def _is_missing(self, number: int, region: Region) -> bool:
        source = self._prepared.inputs[number]
        place = self._prepared.assembler.region(source, region)
        return not all(store.is_done(place) for store in self._stores)

    def _chunk(self, number: int, region: Region) -> tuple[int, ...]:
        """Return the chunk of the result in which a tile begins, nearly or as a whole."""
        place = self._prepared.assembler.region(self._prepared.inputs[number], region)
        return tuple((s.start + s.stop) // 2 // CHUNK for s in place[-2:])

    def _groups(self, number: int, tiles: Sequence[Region]) -> list[list[Region]]:
        """Return tiles one after the other in groups that lie in the same chunk."""
        found = groupby(tiles, lambda tile: self._chunk(number, tile))
        return [list(group) for _, group in found]


def tiles_in_chunks(prepared: PreparedRun) -> tuple[Region, ...]:
    """Return tiles of at most the size of the layout's, each in one chunk of the result.

    Chunks begin at multiples of the grid, unless the image was padded to it; then a few rows and
    columns of pixels lie in the tiles of the neighbours.
    """
    layout, grid = prepared.layout, prepared.network.grid
    if not layout.tiles:
        return ()
    largest = [max(extent(tile)[axis] for tile in layout.tiles) for axis in range(len(grid))]
    shape = layout.inputs[0].shape
    cuts = []
    for axis, n in enumerate(shape):
        step = CHUNK // grid[axis] * grid[axis] if axis >= len(shape) - 2 else n
        cuts.append([slice(start, min(start + step, n)) for start in range(0, n, step)])
    return tuple(
        moved(part, [s.start for s in chunk])
        for chunk in product(*cuts)
        for part in partition(extent(chunk), largest, grid)
    )
