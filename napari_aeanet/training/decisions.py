"""Choices that the profile of a training makes where the user makes none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from napari_aeanet.training.settings import (
    RECIPE,
    Keep,
    KeptOut,
    Precision,
    Profile,
    Statistics,
    TrainSettings,
    Turns,
)


def decided(settings: TrainSettings) -> TrainSettings:
    """Return the settings with all choices that the profile makes, except the places of patches."""
    quick = settings.profile == Profile.QUICK
    kept_out = settings.kept_out
    if kept_out == KeptOut.AUTOMATIC:
        kept_out = KeptOut.RIGHT_SIDE if quick else KeptOut.NOTHING
    made: dict[str, Any] = {
        "kept_out": kept_out,
        "keep": Keep.BEST if quick and kept_out != KeptOut.NOTHING else Keep.LAST,
        "turns": Turns.RANDOM if quick else Turns.NONE,
        "statistics": Statistics.ESTIMATED if quick else Statistics.FOLLOWED,
        "precision": Precision.MIXED if quick else Precision.FLOAT32,
    }
    return replace(
        settings, **{name: one for name, one in made.items() if getattr(settings, name) == RECIPE}
    )
