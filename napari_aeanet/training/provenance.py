"""Provenance of a model for its card, and summaries in words."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from math import isfinite
from typing import Any

from napari_aeanet import __version__
from napari_aeanet.core.schema import to_plain
from napari_aeanet.dataset import size_in_words
from napari_aeanet.models import presets
from napari_aeanet.training.run_folder import LogRow, RunProgress
from napari_aeanet.training.settings import NOTABLE_PSNR, Keep, KeptOut, Profile
from napari_aeanet.training.training_data import TrainingData

LIBRARIES = ("torch", "numpy", "scipy")
# More points than this are not visible in a plot.
CURVE_POINTS = 500

_KEPT_OUT = {
    KeptOut.RIGHT_SIDE: "the right quarter of every image",
    KeptOut.WHOLE_IMAGES: "every fifth image",
    KeptOut.REGION: "a region of every image",
    KeptOut.NOTHING: "nothing",
}


def versions() -> dict[str, str]:
    """Return the versions of this program, Python and the numerical libraries."""
    found = {library: version(library) for library in LIBRARIES}
    return {"napari-aeanet": __version__, "python": platform.python_version(), **found}


def provenance(data: TrainingData, progress: RunProgress, log: Sequence[LogRow]) -> dict[str, Any]:
    """Return plain values for JSON: the plan, the best step and the training curves."""
    losses = [(row.step, row.loss) for row in log if _is_finite(row.loss)]
    gains = [(r.step, r.psnr_gain, r.ssim_gain) for r in log if _is_finite(r.psnr_gain)]
    every = -(-len(losses) // CURVE_POINTS) if losses else 1
    return {
        "plan": to_plain(data.plan),
        "best_step": progress.best_step,
        "curves": {"loss": losses[::every], "gain": gains},
        "summary": result_in_words(data, progress),
    }


def _is_finite(value: float | None) -> bool:
    return value is not None and isfinite(value)


def plan_in_words(data: TrainingData) -> str:
    """Return one paragraph about what the run will do."""
    plan, count = data.plan, len(data.samples)
    preset = presets.preset(plan.settings.preset)
    name = plan.settings.network or preset.title
    device = plan.device if plan.processes == 1 else f"{plan.processes} × {plan.device}"
    length = f"{plan.steps} steps" if plan.steps else f"{plan.settings.minutes:g} min of steps"
    if plan.settings.is_timed and plan.steps:  # what follows the time that is left
        length = f"about {length}"
    sentences = [
        f"{name} ({data.parameters:,} parameters) on {device}: {length} "
        f"of {plan.batch} patches of {size_in_words(plan.patch)} pixels from {count} "
        f"image{'s' if count > 1 else ''}.",
        f"Kept out to validate the model: {_KEPT_OUT[plan.settings.kept_out]}.",
    ]
    if plan.start:
        sentences.append(f"It starts from the model '{plan.start}'.")
    elif plan.settings.profile == Profile.QUICK and not plan.settings.network:
        sentences.append(presets.quick_note(preset))
    if plan.settings.profile == Profile.PUBLISHED:
        sentences.append("As published, but for the differences that plan.json lists.")
    return " ".join(sentences)


def result_in_words(data: TrainingData, progress: RunProgress) -> str:
    """Return one paragraph about the gain of the model and the data it was measured on."""
    if data.plan.settings.kept_out == KeptOut.NOTHING:
        return (
            f"The model of step {progress.step} is kept. Nothing was kept out, so its quality is "
            "unknown: evaluate it on images that it was not trained on."
        )
    if progress.best_step < 0:
        return "Stopped before the first validation: the quality of the model is unknown."
    gain = f"{progress.best_psnr:+.1f} dB PSNR, {progress.best_ssim:+.2f} SSIM"
    kept_out = _KEPT_OUT[data.plan.settings.kept_out]
    best = "That of the last of" if data.plan.settings.keep == Keep.LAST else "Best after"
    if progress.best_psnr < NOTABLE_PSNR:
        return (
            f"The model does not restore better than its input ({gain} on {kept_out}). Train "
            "longer, and check that the pairs are registered and show the same specimen."
        )
    return (
        f"Better than the input by {gain} on {kept_out}, which was not used for training (images "
        f"matched in gain and offset). {best} {progress.best_step} steps."
    )
