"""A learning run on disk: a folder that can be left at any time and gone on with.

plan.json              everything the run does; written once the number of steps is decided
last.state             weights, optimiser and counters (safetensors, with JSON in its metadata)
model.safetensors      the model; written at the end
lock, sections.raw     while a process runs
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from napari_aeanet.core.atomic import write_bytes_atomically
from napari_aeanet.core.boundary import in_one_sentence
from napari_aeanet.core.lock import locked
from napari_aeanet.core.schema import Document, from_plain, parse_json, to_plain
from napari_aeanet.interpolation.config import InterpolationConfig
from napari_aeanet.interpolation.learning_settings import LearnSettings
from napari_aeanet.interpolation.section_model import SUFFIX
from napari_aeanet.io import Fingerprint

PLAN, STATE, MODEL, LOCK, SCRATCH = (
    "plan.json",
    "last.state",
    f"model{SUFFIX}",
    "lock",
    "sections.raw",
)
COUNTERS = "counters"
REMEDY = "the learning cannot go on; start it again in another folder"


@dataclass(frozen=True, kw_only=True)
class LearnPlan:
    """Everything that a run does.

    Attributes
    ----------
    stack
        The stack, by which it is recognised.
    prepared
        Sections that were found fit, of which some are kept out.
    steps, comparisons
        Number of steps, and of comparisons with the flow.
    seconds
        Computing time after which no further step is made; 0 for no limit.
    """

    settings: LearnSettings
    network: InterpolationConfig
    stack: Fingerprint
    prepared: tuple[int, ...]
    steps: int
    comparisons: int
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass
class LearnCounters:
    """Steps done, and computing time so far, over all sittings."""

    step: int = 0
    seconds: float = 0.0


PLAN_DOCUMENT = Document(
    kind=LearnPlan, title="plan of a learning", version=1, marker="napari-aeanet section learning"
)


class LearnFolder:
    """Reader and writer of one run; made by `opened`, which locks the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def model(self) -> Path:
        return self.path / MODEL

    @property
    def scratch(self) -> Path:
        """File for pixels that do not fit into memory."""
        return self.path / SCRATCH

    def write_plan(self, plan: LearnPlan) -> None:
        write_bytes_atomically(self.path / PLAN, PLAN_DOCUMENT.dump(plan))

    def read_plan(self) -> LearnPlan:
        path = self.path / PLAN
        with in_one_sentence(path, PLAN_DOCUMENT.title, REMEDY):
            return PLAN_DOCUMENT.load(path.read_bytes(), path)

    def write_state(self, state: Mapping[str, Tensor], counters: LearnCounters) -> None:
        from safetensors.torch import save

        metadata = {COUNTERS: json.dumps(to_plain(counters))}
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        write_bytes_atomically(self.path / STATE, save(tensors, metadata))

    def read_state(self) -> tuple[dict[str, Tensor], LearnCounters]:
        from safetensors import safe_open

        path = self.path / STATE
        with in_one_sentence(path, "state of a learning", REMEDY), safe_open(path, "pt") as opened:
            text = (opened.metadata() or {}).get(COUNTERS, "")
            counters = from_plain(LearnCounters, parse_json(text, str(path)), str(path))
            return {n: opened.get_tensor(n) for n in opened.keys()}, counters  # noqa: SIM118


@contextmanager
def opened(path: Path, *, is_new: bool) -> Iterator[LearnFolder]:
    """Open the folder of a new run or of one to go on with, locked while the block lasts.

    A new folder that holds no plan in the end is removed again.

    Raises
    ------
    FileExistsError, FileNotFoundError
        If a new run has a plan already, or one to go on with has none.
    """
    if is_new == (path / PLAN).exists():
        if is_new:
            msg = f"{path} holds a learning already: go on with it, or choose another folder."
            raise FileExistsError(msg)
        raise FileNotFoundError(f"{path} holds no learning ({PLAN} is missing): start a new one.")
    made = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{path} cannot be made ({error.strerror}): choose a folder that can be written to."
        raise type(error)(msg) from error
    refusal = f"{path} is being learnt in by another process (number {{owner}}): stop it first."
    try:
        with locked(path / LOCK, refusal):
            folder = LearnFolder(path)
            try:
                yield folder
            finally:
                with suppress(OSError):  # Windows cannot delete what is still mapped
                    folder.scratch.unlink(missing_ok=True)
    finally:
        if made and not (path / PLAN).exists():
            with suppress(OSError):
                path.rmdir()
