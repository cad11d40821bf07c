"""End of a run: make the final model from the best weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from napari_aeanet.core.progress import Progressed
from napari_aeanet.models import Model, ModelCard
from napari_aeanet.networks import estimate_norms
from napari_aeanet.structures import FitRegion, fit_model, reported, with_structures
from napari_aeanet.training.context_search import best_field, context_gains
from napari_aeanet.training.feature_statistics import trust_statistics
from napari_aeanet.training.final_check import (
    ESTIMATION_BATCHES,
    calibration_crops,
    context_images,
    crops_for_final_gain,
    structure_pixels,
)
from napari_aeanet.training.provenance import provenance
from napari_aeanet.training.run_folder import LogRow
from napari_aeanet.training.run_state import TrainingRun
from napari_aeanet.training.settings import Profile, Statistics, TrainEvent, Validated
from napari_aeanet.training.validation import further_inputs, measure
from napari_aeanet.trust import CalibrationCrop, calibration_of, with_calibration


def finalize(run: TrainingRun) -> Iterator[TrainEvent]:
    """Make the network, which holds the best weights, the final model of the run.

    Its running statistics are estimated from more batches than before a validation, and kept if
    that is better; not if they followed the training. Its gain is measured on more of the kept-out
    data, the field of its attention's context is chosen, its intervals are calibrated, kinds of
    structure are fitted, and its card is written. The published recipe always gathers the context
    from the whole image.
    """
    trainer, data, progress = run.trainer, run.data, run.progress
    settings = run.plan.settings
    crops = crops_for_final_gain(data, run.total)
    images = context_images(data, run.total)
    run.begin_final_check(parts=3 + len(images))
    yield Progressed(run.report())
    if settings.statistics != Statistics.FOLLOWED:
        before = trainer.weights()
        estimate_norms(trainer.network, further_inputs(trainer, data, ESTIMATION_BATCHES))
        if run.crops and measure(trainer, data, run.crops)[0].psnr <= progress.best_psnr:
            trainer.load_weights(before)
    run.end_part()
    yield Progressed(run.report())
    final = measure(trainer, data, crops)[0] if crops else None
    run.end_part()
    if final is not None:
        report = run.report()
        yield Validated(progress.step, final.psnr, final.ssim, True, report, is_final=True)
    gains = yield from context_gains(trainer, data, images, run.report, run.end_part)
    chosen = calibration_crops(data, run.total)
    boxes = [
        CalibrationCrop(data.samples[one.inner.image], one.inner.box, one.outer.box)
        for one in chosen
    ]
    measuring = calibration_of(model_of(run), boxes, trainer.device)
    calibration = yield from reported(measuring, run.report)
    structures = None
    if structure_pixels(data, run.total):
        regions = [FitRegion.of(data.samples[area.image], area.box) for area in data.split.train]
        work = fit_model(model_of(run), regions, trainer.device)
        structures = yield from reported(work, run.report)
    # Changed only after the last event, so that stopping at one changes nothing.
    if final is not None:
        progress.best_psnr, progress.best_ssim = final.psnr, final.ssim
    model = model_of(run, run.all_rows())
    field = best_field(gains) if settings.profile == Profile.QUICK else None
    card = replace(model.card, context=field, context_gains=gains)
    model = replace(model, card=card, statistics=trust_statistics(trainer, data))
    if calibration is not None:
        model = with_calibration(model, calibration)
    run.keep(model if structures is None else with_structures(model, structures))


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
        source_range=plan.source_range,
        target_range=plan.target_range,
        gain={"psnr": progress.best_psnr, "ssim": progress.best_ssim} if is_validated else {},
        provenance=provenance(run.data, progress, log),
    )
    return Model(card, run.trainer.weights())
