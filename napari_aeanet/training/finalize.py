"""The end of a run: settle the best model and say what it is."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np

from napari_aeanet.core.progress import Progressed
from napari_aeanet.models import Model, ModelCard
from napari_aeanet.training.batch_norm import estimate_norms
from napari_aeanet.training.context_search import best_field, context_gains
from napari_aeanet.training.feature_statistics import trust_statistics
from napari_aeanet.training.provenance import provenance
from napari_aeanet.training.run_folder import LogRow
from napari_aeanet.training.run_state import TrainingRun
from napari_aeanet.training.settings import TrainEvent, Validated
from napari_aeanet.training.setup import PASSES_PER_STEP, final_pieces
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import further_inputs, measure

# Batches from which running statistics are estimated.
ESTIMATION_BATCHES = 8
# Choosing the context's field may take this share of the time of all steps; for each image it takes
# as long as one and a half predictions of it.
CONTEXT_SHARE, CONTEXT_COST = 0.08, 1.5


def settle(job: TrainingRun) -> Iterator[TrainEvent]:
    """Make the network, which holds the best weights, the final model of the run.

    Its running statistics are estimated from more batches than before a check, and kept if that
    is better. Its gain is measured on more of the kept-out data than in the checks, the field of
    its attention's context is chosen, and it gets its card.
    """
    learner, material, standing = job.learner, job.material, job.standing
    before = learner.weights()
    estimate_norms(learner.network, further_inputs(learner, material, ESTIMATION_BATCHES))
    gain, _ = measure(learner, material, job.pieces)
    if gain.psnr <= standing.best_psnr:
        learner.load_weights(before)
    yield Progressed(job.progress())
    pieces = final_pieces(material)
    final, _ = measure(learner, material, pieces)
    yield Validated(standing.step, final.psnr, final.ssim, True, job.progress())
    gains = yield from _contexts(job)
    # Only now, after the last moment at which the run may be left, so that leaving changes nothing.
    standing.best_psnr, standing.best_ssim = final.psnr, final.ssim
    model = model_of(job, job.all_rows())
    card = replace(model.card, context=best_field(gains), context_gains=gains)
    job.keep(replace(model, card=card, statistics=trust_statistics(learner, material, pieces)))


def _contexts(job: TrainingRun) -> Generator[TrainEvent, None, dict[str, float]]:
    """The gain for each field of the context, on as many images as there is time for."""
    material, learner = job.material, job.learner
    if learner.network.contexts == 0 or learner.network.untileable_reason is not None:
        return {}
    plan = job.plan
    seen = plan.steps * plan.batch * int(np.prod(plan.patch))
    images = _images_within(material, CONTEXT_SHARE * PASSES_PER_STEP * seen)
    measuring = context_gains(learner, material, images)
    while True:
        try:
            next(measuring)
        except StopIteration as finished:
            return finished.value
        yield Progressed(job.progress())


def _images_within(material: TrainingData, most_pixels: float) -> list[int]:
    """Images with kept-out areas, spread over the list, that take so many predicted pixels."""
    images = sorted({area.image for area in material.split.check})
    costs = [CONTEXT_COST * material.samples[image].target.size for image in images]
    count = int(np.searchsorted(np.cumsum(costs), most_pixels, side="right"))
    return [images[(2 * i + 1) * len(images) // (2 * count)] for i in range(count)]


def model_of(job: TrainingRun, log: Sequence[LogRow] = ()) -> Model:
    """The network as it is now, with its card."""
    plan, place, standing = job.plan, job.material.place, job.standing
    known = standing.best_step >= 0
    card = ModelCard(
        name=job.material.name,
        preset=plan.settings.preset,
        network=plan.network,
        ratio=place.ratio,
        pixel_size=place.pixel_size,
        unit=place.unit,
        normalisation=plan.normalisation,
        gain={"psnr": standing.best_psnr, "ssim": standing.best_ssim} if known else {},
        provenance=provenance(job.material, standing, log),
    )
    return Model(card, job.learner.weights())
