"""Work on many images on the command line: inputs, results as they come, and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_aeanet.batch import (
    BatchEvent,
    BatchFinished,
    BatchPlan,
    BatchSettings,
    ItemFinished,
    Outcome,
    Status,
    Treatment,
    Work,
    find_inputs,
    new_record,
    option_values,
    plan_batch,
)
from napari_aeanet.cli.progress import print_note, shown
from napari_aeanet.cli.streams import print_error
from napari_aeanet.core.progress import in_words
from napari_aeanet.core.words import bytes_in_words
from napari_aeanet.restoration import (
    STREAMED,
    AnalysisSettings,
    ImagePlanned,
    SeriesOfFiles,
    partial_path,
)

if TYPE_CHECKING:
    from napari_aeanet.core.image import Image
    from napari_aeanet.models import Model

FAILED = 1
# Options of an analysis that do not change its maps.
NEUTRAL = ("device", "tile")

Settings = TypeVar("Settings", bound=AnalysisSettings)


def planned(
    inputs: Sequence[Path],
    out: Path | None,
    ending: str,
    batch: BatchSettings,
    parts: Callable[[Path], tuple[Path, ...]] = lambda path: (path,),
) -> BatchPlan:
    """Return the plan for the inputs of a command, and print its notes."""
    found = find_inputs(inputs, recursive=batch.recursive)
    plan = plan_batch(found, out, ending, parts, accept_missing=batch.accept_missing)
    for note in plan.notes:
        print_note(note)
    return plan


def analysis(
    command: str,
    verb: str,
    plan: BatchPlan,
    model: Model,
    settings: Settings,
    work: Callable[[Image, tuple[Path, ...], Settings], Work],
    *,
    options: Mapping[str, Any] | None = None,
    again: bool = False,
) -> Treatment:
    """Return the analysis of every image of a plan, all at one range of intensities.

    Parameters
    ----------
    work
        Function of an image, the files of its result, and the settings for it.
    options
        Further options for the records of the results.
    again
        Analyse images with complete results again.
    """
    series = SeriesOfFiles([file.path for file in plan.files], accept_missing=plan.accept_missing)

    def settled(image: Image) -> Settings:
        choice = series.choice_for(image, model.card, settings.range)
        return replace(settings, range=choice)

    assert model.path is not None
    record = new_record(command, model.path, settings)
    return Treatment(
        verb=verb,
        work=lambda image, outputs: work(image, outputs, settled(image)),
        record=replace(record, options={**record.options, **(options or {})}),
        neutral=NEUTRAL,
        defaults=option_values(type(settings)()),
        again=again,
        settle=lambda image: {"range": settled(image).range},
        place=lambda outputs: {"output": outputs[0].parent},
    )


def follow(
    events: Iterable[BatchEvent],
    plan: BatchPlan,
    step: str = "step",
    line: Callable[[Path], str] = str,
) -> int:
    """Run a batch, print every result and failure, and return the exit code.

    Parameters
    ----------
    step
        Name of the steps of a single image.
    line
        Function from a file that was written to the line that is printed.

    Raises
    ------
    KeyboardInterrupt
        If the user stops it, with what is kept.
    """
    outcomes: list[Outcome] = []
    try:
        for event in shown(events, "image" if plan.is_batch else step):
            if isinstance(event, ItemFinished):
                outcomes.append(event.outcome)
                _print(event.outcome, line)
            elif isinstance(event, BatchFinished) and plan.is_batch:
                _print_summary(event)
    except KeyboardInterrupt as stop:
        stop.args = (_kept(plan, outcomes),)
        raise
    return FAILED if any(one.status is Status.FAILED for one in outcomes) else 0


def print_plan(events: Iterable[ImagePlanned]) -> int:
    """Print what would be done, and return the exit code: 1 if anything would fail."""
    todo: list[ImagePlanned] = []
    problems = complete = 0
    for one in events:
        if one.problem:
            problems += 1
            print(f"{one.input}: {one.problem}")
        elif one.is_complete:
            complete += 1
            print(f"{one.input} → {one.outputs[0]}: complete, skipped")
        else:
            todo.append(one)
            size = " × ".join(map(str, one.shape))
            print(
                f"{one.input} → {one.outputs[0]}: {one.axes} {size} {one.dtype}, "
                f"{one.tiles} tile{'s' if one.tiles != 1 else ''}, "
                f"about {in_words(one.seconds)}, {bytes_in_words(one.memory)}"
            )
    text = f"{len(todo)} to do"
    if todo:
        seconds, memory = sum(one.seconds for one in todo), max(one.memory for one in todo)
        text += f" (about {in_words(seconds)}, at most {bytes_in_words(memory)} of memory)"
    if complete:
        text += f", {complete} complete"
    if problems:
        text += f", {problems} with a problem"
    print(f"{text}; nothing was computed or written.")
    return FAILED if problems else 0


def _print(outcome: Outcome, line: Callable[[Path], str]) -> None:
    if outcome.status is Status.FAILED:
        reason = outcome.reason
        named = reason.startswith(outcome.input)
        print_error(f"napari-aeanet: {reason if named else f'{outcome.input}: {reason}'}")
        return
    for notice in outcome.notices:
        print_note(f"{outcome.input}: {notice}")
    for path in outcome.outputs:
        print(line(path) if path == outcome.outputs[0] else path, flush=True)


def _print_summary(event: BatchFinished) -> None:
    count = {status: 0 for status in Status}
    for outcome in event.outcomes:
        count[outcome.status] += 1
    parts = [f"{count[Status.DONE]} of {len(event.outcomes)} images done"]
    if count[Status.SKIPPED]:
        parts.append(f"{count[Status.SKIPPED]} complete before and skipped")
    if count[Status.FAILED]:
        parts.append(f"{count[Status.FAILED]} failed")
    text = ", ".join(parts)
    print_note(text if event.table is None else f"{text}; outcomes: {event.table}")


def _kept(plan: BatchPlan, outcomes: Sequence[Outcome]) -> str:
    """Return what is kept of a batch that was stopped."""
    if plan.is_batch:
        kept = sum(one.status is not Status.FAILED for one in outcomes)
        return f"stopped; {kept} of {len(plan.files)} results are kept."
    (file,) = plan.files
    target = file.output or file.folder / f"{file.name}{plan.ending}"
    if target.name.endswith(STREAMED) and partial_path(target).exists():
        return (
            f"stopped; the finished part is kept in {partial_path(target)}, and the same command "
            "goes on from there."
        )
    kept = len(outcomes)
    return "stopped; nothing was written." if not kept else f"stopped; {kept} results are kept."
