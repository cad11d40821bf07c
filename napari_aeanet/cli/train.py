"""`napari-aeanet train`: train a model on pairs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.core.memory import is_out_of_memory, memory_sentence
from napari_aeanet.models import presets
from napari_aeanet.processes import is_first, launcher
from napari_aeanet.training import (
    AUTOMATIC,
    Finished,
    FinishReason,
    KeptOut,
    Noticed,
    Planned,
    TrainEvent,
    TrainSettings,
    Validated,
)

if TYPE_CHECKING:
    from napari_aeanet.io import StackAxis
    from napari_aeanet.pairs import ImagePair
    from napari_aeanet.training import PreflightReport, RunFolder

PAIRS = "pairs.json"  # as written by `register`
MOST_NAMES = 3  # of pairs in a note


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model on pairs.

    The pairs are checked first; nothing is trained where the model would be wrong. Options of 0
    follow the preset and the profile. Ctrl+C ends the training and keeps the best model; --resume
    continues it. Started by torchrun, several processes train one model, one on each GPU.

    Parameters
    ----------
    inputs
        Pair list (.json) written by `register`; or two folders, two stacks, a .csv or an .npz file.
    output
        Run folder; its best.aeanet is the model.
    resume
        Continue the run in this folder.
    force
        Train although the check has found that the model would be wrong.
    each
        Train one model for every pair alone (self-training), in the folders 001, 002 ... of the
        output. The time is that of each model; models that are there already are kept, and an
        interrupted one is continued.
    accept_doubtful
        Also train on pairs whose registration is doubtful and was not accepted in the dock.
    settings
        How to train.

    Examples
    --------
    napari-aeanet train pairs.json -o run --minutes 10
    napari-aeanet train pairs.json -o unsure --uncertainty
    napari-aeanet train pairs.json -o each --each --minutes 3
    """

    inputs: Positional[tuple[Path, ...]]
    output: Annotated[Path, arg(aliases=["-o"])]
    resume: FlagCreatePairsOff[bool] = False
    force: FlagCreatePairsOff[bool] = False
    each: FlagCreatePairsOff[bool] = False
    accept_doubtful: FlagCreatePairsOff[bool] = False
    settings: Annotated[TrainSettings, arg(name="")] = field(default_factory=TrainSettings)

    def check_given(self, words: Mapping[str, str]) -> None:
        """Refuse options, by their names, that a resumed run would not follow."""
        if (run := self._resumed()) is None:
            return
        own, undecided = run.read_plan().settings, (AUTOMATIC, KeptOut.AUTOMATIC)
        other = [
            word
            for name, word in words.items()
            if hasattr(own, name)
            and getattr(self.settings, name) not in (*undecided, getattr(own, name))
        ]
        if other:
            raise ValueError(
                "--resume goes on with the settings of the run: leave out "
                f"{', '.join(other)}, or train a new run."
            )

    def run(self) -> int:
        from napari_aeanet.cli.console import collect_pairs
        from napari_aeanet.training import PLAN, TrainingRefused, resume_events, train_events

        if (resumed := self._resumed()) is not None and resumed.read_progress().finished:
            print("this run is finished")
            self._save_run_file()  # it may have been killed just before
            return self._done(resumed.best)
        pairs = self._accepted(collect_pairs(self.inputs, self._stack_axis()).pairs)
        if self.each:
            return self._train_each(pairs)
        is_new = not self.output.exists()
        if self.resume:
            events = resume_events(pairs, self.output)
        else:
            events = train_events(pairs, self.settings, self.output, force=self.force)
        try:
            with closing(events):
                finished = follow(events)
        except TrainingRefused as refused:
            raise ValueError(self._refusal(refused.report)) from refused
        except KeyboardInterrupt as stop:
            if is_new or self.resume:
                self._save_run_file()
            raise type(stop)(self._kept()) from stop
        except (MemoryError, RuntimeError, ConnectionError) as error:
            is_kept = (is_new or self.resume) and (self.output / PLAN).exists()
            is_lost = isinstance(error, ConnectionError)  # another process of the training
            if not is_kept or not (is_lost or is_out_of_memory(error)):
                raise
            told = (str(error) if is_lost else memory_sentence(error)).removesuffix(".")
            msg = f"{told}; the training is kept, to go on: {self._resuming()}."
            raise (ConnectionError if is_lost else MemoryError)(msg) from error
        self._save_run_file()
        return self._done(finished.bundle)

    def _done(self, model: Path) -> int:
        """Print where the model is and what to do with it; return the exit code."""
        words = ["napari-aeanet", "restore", "IMAGE", "-m", str(model)]
        print(f"model: {model}\nnext: {shlex.join(words)}")
        return 0

    def _resumed(self) -> RunFolder | None:
        """Return the run to go on with; None if there is none."""
        from napari_aeanet.training import PLAN, RunFolder

        is_there = self.resume and (self.output / PLAN).is_file()
        return RunFolder(self.output) if is_there else None

    def _train_each(self, pairs: Sequence[ImagePair]) -> int:
        """Train one model a pair; the same command goes on where this one was stopped."""
        from napari_aeanet.cli.progress import shown
        from napari_aeanet.training import train_each_events

        number = 0
        events = train_each_events(pairs, self.settings, self.output, force=self.force)
        try:
            with closing(events):
                for event in _printed(shown(events, "step"), pairs):
                    if isinstance(event, Planned):
                        number = int(event.folder.name)
                    elif isinstance(event, Finished):
                        print(f"model: {event.bundle}")
                        replace(self, output=event.bundle.parent)._save_run_file()
        except KeyboardInterrupt as stop:
            msg = f"stopped at pair {number}; the same command goes on with it."
            raise type(stop)(msg) from stop
        return 0

    def _stack_axis(self) -> StackAxis | None:
        """Return Z for a network that reads stacks: pages without a meaning are its planes."""
        name = self.settings.preset
        return "Z" if name != AUTOMATIC and presets.preset(name).config.dims == 3 else None

    def _accepted(self, pairs: Sequence[ImagePair]) -> tuple[ImagePair, ...]:
        """Return the pairs without doubtful ones that nobody accepted, as in the dock."""
        from napari_aeanet.cli.progress import print_note

        doubtful = [pair for pair in pairs if pair.is_doubtful]
        if self.accept_doubtful or not doubtful:
            return tuple(pairs)
        names = ", ".join(pair.name for pair in doubtful[:MOST_NAMES])
        more = f" and {len(doubtful) - MOST_NAMES} more" if len(doubtful) > MOST_NAMES else ""
        text = (
            f"{len(doubtful)} of {len(pairs)} pairs are left out, as their registration is "
            f"doubtful and nobody has accepted it ({names}{more}): look at them in AEANet: Pairs, "
            "or add --accept-doubtful."
        )
        if len(doubtful) == len(pairs):
            raise ValueError(f"There is no pair to train on: {text}")
        print_note(text)
        return tuple(pair for pair in pairs if not pair.is_doubtful)

    def _save_run_file(self) -> None:
        """Write how the model was made beside it; a resumed run keeps its options."""
        if not is_first():
            return
        from napari_aeanet.cli.options import save_run_file, update_results
        from napari_aeanet.io import run_file, stem
        from napari_aeanet.training import RunFolder

        run = RunFolder(self.output)
        if self.resume and run_file(run.best, stem(run.best)).exists():
            update_results(run.best)
        elif run.best.exists():  # a run that was killed has none yet
            settings = run.read_plan().settings if self.resume else self.settings
            begun = replace(self, settings=settings, resume=False)
            save_run_file("train", begun, [run.best], inputs=self.inputs)

    def _refusal(self, report: PreflightReport) -> str:
        """Return the reasons not to train, with the command that helps."""
        from napari_aeanet.cli.progress import print_note

        for finding in (*report.problems, *report.notes):
            print_note(finding)
        remedy = "Correct that"
        if report.unregistered:
            words = ["napari-aeanet", "register", *map(str, self.inputs), "-o", "registered"]
            remedy = f"Run `{shlex.join(words)}` and train on registered/{PAIRS}"
        return f"{' '.join(report.objections)} {remedy}, or go on with --force."

    def _kept(self) -> str:
        """Return what a stopped training has left, and the command that resumes it."""
        from napari_aeanet.training import PLAN, RunFolder

        run = RunFolder(self.output)
        if not (self.output / PLAN).exists():
            return "stopped before the first step: nothing was written."
        progress = run.read_progress()
        quality = (
            "the best model so far" if progress.best_step >= 0 else "a model of unknown quality"
        )
        return (
            f"stopped after step {progress.step}; {quality} is {run.best}. To go on: "
            f"{self._resuming()}"
        )

    def _resuming(self) -> str:
        """Return the command that goes on with this training."""
        words = [*launcher(), "train", *map(str, self.inputs), "-o", str(self.output)]
        words += ["--accept-doubtful"] if self.accept_doubtful else []
        words += ["--preset", self.settings.preset] if self._stack_axis() else []
        return shlex.join([*words, "--resume"])


