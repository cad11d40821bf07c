"""Run commands, and kill them at a file operation; a child of one warm process for each.

A process that has imported everything is started once and forks for each command, so that a kill
costs a fraction of a second. Used as `KillServer`; run as a script, it is that process.
"""

# The shim must not use what it counts.
# ruff: noqa: PTH100, PTH110, PTH113, PTH115, PTH120

from __future__ import annotations

import builtins
import gc
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# Calls of `os` that change what a folder holds, or make it last.
OPERATIONS = ("rename", "replace", "link", "unlink", "remove", "rmdir", "mkdir", "fsync")
SHARD = 40  # edge of the shards of OME-Zarr
# Lost by a power cut: the contents of files that were not flushed, or renamings of a folder that
# was not.
PowerCut = Literal["contents", "names"]


@dataclass(frozen=True)
class Ended:
    """The exit code of a command (negative: its signal), its operations, and what it printed."""

    code: int
    operations: tuple[str, ...]
    text: str


class KillServer:
    """Run commands of napari-aeanet in children of a warm process."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(
        self,
        *words: object,
        kill_at: int = 0,
        kill_after: float = 0.0,
        power_cut: PowerCut | None = None,
    ) -> Ended:
        """Run a command; kill it before operation number `kill_at` (from 1), or after seconds.

        With a `power_cut`, what was not flushed to disk before is lost too.
        """
        assert self._process.stdin and self._process.stdout
        request = {
            "words": [str(word) for word in words],
            "kill_at": kill_at,
            "seconds": kill_after,
            "cut": power_cut,
        }
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        return Ended(answer["code"], tuple(answer["operations"]), answer["text"])

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@contextmanager
def kill_server() -> Iterator[KillServer]:
    server = KillServer()
    try:
        yield server
    finally:
        server.close()


def _serve() -> None:
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from helpers import small_config

    from napari_aeanet.io import ome_zarr
    from napari_aeanet.models import presets

    ome_zarr._SHARD = SHARD
    presets.quick_config = small_config
    importlib.import_module("napari_aeanet.cli.parser")
    for line in sys.stdin:
        gc.freeze()  # what is shared with the children stays shared
        answer = _in_child(**json.loads(line))
        # Later children need not import again what this one did.
        for name in answer.pop("modules"):
            with suppress(Exception):
                importlib.import_module(name)
        print(json.dumps(answer), flush=True)


def _in_child(
    words: list[str], kill_at: int, seconds: float, cut: PowerCut | None
) -> dict[str, Any]:
    told, tell = os.pipe()
    said, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(told)
        os.close(said)
        sys.stdout = sys.stderr = os.fdopen(say, "w", encoding="utf-8")
        signal.setitimer(signal.ITIMER_REAL, seconds)  # which ends the process, if not 0
        os._exit(_run(words, _Disk(tell, kill_at, cut)))
    os.close(tell)
    os.close(say)
    with os.fdopen(told) as pipe:
        lines = pipe.read().splitlines()
    with os.fdopen(said, errors="replace") as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    modules = [line[1:] for line in lines if line.startswith("+")]
    operations = [line for line in lines if not line.startswith("+")]
    return {"code": code, "operations": operations, "text": text, "modules": modules}


def _run(words: list[str], disk: _Disk) -> int:
    from napari_aeanet.cli import main

    known, code = set(sys.modules), 1
    disk.watch()
    try:
        code = main(words)
    except BaseException:  # noqa: BLE001 - printed, as by the interpreter
        traceback.print_exc()
    for name in set(sys.modules) - known:
        disk.tell(f"+{name}")
    sys.stdout.flush()
    return code


class _Disk:
    """Count of the operations on files; the process is killed before one of them."""

    def __init__(self, pipe: int, kill_at: int, cut: PowerCut | None) -> None:
        self._pipe, self._kill_at, self._cut = pipe, kill_at, cut
        self._count = 0
        self._plain = {name: getattr(os, name) for name in OPERATIONS}
        self._open = io.open
        self._unflushed: set[str] = set()
        self._renamed: list[tuple[str, str, bytes | None]] = []  # from, to, and what was there

    def watch(self) -> None:
        for name in OPERATIONS:
            setattr(os, name, self._counted(name))
        io.open = builtins.open = self._opened  # type: ignore[assignment]

    def tell(self, text: str) -> None:
        os.write(self._pipe, f"{text}\n".encode(errors="replace"))

    def _counted(self, name: str) -> Any:
        plain = self._plain[name]

        def call(*arguments: Any, **options: Any) -> Any:
            self._step(name, arguments[0])
            if name in ("rename", "replace") and self._cut:
                self._note_renaming(*arguments)
            result = plain(*arguments, **options)
            if name == "fsync":
                self._flushed(os.readlink(f"/proc/self/fd/{arguments[0]}"))
            return result

        return call

    def _opened(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        is_changed = set(mode) & set("wax+") and mode != "rb+"  # which is opened to be flushed
        if isinstance(file, str | os.PathLike) and is_changed:
            self._step(f"open {mode}", file)
            self._unflushed.add(os.path.abspath(file))
        return self._open(file, mode, *arguments, **options)

    def _step(self, name: str, file: Any) -> None:
        self._count += 1
        self.tell(f"{name} {file}")
        if self._count == self._kill_at:
            self._lose()
            os.kill(os.getpid(), signal.SIGKILL)

    def _flushed(self, path: str) -> None:
        self._unflushed.discard(path)
        self._renamed = [one for one in self._renamed if os.path.dirname(one[1]) != path]

    def _note_renaming(self, source: Any, target: Any) -> None:
        source, target = os.path.abspath(source), os.path.abspath(target)
        before = None
        if os.path.isfile(target):
            with self._open(target, "rb") as file:
                before = file.read()
        self._renamed.append((source, target, before))
        below = {name for name in self._unflushed if f"{name}/".startswith(f"{source}/")}
        self._unflushed -= below
        self._unflushed |= {target + name[len(source) :] for name in below}

    def _lose(self) -> None:
        """Do what a power cut does: lose what was written, or renamed, since the last flush."""
        if self._cut == "contents":
            for name in filter(os.path.isfile, self._unflushed):
                os.truncate(name, 0)
        for source, target, before in reversed(self._renamed):
            if self._cut == "names" and os.path.exists(target):
                self._plain["replace"](target, source)
                if before is not None:
                    with self._open(target, "wb") as file:
                        file.write(before)


if __name__ == "__main__":
    _serve()
