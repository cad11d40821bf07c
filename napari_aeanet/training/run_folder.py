"""A training run on disk: a folder that can be left at any moment and gone on with.

plan.json     everything the run does; written once, when all numbers are decided
last.state    where the run is: weights, optimiser, counters (safetensors with JSON)
best.aeanet   the best model so far
log.csv       loss, rate and gains, one row per step
lock          who is writing, while somebody is
scratch       pixels that do not fit into memory, while somebody is
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from napari_aeanet.core.atomic import replacing, write_bytes_atomically
from napari_aeanet.training.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

PLAN, STATE, BEST, LOG, LOCK = "plan.json", "last.state", "best.aeanet", "log.csv", "lock"
SCRATCH = "scratch"
FORMAT = 1


@dataclass
class RunProgress:
    """Where a run is, beside its weights.

    Parameters
    ----------
    step
        Steps that are done.
    checked
        After how many steps the last check was; -1: there was none yet.
    best_step, best_psnr, best_ssim
        When the best model was found, and its gain.
    rate_factor
        On the learning rate; below 1 after a retreat.
    skipped, retreats
        Steps in a row that were not finite, and how often the run went back because of them.
    seconds
        Time spent training so far, over all sittings.
    finished
        Whether the end of the run has been reached and the best model settled.
    """

    step: int = 0
    checked: int = -1
    best_step: int = -1
    best_psnr: float = float("-inf")
    best_ssim: float = 0.0
    rate_factor: float = 1.0
    skipped: int = 0
    retreats: int = 0
    seconds: float = 0.0
    finished: bool = False


@dataclass(frozen=True)
class LogRow:
    """One line of the log: the loss of a step, or the gains of a check after it."""

    step: int
    loss: float | None
    rate: float
    psnr_gain: float | None
    ssim_gain: float | None
    seconds: float


class RunFolder:
    """Reads and writes one run. Make it with `begin` or `reopen`, which lock the folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    @property
    def best(self) -> Path:
        return self.path / BEST

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder that is empty at first and gone afterwards."""
        folder = self.path / SCRATCH
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        folder.mkdir()
        try:
            yield folder
        finally:
            # Files that are still mapped cannot be deleted everywhere; the next run does it.
            shutil.rmtree(folder, ignore_errors=True)

    def write_plan(self, plan: Plan) -> None:
        text = json.dumps({"format": FORMAT, **plan.to_json()}, indent=1)
        write_bytes_atomically(self.path / PLAN, text.encode())

    def read_plan(self) -> Plan:
        path = self.path / PLAN
        try:
            values = json.loads(path.read_text())
            version = values.pop("format")
            if version > FORMAT:
                msg = f"{path} was written by a newer napari-aeanet: update it to go on."
                raise ValueError(msg)
            return Plan.from_json(values)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            msg = f"{path} cannot be read ({error}): the run cannot be gone on with."
            raise ValueError(msg) from error

    def write_state(self, state: Mapping[str, Tensor], standing: RunProgress) -> None:
        from safetensors.torch import save

        metadata = {"format": str(FORMAT), "standing": json.dumps(asdict(standing))}
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        write_bytes_atomically(self.path / STATE, save(tensors, metadata))

    def read_state(self) -> tuple[dict[str, Tensor], RunProgress]:
        from safetensors import SafetensorError, safe_open

        path = self.path / STATE
        try:
            with safe_open(path, "pt") as opened:
                standing = RunProgress(**json.loads(opened.metadata()["standing"]))
                return {name: opened.get_tensor(name) for name in opened.keys()}, standing  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, OSError) as error:
            msg = f"{path} cannot be read ({error}): the run cannot be gone on with."
            raise ValueError(msg) from error

    def add_to_log(self, rows: Sequence[LogRow]) -> None:
        """Write further rows to the end of the log."""
        _write_rows(self.path / LOG, rows, "a")

    def read_log(self) -> list[LogRow]:
        """The rows of the log; one that was cut short by a crash is left out."""
        path = self.path / LOG
        if not path.exists():
            return []
        with path.open(newline="") as file:
            return [_row(values) for values in csv.DictReader(file) if None not in values.values()]

    def cut_log(self, step: int, checked: int) -> None:
        """Drop the steps after `step` and the checks after `checked`: they will be done again."""
        last = {True: step, False: checked}
        rows = [row for row in self.read_log() if row.step <= last[row.psnr_gain is None]]
        with replacing(self.path / LOG) as temporary:
            _write_rows(temporary, rows, "w")


@contextmanager
def begin(folder: Path) -> Iterator[RunFolder]:
    """A folder for a new run, locked while the block lasts.

    Raises
    ------
    FileExistsError
        If there is a run in it already.
    """
    folder = Path(folder)
    if (folder / PLAN).exists():
        msg = f"{folder} holds a training run already: go on with it (resume), or choose another."
        raise FileExistsError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made ({error.strerror}): choose a folder that can be written to."
        raise type(error)(msg) from error
    with _locked(folder):
        yield RunFolder(folder)


@contextmanager
def reopen(folder: Path) -> Iterator[RunFolder]:
    """The run in `folder`, locked while the block lasts.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    folder = Path(folder)
    if not (folder / PLAN).is_file():
        msg = f"{folder} holds no training run ({PLAN} is missing): start it anew."
        raise FileNotFoundError(msg)
    with _locked(folder):
        yield RunFolder(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second writer out. A lock whose process is gone (a crash) is taken over."""
    path = folder / LOCK
    owner = _owner(path)
    if owner is not None:
        msg = f"{folder} is being trained in by another process (number {owner}): stop it first."
        raise RuntimeError(msg)
    me = psutil.Process()
    path.unlink(missing_ok=True)
    try:
        with path.open("x") as file:  # of two that arrive here at once, one fails
            json.dump({"process": me.pid, "since": me.create_time()}, file)
    except OSError as error:
        msg = f"{folder} cannot be written to ({error.strerror}): choose another folder."
        raise type(error)(msg) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _owner(path: Path) -> int | None:
    """The process that holds the lock, if it still runs."""
    try:
        lock = json.loads(path.read_text())
        process = psutil.Process(lock["process"])
        # Numbers of processes are used again; the time when one began tells them apart.
        return process.pid if process.create_time() == lock["since"] else None
    except (FileNotFoundError, json.JSONDecodeError, KeyError, psutil.NoSuchProcess):
        return None


def _write_rows(path: Path, rows: Sequence[LogRow], mode: Literal["a", "w"]) -> None:
    with path.open(mode, newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow([column.name for column in fields(LogRow)])
        for row in rows:
            writer.writerow(["" if value is None else value for value in astuple(row)])


def _row(values: Mapping[str, str]) -> LogRow:
    numbers = {name: float(text) if text else None for name, text in values.items()}
    return LogRow(**numbers | {"step": int(values["step"])})  # type: ignore[arg-type]
