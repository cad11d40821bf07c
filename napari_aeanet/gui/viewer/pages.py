"""Pages of a file that do not say what they are: images of their own, or planes of one volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from qtpy.QtWidgets import QMessageBox

from napari_aeanet.core.image import Image
from napari_aeanet.gui.common.text import TIMES, count
from napari_aeanet.io import stem

ENDINGS = (".tif", ".tiff")
FEWEST_PAGES = 3  # two are a pair, or two channels, rather than a volume


def are_alike(images: Sequence[Image]) -> bool:
    """Return True for pages of a TIFF file that could be planes of one volume."""
    source = images[0].source
    if len(images) < FEWEST_PAGES or source is None or source.suffix.lower() not in ENDINGS:
        return False
    kinds = {(image.axes, image.shape, image.dtype) for image in images}
    is_named = source.name.lower().endswith((".ome.tif", ".ome.tiff"))  # its images have a meaning
    return len(kinds) == 1 and images[0].axes == "YX" and not is_named


def ask_if_planes(images: Sequence[Image], files: int = 1) -> bool:
    """Ask if pages are planes of one volume; the answer holds for this number of files."""
    height, width = images[0].plane_shape
    pages = len(images)
    name = Path(images[0].source or images[0].name).name
    also = f" The answer is taken for all {count(files, 'file')}." if files > 1 else ""
    box = QMessageBox(
        QMessageBox.Icon.Question,
        "AEANet: what are these pages?",
        f"{name} has {pages} pages of {height} {TIMES} {width} and does not say what they are."
        f"{also}",
    )
    separate = box.addButton(f"{pages} images", QMessageBox.ButtonRole.RejectRole)
    planes = box.addButton("Planes of one volume", QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(separate)
    box.setEscapeButton(separate)
    box.exec()
    return box.clickedButton() is planes


def as_volume(images: Sequence[Image]) -> Image:
    """Return the pages of a file as one volume, whose distance of planes is unknown."""
    first = images[0]
    return replace(
        first,
        array=np.stack([image.read() for image in images]),
        axes="ZYX",
        pixel_size=(None, *first.pixel_size),
        origin=(0.0, *first.origin),
        name=stem(first.source or first.name),
        source_index=0,
        channels=(),
    )
