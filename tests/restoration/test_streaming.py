"""Results that are written as they come, and restorations that go on after an interruption."""

import errno
import json
import subprocess
import sys
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import tifffile
import torch
import zarr
from helpers import float_noise, model_of, small_network
from zarr.storage import LocalStore

from napari_aeanet.core.image import Image
from napari_aeanet.io import ome_zarr
from napari_aeanet.io.files import read_image
from napari_aeanet.models.model_file import load_model, save_model
from napari_aeanet.restoration import output as output_store
from napari_aeanet.restoration import partial
from napari_aeanet.restoration.resume import RESULT_NEUTRAL_SETTINGS
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import (
    Output,
    Restored,
    RestoreSettings,
    Seams,
    TileDone,
    Use,
)
from napari_aeanet.restoration.tile_runner import TileRunner

SETTINGS = RestoreSettings(output=Output.FLOAT32, tile=32)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(ome_zarr, "_SHARD", 40)


@pytest.fixture(scope="module")
def model():
    network = small_network("aeanet-2d", features=2)
    return model_of(network, ratio=(2.0, 2.0), pixel_size=(5.0, 5.0), unit="nm")


def source(seed=0):
    return Image(float_noise((43, 58), seed), "YX", (10.0, 10.0), "nm", (3.0, 4.0), name="S05")


def finish(image, model, settings=SETTINGS, **kwargs):
    *_, last = restore_events(image, model, settings, **kwargs)
    assert isinstance(last, Restored)
    return last.image


def interrupt(image, model, out, events, settings=SETTINGS):
    """Stop after so many events, as the Stop button does."""
    work = restore_events(image, model, settings, out=out)
    done = list(islice(work, events))
    work.close()
    return done


def test_a_streamed_result_equals_the_one_in_memory_and_keeps_its_place(tmp_path, model):
    out = tmp_path / "S05.ome.zarr"
    streamed = finish(source(), model, out=out)
    in_memory = finish(source(), model)
    np.testing.assert_array_equal(streamed.read(), in_memory.read())
    assert streamed.source == out
    on_disk = read_image(out)
    np.testing.assert_array_equal(on_disk.read(), in_memory.read())
    assert on_disk.pixel_size == pytest.approx((5.0, 5.0))
    assert on_disk.origin == pytest.approx((0.5, 1.5))
    assert on_disk.unit == "nm"
    assert [path.name for path in tmp_path.iterdir()] == ["S05.ome.zarr"]
    assert not (out / partial.NOTES).exists()


def test_each_shard_is_written_once_and_whole(tmp_path, model, monkeypatch):
    written, plain = [], LocalStore.set

    async def counted(self, key, *arguments, **options):
        written.append(key)
        return await plain(self, key, *arguments, **options)

    monkeypatch.setattr(LocalStore, "set", counted)
    out = tmp_path / "S05.ome.zarr"
    finish(source(), model, out=out)
    finest = ome_zarr.open_levels(out)[0]
    assert (finest.shards, finest.chunks) == ((40, 40), (10, 10))
    shards = sorted(key for key in written if key.startswith("0/c/"))
    assert shards == [f"0/c/{y}/{x}" for y in range(3) for x in range(3)]


def test_until_it_is_complete_a_result_does_not_bear_its_name(tmp_path, model):
    interrupt(source(), model, tmp_path / "S05.ome.zarr", events=14)
    assert [path.name for path in tmp_path.iterdir()] == ["S05.partial.ome.zarr"]


@pytest.mark.parametrize("events", [1, 5, 12, 14, 20, 23])
def test_an_interrupted_restoration_goes_on_to_the_identical_result(tmp_path, model, events):
    out = tmp_path / "S05.ome.zarr"
    first = interrupt(source(), model, out, events)
    rest = list(restore_events(source(), model, SETTINGS, out=out))
    np.testing.assert_array_equal(rest[-1].image.read(), finish(source(), model).read())
    assert len(first) + len(rest) < 2 * 24, "some work was kept"
    done = [event.progress.done for event in rest]
    assert done == sorted(done)
    assert done[-1] == rest[-1].progress.total


