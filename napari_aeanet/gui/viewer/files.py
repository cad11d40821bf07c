"""File functions of the manifest: open models and calibrated images, save images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari import current_viewer
from napari.layers import Layer
from qtpy.QtWidgets import QFileDialog

from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.session import session_of
from napari_aeanet.gui.viewer.layers import layer_to_image
from napari_aeanet.gui.viewer.opening import open_images
from napari_aeanet.io import READERS, write_image
from napari_aeanet.models import SUFFIX

if TYPE_CHECKING:
    from napari import Viewer

NO_LAYER: list[tuple[None]] = [(None,)]


def model_reader(path: str | Sequence[str]) -> Callable[[Any], list[tuple[None]]] | None:
    """Return the reader if all paths are model files, else None."""
    paths = [path] if isinstance(path, str) else list(path)
    return _open_models if all(p.endswith(SUFFIX) for p in paths) else None


def _open_models(path: str | Sequence[str]) -> list[tuple[None]]:
    """Choose the models and show the Restore dock."""
    viewer = current_viewer()
    for one in [path] if isinstance(path, str) else path:
        if viewer is not None:
            session_of(viewer).add_model(Path(one))
    if viewer is not None:
        open_dock(viewer, "Restore")
    return NO_LAYER


def open_calibrated(viewer: Viewer) -> None:
    """Ask for image files and open them with pixel size, unit and axes."""
    open_images(viewer, ask_for_files())


def ask_for_files() -> list[Path]:
    """Ask for image files; none if the user cancels."""
    patterns = " ".join(f"*{ending}" for ending in READERS)
    chosen, _ = QFileDialog.getOpenFileNames(
        None, "Open calibrated images", "", f"Images ({patterns})"
    )
    return [Path(path) for path in chosen]


def write_ome_tiff(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image layer with pixel size, unit, axes and origin."""
    layer = Layer.create(data, meta, "image")
    write_image(layer_to_image(layer), Path(path))
    return [path]
