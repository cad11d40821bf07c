"""What the user set under Preferences > napari-aeanet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DEFAULT_FOLDER = "AEANet"


def output_folder() -> Path:
    """Where models and restored images go that have no file to lie beside."""
    chosen = str(_preference("output_folder", "")).strip()
    return Path(chosen).expanduser() if chosen else Path.home() / DEFAULT_FOLDER


def device() -> str:
    """The device that the docks begin with: "auto" or "cpu"."""
    return str(_preference("device", "auto"))


def _preference(key: str, default: Any) -> Any:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9 has no preferences of plugins
        return default
    return getattr(get_plugin_settings("napari-aeanet").general, key, default)