def test_an_unfinished_file_of_version_0_1_0_is_resumed(tmp_path, model):
    """Its plan leaves out the settings that do not change the result, and new fields."""
    out = tmp_path / "S05.ome.zarr"
    interrupt(source(), model, out, events=14)
    file = tmp_path / "S05.partial.ome.zarr" / partial.NOTES / partial.PLAN
    plan = json.loads(file.read_text())
    assert set(plan) == {"format", "source", "model", "settings", "tiles", "ranges"}
    del plan["ranges"]
    for name in (*RESULT_NEUTRAL_SETTINGS, "height", "range"):
        del plan["settings"][name]
    file.write_text(json.dumps(plan))
    rest = list(restore_events(source(), model, SETTINGS, out=out))
    assert len(rest) < 24, "some work was kept"
    np.testing.assert_array_equal(rest[-1].image.read(), finish(source(), model).read())


def test_contexts_are_not_gathered_twice(tmp_path, model, monkeypatch):
    out = tmp_path / "S05.ome.zarr"
    interrupt(source(), model, out, events=14)
    monkeypatch.setattr(TileRunner, "gather", lambda *_: pytest.fail("gathered again"))
    finish(source(), model, out=out)


def test_an_interrupted_restoration_by_patches_or_in_a_field_goes_on(tmp_path, model):
    settings = [
        replace(SETTINGS, use=Use.PATCHES, patch_size=32, margin=4),
        replace(SETTINGS, use=Use.PATCHES, patch_size=32, margin=4, seams=Seams.BLEND),
        replace(SETTINGS, context="72"),
        replace(SETTINGS, symmetries=True, tile=64),
    ]
    for number, one in enumerate(settings):
        out = tmp_path / f"{number}.ome.zarr"
        interrupt(source(), model, out, events=7, settings=one)
        found = finish(source(), model, one, out=out)
        np.testing.assert_array_equal(found.read(), finish(source(), model, one).read())


def test_an_interrupted_stack_goes_on_with_its_next_plane(tmp_path):
    model = model_of(small_network("aeanet-2d", features=2))
    stack = Image(float_noise((3, 50, 60)), "ZYX", name="stack")
    out = tmp_path / "stack.ome.zarr"
    interrupt(stack, model, out, events=13)
    rest = list(restore_events(stack, model, SETTINGS, out=out))
    np.testing.assert_array_equal(rest[-1].image.read(), finish(stack, model).read())
    planes = {event.region[0].start for event in rest if isinstance(event, TileDone)}
    assert 0 not in planes


def test_tiles_of_another_size_do_not_matter_when_it_goes_on(tmp_path, model):
    out = tmp_path / "S05.ome.zarr"
    interrupt(source(), model, out, events=5)
    other = replace(SETTINGS, tile=64, memory=2.0, device="cpu")
    found = finish(source(), model, other, out=out)
    np.testing.assert_array_equal(found.read(), finish(source(), model).read())


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[3]))
from napari_aeanet.io import ome_zarr
from napari_aeanet.io.files import read_image
from napari_aeanet.models.model_file import load_model
from napari_aeanet.restoration.run import restore_events
from napari_aeanet.restoration.settings import Output, RestoreSettings
ome_zarr._SHARD = 40
folder, events = Path(sys.argv[1]), int(sys.argv[2])
image, model = read_image(folder / "in.tif"), load_model(folder / "m.aeanet")
settings = RestoreSettings(output=Output.FLOAT32, tile=32)
work = restore_events(image, model, settings, out=folder / "out.ome.zarr")
for number, _ in enumerate(work, start=1):
    if number == events:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_restoration_goes_on_to_the_identical_result(tmp_path, model):
    save_model(model, tmp_path / "m.aeanet")
    tifffile.imwrite(tmp_path / "in.tif", source().array)
    command = [sys.executable, "-c", KILLED, str(tmp_path), "20", str(torch.get_num_threads())]
    assert subprocess.run(command, check=False).returncode == -9
    image, saved = read_image(tmp_path / "in.tif"), load_model(tmp_path / "m.aeanet")
    found = finish(image, saved, out=tmp_path / "out.ome.zarr")
    np.testing.assert_array_equal(found.read(), finish(image, saved).read())


