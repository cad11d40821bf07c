"""Evaluation of images against their truth, and of methods against each other.

Images that a model was trained on are not scored unless forced; the model file lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.core.arguments import as_path, check_items, check_type
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import EtaEstimator, Progress, Progressed, last_event
from napari_aeanet.evaluation.methods import Case, ComparedMethod, Restoration
from napari_aeanet.evaluation.scoring import Matching, matched, score
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

if TYPE_CHECKING:
    from napari_aeanet.core.progress import ProgressOption

DEFAULTS = EvaluateSettings()
# Edge in pixels of the square that is kept as an example.
EXAMPLE = 256


def evaluate(
    cases: Sequence[Case | ImagePair],
    methods: Sequence[ComparedMethod],
    settings: EvaluateSettings = DEFAULTS,
    *,
    progress: ProgressOption = False,
) -> Evaluation:
    """Score every method on every case, and return all figures.

    Cases that cannot be scored are left out, with a notice. Of a truth that a model was trained
    with, only the part that was kept out of the training is scored, for all methods alike.

    Parameters
    ----------
    cases
        Truths with the images to compare, or pairs, whose sources the methods restore.
    methods
        Methods to compare, each with a name of its own.
    progress
        True for a progress bar in the terminal, or a function that is called with each `Progress`.

    Raises
    ------
    ValueError
        If there are no cases or methods, two methods have one name, or nothing can be scored.
    """
    last = last_event(evaluate_events(cases, methods, settings), progress)
    assert isinstance(last, Evaluated)
    return last.evaluation


def evaluate_events(
    cases: Sequence[Case | ImagePair],
    methods: Sequence[ComparedMethod],
    settings: EvaluateSettings = DEFAULTS,
) -> Iterator[EvaluateEvent]:
    """Score every method on every case, as `evaluate` does; the last event is `Evaluated`."""
    cases = check_items("cases", cases, Case, ImagePair)
    methods = check_items("methods", methods, object)
    for number, method in enumerate(methods):
        if not callable(getattr(method, "work", None)):
            kind = type(method).__name__
            msg = (
                f"methods[{number}] must be a method such as Input() or Restoration(name, model), "
                f"got {kind}."
            )
            raise TypeError(msg)
    check_type("settings", settings, EvaluateSettings)
    if not cases or not methods:
        raise ValueError("There is nothing to evaluate: give images with their truth, and methods.")
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        msg = f"Each method needs a name of its own, got {', '.join(names)}."
        raise ValueError(msg)
    return _events(_distinctly_named(cases), methods, settings)


def _distinctly_named(cases: Sequence[Case | ImagePair]) -> list[Case]:
    """Return all as cases; a name that is taken gets a number: "S01 (2)"."""
    found: dict[str, Case] = {}
    for item in cases:
        case = Case.of(item) if isinstance(item, ImagePair) else item
        name, number = case.name, 1
        while name in found:
            number += 1
            name = f"{case.name} ({number})"
        found[name] = replace(case, name=name)
    return list(found.values())


def _events(
    cases: Sequence[Case], methods: Sequence[ComparedMethod], settings: EvaluateSettings
) -> Iterator[EvaluateEvent]:
    total = len(cases) * len(methods)
    eta = EtaEstimator(total)
    rows: list[ScoreRow] = []
    notices: list[str] = []
    example: Example | None = None
    for number, case in enumerate(cases):
        done = number * len(methods)
        yield Progressed(_progress(case, done, total, eta))
        try:
            regions = scored_regions(case, methods, settings)
        except ValueError as error:
            notices.append(str(error))
            continue
        if not settings.force and regions.notice:
            notices.append(regions.notice)
        images: list[tuple[str, Image]] = []
        for method in methods:
            try:
                with closing(method.work(case)) as steps:
                    for image in steps:
                        if image is None:
                            yield Progressed(_progress(case, done, total, eta))
                assert image is not None
                scores = score(
                    image, case.truth, settings.matching, regions.boxes, settings.data_range
                )
            except ValueError as error:
                notices.append(f"{case.name}, {method.name}: {error}")
                continue
            finally:
                done += 1
            rows.append(ScoreRow(case.name, method.name, scores))
            images.append((method.name, image))
            error_map = error_of(image, case.truth, settings.matching)
            yield Scored(rows[-1], image, error_map, _progress(case, done, total, eta))
        if example is None and len(images) == len(methods):
            example = _example(case, images, regions.boxes[0])
    if not rows:
        raise ValueError(" ".join(dict.fromkeys(notices)))
    if settings.force:
        notices.append("Forced: parts of the training images may be among the scored ones.")
    evaluation = Evaluation(settings, tuple(rows), tuple(dict.fromkeys(notices)), example)
    yield Evaluated(evaluation, Progress("evaluating", total, total))


@dataclass(frozen=True)
class Regions:
    """The scored boxes of a truth, along its spatial axes, and the reason for omissions."""

    boxes: tuple[Region, ...]
    notice: str = ""


def scored_regions(
    case: Case, methods: Sequence[ComparedMethod], settings: EvaluateSettings
) -> Regions:
    """Return the overlap of source and truth, less the border, less the training of all models.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    from napari_aeanet.evaluation.leakage import trained_on, untrained

    field = [slice(0, case.truth.sizes[axis]) for axis in case.truth.spatial_axes]
    registration = case.pair.registration if case.pair is not None else None
    if registration is not None and registration.verdict is Verdict.FAILED:
        msg = f"{case.name} cannot be compared, because its registration failed."
        raise ValueError(msg)
    if registration is not None:
        field[-2:] = overlap_region(registration)
    rim = settings.border
    field[-2:] = [slice(s.start + rim, s.stop - rim) for s in field[-2:]]
    if any(s.stop - s.start < 1 for s in field):
        msg = f"{case.name} is too small for a border of {rim} pixels."
        raise ValueError(msg)
    whole = tuple(field)
    if settings.force or case.pair is None:
        return Regions((whole,))
    cards = {m.name: m.model.card for m in methods if isinstance(m, Restoration)}
    used = {name: trained_on(card, case.pair) for name, card in cards.items()}
    models = " and ".join(name for name, one in used.items() if one is not None)
    boxes = untrained(whole, list(used.values()))
    if not boxes:
        msg = (
            f"{case.name} was used to train {models}, so that a figure would mean nothing: "
            "take other images, or force it."
        )
        raise ValueError(msg)
    if not models:
        return Regions(boxes)
    return Regions(boxes, f"{case.name}: only the part outside the training of {models} counts.")


