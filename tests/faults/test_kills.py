"""A command killed at any operation on files: the next run gives the same bytes, and cleans up.

`benchmarks/soak.py` does the same at every operation of every command; here it is a selection.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from faults.kill_server import KillServer, kill_server
from helpers import micrograph, model_of, small_network

from napari_aeanet.io.files import write_image
from napari_aeanet.models.model_file import save_model

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no processes are forked")
# What depends on how often a run was interrupted: remarks, times and digests of other such files.
NOT_COMPARED = (".run.yaml", "outcomes.csv")


@pytest.fixture(scope="module")
def server() -> Iterator[KillServer]:
    with kill_server() as made:
        yield made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_image(micrograph((70, 70)), folder / "S.tif")
    (folder / "many").mkdir()
    for number, name in enumerate("AB"):
        write_image(micrograph((30, 40), seed=number), folder / "many" / f"{name}.tif")
    save_model(model_of(small_network("aeanet-2d", features=2)), folder / "m.aeanet")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files and folders, hidden ones too; those that may differ without their content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        if path.is_file() and not path.name.endswith(NOT_COMPARED)
        else b""
        for path in folder.rglob("*")
    }


def every(operations: Sequence[str], step: int, last: int) -> Iterator[int]:
    """Every so many operations from 1, and all of the last ones."""
    count = len(operations)
    yield from (n for n in range(1, count + 1) if n % step == 0 or n > count - last)


COMMANDS = {
    "a TIFF": (["S.tif", "-o", "R.ome.tif"], 3, 1),
    "an OME-Zarr": (["S.tif", "-o", "R.ome.zarr", "--tile", "32"], 23, 6),
    "a batch": (["many", "-o", "R"], 12, 1),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_restoration_killed_anywhere_is_completed_by_the_next_run(name, server, inputs, tmp_path):
    words, step, last = COMMANDS[name]

    def run(folder: Path, **options):
        source, _, out, *more = words
        place = ["-o", folder / out, "--skip-existing", *more]
        return server.run("restore", inputs / source, "-m", inputs / "m.aeanet", *place, **options)

    (whole := tmp_path / "whole").mkdir()
    ended = run(whole)
    assert ended.code == 0, ended.text
    expected = contents(whole)
    for number in every(ended.operations, step, last):
        shutil.rmtree(killed := tmp_path / "killed", ignore_errors=True)
        killed.mkdir()
        assert run(killed, kill_at=number).code == -signal.SIGKILL
        where = f"killed at {number}: {ended.operations[number - 1]}"
        assert_nothing_is_mixed(contents(killed), expected, where)
        again = run(killed)
        assert again.code == 0, f"{where}: {again.text}"
        assert contents(killed) == expected, where


def assert_nothing_is_mixed(
    found: Mapping[str, bytes], expected: Mapping[str, bytes], where: str
) -> None:
    """What bears the name of a result is that result."""
    for name, content in found.items():
        if name in expected and "R.ome.zarr/restoration" not in name:
            assert content == expected[name], f"{where}: {name}"


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("cut", ["contents", "names"])
def test_after_a_power_cut_there_is_the_old_result_or_the_new_one(
    cut, ending, server, inputs, tmp_path
):
    """What was written, or renamed, since the last flush is lost."""
    old, now = tmp_path / "old", tmp_path / "now"
    old.mkdir()

    def run(folder: Path, image="S.tif", **options):
        place = ["-m", inputs / "m.aeanet", "-o", folder / f"R{ending}", "--overwrite"]
        return server.run("restore", inputs / image, *place, **options)

    assert run(old, image="many/A.tif").code == 0
    shutil.copytree(old, now)
    ended = run(now)
    assert ended.code == 0, ended.text
    out = now / f"R{ending}"
    new_pixels = pixels(out)
    for number in every(ended.operations, 31, 2):
        shutil.rmtree(now)
        shutil.copytree(old, now)
        assert run(now, kill_at=number, power_cut=cut).code == -signal.SIGKILL
        where = f"power cut at {number}: {ended.operations[number - 1]}"
        if out.exists():  # else it lies aside, and is moved back
            assert pixels(out) in (pixels(old / out.name), new_pixels), where
        again = run(now)
        assert again.code == 0, f"{where}: {again.text}"
        assert pixels(out) == new_pixels, where


def pixels(path: Path) -> dict[str, bytes]:
    """The files of a result, without the notes of how it was made."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {name: data for name, data in contents(path).items() if "restoration" not in name}
