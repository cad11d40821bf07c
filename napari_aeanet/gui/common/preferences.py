"""Settings under Preferences > napari-aeanet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings

DEFAULT_FOLDER = "AEANet"


def output_folder() -> Path:
    """Return the folder of models, and of restored images whose input is not a file."""
    chosen = str(_preference("output_folder", "")).strip()
    return Path(chosen).expanduser() if chosen else Path.home() / DEFAULT_FOLDER


def device() -> str:
    """Return the default device: "auto" or "cpu"."""
    return str(_preference("device", "auto"))


def _preference(key: str, default: Any) -> Any:
    settings: Any = get_plugin_settings("napari-aeanet")  # its fields come from the manifest
    return getattr(settings.general, key, default)
