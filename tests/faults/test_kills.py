"""A command killed at any operation on files: the next run gives the same bytes, and cleans up.

`benchmarks/soak.py` does the same at every operation of every command; here it is a selection.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from faults.kill_cases import CASES, NOTES, check, contents, make_inputs
from faults.kill_server import KillServer, kill_server

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no processes are forked")


@pytest.fixture(scope="module")
def server() -> Iterator[KillServer]:
    with kill_server() as made:
        yield made


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def every(operations: Sequence[str], step: int, last: int) -> Iterator[int]:
    """Every so many operations from 1, and all of the last ones."""
    count = len(operations)
    yield from (n for n in range(1, count + 1) if n % step == 0 or n > count - last)


@pytest.mark.parametrize(
    ("name", "step", "last"),
    [
        ("restore to TIFF", 3, 1),
        ("restore to OME-Zarr", 23, 6),
        ("restore a folder", 12, 1),
        ("train", 22, 0),
    ],
)
def test_a_command_killed_anywhere_is_completed_by_the_next_run(
    name, step, last, server, inputs, tmp_path
):
    case = CASES[name]
    (tmp_path / "whole").mkdir()
    ended = case.run(server, inputs, tmp_path / "whole")
    assert ended.code == 0, ended.text
    expected = contents(tmp_path / "whole")
    for number in every(ended.operations, step, last):
        assert not check(case, server, inputs, tmp_path / "killed", expected, kill_at=number)


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("cut", ["contents", "names"])
def test_after_a_power_cut_there_is_the_old_result_or_the_new_one(
    cut, ending, server, inputs, tmp_path
):
    """Lose everything that was written, or renamed, since the last flush."""
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
    """Return the files of a result, without the notes of how it was made."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {name: data for name, data in contents(path).items() if NOTES not in name}
