"""Preparation of a run: from pairs and settings to data, crops and the number of steps."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch

from napari_aeanet.core.intensity import NormalisationKind
from napari_aeanet.core.progress import Progress
from napari_aeanet.dataset import (
    PairRanges,
    are_normalised,
    collect_samples,
    ranges_of,
    target_grid_of,
)
from napari_aeanet.models import ModelCard
from napari_aeanet.pairs import ImagePair, are_enlarged, likely_task
from napari_aeanet.training import pace
from napari_aeanet.training.plan import CHECKS_SHARE, Plan, first_plan, normalisation_for
from napari_aeanet.training.settings import AUTOMATIC, Intensities, TrainSettings
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import (
    ALL,
    TrainingData,
    build_data,
    check_fits,
    pairs_of_plan,
)
from napari_aeanet.training.validation import (
    ESTIMATION_BATCHES,
    ValidationCrop,
    validation_crops,
)

# The time of a step is the median of this many, or of as many as fit into these seconds. The first
# steps are slower, much so for small networks.
FEWEST_TIMED, MOST_TIMED, TIMED_SECONDS = 3, 20, 2.0
# A step takes about as long as three predictions of its pixels.
PREDICTIONS_PER_STEP = 3


def data_for_new_run(
    usable: Mapping[int, ImagePair],
    settings: TrainSettings,
    start: ModelCard | None,
    scratch: Path,
    *,
    on_gpu: bool = False,
) -> Generator[Progress, None, TrainingData]:
    """Return the data of a new run, its plan with 0 steps where a time budget decides.

    Yields before every pair. Pixels that do not fit into memory are stored in the folder `scratch`.

    Parameters
    ----------
    usable
        Pairs to train on, by their numbers in the user's list.
    """
    notices: list[str] = []
    images = [image for pair in usable.values() for image in (pair.source, pair.target)]
    eight_bit = all(image.dtype == np.uint8 for image in images)
    pairs = list(usable.values())
    plan = first_plan(
        settings,
        task=likely_task(pairs),
        enlarged=are_enlarged(pairs),
        start=start,
        eight_bit=eight_bit,
        on_gpu=on_gpu,
    )
    check_fits(pairs, plan)
    if settings.intensities == Intensities.AUTOMATIC and (
        plan.normalisation.kind == NormalisationKind.PERCENTILE
    ):
        plan = replace(plan, is_normalised=are_normalised(usable.values()))
    notices += _about_plan(plan, settings, start)
    ranges = ranges_of(usable.values(), plan.data_normalisation, start)
    plan, texts = _with_ranges(plan, next(iter(usable.values())), ranges)
    notices += texts
    found = yield from collect_samples(usable, plan.data_normalisation, scratch, ranges)
    deepest = max(pair.source.sizes.get("Z", 1) for pair in usable.values())
    if deepest > found.depth > 1:
        notices.append(
            f"The stacks have up to {deepest} planes: the middle {found.depth} of each are used."
        )
    return build_data(found, plan, target_grid_of(usable.values()), notices)


def _about_plan(plan: Plan, settings: TrainSettings, start: ModelCard | None) -> Iterator[str]:
    """Yield notices where the plan differs from the preset or the settings."""
    if start is not None and settings.preset not in (AUTOMATIC, start.preset):
        yield f"'{start.name}' is a model of the preset {start.preset}, and so is the new one."
    if plan.is_normalised:
        yield (
            "The training images are normalised already, as NPZ files of the CARE tools are: they "
            "are taken as they are. Images to restore are normalised by percentiles."
        )
    elif start is None and plan.normalisation != normalisation_for(plan.settings, eight_bit=True):
        yield (
            "The images have more than 8 bits: their intensities are normalised by percentiles, "
            "not by the full scale, which they rarely fill."
        )


def data_for_resumed_run(
    pairs: Sequence[ImagePair], plan: Plan, scratch: Path
) -> Generator[Progress, None, TrainingData]:
    """Return the data that a plan was made for. Yields before every pair.

    Raises
    ------
    ValueError
        If the pairs are not the same.
    """
    usable = pairs_of_plan(pairs, plan)
    if not usable:
        raise ValueError(
            "There is no pair to train on: give the pairs that the run was begun with."
        )
    known = PairRanges.known(plan)
    found = yield from collect_samples(usable, plan.data_normalisation, scratch, known)
    data = build_data(found, plan, target_grid_of(usable.values()), ())
    for now, then in zip_longest(data.plan.pairs, plan.pairs):
        if now != then:
            msg = (
                f"The run was begun with other pairs ({(then or now)['name']} differs). Resume it "
                "with the same pairs in the same order, or start a new run."
            )
            raise ValueError(msg)
    return replace(data, plan=plan)


def crops_for_validation(data: TrainingData) -> list[ValidationCrop]:
    """Return the crops of every validation, as many as its share of the time allows."""
    share = CHECKS_SHARE[data.plan.settings.profile]
    return crops_within(
        data, share * data.plan.check_every * PREDICTIONS_PER_STEP - ESTIMATION_BATCHES
    )


def crops_within(data: TrainingData, batches: float) -> list[ValidationCrop]:
    """Return crops with the pixels of at most so many batches."""
    shapes = [sample.shape for sample in data.samples]
    pixels = batches * data.plan.batch * math.prod(data.plan.patch)
    return validation_crops(data.split.check, shapes, data.margin, pixels)


def seconds_per_step(
    plan: Plan, data: TrainingData, device: torch.device, part: slice = ALL
) -> float:
    """Measure the time of a step, or a part of its patches, with steps of a temporary network."""
    trainer = Trainer(plan, device)
    ends: list[float] = []
    while len(ends) < FEWEST_TIMED or (
        len(ends) < MOST_TIMED and ends[-1] - ends[0] < TIMED_SECONDS
    ):
        trainer.launch(*data.batch(len(ends), device, part))
        trainer.complete(0.0)
        ends.append(pace.now())
    return float(np.median(np.diff(ends)))


def _with_ranges(plan: Plan, pair: ImagePair, ranges: PairRanges) -> tuple[Plan, list[str]]:
    """Return a plan with the ranges, which those of any pair show, and remarks about them."""
    if plan.normalisation.kind != NormalisationKind.FULL_SCALE:
        return plan, []
    notices = []
    for what, image, known in (
        ("sources", pair.source, ranges.source),
        ("targets", pair.target, ranges.target),
    ):
        taken = known.of(image)[0]
        if taken.reason:
            notices.append(
                f"Intensities of the {what} from {taken} were taken as the full range, "
                f"{taken.reason}."
            )
    plan = replace(
        plan,
        source_range=ranges.source.trained(pair.source),
        target_range=ranges.target.trained(pair.target),
    )
    return plan, notices
