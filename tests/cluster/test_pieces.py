"""Alignment and repair on workers of dask: the files of one process, bit for bit."""

import os
import pickle
import signal
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from napari_aeanet.cli import main
from napari_aeanet.cluster import ClusterSettings, Connected, on_workers_events, pieces
from napari_aeanet.cluster.engine import Workers
from napari_aeanet.cluster.pieces import MOST, WorkerMapper
from napari_aeanet.core.image import Image
from napari_aeanet.core.pieces import Mapper
from napari_aeanet.core.progress import Progressed
from napari_aeanet.core.schema import to_plain
from napari_aeanet.io import ome_zarr, write_image
from napari_aeanet.repair import (
    RepairSettings,
    find_damage,
    find_damage_events,
    insert_slices,
    insert_slices_events,
    repair_stack,
    repair_stack_events,
)
from napari_aeanet.samples.sections import SectionSettings, serial_sections
from napari_aeanet.stacks import (
    AlignSettings,
    SectionWritten,
    align_stack,
    align_stack_events,
    as_stack,
)

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of dask, about its own processes

SHARD, COUNT = 64, 10
QUICK = RepairSettings(checks=2, texture=True)


@pytest.fixture(scope="module")
def specimen():
    chosen = SectionSettings(damaged=2, neurite_size=24)
    return serial_sections(seed=0, shape=(COUNT, 96, 96), settings=chosen)


@pytest.fixture
def folder(specimen, tmp_path, monkeypatch):
    """A folder with a stack, of which every section has four shards and two levels."""
    monkeypatch.setattr(ome_zarr, "_SHARD", SHARD)
    write_image(specimen.stack, tmp_path / "s.ome.zarr")
    return tmp_path


class InParts(Mapper):
    """Computes pieces in parts of a size, as in other processes, but in this one."""

    def __init__(self, size: int) -> None:
        self._size = size

    def map(self, work, image, pieces, *, overlap=0):
        pieces = iter(pieces)
        while part := list(islice(pieces, self._size)):
            yield None
            yield from pickle.loads(
                pickle.dumps(list(pickle.loads(pickle.dumps(work))(image, part)))
            )