def error_of(image: Image, truth: Image, matching: Matching) -> Image:
    """Return image - truth after matching, as a float image with the geometry of the truth."""
    x, y = matched(image.read(), truth.read(), matching)
    name = f"{image.name} error"
    return truth.with_array((x - y).astype(np.float32), name=name, source=None, notices=())


def cases_from_files(truth: Path, predictions: Sequence[Path]) -> tuple[list[Case], list[str]]:
    """Return cases from a file or folder with the truth and files or folders of predictions.

    Methods are named after the folders, or files, of their predictions. The second value holds a
    sentence for every image without a partner.
    """
    truth = as_path("truth", truth)
    predictions = [
        as_path(f"predictions[{number}]", path)
        for number, path in enumerate(check_items("predictions", predictions, object))
    ]
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
            "equal numbers of images, or two folders."
        )
        raise ValueError(msg)
    return [ImagePair(x, y, name=y.name) for x, y in zip(images, truths, strict=True)]


def _distinct(paths: Sequence[Path]) -> list[str]:
    """Return the names of the paths, with their folders where two are equal."""
    names = [path.stem if path.is_file() else path.name for path in paths]
    return [
        f"{path.parent.name}/{name}" if names.count(name) > 1 else name
        for path, name in zip(paths, names, strict=True)
    ]


def _progress(case: Case, done: int, total: int, eta: EtaEstimator) -> Progress:
    return Progress(f"evaluating {case.name}", done, total, eta.seconds_left(done))


def _example(case: Case, images: Sequence[tuple[str, Image]], box: Region) -> Example:
    """Return the middle of the first scored box; in a stack, of its middle plane."""
    cut: list[slice | int] = [0] * (len(case.truth.axes) - len(box))
    cut += [(s.start + s.stop) // 2 for s in box[:-2]]
    for side in box[-2:]:
        length = min(EXAMPLE, side.stop - side.start)
        first = (side.start + side.stop - length) // 2
        cut.append(slice(first, first + length))
    region = tuple(cut)
    made = tuple((name, np.array(image.read(region))) for name, image in images)
    return Example(case.name, np.array(case.truth.read(region)), made)
