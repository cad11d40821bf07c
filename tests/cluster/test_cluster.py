"""Workers of dask give the result of one process, bit for bit, whatever happens to them."""

import errno
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import integer_noise, model_of, small_network

from napari_aeanet.cli import main
from napari_aeanet.cluster import (
    ClusterSettings,
    Connected,
    engine,
    restore_on_cluster,
    restore_on_cluster_events,
    work,
)
from napari_aeanet.cluster import run as cluster_run
from napari_aeanet.cluster.process import one_at_a_time
from napari_aeanet.cluster.work import SharedRun, predict
from napari_aeanet.core.image import Image, regions
from napari_aeanet.core.progress import Progressed
from napari_aeanet.io import create_omezarr, ome_zarr, open_levels, write_chunk, write_image
from napari_aeanet.models import save_model
from napari_aeanet.restoration import (
    Restored,
    RestoreSettings,
    memory,
    prepare,
    restore,
    restore_prepared,
)

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of dask, about its own processes

CHUNK = 64
EXACT = RestoreSettings(tile=32, context="whole", device="cpu")


@pytest.fixture(scope="module")
def model():
    return model_of(small_network("aeanet-2d", features=2))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an image of several chunks, which are small here."""
    monkeypatch.setattr(ome_zarr, "_SHARD", CHUNK)
    monkeypatch.setattr(cluster_run, "CHUNK", CHUNK)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pixels = integer_noise(2, 130, 194)
    write_image(Image(pixels, "CYX", unit="nm", pixel_size=(4.0, 4.0)), tmp_path / "a.ome.zarr")
    yield tmp_path
    torch.set_num_threads(before)


def levels(path: Path) -> list[np.ndarray]:
    return [level[...] for level in open_levels(path)]


def assert_same(path: Path, other: Path) -> None:
    found, expected = levels(path), levels(other)
    assert len(found) == len(expected) > 1
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found[0].any()


def one_process(folder: Path, model, chosen: RestoreSettings) -> Path:
    restore(folder / "a.ome.zarr", model, chosen, out=folder / "one.ome.zarr")
    return folder / "one.ome.zarr"


@pytest.mark.parametrize(
    "chosen",
    [
        EXACT,
        replace(EXACT, context="120"),
        replace(EXACT, memory=0.002, output="32-bit float"),  # 14 of the 35 tiles are kept
        replace(EXACT, tile=96, symmetries=True),
        replace(EXACT, use="patches", patch_size=48, margin=8, output="32-bit float"),
    ],
    ids=["whole image", "fields", "little memory", "symmetries", "patches"],
)
def test_workers_give_the_result_of_one_process(chosen, model, folder, settings):
    out = folder / "cluster.ome.zarr"
    image = restore_on_cluster(folder / "a.ome.zarr", model, out, chosen, settings)
    assert (image.source, image.pixel_size, image.unit) == (out, (4.0, 4.0), "nm")
    assert_same(out, one_process(folder, model, chosen))
    assert {file.name for file in folder.iterdir()} == {
        "a.ome.zarr",
        "cluster.ome.zarr",
        "one.ome.zarr",
    }


def test_tiles_without_a_given_size_lie_in_chunks_and_one_process_may_use_them(
    model, folder, settings
):
    chosen = replace(EXACT, tile=0)
    prepared = prepare(folder / "a.ome.zarr", model, chosen)
    tiles = cluster_run.tiles_in_chunks(prepared)
    assert sum(np.prod([s.stop - s.start for s in tile]) for tile in tiles) == 132 * 196
    assert all((s.stop - 1) // CHUNK == s.start // CHUNK for tile in tiles for s in tile)
    restore_on_cluster(folder / "a.ome.zarr", model, folder / "c.ome.zarr", chosen, settings)
    prepared = replace(prepared, layout=replace(prepared.layout, tiles=tiles))
    list(restore_prepared(prepared, out=folder / "one.ome.zarr"))
    assert_same(folder / "c.ome.zarr", folder / "one.ome.zarr")


def test_a_killed_worker_loses_nothing(model, folder, settings, workers):
    events = restore_on_cluster_events(
        folder / "a.ome.zarr", model, folder / "c.ome.zarr", EXACT, settings
    )
    pids = list(workers.run(os.getpid).values())
    for event in events:
        if isinstance(event, Progressed) and event.progress.done in (3, 50):
            os.kill(pids.pop(), signal.SIGKILL)
    assert not pids
    assert isinstance(event, Restored)
    assert_same(folder / "c.ome.zarr", one_process(folder, model, EXACT))


@pytest.mark.parametrize("by", ["workers", "one process"])
@pytest.mark.parametrize("done", [20, 75], ids=["while gathering", "while predicting"])
def test_a_stopped_restoration_is_resumed(done, by, model, folder, settings):
    arguments = (folder / "a.ome.zarr", model, folder / "c.ome.zarr", EXACT, settings)
    events = restore_on_cluster_events(*arguments)
    for event in events:
        if event.progress.done >= done:
            break
    events.close()
    assert not (folder / "c.ome.zarr").exists()
    if by == "workers":
        found = list(restore_on_cluster_events(*arguments))
        assert sum(isinstance(event, Progressed) for event in found) < event.progress.total - 5
    else:
        restore(folder / "a.ome.zarr", model, EXACT, out=folder / "c.ome.zarr")
    assert_same(folder / "c.ome.zarr", one_process(folder, model, EXACT))
    assert not list((folder / "c.ome.zarr").rglob("*.aeanet"))


@pytest.mark.parametrize("use", ["whole image", "patches"])
def test_heights_of_a_projection_are_those_of_one_process(use, folder, settings, workers):
    model = model_of(small_network("gvtnet-projection", features=2))
    source, out = folder / "z.ome.zarr", folder / "c.ome.zarr"
    write_image(Image(integer_noise(5, 130, 98), "ZYX"), source)
    chosen = replace(EXACT, height=True, use=use, patch_size=48, margin=8)
    events = restore_on_cluster_events(source, model, out, chosen, settings)
    pids = list(workers.run(os.getpid).values())
    for event in events:  # stopped on the way, with a worker killed
        if event.progress.done == 2 and len(pids) == 2:
            os.kill(pids.pop(), signal.SIGKILL)
        if event.progress.done > 0.7 * event.progress.total:
            break
    events.close()
    assert not out.exists()
    *_, last = restore_on_cluster_events(source, model, out, chosen, settings)
    restore(source, model, chosen, out=folder / "one.ome.zarr")
    assert last.height.source == folder / "c-height.ome.zarr"
    for ours, theirs in (("c", "one"), ("c-height", "one-height")):
        assert_same(folder / f"{ours}.ome.zarr", folder / f"{theirs}.ome.zarr")
    assert not list(folder.glob("*.partial*"))


def slow_gather(*arguments):
    distributed.Event("go on").wait(60)
    return work.gather(*arguments)


def test_a_stop_is_noticed_while_no_worker_has_finished_anything(
    model, folder, settings, workers, monkeypatch
):
    monkeypatch.setattr(cluster_run, "gather", slow_gather)
    arguments = (folder / "a.ome.zarr", model, folder / "c.ome.zarr", EXACT, settings)
    events = restore_on_cluster_events(*arguments)
    assert [next(events).progress.done for _ in range(3)] == [0, 0, 0]
    events.close()
    distributed.Event("go on", client=workers).set()
    monkeypatch.undo()
    monkeypatch.setattr(cluster_run, "CHUNK", CHUNK)
    *_, last = restore_on_cluster_events(*arguments)
    assert isinstance(last, Restored)


def wait_for(name: str) -> str:
    distributed.Event(name).wait(60)
    return name


def drop_calls(client, known: set[str]) -> None:
    keys = set(client.futures) - known
    assert keys
    client.cancel([distributed.Future(key, client) for key in keys], force=True)


def test_a_call_that_dask_drops_is_sent_again_a_few_times(workers, monkeypatch):
    known = set(workers.futures)
    calls = [engine.RemoteCall(wait_for, ("dropped",))]
    results = engine.in_order(engine.Workers(workers), calls)
    assert next(results) is None
    drop_calls(workers, known)
    assert next(results) is None
    distributed.Event("dropped", client=workers).set()
    assert [one for one in results if one is not None] == ["dropped"]

    monkeypatch.setattr(engine, "MOST_RESENDS", 0)
    results = engine.in_order(
        engine.Workers(workers), [engine.RemoteCall(wait_for, ("dropped again",))]
    )
    assert next(results) is None
    drop_calls(workers, known)
    with pytest.raises(RuntimeError, match="dropped the same part of the work 1 times"):
        next(results)
    distributed.Event("dropped again", client=workers).set()


@pytest.mark.parametrize("status", ["cancelled", "error"])
def test_a_call_is_sent_again_where_dask_loses_the_reason(status):
    """Its `sync` has no result to return then; an error of the call itself stays one."""

    def lost(timeout):
        raise UnboundLocalError("result")

    futures = [
        SimpleNamespace(status=status, result=lost),
        SimpleNamespace(status="finished", result=lambda timeout: "there"),
    ]
    client = SimpleNamespace(
        submit=lambda *_, **__: futures.pop(0), ncores=dict, cancel=lambda *_, **__: None
    )
    results = engine.in_order(engine.Workers(client), [engine.RemoteCall(print, ())])
    if status == "error":
        with pytest.raises(UnboundLocalError):
            next(results)
    else:
        assert list(results) == ["there"]


def fill_disk(full: bool) -> None:
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    work.write_chunk = refuse if full else write_chunk


def test_a_disk_that_is_full_on_the_way_is_told_and_what_is_finished_is_kept(
    model, folder, settings, workers
):
    arguments = (folder / "a.ome.zarr", model, folder / "c.ome.zarr", replace(EXACT, tile=0))
    workers.run(fill_disk, True)
    with pytest.raises(OSError, match=r"c.partial.ome.zarr.*No space left.*finished is kept"):
        list(restore_on_cluster_events(*arguments, settings))
    workers.run(fill_disk, False)
    found = [event.progress.done for event in restore_on_cluster_events(*arguments, settings)]
    assert found[1] > 0  # contexts are not gathered again
    assert not list(folder.glob("*.partial*"))


def test_what_fails_at_the_beginning_leaves_nothing(model, folder, settings, monkeypatch):
    arguments = (folder / "a.ome.zarr", model, folder / "c.ome.zarr", EXACT)

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(cluster_run, "save_model", refuse)
        with pytest.raises(OSError, match="No space left"):
            list(restore_on_cluster_events(*arguments, settings))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(OSError, match="are free"):
            restore_on_cluster_events(*arguments, settings)
    monkeypatch.setattr(engine, "SECONDS_FOR_WORKERS", 0.1)
    with pytest.raises(OSError, match="does not answer"):
        list(restore_on_cluster_events(*arguments, ClusterSettings(dask="tcp://127.0.0.1:1")))
    assert [file.name for file in folder.iterdir()] == ["a.ome.zarr"]


def test_workers_that_do_not_start_are_told_in_a_sentence(monkeypatch):
    def refuse(**_):
        raise AssertionError("Status.starting")

    monkeypatch.setattr(distributed, "LocalCluster", refuse)
    with (
        pytest.raises(RuntimeError, match=r"could not be started.*--workers"),
        cluster_run.connected(ClusterSettings(dask="local")),
    ):
        pass


def test_the_first_event_tells_of_the_workers(model, folder, settings):
    events = restore_on_cluster_events(
        folder / "a.ome.zarr", model, folder / "c.ome.zarr", EXACT, settings
    )
    first = next(events)
    events.close()
    assert isinstance(first, Connected)
    assert (first.workers, first.progress.done) == (2, 0)


def shared(prepared, folder: Path, tiles) -> SharedRun:
    """A run of the image and the model in a folder."""
    save_model(prepared.model, folder / "m.aeanet")
    return SharedRun(
        image=folder / "a.ome.zarr",
        number=0,
        model=folder / "m.aeanet",
        settings=prepared.settings,
        tiles=tiles,
        kept=tuple(prepared.suspended_tiles()),
        ranges=((0.0, 255.0),) * len(prepared.inputs),
        results=(folder / "c.ome.zarr",),
        threads=1,
        key=prepared.model.card.name + str(len(tiles)),
    )


def test_a_worker_with_less_memory_rounds_as_one_process(folder, monkeypatch):
    # Without a limit by the user, how many tiles may wait hangs on the memory that is free.
    pixels = integer_noise(192, 320)
    write_image(Image(pixels, "YX"), folder / "a.ome.zarr")
    model = model_of(small_network("aeanet-2d", features=8))
    prepared = prepare(folder / "a.ome.zarr", model, replace(EXACT, tile=64))
    tiles = prepared.layout.tiles
    view = prepared.views(prepared.inputs[0])[0]
    with prepared.runner() as runner:
        expected = [runner.gather(view, tile, []).sum for tile in tiles]
    job = shared(prepared, folder, tiles)
    monkeypatch.setattr(memory, "MOST_BYTES", 3e6)
    _, found = work.gather(job, 0, tiles, [[[]]] * len(tiles))
    assert all(torch.equal(one[0].sum, other) for one, other in zip(found, expected, strict=True))


def test_a_worker_writes_the_chunks_that_lie_in_its_tiles_and_no_part_of_others(model, folder):
    prepared = prepare(folder / "a.ome.zarr", model, EXACT)
    create_omezarr(prepared.layout.output, folder / "c.ome.zarr")
    tiles = tuple(
        (slice(y, y + 32), slice(x, x + 32)) for y in (0, 32) for x in (4, 36, 68, 100)
    )  # the first chunk without its first columns, the second with four of the third
    job = shared(prepared, folder, tiles)
    source = prepared.inputs[0]
    contexts = prepared.contexts(source)
    with prepared.runner() as runner:
        for _ in contexts.gather(runner, 1):
            pass
    found = predict(job, 0, tiles, [[contexts.around(tile)] for tile in tiles])
    assert found.count == len(tiles)
    before = [source.padding[axis][0] for axis in (0, 1)]
    assert before == [1, 1]
    (stored,) = found.stored
    assert stored.written == []  # padding moves the tiles by a pixel
    assert not open_levels(folder / "c.ome.zarr")[0][...].any()
    covered = np.zeros((130, 194), int)
    for region, block in stored.blocks:
        assert block.shape[-2:] == covered[region[1:]].shape
        covered[region[1:]] += 1
    assert covered.max() == 1
    assert covered.sum() == 63 * 128


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"use": "patches", "seams": "blended"}, "blend no seams"),
    ],
)
def test_what_workers_cannot_do_is_refused_at_the_call(changes, words, model, folder):
    with pytest.raises(ValueError, match=words):
        restore_on_cluster_events(
            folder / "a.ome.zarr", model, folder / "c.ome.zarr", replace(EXACT, **changes)
        )
    assert [file.name for file in folder.iterdir()] == ["a.ome.zarr"]


def test_images_in_memory_and_results_that_exist_are_refused(model, folder):
    with pytest.raises(ValueError, match="save it"):
        restore_on_cluster_events(integer_noise(64, 64), model, folder / "c.ome.zarr", EXACT)
    with pytest.raises(FileExistsError, match="exists already"):
        restore_on_cluster_events(folder / "a.ome.zarr", model, folder / "a.ome.zarr", EXACT)
    with pytest.raises(ValueError, match="dask must be"):
        ClusterSettings(dask="slum")


def test_the_command_restores_on_workers(model, folder, settings, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    save_model(model, folder / "m.aeanet")
    words = ["restore", "a.ome.zarr", "-m", "m.aeanet", "--tile", "32", "--context", "whole"]
    words += ["--dask", settings.dask, "--worker-threads", "1"]
    assert main([*words, "-o", "c.ome.zarr"]) == 0
    output = capsys.readouterr()
    assert "2 workers" in output.err
    assert output.out == "c.ome.zarr\n"
    assert (folder / "c.run.yaml").exists()
    assert_same(folder / "c.ome.zarr", one_process(folder, model, EXACT))
    assert main([*words, "-o", "c.ome.zarr"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*words, "-o", "c.tif"]) == 2
    assert "-o NAME.ome.zarr" in capsys.readouterr().err


def test_a_worker_of_several_threads_does_one_thing_at_a_time():
    together, most, at_work = Barrier(2, timeout=60), [0], []

    @one_at_a_time
    def task():
        at_work.append(1)
        most[0] = max(most[0], len(at_work))
        at_work.pop()

    def thread():
        together.wait()
        for _ in range(1000):
            task()

    threads = [Thread(target=thread) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most == [1]


def written_often(path: Path, values: np.ndarray, places: list) -> int:
    finest = open_levels(path, "r+")[:1]
    for at in 3 * places:
        write_chunk(finest, at, values[at])
    return 3 * len(places)


def test_two_workers_that_write_the_same_shards_at_once_damage_none(folder, workers):
    path, values = folder / "s.ome.zarr", integer_noise(150, 200) | 1
    finest = create_omezarr(Image(values, "YX"), path)[0]
    places = list(regions(values.shape, ome_zarr.written_shape(finest)))
    futures = [
        workers.submit(written_often, path, values, order, workers=[address], pure=False)
        for address, order in zip(workers.ncores(), (places, places[::-1]), strict=True)
    ]
    wanted = [*places, *[(at[0], slice(at[1].start, at[1].start + 20)) for at in places]] * 3
    for at in wanted:  # a whole shard is read at once, a part of it with its index first
        found = finest[at]
        assert not found.any() or np.array_equal(found, values[at])
    assert [future.result() for future in futures] == [3 * len(places)] * 2
    np.testing.assert_array_equal(finest[...], values)