def files_of(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def assert_same_files(folder: Path, name: str, other: str) -> None:
    """Compare two stacks, and the tables beside them, byte by byte."""
    found, expected = (files_of(folder / f"{one}.ome.zarr") for one in (name, other))
    assert found == expected
    assert len(found) > 7 * 5  # four shards and a coarser level of each section
    for file in folder.glob(f"{other}-*"):
        assert (folder / file.name.replace(other, name, 1)).read_bytes() == file.read_bytes()
    assert not list(folder.glob(".*"))


def test_division_into_parts_changes_no_result(specimen):
    stack, parts = specimen.stack, InParts(3)
    *_, damage = find_damage_events(stack, mapper=parts)
    found = find_damage(stack)
    assert (damage.scores, damage.slices) == (found.scores, found.slices)
    for reach in (1, 2):
        chosen = AlignSettings(reach=reach)
        *_, aligned = align_stack_events(stack, chosen, mapper=parts)
        assert to_plain(aligned.alignment) == to_plain(align_stack(stack, chosen).alignment)


def killing(events: Iterator, after: int, pids: list[int]) -> Iterator:
    """Pass events on, and kill the last of some processes after as many steps."""
    steps = 0
    for event in events:
        steps += not isinstance(event, Progressed | Connected)
        if steps == after:
            steps += 1
            os.kill(pids.pop(), signal.SIGKILL)
        yield event


def test_a_stack_is_aligned_as_by_one_process_with_a_worker_killed(folder, settings, workers):
    begin = partial(align_stack_events, folder / "s.ome.zarr", out=folder / "two.ome.zarr")
    pids = list(workers.run(os.getpid).values())
    *_, last = killing(on_workers_events(begin, settings), COUNT + 2, pids)
    assert len(pids) == 1
    align_stack(folder / "s.ome.zarr", out=folder / "one.ome.zarr")
    assert_same_files(folder, "two", "one")
    assert last.image.source == folder / "two.ome.zarr"


def test_a_stack_is_repaired_as_by_one_process_with_a_worker_killed(
    specimen, folder, settings, workers
):
    stack = folder / "s.ome.zarr"
    begin = partial(
        repair_stack_events, stack, specimen.damaged, QUICK, out=folder / "two.ome.zarr"
    )
    pids = list(workers.run(os.getpid).values())
    *_, two = killing(on_workers_events(begin, settings), 1, pids)
    assert len(pids) == 1
    one = repair_stack(stack, specimen.damaged, QUICK, out=folder / "one.ome.zarr")
    assert_same_files(folder, "two", "one")
    assert (two.outcomes, two.quality, two.notices) == (one.outcomes, one.quality, one.notices)


def test_slices_are_inserted_as_by_one_process(specimen, folder, settings):
    few = specimen.truth.with_array(specimen.truth.read()[:4])
    write_image(few, folder / "t.ome.zarr")
    begin = partial(insert_slices_events, folder / "t.ome.zarr", out=folder / "two.ome.zarr")
    *_, last = on_workers_events(begin, settings)
    insert_slices(folder / "t.ome.zarr", out=folder / "one.ome.zarr")
    assert_same_files(folder, "two", "one")
    assert last.image.shape[0] == 7


def test_commands_work_on_workers(specimen, folder, settings, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = ["--dask", settings.dask, "--worker-threads", "1"]
    main(["align", "s.ome.zarr", "-o", "two.ome.zarr", *words])
    output = capsys.readouterr()
    assert "note: 2 workers" in output.err
    main(["align", "s.ome.zarr", "-o", "one.ome.zarr"])
    assert capsys.readouterr().out == output.out.replace("two", "one")
    repair = ["repair", "s.ome.zarr", "-o", "r.ome.zarr", "--repair-found", "--checks", "0"]
    main([*repair, *words])
    assert f" of {COUNT} found" in capsys.readouterr().out
    assert (folder / "r-slices.csv").exists()
    assert main(["align", "s.ome.zarr", "-o", "t.tif", *words[:2]]) == 2
    assert "ends in .ome.zarr" in capsys.readouterr().err


def waiting(folder: Path, image: Image, pieces) -> Iterator[int]:
    for piece in pieces:
        distributed.Event("go on").wait(60)
        yield piece


def test_a_stop_is_noticed_while_no_worker_has_finished_anything(folder, settings, workers):
    image = as_stack(folder / "s.ome.zarr")

    def begin(mapper):
        for _ in mapper.map(partial(waiting, folder), image, range(4)):
            yield Progressed(progress=None)

    events = on_workers_events(begin, settings)
    assert isinstance(next(events), Connected)
    assert isinstance(next(events), Progressed)
    events.close()
    distributed.Event("go on", client=workers).set()


def test_a_stopped_alignment_leaves_nothing(folder, settings, workers):
    begin = partial(align_stack_events, folder / "s.ome.zarr", out=folder / "two.ome.zarr")
    events = on_workers_events(begin, settings)
    for event in events:
        if isinstance(event, SectionWritten):
            break
    events.close()
    # A worker does one thing at a time: afterwards none writes any more.
    addresses = list(workers.ncores())
    distributed.wait([workers.submit(str, a, pure=False, workers=[a]) for a in addresses])
    assert [file.name for file in folder.iterdir()] == ["s.ome.zarr"]


def test_what_workers_cannot_reach_is_refused_at_the_call(specimen, folder):
    local = ClusterSettings(dask="local")
    stack = folder / "s.ome.zarr"
    before = sorted(folder.iterdir())
    for begin, words in (
        (partial(align_stack_events, specimen.stack), "save it"),
        (partial(find_damage_events, specimen.stack), "save it"),
        (partial(insert_slices_events, specimen.truth), "save it"),
        (partial(align_stack_events, stack, out=folder / "a.tif"), "ends in .ome.zarr"),
        (partial(repair_stack_events, stack, [3], out=folder / "a.ome.tif"), "ends in .ome.zarr"),
    ):
        with pytest.raises(ValueError, match=words):
            on_workers_events(begin, local)
    assert sorted(folder.iterdir()) == before


def test_a_stack_that_is_changed_on_the_way_is_told(folder, settings, monkeypatch):
    monkeypatch.setattr(pieces, "LOOKING", 0)
    stack = folder / "s.ome.zarr"
    begin = partial(align_stack_events, stack, out=folder / "two.ome.zarr")
    with pytest.raises(ValueError, match=r"s\.ome\.zarr was changed"):
        for event in on_workers_events(begin, settings):
            if isinstance(event, Connected):
                write_image(Image(np.zeros((COUNT, 96, 96), np.uint8), "ZYX"), stack)
    assert [file.name for file in folder.iterdir()] == ["s.ome.zarr"]


@pytest.mark.parametrize(
    ("count", "overlap", "workers", "size"),
    [
        (40, 0, 2, 7),
        (40, 8, 2, 20),
        (1000, 8, 8, 42),
        (10**4, 8, 8, 128),
        (10**6, 0, 2, MOST),
        (0, 0, 2, 1),
    ],
)
def test_pieces_are_divided_for_all_workers(count, overlap, workers, size):
    mapper = WorkerMapper(ClusterSettings(dask="tcp://a:1"), as_stack)
    scheduler = SimpleNamespace(address="tcp://a:1")
    mapper.workers = Workers(SimpleNamespace(ncores=lambda: range(workers), scheduler=scheduler))
    assert mapper._size(count, overlap) == size
