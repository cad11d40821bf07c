"""Statistics in a model file from which the trust in a result is judged later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from napari_aeanet.models import FeatureDistance, FeatureMoments, with_edge
from napari_aeanet.training.trainer import Trainer
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import ValidationCrop, further_inputs

# Batches from which the statistics are made, and others that set their unit.
BATCHES, EDGE_BATCHES = 24, 8
# Share of errors that lie within sigma times the width.
COVERED = 0.68
SIGMA_WIDTH = "sigma_width"


def trust_statistics(
    trainer: Trainer, data: TrainingData, crops: Sequence[ValidationCrop]
) -> dict[str, np.ndarray]:
    """Return statistics of the training's features, and the width of the model's sigma.

    Parameters
    ----------
    crops
        Kept-out crops on which sigma is compared with the errors; without any, its width is
        unknown.
    """
    found: dict[str, np.ndarray] = {}
    network = trainer.network.eval()
    if network.contexts and network.untileable_reason is None:
        found |= _feature_distance(trainer, data).to_arrays()
    if "sigma" in network.extras and crops:
        found[SIGMA_WIDTH] = np.array(_sigma_width(trainer, data, crops))
    return found


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


@torch.no_grad()
def _sigma_width(trainer: Trainer, data: TrainingData, crops: Sequence[ValidationCrop]) -> float:
    """Return the factor by which sigma becomes an interval that holds 68 % of kept-out errors."""
    ratios = []
    for crop in crops:
        source = data.sources.area(crop.outer).to(trainer.device)
        outputs = trainer.network.outputs(trainer.as_input(source))
        box: tuple[int | slice, ...] = (0, slice(None), *crop.inside)
        truth = data.samples[crop.inner.image].target[(slice(None), *crop.inner.box)]
        error = np.abs(outputs["prediction"][box].cpu().numpy() - truth)
        ratios.append((error / outputs["sigma"][box].cpu().numpy()).ravel())
    return float(np.quantile(np.concatenate(ratios), COVERED))
