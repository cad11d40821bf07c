"""Evaluation: images against their truth, and methods against each other.

`evaluate_events` is a generator of events. Images that a model was trained on are not scored unless
forced; the model file says which they were.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import EtaEstimator, Progress, Progressed
from napari_aeanet.evaluation.methods import Case, ComparedMethod, Restoration
from napari_aeanet.evaluation.scoring import Matching, Scores, matched, score
from napari_aeanet.evaluation.settings import (
    Evaluated,
    EvaluateEvent,
    EvaluateSettings,
    Evaluation,
    Example,
    Scored,
    ScoreRow,
)
from napari_aeanet.io import read_images
from napari_aeanet.pairs import ImagePair, pairs_from_folders
from napari_aeanet.registration import Verdict, overlap_region

# Of the image that is shown as an example, a square of this edge is kept.
EXAMPLE = 256


DEFAULTS = EvaluateSettings()


def evaluate_events(
    cases: Sequence[Case],
    contenders: Sequence[ComparedMethod],
    settings: EvaluateSettings = DEFAULTS,
) -> Iterator[EvaluateEvent]:
    """Score every contender on every case.

    Cases that cannot be scored are left out, with a notice. Of a truth that a model was trained
    with, only the part that was kept out of its training is scored, for all contenders alike.

    Raises
    ------
    ValueError
        If nothing can be scored: no cases, or only what the models have learnt from.
    """
    total = len(cases) * len(contenders)
    if not total:
        raise ValueError("There is nothing to evaluate: give images with their truth.")
    pace = EtaEstimator(total)
    rows: list[ScoreRow] = []
    notices: list[str] = []
    example: Example | None = None
    for number, case in enumerate(cases):
        done = number * len(contenders)
        yield Progressed(_progress(case, done, total, pace))
        try:
            regions = scored_regions(case, contenders, settings)
        except ValueError as error:
            notices.append(str(error))
            continue
        if not settings.force and regions.notice:
            notices.append(regions.notice)
        images: list[tuple[str, Image]] = []
        for contender in contenders:
            try:
                image = yield from _worked(contender, case, done, total, pace)
                row = ScoreRow(case.name, contender.name, _scored(case, image, settings, regions))
            except ValueError as error:
                notices.append(f"{case.name}, {contender.name}: {error}")
                continue
            finally:
                done += 1
            rows.append(row)
            images.append((contender.name, image))
            error_map = error_of(image, case.truth, settings.matching)
            yield Scored(row, image, error_map, _progress(case, done, total, pace))
        if example is None and len(images) == len(contenders):
            example = _example(case, images, regions.boxes[0])
    if not rows:
        raise ValueError(" ".join(dict.fromkeys(notices)))
    if settings.force:
        notices.append("Forced: parts that models have learnt from may be among what was scored.")
    evaluation = Evaluation(settings, tuple(rows), tuple(dict.fromkeys(notices)), example)
    yield Evaluated(evaluation, Progress("evaluating", total, total))


@dataclass(frozen=True)
class Regions:
    """The boxes of a truth, along its spatial axes, that are scored; and why not all of it."""

    boxes: tuple[Region, ...]
    notice: str = ""


def scored_regions(
    case: Case, contenders: Sequence[ComparedMethod], settings: EvaluateSettings
) -> Regions:
    """Where both images are known, less the border, less what models have learnt from.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    from napari_aeanet.evaluation.leakage import seen_by, unseen

    field = [slice(0, case.truth.sizes[axis]) for axis in case.truth.spatial_axes]
    registration = case.pair.registration if case.pair is not None else None
    if registration is not None and registration.verdict is Verdict.FAILED:
        msg = f"{case.name} could not be registered, so that nothing can be compared."
        raise ValueError(msg)
    if registration is not None:
        field[-2:] = overlap_region(registration)
    rim = settings.border
    field[-2:] = [slice(s.start + rim, s.stop - rim) for s in field[-2:]]
    if any(s.stop - s.start < 1 for s in field):
        msg = f"{case.name}: nothing is left of it inside a border of {rim} pixels."
        raise ValueError(msg)
    whole = tuple(field)
    if settings.force or case.pair is None:
        return Regions((whole,))
    models = {c.name: c.model.card for c in contenders if isinstance(c, Restoration)}
    seen = {name: seen_by(card, case.pair) for name, card in models.items()}
    knowing = [name for name, one in seen.items() if one is not None]
    boxes = unseen(whole, list(seen.values()))
    if not boxes:
        msg = (
            f"{case.name} is what {' and '.join(knowing)} learnt from: a figure would say nothing. "
            "Take other images, or force it."
        )
        raise ValueError(msg)
    if not knowing:
        return Regions(boxes)
    notice = f"{case.name}: only the part that {' and '.join(knowing)} did not learn from counts."
    return Regions(boxes, notice)


