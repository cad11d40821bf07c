"""What a model was made from and how, for its card, and the same in words."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version
from math import isfinite
from typing import Any

from napari_aeanet import __version__
from napari_aeanet.models import presets
from napari_aeanet.training.run_folder import LogRow, RunProgress
from napari_aeanet.training.settings import KeptOut, Profile
from napari_aeanet.training.training_data import TrainingData

LIBRARIES = ("torch", "numpy", "scipy")
# A curve of more points than this shows no more.
CURVE_POINTS = 500
# Gains below these are within what one kept-out region or another makes.
NOTABLE_PSNR = 0.05

_KEPT_OUT = {
    KeptOut.RIGHT_SIDE: "the right quarter of every image",
    KeptOut.WHOLE_IMAGES: "every fifth image",
    KeptOut.REGION: "a region of every image",
}


def versions() -> dict[str, str]:
    """Of this program and of what it computes with."""
    found = {library: version(library) for library in LIBRARIES}
    return {"napari-aeanet": __version__, "python": platform.python_version(), **found}


def provenance(
    material: TrainingData, standing: RunProgress, log: Sequence[LogRow]
) -> dict[str, Any]:
    """Plain values for JSON: the whole plan, where training stood, and its curves."""
    losses = [(row.step, row.loss) for row in log if _is_finite(row.loss)]
    checks = [(r.step, r.psnr_gain, r.ssim_gain) for r in log if _is_finite(r.psnr_gain)]
    every = -(-len(losses) // CURVE_POINTS) if losses else 1
    return {
        "plan": material.plan.to_json(),
        "best_step": standing.best_step,
        "curves": {"loss": losses[::every], "gain": checks},
        "summary": result_in_words(material, standing),
    }


def _is_finite(value: float | None) -> bool:
    return value is not None and isfinite(value)


def plan_in_words(material: TrainingData) -> str:
    """One paragraph: what will be done."""
    plan, samples = material.plan, material.samples
    title = presets.preset(plan.settings.preset).title
    patch = " × ".join(map(str, plan.patch))
    length = f"{plan.steps} steps" if plan.steps else f"{plan.settings.minutes:g} min of steps"
    words = [
        f"{title} ({material.parameters:,} parameters) on {plan.device}: {length} "
        f"of {plan.batch} patches of {patch} pixels from {len(samples)} "
        f"image{'s' if len(samples) > 1 else ''}.",
        f"Kept out to check the model: {_KEPT_OUT[plan.settings.kept_out]}.",
    ]
    if plan.start:
        words.append(f"It starts from the model '{plan.start}'.")
    elif plan.settings.profile == Profile.QUICK:
        words.append(presets.quick_note(presets.preset(plan.settings.preset)))
    return " ".join(words)


def result_in_words(material: TrainingData, standing: RunProgress) -> str:
    """One paragraph: how good the model is, on what."""
    if standing.best_step < 0:
        return "Stopped before the first check: how good the model is was not measured."
    gain = f"{standing.best_psnr:+.1f} dB PSNR, {standing.best_ssim:+.3f} SSIM"
    kept_out = _KEPT_OUT[material.plan.settings.kept_out]
    if standing.best_psnr < NOTABLE_PSNR:
        return (
            f"The model does not restore better than its input ({gain} on {kept_out}). Train "
            "longer, check that the pairs are registered, or that source and target belong "
            "together."
        )
    return (
        f"Better than the input by {gain} on {kept_out}, which the training did not see (images "
        f"matched in gain and offset). Best after {standing.best_step} steps."
    )
