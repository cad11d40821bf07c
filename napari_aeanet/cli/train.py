"""`napari-aeanet train`: train a model on pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.training import Finished, Noticed, Planned, TrainEvent, TrainSettings, Validated


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a model on pairs.

    Options of 0 follow the preset and the profile. Ctrl+C ends the training and keeps the best
    model; --resume continues it.

    Parameters
    ----------
    inputs
        Pair list (.json) written by `register`; or two folders, two stacks, a .csv or an .npz file.
    output
        Run folder; its best.aeanet is the model.
    resume
        Continue the run in this folder.
    settings
        How to train.

    Examples
    --------
    napari-aeanet train pairs.json -o run --minutes 10
    napari-aeanet train pairs.json -o unsure --uncertainty
    """

    inputs: Positional[tuple[Path, ...]]
    output: Annotated[Path, arg(aliases=["-o"])]
    resume: FlagCreatePairsOff[bool] = False
    settings: Annotated[TrainSettings, arg(name="")] = field(default_factory=TrainSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import collect_pairs
        from napari_aeanet.training import resume_events, train_events

        pairs = collect_pairs(self.inputs).pairs
        if self.resume:
            events = resume_events(pairs, self.output)
        else:
            events = train_events(pairs, self.settings, self.output)
        follow(events)
        return 0


def follow(events: Iterator[TrainEvent]) -> Finished:
    """Run a training to its end, print its events, and return the last one."""
    from napari_aeanet.cli.progress import print_note, shown

    for event in shown(events, "step"):
        match event:
            case Planned():
                print(event.summary)
                for notice in event.notices:
                    print_note(notice)
            case Noticed():
                print_note(event.text)
            case Validated():
                print(
                    f"step {event.step}: better than the input by {event.psnr_gain:+.1f} dB, "
                    f"SSIM {event.ssim_gain:+.3f}"
                )
            case Finished():
                print(event.summary)
                return event
    raise RuntimeError("the training ended without a result")
