"""`napari-aeanet train`: learn a model from pairs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from napari_aeanet.training import Finished, Noticed, Planned, TrainEvent, TrainSettings, Validated


@dataclass(frozen=True, kw_only=True)
class Train:
    """Learn a model from pairs. The run folder holds everything; Ctrl+C keeps the best model.

    Parameters
    ----------
    inputs
        A pair list (.json) as `register` writes it, or two folders, two stacks, .csv, .npz.
    output
        The run folder. Its best.aeanet is the model.
    resume
        Go on with the run in this folder.
    settings
        How to train.
    """

    inputs: Positional[tuple[Path, ...]]
    output: Annotated[Path, arg(aliases=["-o"])]
    resume: FlagCreatePairsOff[bool] = False
    settings: Annotated[TrainSettings, arg(name="")] = field(default_factory=TrainSettings)

    def run(self) -> int:
        from napari_aeanet.cli.console import collect_pairs, report_pairs
        from napari_aeanet.training import resume_events, train_events

        found = collect_pairs(self.inputs)
        report_pairs(found)
        if self.resume:
            events = resume_events(found.pairs, self.output)
        else:
            events = train_events(found.pairs, self.settings, self.output)
        follow(events)
        return 0


def follow(events: Iterator[TrainEvent]) -> Finished:
    """Show a training on the terminal; its last event."""
    from napari_aeanet.cli.console import shown

    for event in shown(events, "step"):
        match event:
            case Planned():
                print(event.summary)
                for notice in event.notices:
                    print(f"note: {notice}", file=sys.stderr)
            case Noticed():
                print(f"note: {event.text}", file=sys.stderr)
            case Validated():
                print(
                    f"step {event.step}: better than the input by {event.psnr_gain:+.1f} dB, "
                    f"SSIM {event.ssim_gain:+.3f}"
                )
            case Finished():
                print(event.summary)
                return event
    raise RuntimeError("the training ended without a result")
