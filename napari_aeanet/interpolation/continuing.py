"""Learn from a stack, or go on in a folder where that has begun."""

from __future__ import annotations

from collections.abc import Collection, Generator
from pathlib import Path

from napari_aeanet.core.arguments import as_path
from napari_aeanet.interpolation.config import InterpolationConfig
from napari_aeanet.interpolation.learning import learn_sections_events, resume_sections_events
from napari_aeanet.interpolation.learning_folder import PLAN, LearnFolder
from napari_aeanet.interpolation.learning_settings import LearnEvent, LearnSettings
from napari_aeanet.io import ImageSource

REMEDY = "name another folder, or remove it"


def learn_or_resume_events(
    source: ImageSource,
    folder: str | Path,
    settings: LearnSettings,
    *,
    skip: Collection[int] = (),
    config: InterpolationConfig | None = None,
) -> Generator[LearnEvent, None, None]:
    """Learn as `learn_sections_events` does; a learning that is in the folder goes on.

    Raises
    ------
    ValueError
        If that has other options, or has learnt from sections that are to be skipped.
    """
    path = as_path("folder", folder)
    if not (path / PLAN).exists():
        return learn_sections_events(source, path, settings, skip=skip, config=config)
    plan = LearnFolder(path).read_plan()
    if (plan.settings, plan.network) != (settings.resolved(), config or settings.config):
        raise ValueError(f"{path} holds what was learnt with other options: {REMEDY}.")
    if wrong := sorted(_near(skip) & set(plan.prepared)):
        msg = (
            f"{path} holds what was learnt from section {wrong[0]}, which is damaged or next to a "
            f"damaged one: {REMEDY}."
        )
        raise ValueError(msg)
    return resume_sections_events(source, path)


def _near(skip: Collection[int]) -> set[int]:
    """Return the sections of `skip` and those next to them."""
    return {index + step for index in skip for step in (-1, 0, 1)}
