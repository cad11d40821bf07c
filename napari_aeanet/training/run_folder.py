"""A training run on disk: a folder that can be left at any time and resumed.

plan.json     everything the run does; written once all numbers are decided
last.state    weights, optimiser and counters (safetensors with JSON)
best.aeanet   the best model so far
log.csv       loss, learning rate and gains, one row per step
lock          the process that writes, while it runs
scratch       pixels that do not fit into memory, while a process runs
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_aeanet.core.atomic import replacing, write_bytes_atomically
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.lock import locked
from napari_aeanet.core.schema import Document, from_plain, parse_json, to_plain
from napari_aeanet.training.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

PLAN, STATE, BEST, LOG, LOCK = "plan.json", "last.state", "best.aeanet", "log.csv", "lock"
SCRATCH = "scratch"
PLAN_DOCUMENT = Document(kind=Plan, title="training plan", version=1)
REMEDY = "the run cannot be resumed; copy its folder again, or start a new run"
# Metadata key of the state file that holds the RunProgress; every version has used this one.
PROGRESS_KEY = "standing"


@dataclass
class RunProgress:
    """Counters of a run.

    Parameters
    ----------
    step
        Steps done.
    checked
        Steps done at the last validation; -1 before the first.
    best_step, best_psnr, best_ssim
        Steps done at the best validation, and its gain.
    rate_factor
        Factor on the learning rate; below 1 after a retreat.
    skipped, retreats
        Consecutive steps with a non-finite loss, and retreats because of them.
    seconds
        Training time so far, over all sittings.
    finished
        True once the final model is written.
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
    """One row of the log: the loss of a step, or the gains of a validation after it."""

    step: int
    loss: float | None
    rate: float
    psnr_gain: float | None
    ssim_gain: float | None
    seconds: float


class RunFolder:
    """Reader and writer of one run. Created by `begin` or `reopen`, which lock the folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    @property
    def best(self) -> Path:
        return self.path / BEST

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty folder that is deleted afterwards."""
        folder = self.path / SCRATCH
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
        folder.mkdir()
        try:
            yield folder
        finally:
            # Windows cannot delete files that are still mapped; the next run deletes them.
            shutil.rmtree(folder, ignore_errors=True)

    def write_plan(self, plan: Plan) -> None:
        write_bytes_atomically(self.path / PLAN, PLAN_DOCUMENT.dump(plan))

    def read_plan(self) -> Plan:
        path = self.path / PLAN
        with in_one_sentence(path, PLAN_DOCUMENT.title, REMEDY):
            plan = PLAN_DOCUMENT.load(path.read_bytes(), path)
            try:
                assert plan.config
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
            return plan

    def write_state(self, state: Mapping[str, Tensor], progress: RunProgress) -> None:
        from safetensors.torch import save

        metadata = {"format": "1", PROGRESS_KEY: json.dumps(to_plain(progress))}
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        write_bytes_atomically(self.path / STATE, save(tensors, metadata))

    def read_state(self) -> tuple[dict[str, Tensor], RunProgress]:
        with self._open_state("pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            return tensors, self._progress_in(opened)

    def read_progress(self) -> RunProgress:
        """Return the counters alone; reads no weights and needs no torch."""
        with self._open_state("np") as opened:
            return self._progress_in(opened)

    @contextmanager
    def _open_state(self, framework: Literal["np", "pt"]) -> Iterator[Any]:
        from safetensors import safe_open

        path = self.path / STATE
        state = in_one_sentence(path, "state of a training", REMEDY)
        with state, safe_open(path, framework) as opened:
            yield opened

    def _progress_in(self, opened: Any) -> RunProgress:
        where = str(self.path / STATE)
        text = (opened.metadata() or {}).get(PROGRESS_KEY, "")
        return from_plain(RunProgress, parse_json(text, where), where)

    def add_to_log(self, rows: Sequence[LogRow]) -> None:
        """Append rows to the log."""
        _write_rows(self.path / LOG, rows, "a")

    def read_log(self) -> list[LogRow]:
        """Return the rows of the log, without one that a crash truncated."""
        path = self.path / LOG
        if not path.exists():
            return []
        with in_one_sentence(path, "log", REMEDY), path.open(newline="") as file:
            return [
                from_plain(LogRow, {name: text or None for name, text in row.items()}, str(path))
                for row in csv.DictReader(file)
                if None not in row.values()
            ]

    def cut_log(self, step: int, checked: int) -> None:
        """Delete the steps after `step` and the validations after `checked`: they are repeated."""
        last = {True: step, False: checked}
        rows = [row for row in self.read_log() if row.step <= last[row.psnr_gain is None]]
        with replacing(self.path / LOG) as temporary:
            _write_rows(temporary, rows, "w")


@contextmanager
def begin(folder: Path) -> Iterator[RunFolder]:
    """Make a folder for a new run, locked while the block lasts.

    Without a plan in the end, it is removed again.

    Raises
    ------
    FileExistsError
        If it holds a run already.
    """
    folder = Path(folder)
    if (folder / PLAN).exists():
        msg = f"{folder} holds a training run already: resume it, or choose another folder."
        raise FileExistsError(msg)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{folder} cannot be made ({error.strerror}): choose a folder that can be written to."
        raise type(error)(msg) from error
    try:
        with _locked(folder):
            yield RunFolder(folder)
    finally:
        if not (folder / PLAN).exists():
            with suppress(OSError):  # not empty: another program uses it
                for path in made:
                    path.rmdir()


@contextmanager
def reopen(folder: Path) -> Iterator[RunFolder]:
    """Open the run in `folder`, locked while the block lasts.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    folder = Path(folder)
    if not (folder / PLAN).is_file():
        msg = f"{folder} holds no training run ({PLAN} is missing): start a new one."
        raise FileNotFoundError(msg)
    with _locked(folder):
        yield RunFolder(folder)


def _locked(folder: Path) -> AbstractContextManager[None]:
    """Keep other writers out of the folder."""
    refusal = f"{folder} is being trained in by another process (number {{owner}}): stop it first."
    return locked(folder / LOCK, refusal)


def _write_rows(path: Path, rows: Sequence[LogRow], mode: Literal["a", "w"]) -> None:
    with path.open(mode, newline="") as file:
        writer = csv.writer(file)
        if file.tell() == 0:
            writer.writerow([column.name for column in fields(LogRow)])
        for row in rows:
            writer.writerow(["" if value is None else value for value in astuple(row)])
