"""Differences between a training and the published recipe."""

from __future__ import annotations

from napari_aeanet.models import presets
from napari_aeanet.training.decisions import decided
from napari_aeanet.training.plan import LOSSES, Plan
from napari_aeanet.training.settings import Profile, TrainSettings


def differences(plan: Plan) -> tuple[str, ...]:
    """Return what differs from the paper in a run of the published recipe, by necessity or choice.

    A run of the quick profile has none, as it claims nothing.
    """
    if plan.settings.profile == Profile.QUICK:
        return ()
    recipe = presets.preset(plan.settings.preset).recipe
    usual = decided(TrainSettings(profile=Profile.PUBLISHED))
    named = {
        "patch": (plan.patch, recipe.patch[-len(plan.patch) :]),
        "batch": (plan.batch, recipe.batch),
        "steps": (plan.steps, recipe.steps),
        "learning rate": (plan.learning_rate, recipe.learning_rate),
        "loss": (plan.loss, LOSSES[recipe.loss]),
        "intensities": (plan.normalisation.kind, recipe.normalisation),
    }
    for name in (
        "kept_out",
        "keep",
        "turns",
        "statistics",
        "precision",
        "average",
        "weight_decay",
        "jitter",
        "background",
    ):
        named[name.replace("_", " ")] = (getattr(plan.settings, name), getattr(usual, name))
    chosen = (
        f"{name}: {own}, published {theirs}"
        for name, (own, theirs) in named.items()
        if own != theirs
    )
    others = [f"starts from {plan.start}"] if plan.start else []
    others += [f"network: that of {plan.settings.network}"] if plan.settings.network else []
    return (*recipe.differences, *chosen, *others)
