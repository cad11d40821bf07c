"""File functions of the manifest: open models and calibrated images, save images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from napari import current_viewer
from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.dock import open_dock
from napari_aeanet.gui.common.session import session_of
from napari_aeanet.gui.viewer.camera import look_at
from napari_aeanet.gui.viewer.layers import PIXEL, image_to_layer, layer_to_image
from napari_aeanet.gui.viewer.pages import are_alike, as_volume, ask_if_planes
from napari_aeanet.io import READERS, read_images, write_image
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


def open_calibrated(viewer: Viewer) -> list[Layer]:
    """Ask for image files and open them with pixel size, unit and axes."""
    patterns = " ".join(f"*{ending}" for ending in READERS)
    chosen, _ = QFileDialog.getOpenFileNames(
        None, "Open calibrated images", "", f"Images ({patterns})"
    )
    return open_images(viewer, [Path(path) for path in chosen])


def open_images(viewer: Viewer, paths: Sequence[Path]) -> list[Layer]:
    """Add the images in files as calibrated layers; report unreadable files.

    Pages that do not say what they are, are asked about once for all files.
    """
    files: list[list[Image]] = []
    for path in paths:
        try:
            files.append(read_images(path))
        except (ValueError, OSError) as error:
            show_error(str(error))
    unnamed = [images for images in files if are_alike(images)]
    if unnamed and ask_if_planes(unnamed[0], len(unnamed)):
        files = [[as_volume(images)] if images in unnamed else images for images in files]
    with catch_warnings():
        # Our own note says which image is meant.
        simplefilter("ignore", category=UserWarning)
        layers = [viewer.add_layer(image_to_layer(image)) for images in files for image in images]
    _show_beside_other_units(viewer, layers)
    return layers


def _show_beside_other_units(viewer: Viewer, opened: Sequence[Layer]) -> None:
    """Look at new layers where some have a pixel size and some have none.

    napari draws both on one scale, a pixel as long as a nanometre: one kind is a dot, or all that
    is seen.
    """
    others = [layer for layer in viewer.layers if layer not in opened]
    before, added = set(map(_has_unit, others)) - {None}, set(map(_has_unit, opened))
    if len(before | added) < 2:
        return
    look_at(viewer, opened)
    if len(before) < 2:
        lacking = next(layer for layer in viewer.layers if _has_unit(layer) is False)
        show_info(f"{lacking.name} has no pixel size: it is not to the scale of the other images.")


def _has_unit(layer: Layer) -> bool | None:
    """Return True if an image has a pixel size; None for other layers."""
    if not isinstance(layer, ImageLayer):
        return None
    return any(str(unit) != PIXEL for unit in layer.units[-2:])


def write_ome_tiff(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one image layer with pixel size, unit, axes and origin."""
    layer = Layer.create(data, meta, "image")
    write_image(layer_to_image(layer), Path(path))
    return [path]
