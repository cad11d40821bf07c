"""Background work of several docks."""

from __future__ import annotations

from pathlib import Path

from napari_aeanet.models import SUFFIX


def import_checkpoint(index: Path) -> Path:
    """Convert a published checkpoint to a model file beside it and return its path."""
    from napari_aeanet.models import import_model, save_model

    path = index.with_suffix(SUFFIX)
    save_model(import_model(index), path)
    return path