def error_of(image: Image, truth: Image, matching: Matching) -> Image:
    """image - truth after matching, as a float image in the place of the truth."""
    x, y = matched(image.read(), truth.read(), matching)
    name = f"{image.name} error"
    return truth.with_array((x - y).astype(np.float32), name=name, source=None, notices=())


def cases_from_files(truth: Path, predictions: Sequence[Path]) -> tuple[list[Case], list[str]]:
    """Cases of a file or folder with the truth and files or folders of predictions.

    Predictions are called by their folders, or by their file names. Returns the cases, and a
    sentence for everything that found no partner.
    """
    cases: dict[str, Case] = {}
    problems: list[str] = []
    for prediction, name in zip(predictions, _distinct(predictions), strict=True):
        for found in _pairs(prediction, truth, problems):
            files = cases[found.name].files if found.name in cases else {}
            cases[found.name] = Case(found.name, found.target, files={**files, name: found.source})
    return list(cases.values()), problems


def _pairs(prediction: Path, truth: Path, problems: list[str]) -> list[ImagePair]:
    if prediction.is_dir() and truth.is_dir():
        found = pairs_from_folders(prediction, truth)
        problems += [*found.unmatched, *map(str, found.problems)]
        return list(found.pairs)
    images, truths = read_images(prediction), read_images(truth)
    if len(images) != len(truths):
        msg = (
            f"{prediction} holds {len(images)} images and {truth} {len(truths)}: give files with "
            "as many, or two folders."
        )
        raise ValueError(msg)
    return [ImagePair(x, y, name=y.name) for x, y in zip(images, truths, strict=True)]


def _distinct(paths: Sequence[Path]) -> list[str]:
    """The paths' own names; with their folders where two have the same."""
    names = [path.stem if path.is_file() else path.name for path in paths]
    return [
        f"{path.parent.name}/{name}" if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]


def _worked(
    contender: ComparedMethod, case: Case, done: int, total: int, pace: EtaEstimator
) -> Generator[Progressed, None, Image]:
    steps = contender.work(case)
    try:
        while True:
            next(steps)
            yield Progressed(_progress(case, done, total, pace))
    except StopIteration as finished:
        return finished.value
    finally:
        steps.close()


def _scored(case: Case, image: Image, settings: EvaluateSettings, regions: Regions) -> Scores:
    return score(image, case.truth, settings.matching, regions.boxes, settings.data_range)


def _progress(case: Case, done: int, total: int, pace: EtaEstimator) -> Progress:
    return Progress(f"evaluating {case.name}", done, total, pace.seconds_left(done))


def _example(case: Case, images: Sequence[tuple[str, Image]], box: Region) -> Example:
    """The middle of the first box that is scored; of a stack the middle plane."""
    place: list[slice | int] = [0] * (len(case.truth.axes) - len(box))
    place += [(s.start + s.stop) // 2 for s in box[:-2]]
    for side in box[-2:]:
        length = min(EXAMPLE, side.stop - side.start)
        first = (side.start + side.stop - length) // 2
        place.append(slice(first, first + length))
    cut = tuple(place)
    return Example(
        case.name,
        np.array(case.truth.read(cut)),
        tuple((name, np.array(image.read(cut))) for name, image in images),
    )
