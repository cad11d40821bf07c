"""Final check of a run: the kept-out data that it looks at, and the time that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from napari_aeanet import networks
from napari_aeanet.structures import fit_cost
from napari_aeanet.training.feature_statistics import BATCHES, EDGE_BATCHES
from napari_aeanet.training.settings import Profile
from napari_aeanet.training.setup import PREDICTIONS_PER_STEP, crops_within
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import ValidationCrop
from napari_aeanet.trust import is_calibrated

# Batches from which the final running statistics are estimated.
ESTIMATION_BATCHES = 8
# Measuring the final model may take this share of the time of all steps.
FINAL_SHARE = 0.04
# The search for the context's field may take this share of the time of all steps; each image takes
# as long as three and a half predictions of it, measured with a fast network.
CONTEXT_SHARE, CONTEXT_COST = 0.19, 3.5

# Calibrating intervals without a sigma, by eight flips and turns, may take this share of the time
# of all steps; a flip takes as long as two predictions.
CALIBRATION_SHARE, VIEWS, VIEW_COST = 0.08, 8, 2.0

# Structures are fitted, and intervals without a sigma calibrated, at the end of quick runs of at
# least so many steps.
LEAST_STEPS = 100


def crops_for_final_gain(data: TrainingData, steps: int) -> list[ValidationCrop]:
    """Return the crops on which the gain of the final model of so many steps is measured."""
    return crops_within(data, FINAL_SHARE * steps * PREDICTIONS_PER_STEP)


def calibration_crops(data: TrainingData, steps: int) -> list[ValidationCrop]:
    """Return the crops on which the intervals of the final model are calibrated."""
    with torch.device("meta"):
        network = networks.build(data.plan.config)
    if not is_calibrated(network):
        return []
    if data.plan.config.sigma:
        return crops_for_final_gain(data, steps)
    if data.plan.settings.profile != Profile.QUICK or steps < LEAST_STEPS:
        return []
    batches = CALIBRATION_SHARE / VIEWS * steps * PREDICTIONS_PER_STEP / VIEW_COST
    crops = crops_within(data, batches)
    pixels = sum(math.prod(crop.outer.shape) for crop in crops)
    # Not even one crop may fit.
    return crops if pixels <= batches * data.plan.batch * math.prod(data.plan.patch) else []


def final_cost(data: TrainingData, crops: Sequence[ValidationCrop], steps: int) -> float:
    """Return the expected time of `finalize` after so many steps, in steps.

    Parameters
    ----------
    crops
        Crops of every validation.
    """
    views = 1 if data.plan.config.sigma else VIEWS
    calibrating = calibration_crops(data, steps)
    pixels: float = sum(
        math.prod(crop.outer.shape) for crop in [*crops, *crops_for_final_gain(data, steps)]
    )
    pixels += views * VIEW_COST * sum(math.prod(crop.outer.shape) for crop in calibrating)
    pixels += _context_pixels(data, context_images(data, steps)) + structure_pixels(data, steps)
    batches = pixels / (data.plan.batch * math.prod(data.plan.patch))
    return (ESTIMATION_BATCHES + (BATCHES + EDGE_BATCHES) / 2 + batches) / PREDICTIONS_PER_STEP


def context_images(data: TrainingData, steps: int) -> list[int]:
    """Return the images on which the field of the context is chosen, as many as time allows."""
    with torch.device("meta"):
        network = networks.build(data.plan.config)
    if network.contexts == 0 or network.untileable_reason is not None:
        return []
    trained = steps * data.plan.batch * math.prod(data.plan.patch)
    return _images_within(data, CONTEXT_SHARE * PREDICTIONS_PER_STEP * trained)


def _images_within(data: TrainingData, most_pixels: float) -> list[int]:
    """Return images with kept-out areas, spread over the list, within a budget of pixels."""
    images = sorted({area.image for area in data.split.check})
    costs = [_context_pixels(data, [image]) for image in images]
    count = int(np.searchsorted(np.cumsum(costs), most_pixels, side="right"))
    return [images[(2 * i + 1) * len(images) // (2 * count)] for i in range(count)]


def _context_pixels(data: TrainingData, images: Sequence[int]) -> float:
    """Return the pixels of the predictions that take as long as the choice of the field."""
    return sum(CONTEXT_COST * data.samples[image].target.size for image in images)


def structure_pixels(data: TrainingData, steps: int) -> float:
    """Return the pixels whose prediction takes as long as fitting structures; 0 for no fit."""
    settings = data.plan.settings
    is_wanted = settings.structures and settings.profile == Profile.QUICK and steps >= LEAST_STEPS
    return fit_cost(data.plan.config, data.samples) if is_wanted else 0.0
