"""End of a run: make the final model from the best weights."""

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
from napari_aeanet.training.setup import PREDICTIONS_PER_STEP, crops_for_final_gain
from napari_aeanet.training.training_data import TrainingData
from napari_aeanet.training.validation import further_inputs, measure

# Batches from which the final running statistics are estimated.
ESTIMATION_BATCHES = 8
# The search for the context's field may take this share of the time of all steps; each image takes
# as long as one and a half predictions of it.
CONTEXT_SHARE, CONTEXT_COST = 0.08, 1.5


def finalize(run: TrainingRun) -> Iterator[TrainEvent]:
    """Make the network, which holds the best weights, the final model of the run.

    Its running statistics are estimated from more batches than before a validation, and kept if
    that is better. Its gain is measured on more of the kept-out data, the field of its attention's
    context is chosen, and its card is written.
    """
    trainer, data, progress = run.trainer, run.data, run.progress
    before = trainer.weights()
    estimate_norms(trainer.network, further_inputs(trainer, data, ESTIMATION_BATCHES))
    gain, _ = measure(trainer, data, run.crops)
    if gain.psnr <= progress.best_psnr:
        trainer.load_weights(before)
    yield Progressed(run.report())
    crops = crops_for_final_gain(data)
    final, _ = measure(trainer, data, crops)
    yield Validated(progress.step, final.psnr, final.ssim, True, run.report())
    gains = yield from _context_gains(run)
    # Changed only after the last event, so that stopping at one changes nothing.
    progress.best_psnr, progress.best_ssim = final.psnr, final.ssim
    model = model_of(run, run.all_rows())
    card = replace(model.card, context=best_field(gains), context_gains=gains)
    run.keep(replace(model, card=card, statistics=trust_statistics(trainer, data, crops)))


def _context_gains(run: TrainingRun) -> Generator[TrainEvent, None, dict[str, float]]:
    """Return the gain for each field of the context, on as many images as time allows."""
    network, plan = run.trainer.network, run.plan
    if network.contexts == 0 or network.untileable_reason is not None:
        return {}
    trained = plan.steps * plan.batch * int(np.prod(plan.patch))
    images = _images_within(run.data, CONTEXT_SHARE * PREDICTIONS_PER_STEP * trained)
    return (yield from context_gains(run.trainer, run.data, images, run.report))


def _images_within(data: TrainingData, most_pixels: float) -> list[int]:
    """Return images with kept-out areas, spread over the list, within a budget of pixels."""
    images = sorted({area.image for area in data.split.check})
    costs = [CONTEXT_COST * data.samples[image].target.size for image in images]
    count = int(np.searchsorted(np.cumsum(costs), most_pixels, side="right"))
    return [images[(2 * i + 1) * len(images) // (2 * count)] for i in range(count)]


def model_of(run: TrainingRun, log: Sequence[LogRow] = ()) -> Model:
    """Return the current network with its card."""
    plan, grid, progress = run.plan, run.data.grid, run.progress
    is_validated = progress.best_step >= 0
    card = ModelCard(
        name=run.data.name,
        preset=plan.settings.preset,
        network=plan.network,
        ratio=grid.ratio,
        pixel_size=grid.pixel_size,
        unit=grid.unit,
        normalisation=plan.normalisation,
        gain={"psnr": progress.best_psnr, "ssim": progress.best_ssim} if is_validated else {},
        provenance=provenance(run.data, progress, log),
    )
    return Model(card, run.trainer.weights())
