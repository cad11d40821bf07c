"""Real processes that train together by gloo, forked from one that has imported torch already."""

import io
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import blurred_pairs, small_config
from torch import nn

from napari_aeanet.cli import main
from napari_aeanet.models import presets
from napari_aeanet.processes import joint_norms, together
from napari_aeanet.training import TrainSettings, pace, resume_events, train_events
from napari_aeanet.training.settings import Finished, Stepped
from napari_aeanet.training.trainer import Trainer

CONTEXT = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
PRELOADED = [
    *("pytest", "hypothesis.strategies", "scipy.ndimage", "skimage.metrics", "torch._dynamo"),
    "napari_aeanet.training.run",
]
DIED, HANGS, LONGEST_SECONDS = "died", "hangs", 120


def in_processes(function: Callable[..., Any], *arguments: Any, count: int = 2) -> list[Any]:
    """Return what `function(rank, *arguments)` returned in each process, or raised, as text."""
    if os.name == "posix":
        CONTEXT.set_forkserver_preload(PRELOADED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers, processes = [], []
    for rank in range(count):
        answer, told = CONTEXT.Pipe(duplex=False)
        call = (rank, count, port, told, function, arguments)
        processes.append(CONTEXT.Process(target=_begin, args=call))
        processes[-1].start()
        told.close()
        answers.append(answer)
    found = [_received(answer) for answer in answers]
    for process, one in zip(processes, found, strict=True):
        if one == HANGS:
            process.kill()
        process.join()
    return found


def _received(answer: Any) -> Any:
    with answer:
        try:
            return answer.recv() if answer.poll(LONGEST_SECONDS) else HANGS
        except EOFError:
            return DIED


def _begin(
    rank: int, count: int, port: int, told: Any, function: Callable[..., Any], arguments: Any
) -> None:
    known = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ.update({name: str(value) for name, value in known.items()})
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    with told:
        try:
            told.send(function(rank, *arguments))
        except BaseException as error:  # noqa: BLE001 - it is told, whatever it is
            told.send(f"{type(error).__name__}: {error}")


# --- what they do


@dataclass(frozen=True, kw_only=True)
class Job:
    """A small training.

    Parameters
    ----------
    changes
        Of the network.
    stop_at, stop
        Step after which it stops, and how: the events are "closed" or the first process is
        "interrupted" in the middle of a step, or the second is "killed" or "fails" there.
    other_pairs
        The second process has other pairs.
    not_finite
        Steps in which the second process has a loss that is not finite.
    """

    folder: Path
    settings: TrainSettings
    shape: tuple[int, ...] = (96, 128)
    changes: Mapping[str, Any] = field(default_factory=dict)
    stop_at: int = -1
    stop: str = ""
    other_pairs: bool = False
    not_finite: tuple[int, ...] = ()

    def pairs(self, rank: int = 0):
        return blurred_pairs(6, self.shape, seed=rank if self.other_pairs else 0)


def trained(rank: int, job: Job) -> dict[str, Any]:
    """Train, or resume what is there; return what this process did."""
    done: dict[str, Any] = {"launched": 0, "notices": ()}
    with pytest.MonkeyPatch.context() as patch:
        made = presets.preset
        changes = {"features": 8, **job.changes}
        patch.setattr(presets, "quick_config", lambda p: small_config(p).with_changes(**changes))
        patch.setattr(
            presets,
            "preset",
            lambda name: replace(p := made(name), config=p.config.with_changes(**changes)),
        )
        launch, complete = Trainer.launch, Trainer.complete

        def counted(self, source, target):
            is_spoilt = rank == 1 and done["launched"] in job.not_finite
            done["launched"] += 1
            launch(self, source * np.nan if is_spoilt else source, target)

        def stopping(self, rate):
            if done["launched"] > job.stop_at >= 0:
                if rank == 0 and job.stop == "interrupted":
                    raise KeyboardInterrupt
                if rank == 1 and job.stop == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                if rank == 1 and job.stop == "fails":
                    raise MemoryError("There is too little memory: choose smaller patches.")
            loss = complete(self, rate)
            done["weights"] = [one.detach().numpy().copy() for one in self.network.parameters()]
            return loss

        patch.setattr(Trainer, "launch", counted)
        patch.setattr(Trainer, "complete", stopping)
        pairs = job.pairs(rank)
        if (job.folder / "plan.json").exists():
            events = resume_events(pairs, job.folder)
        else:
            events = train_events(pairs, job.settings, job.folder, force=True)
        for event in events:
            done["notices"] += getattr(event, "notices", ())
            if isinstance(event, Stepped) and event.step == job.stop_at and job.stop == "closed":
                events.close()
            done["last"] = event
    assert isinstance(done["last"], Finished)
    return done


def trained_by_clocks(rank: int, job: Job) -> dict[str, Any]:
    """The same by a clock that only steps move, in the second process five times as quickly."""
    time, complete = 0.0, Trainer.complete

    def moving(self, rate):
        nonlocal time
        time += (0.5 if time < 6 else 0.25) / (1 + 4 * rank)
        return complete(self, rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "now", lambda: time)
        patch.setattr(Trainer, "complete", moving)
        return trained(rank, job)


def commanded(rank: int, words: list[str], killed_at: int = -1) -> tuple[int, str, str]:
    """The exit code, output and errors of a command, whose second process may die at a step."""
    launch, launched = Trainer.launch, iter(range(10**6))

    def dying(self, *batch):
        if next(launched) == killed_at and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        launch(self, *batch)

    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(Trainer, "launch", dying)
        with redirect_stderr(io.StringIO()) as err:
            code = main(words)
    return code, out.getvalue(), err.getvalue()


def normalised(rank: int, x: np.ndarray, dy: np.ndarray, parts: list[slice]) -> list[np.ndarray]:
    """Batch normalisation of a part of x, with its gradients for dy, and running statistics."""
    with together() as group:
        norm = nn.BatchNorm2d(x.shape[1], momentum=0.1, dtype=torch.float64)
        nn.init.normal_(norm.weight, generator=torch.Generator().manual_seed(0))
        own = torch.from_numpy(x[parts[rank]]).requires_grad_()
        with joint_norms(norm, group):
            y = norm(own)
        y.backward(torch.from_numpy(dy[parts[rank]]))
        gradients = [norm.weight.grad, norm.bias.grad]
        group.add(gradients)
    found = [y, own.grad, *gradients, norm.running_mean, norm.running_var]
    return [value.detach().numpy() for value in found]
