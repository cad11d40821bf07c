"""Everything between the settings and the first step of a training run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from napari_aeanet.models import ModelCard
from napari_aeanet.pairs import ImagePair
from napari_aeanet.training.dataset import samples_of
from napari_aeanet.training.plan import (
    CHECKS_SHARE,
    Plan,
    first_plan,
    normalisation_for,
    with_steps,
)
from napari_aeanet.training.settings import TrainSettings
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import (
    TrainingData,
    check_fits,
    prepare,
    target_grid_of,
    usable_pairs,
)
from napari_aeanet.training.validation import CHECK_BATCHES, ValidationCrop, pieces_of

# A time budget becomes a number of steps by the median of so many, or of what this many seconds
# hold. The first ones are slower, much so for small networks.
FEWEST_TIMED, MOST_TIMED, TIMED_SECONDS = 3, 20, 2.0
# A step takes about as long as three predictions of its pixels.
PASSES_PER_STEP = 3
# Of the time of all steps, what telling how good the final model is may take.
FINAL_SHARE = 0.04


def material_for(
    pairs: Sequence[ImagePair],
    settings: TrainSettings,
    start: ModelCard | None,
    scratch: Path,
    *,
    on_gpu: bool = False,
) -> TrainingData:
    """Pairs and settings as the material of a new run; steps may still be to be decided.

    Pixels that do not fit into memory are put into the folder `scratch`.
    """
    usable, notices = usable_pairs(pairs)
    images = [image for pair in usable.values() for image in (pair.source, pair.target)]
    eight_bit = all(image.dtype == np.uint8 for image in images)
    plan = first_plan(settings, start=start, eight_bit=eight_bit, on_gpu=on_gpu)
    notices += _about_plan(plan, settings, start)
    check_fits(usable.values(), plan)
    found = samples_of(usable, plan.normalisation, scratch)
    deepest = max(pair.source.sizes.get("Z", 1) for pair in usable.values())
    if deepest > found.depth > 1:
        notices.append(
            f"The stacks have up to {deepest} planes: the middle {found.depth} of each are learnt "
            "from."
        )
    return prepare(found, plan, target_grid_of(usable.values()), notices)


def _about_plan(plan: Plan, settings: TrainSettings, start: ModelCard | None) -> Iterator[str]:
    """What was decided otherwise than the preset and the settings say."""
    if start is not None and start.preset != settings.preset:
        yield f"'{start.name}' is a model of the preset {start.preset}, and so will be the new one."
    if start is None and plan.normalisation != normalisation_for(settings, eight_bit=True):
        yield (
            "The images have more than 8 bits: their intensities are normalised by percentiles, "
            "not by the full scale, which they rarely fill."
        )


def material_again(pairs: Sequence[ImagePair], plan: Plan, scratch: Path) -> TrainingData:
    """The material that a plan was made for.

    Raises
    ------
    ValueError
        If the pairs are not the same.
    """
    usable, notices = usable_pairs(pairs)
    found = samples_of(usable, plan.normalisation, scratch)
    material = prepare(found, plan, target_grid_of(usable.values()), notices)
    for now, then in zip_longest(material.plan.pairs, plan.pairs):
        if now != then:
            name = (then or now)["name"]
            msg = (
                f"The run was begun with other pairs than these ({name} differs). Give it the "
                "same ones, in the same order, or start a new run."
            )
            raise ValueError(msg)
    return replace(material, plan=plan)


def check_pieces(material: TrainingData) -> list[ValidationCrop]:
    """What is restored at every check: as much as its share of the time allows."""
    plan = material.plan
    share = CHECKS_SHARE[plan.settings.profile]
    batches = share * plan.check_every * PASSES_PER_STEP - CHECK_BATCHES
    return _pieces(material, batches * _batch_pixels(plan))


def final_pieces(material: TrainingData) -> list[ValidationCrop]:
    """What the final model restores, to tell how good it is."""
    plan = material.plan
    return _pieces(material, FINAL_SHARE * plan.steps * PASSES_PER_STEP * _batch_pixels(plan))


def _pieces(material: TrainingData, most_pixels: float) -> list[ValidationCrop]:
    shapes = [sample.shape for sample in material.samples]
    return pieces_of(material.split.check, shapes, material.rim, most_pixels)


def _batch_pixels(plan: Plan) -> int:
    return plan.batch * math.prod(plan.patch)


def with_time(plan: Plan, material: TrainingData, device: torch.device) -> Plan:
    """The plan with its time budget turned into steps."""
    return with_steps(plan, seconds_per_step(plan, material, device))


def seconds_per_step(plan: Plan, material: TrainingData, device: torch.device) -> float:
    """How long a step takes, by a few steps of a learner that is thrown away."""
    learner = Trainer(plan, device)
    ends: list[float] = []
    while len(ends) < FEWEST_TIMED or (
        len(ends) < MOST_TIMED and ends[-1] - ends[0] < TIMED_SECONDS
    ):
        learner.launch(*material.batch(len(ends), device))
        learner.complete(0.0)
        ends.append(monotonic())
    return float(np.median(np.diff(ends)))