# --- what is refused


def test_an_existing_file_is_not_overwritten(tmp_path, model):
    (tmp_path / "S05.ome.zarr").mkdir()
    with pytest.raises(FileExistsError, match="choose another name"):
        list(restore_events(source(), model, SETTINGS, out=tmp_path / "S05.ome.zarr"))


def test_other_kinds_of_files_are_refused(tmp_path, model):
    with pytest.raises(ValueError, match=r"end in \.ome\.zarr"):
        list(restore_events(source(), model, SETTINGS, out=tmp_path / "S05.tif"))


def test_an_unfinished_restoration_of_something_else_is_left_alone(tmp_path, model):
    out = tmp_path / "S05.ome.zarr"
    interrupt(source(), model, out, events=14)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    retrained = model_of(small_network("aeanet-2d", features=2, seed=1), ratio=(2.0, 2.0))
    others = [
        (replace(source(), name="S06"), model, SETTINGS),
        (source(), retrained, SETTINGS),
        (source(), model, replace(SETTINGS, context="72")),
    ]
    for image, other, settings in others:
        with pytest.raises(ValueError, match="unfinished restoration of another image"):
            list(restore_events(image, other, settings, out=out))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    finish(source(), model, out=out)


def test_a_full_disk_is_told_and_what_is_finished_is_kept(tmp_path, model, monkeypatch):
    out = tmp_path / "S05.ome.zarr"
    write = zarr.Array.__setitem__

    def full(self, region, values):
        if region[1].start:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, region, values)

    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    with pytest.raises(OSError, match=r"No space left.*what is finished is kept"):
        list(restore_events(source(), model, SETTINGS, out=out))
    monkeypatch.undo()
    found = finish(source(), model, out=out)
    np.testing.assert_array_equal(found.read(), finish(source(), model).read())


def test_a_source_that_changes_while_it_is_read_gives_no_result(tmp_path, model):
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, source().array)
    image = replace(source(), array=tifffile.memmap(path), source=path)
    work = restore_events(image, model, SETTINGS)
    next(work)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(ValueError, match="changed while it was being restored"):
        list(work)


def test_large_results_never_lie_in_memory_as_a_whole(tmp_path, model, monkeypatch):
    """Chunks leave memory as soon as they are complete."""
    incomplete = []
    plain = output_store.FileOutputStore.write

    def counted(self, region, block):
        plain(self, region, block)
        incomplete.append(len(self._chunks))

    monkeypatch.setattr(output_store.FileOutputStore, "write", counted)
    finish(source(), model, out=tmp_path / "S05.ome.zarr")
    assert incomplete[-1] == 0
    assert max(incomplete) <= 6  # of nine


def test_a_height_map_is_streamed_beside_its_result_and_goes_on(tmp_path):
    model = model_of(small_network("gvtnet-projection", features=2))
    image = Image(float_noise((3, 70, 90)), "ZYX", name="S")
    settings = replace(SETTINGS, height=True)
    *_, expected = restore_events(image, model, settings)
    tiles = [e for e in restore_events(image, model, settings) if not isinstance(e, Restored)]
    out = tmp_path / "S.ome.zarr"
    for events in (3, len(tiles) // 2):
        interrupt(image, model, out, events, settings)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"S.partial.ome.zarr", "S-height.partial.ome.zarr"}
    finish(image, model, settings, out=out)
    np.testing.assert_array_equal(read_image(out).read(), expected.image.read())
    heights = read_image(tmp_path / "S-height.ome.zarr").read()
    np.testing.assert_array_equal(heights, expected.height.read())
