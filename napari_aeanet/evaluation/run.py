"""Evaluation of images against their truth, and of methods against each other.

Images that a model was trained on are not scored unless forced; the model file lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_aeanet.core.arguments import check_items, check_type
from napari_aeanet.core.image import Image, Region
from napari_aeanet.core.progress import EtaEstimator, Progress, Progressed, last_event
from napari_aeanet.evaluation.methods import Case, ComparedMethod, GivenImages, Input
from napari_aeanet.evaluation.regions import scored_regions
from napari_aeanet.evaluation.remarks import Remarks
from napari_aeanet.evaluation.scoring import Matching, matched, range_in_words, score
from napari_aeanet.evaluation.settings import (
    Evaluated,
    EvaluateEvent,
    EvaluateSettings,
    Evaluation,
    Example,
    Scored,
    ScoreRow,
)
from napari_aeanet.pairs import ImagePair
from napari_aeanet.registration.settings import Deform

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
    named = _distinctly_named(cases)
    if settings.deform is Deform.OFF:
        named = [_without_deformation(case) for case in named]
    return _events(named, methods, settings)


def _without_deformation(case: Case) -> Case:
    """Return the case with the global transform of its pair alone."""
    if case.pair is None or case.pair.registration is None:
        return case
    registration = case.pair.registration.without_deformation()
    return replace(case, pair=replace(case.pair, registration=registration))


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
    remarks = Remarks()
    example: Example | None = None
    for number, case in enumerate(cases):
        done = number * len(methods)
        yield Progressed(_progress(case, done, total, eta))
        try:
            regions = scored_regions(case, methods, settings)
        except ValueError as error:
            remarks.refuse(case.name, "", str(error))
            continue
        if not settings.force and regions.notice:
            remarks.add(regions.notice)
        if not regions.boxes:
            remarks.exclude(case.name)
            continue
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
                remarks.refuse(case.name, method.name, str(error))
                continue
            finally:
                done += 1
            rows.append(ScoreRow(case.name, method.name, scores))
            images.append((method.name, image))
            remarks.scored(rows[-1], image, _shift(case, method, image, regions.boxes[0]))
            error_map = error_of(image, case.truth, settings.matching, regions.covered)
            yield Scored(rows[-1], image, error_map, _progress(case, done, total, eta))
        if example is None and len(images) == len(methods):
            example = _example(case, images, regions.boxes[0])
    if not rows:
        raise ValueError(remarks.in_one_sentence())
    if settings.force:
        remarks.add("Forced: parts of the training images may be among the scored ones.")
    scored = {row.case for row in rows}
    if deformed := sum(_is_deformed(case) for case in cases if case.name in scored):
        remarks.add(
            f"Locally aligned with their truth, since they drift: {deformed} of {len(scored)}. "
            "Figures under the global transform alone are lower (deform: off)."
        )
    names = [method.name for method in methods]
    evaluation = Evaluation(
        settings,
        tuple(rows),
        remarks.notices(),
        example,
        baseline=next((method.name for method in methods if isinstance(method, Input)), ""),
        data_range=_data_range(cases, rows, settings),
        missing=remarks.missing([case.name for case in cases], names, rows),
    )
    yield Evaluated(evaluation, Progress("evaluating", total, total))


def error_of(image: Image, truth: Image, matching: Matching, region: Region) -> Image:
    """Return image - truth after matching, with the geometry of the truth; NaN beyond `region`."""
    looped = (slice(None),) * (truth.array.ndim - len(region))
    where = (*looped, *region)
    x, y = matched(image.read(where), truth.read(where), matching)
    errors = np.full(truth.shape, np.nan, np.float32)
    errors[where] = x - y
    name = f"{image.name} error"
    return truth.with_array(errors, name=name, source=None, notices=())


def _is_deformed(case: Case) -> bool:
    registration = case.pair.registration if case.pair is not None else None
    return registration is not None and registration.is_deformed


def _data_range(cases: Sequence[Case], rows: Sequence[ScoreRow], settings: EvaluateSettings) -> str:
    """Return the data range in words; several where the truths differ."""
    if settings.matching is Matching.CARE:
        return "1, from the 0.1st to the 99.9th percentile of each truth (CARE)"
    scored = {row.case for row in rows}
    truths = [case.truth for case in cases if case.name in scored]
    return " or ".join(dict.fromkeys(range_in_words(one, settings.data_range) for one in truths))


def _shift(case: Case, method: ComparedMethod, image: Image, box: Region) -> float | None:
    """Return the shift of an image against its truth, in pixels, if none was removed."""
    from napari_aeanet.dataset import shift_between

    if isinstance(method, GivenImages) or (case.pair is not None and not case.pair.registration):
        plane = _middle_plane(case.truth, box)
        return shift_between(image.read(plane), case.truth.read(plane))
    return None


def _middle_plane(truth: Image, box: Region) -> tuple[slice | int, ...]:
    """Return the first channel and time point, and in a box of a stack the middle plane."""
    looped = (0,) * (len(truth.axes) - len(box))
    return (*looped, *((s.start + s.stop) // 2 for s in box[:-2]), *box[-2:])


def _progress(case: Case, done: int, total: int, eta: EtaEstimator) -> Progress:
    return Progress(f"evaluating {case.name}", done, total, eta.seconds_left(done))


def _example(case: Case, images: Sequence[tuple[str, Image]], box: Region) -> Example:
    """Return the middle of the first scored box; in a stack, of its middle plane."""
    cut: list[slice | int] = list(_middle_plane(case.truth, box)[:-2])
    for side in box[-2:]:
        length = min(EXAMPLE, side.stop - side.start)
        first = (side.start + side.stop - length) // 2
        cut.append(slice(first, first + length))
    region = tuple(cut)
    made = tuple((name, np.array(image.read(region))) for name, image in images)
    return Example(case.name, np.array(case.truth.read(region)), made)
