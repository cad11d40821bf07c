"""Statistics in a model file from which the trust in a result is judged later."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from napari_aeanet.models import FeatureDistance, FeatureMoments, with_edge
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import further_inputs

# Batches from which the statistics are made, and others that set their unit.
BATCHES, EDGE_BATCHES = 24, 8


def trust_statistics(trainer: Trainer, data: TrainingData) -> dict[str, np.ndarray]:
    """Return statistics of the training's features."""
    network = trainer.network.eval()
    if network.contexts and network.untileable_reason is None:
        return _feature_distance(trainer, data).to_arrays()
    return {}


def _feature_distance(trainer: Trainer, data: TrainingData) -> FeatureDistance:
    features = _features(trainer, data)
    gathering = FeatureMoments()
    for _ in range(BATCHES):
        for image in next(features):
            gathering.add(image)
    known = gathering.finish()
    others = [known.distance(image).ravel() for batch in features for image in batch]
    return with_edge(known, np.concatenate(others))


@torch.no_grad()
def _features(trainer: Trainer, data: TrainingData) -> Iterator[np.ndarray]:
    """Yield the input of the first attention, (images, c, pixels...), for each batch."""
    for source in further_inputs(trainer, data, BATCHES + EDGE_BATCHES):
        yield trainer.network.attend(source).features.cpu().numpy()