def follow(events: Iterator[TrainEvent]) -> Finished:
    """Run a training to its end, print its events, and return the last one."""
    from napari_aeanet.cli.progress import shown

    for event in _printed(shown(events, "step")):
        if isinstance(event, Finished):
            return event
    raise RuntimeError("the training ended without a result")


def _printed(events: Iterator[TrainEvent], each: Sequence[ImagePair] = ()) -> Iterator[TrainEvent]:
    """Pass the events of one training on, or of one for `each` pair, and print them."""
    from napari_aeanet.cli.progress import print_note

    planned = 0
    for event in events:
        match event:
            case Planned():
                planned = event.steps
                if each:
                    number = int(event.folder.name)
                    print(f"{each[number - 1].name} ({number} of {len(each)}):")
                print(event.summary)
                for notice in event.notices:
                    print_note(notice)
            case Noticed():
                print_note(event.text)
            case Validated():
                what = "final model" if event.is_final else f"step {event.step}"
                than = "worse" if event.psnr_gain < 0 else "better"
                print(
                    f"{what}: {than} than the input by {abs(event.psnr_gain):.1f} dB, "
                    f"SSIM {event.ssim_gain:+.3f}"
                )
            case Finished():
                print(event.summary)
                if planned != event.progress.done:
                    print(_length(planned, event))
        yield event


def _length(planned: int, finished: Finished) -> str:
    """Return why a training took more or fewer steps than planned."""
    done = finished.progress.done
    if finished.reason is FinishReason.NO_GAIN:
        return f"ended after {done} steps of {planned}: there was no further gain"
    why = "time was up" if done < planned else "time was left"
    return f"ended after {done} steps, {planned} were planned at first: {why}"
