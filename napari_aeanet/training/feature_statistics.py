"""What a model file holds, besides its weights, so that results can be judged later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from napari_aeanet.models import FeatureDistance, Gathering, with_edge
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import ValidationCrop, further_inputs

# Batches from which the statistics are made, and others by which their unit is set.
BATCHES, EDGE_BATCHES = 24, 8
# This share of errors is to lie within sigma times the width.
COVERED = 0.68
SIGMA_WIDTH = "sigma_width"


def trust_statistics(
    learner: Trainer, material: TrainingData, pieces: Sequence[ValidationCrop]
) -> dict[str, np.ndarray]:
    """What is known of the training's features, and how wide the model's sigma is.

    Parameters
    ----------
    pieces
        Kept-out pieces, by which sigma is compared with what it should foretell.
    """
    found: dict[str, np.ndarray] = {}
    network = learner.network.eval()
    if network.contexts and network.untileable_reason is None:
        found |= _familiarity(learner, material).to_arrays()
    if "sigma" in network.extras:
        found[SIGMA_WIDTH] = np.array(_sigma_width(learner, material, pieces))
    return found


def _familiarity(learner: Trainer, material: TrainingData) -> FeatureDistance:
    features = _features(learner, material)
    gathering = Gathering()
    for _ in range(BATCHES):
        for one in next(features):
            gathering.add(one)
    known = gathering.finish()
    others = [known.distance(one).ravel() for batch in features for one in batch]
    return with_edge(known, np.concatenate(others))


@torch.no_grad()
def _features(learner: Trainer, material: TrainingData) -> Iterator[np.ndarray]:
    """What enters the first attention: (images, c, pixels...) for each batch."""
    for source in further_inputs(learner, material, BATCHES + EDGE_BATCHES):
        yield learner.network.attend(source).features.cpu().numpy()


@torch.no_grad()
def _sigma_width(
    learner: Trainer, material: TrainingData, pieces: Sequence[ValidationCrop]
) -> float:
    """The factor by which sigma becomes an interval that holds 68 % of kept-out errors."""
    ratios = []
    for piece in pieces:
        x = learner.as_input(material.sources.area(piece.read).to(learner.device))
        outputs = learner.network.outputs(x)
        box: tuple[int | slice, ...] = (0, slice(None), *piece.inside)
        truth = material.samples[piece.scored.image].target[(slice(None), *piece.scored.slices)]
        error = np.abs(outputs["prediction"][box].cpu().numpy() - truth)
        ratios.append((error / outputs["sigma"][box].cpu().numpy()).ravel())
    return float(np.quantile(np.concatenate(ratios), COVERED))
